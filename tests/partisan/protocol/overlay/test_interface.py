# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Custom, Effect, Input, Overlay
from heliograph.partisan.wire import Atom, NodeSpec, Term, decode, encode
from heliograph.partisan.wire.messages import MANAGER, Unknown, parse
from heliograph.partisan.wire.shapes import FORWARD
from tests.partisan.protocol.overlay.pool import spec


class Hermit(Overlay):
    """Wants no neighbors, and says what it is told."""

    spec = spec(0)
    neighbors: Mapping[Atom, NodeSpec] = {}

    def handle(self, happened: Input, now: int) -> list[Effect]:
        return (
            [on.Hangup(happened.peer or self.spec.name, "refused")]
            if isinstance(happened, on.Received)
            else []
        )

    def state(self) -> Term:
        return Atom("hermit")


def test_a_message_given_directly_is_handled_as_any() -> None:
    message = Custom(Atom("hello"))

    assert Hermit().received(spec(1).name, message, 0) == [on.Hangup(spec(1).name, "refused")]


def test_a_custom_message_comes_as_it_was_sent() -> None:
    message = Custom((Atom("hello"), 1, b"x"))

    received = parse(decode(encode(message.term())))

    assert isinstance(received, Unknown)
    assert Custom.of(received) == message
    assert Custom.of(message) is message


def test_what_is_no_custom_message_is_not_taken_for_one() -> None:
    assert Custom.of(Unknown((Atom("hello"), 1), "")) is None
    assert Custom.of(Unknown((FORWARD, MANAGER, (Atom("x"), 1)), "")) is None
