# SPDX-License-Identifier: Apache-2.0
"""Patterns over names, and what is suggested where none matches."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.catalog.patterns import compile_pattern, is_glob, suggest


def matches(pattern: str, name: str) -> bool:
    return compile_pattern(pattern).fullmatch(f"{name}.") is not None


@pytest.mark.parametrize(
    ("pattern", "matched", "missed"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "aab", "a.bc"]),
        ("a.*", ["a.b", "a.b_1"], ["a", "a.b.c", "b.a"]),
        ("*", ["a"], ["a.b"]),
        ("a.*.c", ["a.b.c"], ["a.c", "a.b.b.c"]),
        ("a.**", ["a", "a.b", "a.b.c"], ["b.a", "ab"]),
        ("**", ["a", "a.b", "a.b.c"], []),
        ("**.c", ["c", "a.c", "a.b.c"], ["a.c.b", "ac"]),
        ("a.**.c", ["a.c", "a.b.c", "a.b.b.c"], ["a.b", "c"]),
        ("a.**.**.c", ["a.c", "a.b.c"], ["a.b"]),
        ("queue_*", ["queue_bytes", "queue_"], ["queue", "queue_a.b", "my_queue_a"]),
        ("*_count", ["a_count", "_count"], ["a_counts"]),
        ("a*c*e", ["abcde", "ace"], ["abc", "ade"]),
        ("a**c", ["abc"], ["a.c"]),
        ("a.+", [], ["a.b", "a.aa"]),
        ("", [], ["a"]),
        ("a..b", [], ["a.b"]),
    ],
)
def test_a_pattern(pattern: str, matched: list[str], missed: list[str]) -> None:
    assert [name for name in [*matched, *missed] if matches(pattern, name)] == matched


segments = st.text("ab_", min_size=1, max_size=3)
names = st.lists(segments, min_size=1, max_size=5).map(".".join)


@given(names)
def test_a_name_matches_itself_and_every_segment_a_star(name: str) -> None:
    assert matches(name, name)
    assert matches(".".join("*" for _ in name.split(".")), name)
    assert matches("**", name)


def reference(pattern: list[str], name: list[str]) -> bool:
    """The same in the plainest words, for patterns of whole segments."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(reference(pattern[1:], name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and pattern[0] in ("*", name[0]) and reference(pattern[1:], name[1:])


@given(st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=5), names)
def test_a_pattern_means_what_its_definition_says(pattern: list[str], name: str) -> None:
    assert matches(".".join(pattern), name) == reference(pattern, name.split("."))


def test_many_stars_take_no_time() -> None:
    began = time.process_time()

    assert not matches(".".join(["**"] * 50), "")
    assert not matches(".".join(["**"] * 50 + ["x"]), ".".join("a" * 200))

    assert time.process_time() - began < 1


def test_globs_are_known_by_their_stars() -> None:
    assert [pattern for pattern in ("a", "a.b", "a.*", "**", "a_*") if is_glob(pattern)] == [
        "a.*",
        "**",
        "a_*",
    ]


KNOWN = ["shop.order.placed", "shop.order.paid", "shop.sale.start", "shop.sale.stop", "other"]


@pytest.mark.parametrize(
    ("pattern", "suggestion"),
    [
        ("shop.order.plcaed", "did you mean 'shop.order.placed' or 'shop.order.paid'?"),
        ("shop.order", "did you mean 'shop.order.**'?"),
        ("shop.oder.*", "at 'oder': did you mean 'order'?"),
        ("shop.*.plced", "at 'plced': did you mean 'placed'?"),
        ("shop.xyz.*", "below 'shop' are order, sale"),
        ("xyz.*", "names begin with shop, other"),
        ("other.x.*", "nothing is below 'other'"),
        ("shop.**.x", "below 'shop' are order, sale"),
        ("**.x", "names begin with shop, other"),
        ("", "names begin with shop, other"),
    ],
)
def test_a_suggestion(pattern: str, suggestion: str) -> None:
    assert suggest(pattern, KNOWN) == suggestion


def test_a_long_list_is_cut() -> None:
    known = [f"shop.{letter}" for letter in "abcdefghij"]

    assert suggest("shop.xyz*", known) == "below 'shop' are a, b, c, d, e, f, g, h, ..."
    assert suggest("xyz.*", [*"abcdefghij"]) == "names begin with a, b, c, d, e, f, g, h, ..."


def test_where_there_is_nothing_nothing_is_suggested() -> None:
    assert suggest("a", []) == "the catalog has no events"
