# SPDX-License-Identifier: Apache-2.0
"""Any value as plain data: what becomes of it, how it is bounded, and that nothing is raised."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import sys
import uuid
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import PurePosixPath
from traceback import StackSummary, extract_stack, walk_tb
from types import MappingProxyType
from typing import Any, Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Error, Ok
from heliograph.plain import NARROW, WIDE, Limits, pairs, plain, rendered


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Ordinary:
    def __repr__(self) -> str:
        return "Ordinary()"


def power_of_ten(exponent: int) -> int:
    """Return a number that Python refuses to write out, from about 4300 digits on."""
    return int(10**exponent)


def as_json(value: object) -> Any:
    """Return what a reader of the JSON gets, who refuses all that is not JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return json.loads(text.encode("utf-8"), parse_constant=refuse)


def refuse(word: str) -> Never:
    raise AssertionError(word)


def raised(error: Exception) -> StackSummary:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - whatever was given
        return StackSummary.extract(walk_tb(caught.__traceback__))


class TestWhatBecomesOfAValue:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (0, 0),
            (-7, -7),
            (2**64 - 1, 2**64 - 1),
            (2**64, str(2**64)),
            (-(2**1024) + 1, str(-(2**1024) + 1)),
            (2**1024, "<int of 1025 bits>"),
            (1 << 10**6, "<int of 1000001 bits>"),
            (1.5, 1.5),
            (-0.0, -0.0),
            (math.inf, "Infinity"),
            (-math.inf, "-Infinity"),
            (math.nan, "NaN"),
            (fractions.Fraction(1, 4), 0.25),
            (1 + 2j, "(1+2j)"),
            ("text", "text"),
            ("\ud800", "\\ud800"),
            ("ä\udcff", "ä\\udcff"),
            (b"\x00\xff", "00ff"),
            (bytearray(b"ab"), "6162"),
            (memoryview(b"ab"), "6162"),
            (Colour.RED, "red"),
            (Level.HIGH, 3),
            ([1, (2, 3)], [1, [2, 3]]),
            (deque([1]), [1]),
            (range(3), [0, 1, 2]),
            (frozenset({1}), [1]),
            ({}.keys(), []),
            ({"k": {1: 2}}, {"k": {"1": 2}}),
            (MappingProxyType({"k": 1}), {"k": 1}),
            (OrderedDict(k=1), {"k": 1}),
            (UserDict(k=1), {"k": 1}),
            ({None: 1, 2.5: 2, (1, 2): 3, b"a": 4}, {"null": 1, "2.5": 2, "[1, 2]": 3, "61": 4}),
            (Ok(7), {"ok": 7}),
            (Error("timeout"), {"error": "timeout"}),
            (
                Error(ValueError("x")),
                {"error": {"type": "ValueError", "message": "x"}},
            ),
            (KeyError("k"), {"type": "KeyError", "message": "'k'"}),
            (
                json.JSONDecodeError("bad", "doc", 0),
                {
                    "type": "json.decoder.JSONDecodeError",
                    "message": "bad: line 1 column 1 (char 0)",
                },
            ),
            (
                ExceptionGroup("two", [ValueError("a"), OSError("b")]),
                {
                    "type": "ExceptionGroup",
                    "message": "two (2 sub-exceptions)",
                    "exceptions": [
                        {"type": "ValueError", "message": "a"},
                        {"type": "OSError", "message": "b"},
                    ],
                },
            ),
            (datetime.date(2026, 1, 2), "2026-01-02"),
            (datetime.timedelta(seconds=1), "0:00:01"),
            (decimal.Decimal("1.10"), "1.10"),
            (PurePosixPath("/etc"), "/etc"),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (ipaddress.ip_address("::1"), "::1"),
            (Ordinary(), "Ordinary()"),
            (int, "<class 'int'>"),
        ],
        ids=count(),  # pytest can't name all of these either
    )
    def test_is_as_documented(self, value: object, expected: object) -> None:
        converted = plain(value)
        assert converted == expected
        assert type(converted) is type(expected)
        assert as_json(converted) == expected

    def test_a_stack_trace_is_its_innermost_frames(self) -> None:
        frames = plain(raised(ValueError("x")))
        assert isinstance(frames, list)
        (frame,) = frames
        assert isinstance(frame, str)
        assert frame.startswith(__file__)
        assert frame.endswith(" in raised")
        deep = StackSummary.from_list([extract_stack()[-1]] * 40)
        assert len(plain(deep)) == 16  # type: ignore[arg-type]  # it is a list

    def test_an_iterator_is_shown_and_not_consumed(self) -> None:
        numbers = iter([1, 2])
        assert str(plain(numbers)).startswith("<list_iterator object")
        assert list(numbers) == [1, 2]


