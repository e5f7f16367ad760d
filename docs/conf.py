# SPDX-License-Identifier: Apache-2.0
"""Sphinx settings of the site."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

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
default_role = "literal"  # single backticks in docstrings are code, as in Markdown
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# The build asks nobody on the network, so names of the standard library and of other packages stay
# without a link; each of our own must resolve, but for the private ones that stand in signatures.
nitpick_ignore_regex = [
    ("py:.*", r"(?!heliograph\b).*"),
    ("py:.*", r"heliograph\.(\w+\.)*_\w+"),
]
# `type[...]` in a signature is Python's own, whatever attributes of that name our classes have.
suppress_warnings = ["ref.python"]


def prepare_docstring(
    _app: Sphinx, what: str, _name: str, _of: object, _options: Any, lines: list[str]
) -> None:
    """Make indented examples literal blocks, as they are written without the `::`."""
    marked: list[str] = []
    for number, line in enumerate(lines):
        above = lines[number - 1] if number else ""
        text_above = next((each for each in reversed(lines[:number]) if each.strip()), "")
        if line.startswith("    ") and not above.strip() and re.match(r"[^\s*.-]", text_above):
            marked += ["::", ""]
        marked.append(line)
    # Of an attribute's first line napoleon takes what stands before a colon for its type.
    lines[:] = ["", *marked] if what in {"attribute", "data", "property"} else marked


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the above with Sphinx."""
    # Before napoleon, which comes at 500 and leaves no indentation as it was.
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    return {"parallel_read_safe": True}
