# SPDX-License-Identifier: Apache-2.0
"""A feed gives each page what it has not seen, each item once and as it is now, and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.demo.web import Feed

EVERYTHING = 10**9


def told(feed: Feed, number: int = 0, most: int = EVERYTHING) -> list[tuple[str, str, Any]]:
    items = feed.since(number, most)
    return [(each.topic, each.key, json.loads(each.data)) for each in items]


def test_there_is_nothing_before_anything_was_put() -> None:
    assert Feed({"a": 1}).since(0, EVERYTHING) == []


def test_what_is_put_again_replaces_what_was_there_and_comes_last() -> None:
    feed = Feed({"device": 5})
    feed.put("device", "boiler", 1)
    feed.put("device", "chiller", 2)
    feed.put("device", "boiler", 3)

    assert told(feed) == [("device", "chiller", 2), ("device", "boiler", 3)]
    assert told(feed, 2) == [("device", "boiler", 3)]
    assert told(feed, 3) == []


def test_the_same_again_is_no_change() -> None:
    feed = Feed({"device": 5})
    feed.put("device", "boiler", {"by": ["g1"]})
    feed.put("device", "boiler", {"by": ["g1"]})

    assert feed.number == 1


def test_a_topic_keeps_so_many_and_leaves_the_others_alone() -> None:
    feed = Feed({"log": 2, "head": 1})
    feed.put("head", "", "begin")
    for number in range(5):
        feed.put("log", str(number), number)

    assert told(feed) == [("head", "", "begin"), ("log", "3", 3), ("log", "4", 4)]


def test_what_changes_stays_longer_than_what_does_not() -> None:
    feed = Feed({"series": 2})
    feed.put("series", "alive", 1)
    feed.put("series", "dead", 1)
    feed.put("series", "alive", 2)
    feed.put("series", "new", 1)

    assert [key for _, key, _ in told(feed)] == ["alive", "new"]


def test_much_comes_in_parts_and_each_part_has_something() -> None:
    feed = Feed({"log": 10})
    for number in range(4):
        feed.put("log", str(number), "x" * 98)  # a hundred characters with the quotes

    assert [key for _, key, _ in told(feed, 0, 150)] == ["0", "1"]
    assert [key for _, key, _ in told(feed, 2, 1)] == ["2"]


def test_an_item_is_one_line_of_json_whatever_is_in_it() -> None:
    feed = Feed({"log": 1})
    feed.put("log", 'a"\n', {"text": "two\nlines\r\u2028 and \ud800"})
    [item] = feed.since(0, EVERYTHING)

    assert item.text().isascii()
    assert len(item.text().splitlines()) == 1
    assert json.loads(item.text()) == ["log", 'a"\n', {"text": "two\nlines\r\u2028 and \ud800"}]


def test_a_topic_that_nobody_shows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Feed({"log": 1}).put("lag", "", None)


def test_a_feed_is_told_from_others() -> None:
    assert Feed({}).run != Feed({}).run


@given(
    puts=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 3))),
    looks=st.lists(st.integers(0, 60), max_size=5),
)
def test_a_page_that_looks_now_and_then_ends_with_all_that_is_kept(
    puts: list[tuple[str, int, int]], looks: list[int]
) -> None:
    feed = Feed({"a": 3, "b": 4})
    seen: dict[tuple[str, str], Any] = {}
    number = 0

    def look() -> int:
        at = number
        while items := feed.since(at, 2):
            assert [each.number for each in items] == sorted(each.number for each in items)
            at = items[-1].number
            seen.update({(each.topic, each.key): json.loads(each.data) for each in items})
        return at

    for index, (topic, key, data) in enumerate(puts):
        feed.put(topic, str(key), data)
        if index in looks:
            number = look()
    number = look()

    assert number == feed.number
    for each in feed.since(0, EVERYTHING):
        assert seen[each.topic, each.key] == json.loads(each.data)
