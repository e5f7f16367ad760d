# SPDX-License-Identifier: Apache-2.0
"""Values as tags of a declared type, or of their own."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest

from heliograph.metrics.tags import LONGEST, UnfitError, as_text, fit


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("a", "string", "a"),
        ("a", None, "a"),
        (Colour.RED, "string", "red"),
        (3, "string", "3"),
        (2.5, "string", "2.5"),
        (True, "string", "true"),
        (False, "string", "false"),
        (3, "int", 3),
        (3.0, "int", 3),
        (Level.HIGH, "number", 3.0),
        (-(2**63), "int", -(2**63)),
        (3, "float", 3.0),
        (2.5, "number", 2.5),
        (2.5, "float", 2.5),
        (True, "bool", True),
        (True, None, True),
        (3, None, 3),
        (2.5, None, 2.5),
    ],
)
def test_what_loses_nothing_is_converted(value: Any, kind: Any, expected: Any) -> None:
    found = fit(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("3", "int"),
        ("3", "number"),
        ("true", "bool"),
        (True, "int"),
        (True, "float"),
        (1, "bool"),
        (2.5, "int"),
        (2.5, "bool"),
        (1e300, "int"),
        (2**63, "int"),
        (2**63, None),
        (10**400, "number"),
        (10**400, "string"),
        (float("nan"), "number"),
        (float("inf"), "string"),
        (b"a", "string"),
        ([], None),
        (1j, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_would_lose_something_is_no_tag(value: Any, kind: Any) -> None:
    with pytest.raises(UnfitError):
        fit(value, kind)


@pytest.mark.parametrize("text", ["x" * 5000, "\u00fc" * 5000, "\udc80" * 5000, "\U0001f600" * 600])
def test_texts_are_cut_and_can_be_encoded(text: str) -> None:
    found = as_text(text)
    assert len(found) <= LONGEST
    assert found.encode()
    assert as_text(found) == found
