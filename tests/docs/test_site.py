# SPDX-License-Identifier: Apache-2.0
"""What the site says that can be compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import heliograph
from heliograph.catalog import format_reference
from heliograph.metrics.definitions import CARDINALITY_LIMIT
from heliograph.metrics.tags import LONGEST
from heliograph.otel import AttributeLimits, Backoff, OpenSpanLimits
from heliograph.otel.configuration import Options, settle
from heliograph.otel.transport import LONGEST_PATIENCE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


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


_QUEUEING = settle(Options(), {}).queueing


@pytest.mark.parametrize(
    "said",
    [
        f"| {AttributeLimits().text:,}; {AttributeLimits().stacktrace:,} characters |",
        f"that is an array | {AttributeLimits().items} |",
        f"| {OpenSpanLimits().size:,}; {OpenSpanLimits().age / 3600:g} h |",
        f"| {Backoff().first:g} s, doubling up to {Backoff().longest:g} s |",
        f"| {LONGEST_PATIENCE:g} s |",
        f"| Points of one request | {_QUEUEING['metrics'].batch:,} |",
        f"| Text of a tag | {LONGEST:,} characters |",
        f"{CARDINALITY_LIMIT:,} series",
        (
            f"{_QUEUEING['traces'].size:,} waiting spans and {_QUEUEING['logs'].size:,} log events "
            f"in batches of {_QUEUEING['logs'].batch}, sent every {_QUEUEING['traces'].delay:g} s "
            f"and every {_QUEUEING['logs'].delay:g} s; "
            f"metrics every {_QUEUEING['metrics'].delay:g} s"
        ),
    ],
)
def test_the_bridges_limits_are_those_of_the_code(said: str) -> None:
    page = (DOCS / "explanation" / "opentelemetry.md").read_text(encoding="utf-8")

    assert said in " ".join(page.split())


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", "examples/README.md", "examples/observability/README.md"],
)
def test_what_is_linked_outside_of_the_site_is_there(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)(#[^)]+)?\)", path.read_text(encoding="utf-8"))
    for link, anchor in links:
        if link.startswith("https://"):
            continue
        target = path.parent / link
        assert target.exists(), link
        if anchor:
            assert anchor[1:] in anchors(target), f"{link}{anchor}"


def test_the_picture_in_the_readme_is_one_of_those_of_the_demo() -> None:
    frames = re.compile(r"(?s)```text\n(heliograph demo .*?)```")
    (shown,) = frames.findall((ROOT / "README.md").read_text(encoding="utf-8"))

    assert shown in frames.findall((DOCS / "explanation" / "demo.md").read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a page's headings are called by those who show it."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
