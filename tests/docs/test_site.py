# SPDX-License-Identifier: Apache-2.0
"""What the site says that can be compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import heliograph
from heliograph.catalog import format_reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_format_page_is_what_the_loader_goes_by() -> None:
    page = (DOCS / "reference" / "catalog-format.md").read_text(encoding="utf-8")

    assert page == format_reference(), "write it again: make generated"


def test_every_public_module_has_its_page() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "reference" / "api").iterdir()]
    documented = set(re.findall(r"automodule:: (\S+)", "".join(pages)))
    source = Path(heliograph.__file__).parent
    # The core is documented as what it is imported from; generated modules have pages of events.
    core = {"spans", "telemetry", "propagation", "values", "events", "modboss", "partisan"}
    others = {"cli", "plain"}  # the command has a page of its own; values as plain data serve us
    public = {
        f"heliograph.{path.stem}"
        for path in source.iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
        and path.stem not in core | others
    }

    assert public <= documented, "add a page to docs/reference/api"
