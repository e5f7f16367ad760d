# SPDX-License-Identifier: Apache-2.0
"""The propagator: it does nothing until somebody puts a better one in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

import pytest

import heliograph
from heliograph import Propagator, Telemetry


class Carrying(Propagator):
    """Carries one word, as a real one would carry a trace."""

    current = "none"

    def inject(self, carrier: MutableMapping[str, str]) -> None:
        carrier["word"] = self.current

    @contextmanager
    def extract(self, carrier: Mapping[str, str]) -> Iterator[None]:
        before, self.current = self.current, carrier.get("word", self.current)
        yield
        self.current = before


def test_by_default_nothing_is_carried() -> None:
    carrier: dict[str, str] = {}
    Propagator().inject(carrier)

    assert carrier == {}


@pytest.mark.parametrize("carrier", [{}, {"traceparent": "broken"}])
def test_by_default_nothing_is_taken_in(carrier: dict[str, str]) -> None:
    propagator = Propagator()

    with propagator.extract(carrier) as nothing, propagator.extract(carrier):
        assert nothing is None

    with pytest.raises(LookupError), propagator.extract(carrier):
        raise LookupError


def test_a_dispatcher_begins_with_the_one_that_does_nothing(telemetry: Telemetry) -> None:
    assert type(telemetry.propagator) is Propagator


def test_each_dispatcher_has_its_own(telemetry: Telemetry) -> None:
    telemetry.propagator = mine = Carrying()

    assert telemetry.propagator is mine
    assert Telemetry().propagator is not mine
    assert heliograph.propagator() is not mine


def test_the_default_dispatchers_can_be_set_and_put_back() -> None:
    mine = Carrying()
    before = heliograph.set_propagator(mine)
    try:
        assert heliograph.propagator() is mine
        assert heliograph.default().propagator is mine
    finally:
        assert heliograph.set_propagator(before) is mine
    assert heliograph.propagator() is before


def test_what_one_side_injects_the_other_extracts() -> None:
    carrier: dict[str, str] = {}
    sender, receiver = Carrying(), Carrying()
    sender.current = "hello"
    sender.inject(carrier)

    with receiver.extract(carrier):
        assert receiver.current == "hello"
    assert receiver.current == "none"
