# SPDX-License-Identifier: Apache-2.0
"""Options that are none are refused by their name, before anything is read, written or told."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.modboss import (
    OptionError,
    Refusals,
    RetryPolicy,
    Schema,
    UnknownNamesError,
    encode,
    holding_register,
    read,
    write,
)
from heliograph.modboss.options import check_gaps
from heliograph.testing import capture


class Meter(Schema):
    power = holding_register(0, mode="rw")


def never(*_: Any) -> Any:
    raise AssertionError("nothing may be called")


BAD_FOR_READS: list[tuple[str, dict[str, Any]]] = [
    ("max_gap", {"max_gap": -1}),
    ("max_gap", {"max_gap": True}),
    ("max_gap", {"max_gap": 1.0}),
    ("max_gap", {"max_gap": "1"}),
    ("max_gap", {"max_gap": {"coil": -1}}),
    ("max_gap", {"max_gap": {"coil": None}}),
    ("max_gap", {"max_gap": {"coils": 1}}),
    ("max_gap", {"max_gap": [1, 2]}),
    ("max_gap", {"max_gap": [["coil"]]}),
    ("decode", {"decode": 1}),
    ("decode", {"decode": None}),
    ("debug", {"debug": "yes"}),
]
BAD_FOR_BOTH: list[tuple[str, dict[str, Any]]] = [
    ("max_attempts", {"max_attempts": 0}),
    ("max_attempts", {"max_attempts": True}),
    ("max_attempts", {"max_attempts": 2.0}),
    ("max_attempts", {"max_attempts": None}),
    ("context", {"context": None}),
    ("context", {"context": [("a", 1)]}),
    ("retry", {"retry": 3}),
    ("max_attempts", {"retry": RetryPolicy(), "max_attempts": 2}),
    ("on_refusal", {"on_refusal": "ignore"}),
    ("refusals", {"on_refusal": "split", "refusals": []}),
    ("refusals", {"refusals": Refusals()}),
]


def named(value: object) -> str:
    """Name a case the same in every process."""
    return value if isinstance(value, str) else str(value).partition(" at 0x")[0]


@pytest.mark.parametrize(("name", "options"), BAD_FOR_READS + BAD_FOR_BOTH, ids=named)
def test_reads_refuse(name: str, options: dict[str, Any]) -> None:
    with capture() as captured, pytest.raises(OptionError, match=name) as raised:
        read(Meter, "nope", never, **options)

    assert name in raised.value.options
    assert list(captured) == []


@pytest.mark.parametrize(("name", "options"), BAD_FOR_BOTH, ids=named)
def test_writes_refuse(name: str, options: dict[str, Any]) -> None:
    with capture() as captured, pytest.raises(OptionError, match=name):
        write(Meter, {"nope": 1}, never, **options)

    assert list(captured) == []


def test_encoding_refuses_a_context_that_is_none() -> None:
    with pytest.raises(OptionError, match="context"):
        encode(Meter, {"nope": 1}, context=5)  # type: ignore[arg-type]  # on purpose


def test_a_wrong_gap_has_a_code_of_its_own() -> None:
    with pytest.raises(OptionError) as raised:
        read(Meter, "power", never, max_gap=-1)
    assert raised.value.code == "invalid_max_gap"


def test_options_that_there_are_not_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="retries"):
        read(Meter, "power", never, retries=3)  # type: ignore[call-overload]  # on purpose


def test_all_forms_of_gaps_are_taken() -> None:
    assert check_gaps(None) == 0
    assert check_gaps(7) == 7
    assert check_gaps({}) == (0, 0, 0, 0)
    assert check_gaps({"coil": 3}) == check_gaps([("coil", 3)]) == (0, 0, 3, 0)
    with pytest.raises(UnknownNamesError):
        read(Meter, "nope", never, max_gap={"coil": 3})
