# SPDX-License-Identifier: Apache-2.0
"""Causal delivery at one node: its labels, and the messages that wait for what has caused them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph.partisan.protocol.causal import CausalOrder
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import Causal, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliograph.partisan.loops import Loop, Timer
    from heliograph.partisan.protocol.causal import CausalConfig
    from heliograph.partisan.protocol.core import NodeCore
    from heliograph.partisan.telling import Teller
    from heliograph.partisan.wire import Term

__all__ = ["Ordering", "is_causal"]


class Ordering:
    """The causal orders of one node.

    Args:
        node: The node's name.
        labels: Names of its labels.
        config: Bounds.
        teller: Tells of what was delivered although its causes never came.
        deliver: Delivers a message whose turn it is: of whom, to whom, what.
    """

    loop: Loop

    def __init__(
        self,
        node: Atom,
        labels: Iterable[str],
        config: CausalConfig,
        teller: Teller,
        deliver: Callable[[str | None, Term, Term], None],
    ) -> None:
        self._orders = {label: CausalOrder(node, Atom(label), config) for label in labels}
        self._teller = teller
        self._deliver = deliver
        self._runs: dict[Atom, int] = {}
        self._timer: Timer | None = None

    def sent(self, label: str, node: str, to: Term, message: Term) -> Term:
        """Return what goes on the wire for a message that is about to be sent.

        Raises:
            ValueError: The node has no such label.
        """
        order = self._orders.get(label)
        if order is None:
            known = ", ".join(self._orders) or "none"
            raise ValueError(f"causal label {label!r} is not one of the node's; it has {known}")
        return order.emit(Atom(node), to, message).term()

    def came(self, peer: str | None, to: Term, message: Term) -> bool:
        """Take a message if it is causal, and deliver what can be; tell whether it is.

        One of a label that this node does not have is delivered at once: nobody here waits for it.
        """
        causal = parse_payload(message)
        if not isinstance(causal, Causal):
            return False
        order = self._orders.get(causal.label)
        if order is None:
            self._deliver(peer, to, causal.message)
            return True
        malformed, forced = order.statistics.malformed, order.statistics.forced
        delivered = order.received(causal, self.loop.now())
        if order.statistics.malformed > malformed:
            self._teller.dropped("undecodable", peer=peer)
        self._tell(order, forced)
        for each in delivered:
            self._deliver(peer if each is causal else None, each.to, each.message)
        self._wait()
        return True

    def met(self, name: Atom, core: NodeCore) -> None:
        """Forget what a peer was sent if it is another run of it, which knows nothing of that."""
        run = core.delivery.run(name)
        if run is not None and self._runs.get(name, run) != run:
            for order in self._orders.values():
                order.forget(name)
        if run is not None and self._orders:
            self._runs[name] = run

    def left(self, name: Atom) -> None:
        """Forget a peer that has left."""
        self._runs.pop(name, None)
        for order in self._orders.values():
            order.forget(name)

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self.close()
        due = [at for order in self._orders.values() if (at := order.next_due()) is not None]
        if due:
            self._timer = self.loop.call_at(min(due), self._overdue)

    def _overdue(self) -> None:
        self._timer = None
        for order in self._orders.values():
            forced = order.statistics.forced
            delivered = order.due(self.loop.now())
            self._tell(order, forced)
            for each in delivered:
                self._deliver(None, each.to, each.message)
        self._wait()

    def _tell(self, order: CausalOrder, before: int) -> None:
        count = order.statistics.forced - before
        if count:
            self._teller.forced(order.label, count)


def is_causal(message: Any) -> bool:
    """Tell quickly whether a message may be a causal one."""
    return type(message) is tuple and len(message) == 7 and message[0] == "causal"