class TestBounds:
    def test_a_long_text_says_how_long_it_was(self) -> None:
        assert plain("x" * 50, Limits(text=10)) == "x" * 10 + "… (50 characters)"
        assert plain(b"\x01" * 50, Limits(text=10)) == "01" * 5 + "… (50 bytes)"

    def test_a_long_container_says_how_much_more_there_was(self) -> None:
        assert plain(list(range(5)), Limits(items=2)) == [0, 1, "… 3 more"]
        assert plain({n: n for n in range(5)}, Limits(items=2)) == {"0": 0, "1": 1, "…": "3 more"}

    def test_what_lies_too_deep_is_its_class(self) -> None:
        assert plain({"a": [{"b": ()}]}, Limits(depth=2)) == {"a": ["<dict>"]}

    def test_a_container_in_itself_is_a_cycle_and_one_that_is_there_twice_is_not(self) -> None:
        cycle: dict[str, Any] = {"twice": [[1]] * 2}
        cycle["self"] = cycle
        assert plain(cycle) == {"twice": [[1], [1]], "self": "<cycle>"}

    def test_an_exception_in_itself_is_a_cycle(self) -> None:
        result: Error[Any] = Error([])
        result.reason.append(result)
        assert plain(result) == {"error": ["<cycle>"]}

    def test_of_too_many_values_the_later_ones_are_left_out(self) -> None:
        value = [[1, 2], {"a": 1, "b": 2}, [3]]
        assert plain(value, Limits(nodes=6)) == [[1, 2], {"a": 1, "…": "1 more"}, "… 1 more"]
        assert plain(value, Limits(nodes=5)) == [[1, 2], "<dict>", "… 1 more"]
        assert plain(value, Limits(nodes=4)) == [[1, 2], "… 2 more"]
        assert plain([1, 2, [3]], Limits(nodes=4)) == [1, 2, "<list>"]

    @pytest.mark.parametrize("limits", [WIDE, NARROW])
    def test_a_value_that_would_explode_stays_small(self, limits: Limits) -> None:
        value: Any = ["x" * 10**6] * 1000
        for _ in range(50):
            value = [value] * 1000
        assert len(json.dumps(plain(value, limits))) < 1.2 * limits.nodes * limits.text


