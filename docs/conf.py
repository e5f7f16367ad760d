# SPDX-License-Identifier: Apache-2.0
"""Sphinx settings of the site."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "heliograph"
author = "The heliograph authors"
copyright = "The heliograph authors"
release = installed_version("heliograph")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
root_doc = "index"

html_theme = "furo"
html_title = f"heliograph {release}"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# The build asks nobody on the network, so names of the standard library and of other packages stay
# without a link; each of our own must resolve.
nitpick_ignore_regex = [("py:.*", r"(?!heliograph\b).*")]
