# SPDX-License-Identifier: Apache-2.0
"""The reference page: it says everything, and Sphinx has nothing to complain of."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from heliograph.catalog.loader import load_text
from heliograph.catalog.model import Document
from heliograph.catalog.outputs import markdown
from heliograph.catalog.outputs.markdown import escaped

CONF = """
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
html_theme = "furo"
"""


def test_sphinx_builds_the_pages_without_a_warning(
    shop: Document, everything: Document, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONF)
    (source / "index.md").write_text("# Index\n\n```{toctree}\nshop\nall\n```\n")
    for document in (shop, everything):
        (source / f"{document.name}.md").write_text(markdown.render(document))

    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-n", "-W", "-q", "-b", "html", source, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    page = (tmp_path / "html" / "all.html").read_text()
    assert 'id="event-all-everything"' in page or 'id="event-all.everything"' in page
    assert "code | bar" in re.sub("<[^>]+>", "", page)


def test_every_event_span_and_metric_has_a_target(any_document: Document) -> None:
    page = markdown.render(any_document)
    targets = set(re.findall(r"^\((.+)\)=$", page, re.MULTILINE))

    expected = {f"catalog-{any_document.name}"}
    expected |= {f"event-{e.name}" for e in any_document.events.values() if e.alias_of is None}
    expected |= {f"metric-{name}" for name in any_document.metrics}
    expected |= {
        f"span-{span.name}"
        for span in any_document.spans.values()
        if span.deprecated is None or span.deprecated.renamed_to is None
    }
    assert targets == expected


def test_every_link_has_its_target(any_document: Document) -> None:
    page = markdown.render(any_document)

    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(
        re.findall(r"^\((.+)\)=$", page, re.MULTILINE)
    )


@pytest.mark.parametrize(
    "line",
    [
        "| `count` | `{order}` | int | `shop.count` | How many |",
        (
            "| `amount` (may be absent) | `EUR` | float | `shop.amount` "
            "| What it costs. Such as `12` |"
        ),
        (
            "| `order_id` | string | `shop.order_id` | high | public "
            "| Number of the order. Such as `A-17` |"
        ),
        "Becomes a log event of severity info. Stability: development.",
        "Becomes a span named `shop.checkout`, of kind internal. Stability: development.",
        "| Instrument | sum (counter) |",
        "| Event | [`shop.order.placed`](#event-shop.order.placed) |",
        "| Measurement | `count` |",
        "| Attributes | none |",
    ],
)
def test_a_page_says(shop: Document, line: str) -> None:
    assert line in markdown.render(shop).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "Becomes no log event. Stability: beta.",
        "Deprecated. Gone",
        "Deprecated. Work no more",
        "Note: \\# A note (with a mark).",
        "| `secret` | string | none | low | sensitive | A secret |",
        "| `outcome` | result | `error.type` | low | public | How it ended |",
        (
            "| `failure` | exception | `exception.type`, `exception.message` | low | public "
            "| What failed |"
        ),
        "| `secret_failure` | exception | `exception.type` | low | sensitive | What failed |",
        "| `secret_trace` | stacktrace | none | low | sensitive | Where it failed |",
        "| `level` | int | `all.level` | low | public | A level. One of `-1`, `0`, `1` |",
        "| `flag` | bool | `all.flag` | low | public | A flag. One of `true`, `false` |",
        "| `kept` | map | `all.kept` | high | public | A map. Such as `[1, 2]` |",
        "| `dead` | string | `all.dead` | low | public | Of no use. Deprecated. Nobody reads it |",
        (
            "| `old_text` | string | `all.old_text` | low | public | An old text. Deprecated. "
            "Use `text`. Shorter |"
        ),
        "| `all.older` | [`all.everything`](#event-all.everything) | A better name |",
        "| `all.silent` | [`all.quiet`](#event-all.quiet) |  |",
        "| Only where | `class` is `a`, `b` |",
        "| Not where | `class` is `c` |",
        "| Buckets | 0.1, 1 |",
        "| Buckets | exponential, base 2 |",
        "| Series | at most 10 |",
        "| Series end by | [`all.everything`](#event-all.everything) |",
        "| Attributes | `server.address`, `error.type` |",
        "| Alert | warning: rate a second over 5m above 0.5 for 5m |",
        "| Alert | info: rate a second over 1h30m below 1 for 0s |",
        "| Alert | warning: value above 268435456 for 5m |",
        "| Alert | warning: 0.99 quantile over 5m above 2.5 for 5m |",
        "| Alert | warning: mean over 5m above 1 for 5m |",
        "| Alert | warning: 0.5 quantile over 5m above 1 for 5m. Too much rest |",
    ],
)
def test_a_page_says_of_everything(everything: Document, line: str) -> None:
    assert line in markdown.render(everything).splitlines()


def test_a_metric_about_another_catalogs_event_has_no_link(everything: Document) -> None:
    metric = replace(everything.metrics["all.work.duration"], events=("other.happened",))
    alert = replace(metric.alert, quantile=None) if metric.alert else None
    document = replace(everything, metrics={metric.name: replace(metric, alert=alert)})

    lines = markdown.render(document).splitlines()

    assert "| Event | `other.happened` |" in lines
    assert "| Alert | warning: mean over 5m above 2.5 for 5m |" in lines


def test_a_catalog_without_anything_is_a_page_all_the_same() -> None:
    page = markdown.render(load_text("{catalog: bare, version: 1.0.0, brief: Is it bare?}"))

    assert page.endswith("Is it bare?\n\nVersion 1.0.0, stability: development.\n")


# Printable and no backticks, which mark code and stay what they are.
plain = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="`\x7f"))


@given(plain)
@example("1. First")
@example("# No heading")
@example("(target)=")
@example("__0__")
@example("+ no list")
@example("a_b _c_ *d* <br> &amp; [link](x) ~~no~~ {role}x")
@example("===")
@example("\\")
def test_a_text_reads_as_it_was_written(text: str) -> None:
    once = " ".join(text.split())

    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(escaped(text))

    kinds = [token.type for token in tokens]
    assert kinds == (["paragraph_open", "inline", "paragraph_close"] if once else [])
    if once:
        children = tokens[1].children or []
        assert "".join(child.content for child in children) == once


def test_code_stays_code() -> None:
    assert escaped("see `a_b|c` and a*b") == "see `a_b|c` and a\\*b"
    assert escaped("see `a_b|c` and a|b", in_table=True) == "see `a_b\\|c` and a\\|b"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a", "`a`"),
        (True, "`true`"),
        (0.5, "`0.5`"),
        ("a|b", "`a\\|b`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
    ],
)
def test_values_stand_as_code(value: object, code: str) -> None:
    assert markdown._code(value) == code