class Hostile:
    """Raises from whatever it is asked."""

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("iter")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class HostileMapping(Hostile, Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(key)


class LyingMapping(dict[str, Any]):
    def __len__(self) -> int:
        return -5  # noqa: PLE0303 - the lie

    def items(self) -> Any:
        return [1, 2, 3]


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("str")


class HostileMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class OfHostileClass(metaclass=HostileMeta):
    def __repr__(self) -> str:
        raise RuntimeError("repr")


class Impostor:
    """Claims to be of another class."""

    def __init__(self, claimed: type) -> None:
        self.claimed = claimed

    @property  # type: ignore[misc]  # what it overrides can be written
    def __class__(self) -> Any:
        return self.claimed


class UnknownClass:
    @property  # type: ignore[misc]  # what it overrides can be written
    def __class__(self) -> Any:
        raise RuntimeError("class")


class Endless(Mapping[int, int]):
    """Has no end, whatever it says of its length."""

    def __getitem__(self, key: int) -> int:
        return key

    def __iter__(self) -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    def __len__(self) -> int:
        return 10**9


class LoudText(str):
    __slots__ = ()

    def __str__(self) -> Never:
        raise RuntimeError("str")

    def __len__(self) -> Never:
        raise RuntimeError("len")

    def encode(self, *args: object) -> Never:
        raise RuntimeError("encode")


class LoudNumber(int):
    def __repr__(self) -> str:
        raise RuntimeError("repr")


class LoudKey:
    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise RuntimeError("repr")


class TestNothingIsRaised:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (Hostile(), "<Hostile>"),
            (HostileMapping(), "<HostileMapping>"),
            (LyingMapping(), "<LyingMapping>"),
            (HostileError(), {"type": f"{__name__}.HostileError", "message": None}),
            (OfHostileClass(), "<OfHostileClass>"),
            (UnknownClass(), "<UnknownClass>"),
            (LoudText("x"), "x"),
            (LoudNumber(7), 7),
            ({LoudKey(): 1}, {"<LoudKey>": 1}),
            ({LoudText("k"): 1}, {"k": 1}),
            (datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), "0001-01-01 00:00:00+00:00"),
        ],
        ids=count(),
    )
    def test_by_hostile_objects(self, value: object, expected: object) -> None:
        assert as_json(plain(value)) == expected
        assert as_json(plain([value])) == [expected]

    @pytest.mark.parametrize(
        "claimed", [str, int, bool, float, bytes, dict, list, Ok, Error, ValueError, enum.Enum]
    )
    def test_by_impostors(self, claimed: type) -> None:
        as_json(plain(Impostor(claimed)))
        as_json(pairs(Impostor(claimed)))

    def test_by_what_has_no_end(self) -> None:
        converted = as_json(plain(Endless()))
        assert len(converted) == WIDE.items + 1
        assert converted["…"] == f"{10**9 - WIDE.items} more"

    def test_at_the_end_of_the_stack(self) -> None:
        def deeper(value: object) -> object:
            try:
                return deeper(value)
            except RecursionError:
                return plain(value)

        assert as_json(deeper({"a": [1]})) is not None

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.integers(4_000, 6_000).map(power_of_ten)
            | st.floats()
            | st.complex_numbers()
            | st.decimals()
            | st.fractions()
            | st.text(st.characters())
            | st.text(st.characters(categories=["Cs", "Cc", "Ll"]))
            | st.binary()
            | st.datetimes()
            | st.uuids()
            | st.builds(ValueError, st.text())
            | st.builds(Hostile)
            | st.builds(HostileMapping)
            | st.builds(Impostor, st.sampled_from([str, dict, int])),
            lambda inner: (
                st.lists(inner)
                | st.lists(inner).map(tuple)
                | st.dictionaries(st.text() | st.integers() | st.floats() | st.binary(), inner)
                | st.builds(Ok, inner)
                | st.builds(Error, inner)
            ),
        )
    )
    def test_by_anything_and_it_is_json(self, value: object) -> None:
        for limits in (WIDE, NARROW, Limits(1, 1, 1, 1)):
            as_json(plain(value, limits))
            as_json(pairs(value, limits))
            as_json(pairs({"k": value}, limits, frozenset({"x"})))
            text = rendered(plain(value, limits))
            assert text.isprintable()


class TestPairs:
    def test_leave_out_what_they_are_told_to(self) -> None:
        given = {"card": "4111", "count": 1}
        assert pairs(given, without=frozenset({"card"})) == {"count": 1}
        assert given == {"card": "4111", "count": 1}

    def test_of_what_is_no_mapping_have_it_under_a_mark(self) -> None:
        assert pairs([1, 2]) == {"…": [1, 2]}
        assert pairs(HostileMapping()) == {"…": "<HostileMapping>"}

    def test_of_a_mapping_in_itself_end(self) -> None:
        given: dict[str, Any] = {"n": 1}
        given["self"] = given
        assert pairs(given) == {"n": 1, "self": {"n": 1, "self": "<cycle>"}}


class TestRendering:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("bare", "bare"),
            ("a.b/c:d-e", "a.b/c:d-e"),
            ("größe", "größe"),
            ("", '""'),
            ("two words", '"two words"'),
            ('a"b', '"a\\"b"'),
            ("a=b", '"a=b"'),
            ("12", '"12"'),
            ("-x", '"-x"'),
            ("true", '"true"'),
            ("null", '"null"'),
            ("{}", '"{}"'),
            ("line\nbreak", '"line\\nbreak"'),
            ("\x1b[2J", '"\\u001b[2J"'),
            ("\x7f\x9b", '"\\u007f\\u009b"'),
            ("\u202eabc", '"\\u202eabc"'),
            ("\U000e0001", '"\\U000e0001"'),
            (12, "12"),
            (1.5, "1.5"),
            (True, "true"),
            (None, "null"),
            ([1, "a b"], '[1,"a b"]'),
            ({"k": 1}, '{"k":1}'),
        ],
    )
    def test_is_one_word_that_cannot_be_misread(self, value: Any, expected: str) -> None:
        assert rendered(value) == expected


def test_the_largest_number_written_out_is_within_the_smallest_limit_python_allows() -> None:
    assert len(str(2**1024)) < sys.int_info.str_digits_check_threshold
