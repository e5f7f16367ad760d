# SPDX-License-Identifier: Apache-2.0
"""Frozen values: results of operations, and what `list_handlers` gives."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from heliograph import Error, HandlerInfo, Ok


def handler(*_: object) -> None:
    pass


INFO = HandlerInfo("h", "a.b", handler, 7, "keep", "attached", 2, ("a.b", "c.d"))
VALUES = {
    "Ok": Ok(1),
    "Ok of nothing": Ok(),
    "Error": Error("reason"),
    "Error of values": Error(("deep", Ok(2))),
    "HandlerInfo": INFO,
}


def pickled(protocol: int) -> Callable[[Any], Any]:
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


WAYS = [
    copy.copy,
    copy.deepcopy,
    *(pytest.param(pickled(n), id=f"pickle {n}") for n in range(pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
class TestEveryValue:
    def test_it_cannot_be_changed(self, value: Any) -> None:
        for name in (*value.__slots__, "other"):
            with pytest.raises(AttributeError, match=f"is immutable: cannot set '{name}'"):
                setattr(value, name, 1)
            with pytest.raises(AttributeError, match=f"is immutable: cannot delete '{name}'"):
                delattr(value, name)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_copy_is_equal(self, value: Any, way: Callable[[Any], Any]) -> None:
        assert way(value) == value
        assert hash(way(value)) == hash(value)
        assert type(way(value)) is type(value)

    def test_it_differs_from_every_other(self, value: Any) -> None:
        assert [each for each in VALUES.values() if each == value] == [value]
        assert value != tuple(getattr(value, name) for name in value.__slots__)


def test_an_ok_and_an_error_of_one_value_differ() -> None:
    assert Ok(1) != Error(1)
    assert hash(Ok(1)) != hash(Error(1))
    assert {Ok(1), Ok(1), Error(1)} == {Ok(1), Error(1)}


def test_a_value_is_as_hashable_as_what_it_holds() -> None:
    with pytest.raises(TypeError):
        hash(Ok([]))


@pytest.mark.parametrize(
    ("value", "text"),
    [(Ok(1), "Ok(1)"), (Ok(), "Ok(None)"), (Error("reason"), "Error('reason')")],
)
def test_its_representation_makes_it_again(value: object, text: str) -> None:
    assert repr(value) == text
    assert eval(text) == value


def test_results_match() -> None:
    def outcome(result: Ok[int] | Error[str]) -> object:
        match result:
            case Ok(value):
                return value
            case Error(reason):
                return reason

    assert outcome(Ok(1)) == 1
    assert outcome(Error("no")) == "no"


def test_an_error_may_hold_an_exception_and_is_none() -> None:
    failure = ValueError("no")

    assert Error(failure).reason is failure
    assert not isinstance(Error(failure), BaseException)


def test_they_take_type_parameters_at_run_time() -> None:
    assert Ok[int](1) == Ok(1)
    assert Error[str]("no") == Error("no")


def test_a_handlers_entry_has_names_for_everything() -> None:
    assert {name: getattr(INFO, name) for name in HandlerInfo.__match_args__} == {
        "handler_id": "h",
        "event": "a.b",
        "handler": handler,
        "config": 7,
        "on_failure": "keep",
        "state": "attached",
        "failures": 2,
        "events": ("a.b", "c.d"),
    }
