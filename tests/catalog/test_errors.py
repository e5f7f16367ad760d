# SPDX-License-Identifier: Apache-2.0
"""What errors say, and what they are."""

from __future__ import annotations

import pickle

import pytest

from heliograph.catalog import (
    CatalogError,
    ConfigError,
    ConformanceError,
    Fault,
    LocatedError,
    PatternError,
    UnknownCatalogError,
    Violation,
    Where,
)
from heliograph.catalog.errors import Faults, StopReadingError, did_you_mean, shorten

WHERE = Where("shop.yaml", 3, 5, "events.shop.order")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("broken", WHERE, "mend it"), "shop.yaml:3:5: broken in events.shop.order; mend it"),
        (Fault("broken", Where("shop.yaml", 1, 1, "")), "shop.yaml:1:1: broken"),
        (Fault("broken", mend="mend it"), "broken; mend it"),
    ],
)
def test_a_fault_is_one_line(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_a_fault_without_a_file_has_no_place() -> None:
    fault = Fault("broken")

    assert (fault.file, fault.line, fault.column, fault.path) == (None, None, None, "")


def test_a_located_error_has_a_line_for_each_fault() -> None:
    error = LocatedError([Fault("a"), Fault("b")])

    assert str(error) == "a\nb"


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (CatalogError([]), (LocatedError, ValueError)),
        (UnknownCatalogError([]), (CatalogError, LookupError)),
        (ConfigError([]), (LocatedError, ValueError)),
        (PatternError("a"), (LookupError,)),
        (ConformanceError("a", []), (ValueError,)),
    ],
)
def test_errors_are_what_python_calls_them(error: Exception, bases: tuple[type, ...]) -> None:
    assert all(isinstance(error, base) for base in bases)


@pytest.mark.parametrize(
    "error",
    [
        UnknownCatalogError([Fault("broken", WHERE)]),
        PatternError("a.*", "did you mean 'b'?"),
        ConformanceError("a", [Violation("a", "metadata.b", "missing")]),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


def test_a_pattern_error_suggests() -> None:
    assert str(PatternError("a")) == "no event matches 'a'"
    assert str(PatternError("a", "try b")) == "no event matches 'a'; try b"


def test_a_conformance_error_tells_all_violations() -> None:
    error = ConformanceError("a.b", [Violation("a.b", "metadata.c", "missing"), UNKNOWN])

    assert str(error) == "a.b: metadata.c: missing; no catalog declares it"


UNKNOWN = Violation("a.b", "", "no catalog declares it")


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("schemaa", "did you mean 'schema'?"),
        ("strng", "did you mean 'string' or 'strings'?"),
        ("abcd", "did you mean 'abcz', 'abcy' or 'abcx'?"),
        ("qqqq", "look it up"),
    ],
)
def test_what_was_meant(word: str, answer: str) -> None:
    known = ["schema", "string", "strings", "abcx", "abcy", "abcz"]

    assert did_you_mean(word, known, "look it up") == answer


def test_a_long_text_is_cut() -> None:
    assert shorten("x" * 60) == "x" * 60
    assert shorten("x" * 61) == "x" * 59 + "…"


def test_a_fault_found_twice_is_told_once() -> None:
    faults = Faults()

    faults.add("broken", WHERE)
    faults.add("broken", WHERE)

    assert len(faults) == 1


def test_faults_end_at_their_limit() -> None:
    faults = Faults()
    for number in range(Faults.LIMIT - 1):
        faults.add(str(number), WHERE)

    with pytest.raises(StopReadingError):
        faults.add("one too many", WHERE)

    assert faults[-1].message == "there are more faults"
