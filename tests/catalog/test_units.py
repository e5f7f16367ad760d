# SPDX-License-Identifier: Apache-2.0
"""Units that convert, and units that people mean."""

from __future__ import annotations

from fractions import Fraction

import pytest

from heliograph.catalog.units import conversion, is_count, mistaken_for, same_family


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("ns", "s", Fraction(1, 10**9)),
        ("us", "ms", Fraction(1, 1000)),
        ("h", "min", 60),
        ("d", "s", 86400),
        ("MiBy", "By", 2**20),
        ("By", "kBy", Fraction(1, 1000)),
        ("TBy", "GBy", 1000),
        ("Cel", "Cel", 1),
        ("{order}", "1", 1),
        ("{order}", "{item}", 1),
        ("s", "By", None),
        ("s", "{order}", None),
        ("Cel", "K", None),
    ],
)
def test_a_conversion_is_exact(source: str, target: str, factor: Fraction | None) -> None:
    assert conversion(source, target) == factor


def test_counts_are_known_by_their_braces() -> None:
    assert [unit for unit in ("1", "{order}", "s", "By", "{order}/s") if is_count(unit)] == [
        "1",
        "{order}",
    ]


def test_a_unit_knows_its_family() -> None:
    assert same_family("ms") == ("ns", "us", "ms", "s", "min", "h", "d")
    assert same_family("Cel") == ("Cel",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("seconds", "s"),
        ("second", "s"),
        ("milliseconds", "ms"),
        ("bytes", "By"),
        ("B", "By"),
        ("MB", "MBy"),
        ("percent", "%"),
        ("s", None),
        ("By", None),
        ("{seconds}", None),
    ],
)
def test_words_are_no_units(written: str, meant: str | None) -> None:
    assert mistaken_for(written) == meant
