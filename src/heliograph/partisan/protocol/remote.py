# SPDX-License-Identifier: Apache-2.0
"""Monitors and calls between processes of different nodes, as the original's servers speak of them.

A monitor is asked for by a call to the other node's `partisan_monitor`, which answers with a
reference and sends `'DOWN'` to ours when the process ends. A remote call goes to
`partisan_rpc_backend`, which sends the result to the caller's process; it carries no number, so
each call takes a process reference of its own. If the last connection to a node is lost, all
monitors of its processes end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from heliograph.partisan.protocol import inputs
from heliograph.partisan.protocol.effects import CallRequested, Deliver, Monitored
from heliograph.partisan.wire import Atom, exact
from heliograph.partisan.wire.messages import (
    MANAGER,
    MONITOR,
    RPC_BACKEND,
    UNDEFINED,
    Demonitor,
    Down,
    Forward,
    Monitor,
    Reply,
    RpcCall,
    RpcResponse,
)
from heliograph.partisan.wire.refs import RemoteRef

if TYPE_CHECKING:
    from collections.abc import Hashable
    from random import Random

    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.wire import Term
    from heliograph.partisan.wire.messages import Message
    from heliograph.partisan.wire.refs import RefFormat

__all__ = ["Answer", "Remote"]

_OK: Final = Atom("ok")
_ERROR: Final = Atom("error")
_BADARG: Final = Atom("badarg")
_LIMIT: Final = Atom("system_limit")
_NOPROC: Final = Atom("noproc")
_NOCONNECTION: Final = Atom("noconnection")
_PROCESS: Final = Atom("process")
_DOWN: Final = Atom("DOWN")
_CHANNEL: Final = Atom("channel")
_ORIGIN: Final = Atom("origin")
_WORD: Final = 32  # bits of a reference's words


class Answer(NamedTuple):
    """A message for a node, on a channel."""

    peer: Atom
    message: Message
    channel: Atom


class _Held(NamedTuple):
    """A monitor that a process elsewhere holds on one here."""

    holder: Atom
    process: str
    target: Term
    reference: Term
    channel: Atom


class _Holding(NamedTuple):
    """A monitor that a process here holds on one elsewhere, or has asked for."""

    peer: Atom
    caller: Term
    target: Term
    reference: Term = None


class Remote:
    """One node's monitors, in both directions.

    Args:
        name: The node's name.
        form: How references are written.
        limit: Monitors that other nodes may hold here.

    Attributes:
        processes: The node's living processes: registered names, and numbers of others (`0.9.0`).
            Drivers keep it, and say `EndProcess` when one ends.
    """

    __slots__ = (
        "_asked",
        "_form",
        "_held",
        "_holding",
        "_limit",
        "_made",
        "_name",
        "processes",
    )

    def __init__(self, name: Atom, form: RefFormat, limit: int) -> None:
        self.processes: set[str] = {MANAGER, MONITOR, RPC_BACKEND}
        self._name = name
        self._form: RefFormat = form
        self._limit = limit
        self._made = 0
        self._held: dict[Hashable, _Held] = {}
        self._holding: dict[Hashable, _Holding] = {}
        self._asked: dict[Hashable, _Holding] = {}

    def __len__(self) -> int:
        """Monitors, in both directions."""
        return len(self._held) + len(self._holding)

    def new_reference(self, random: Random, *, alias: bool = False) -> Term:
        """Make a remote reference never used before by this run of the node."""
        self._made += 1
        low = self._made & ((1 << _WORD) - 1)
        text = f"0.{random.getrandbits(_WORD)}.{random.getrandbits(_WORD)}.{low}"
        return RemoteRef(self._name, "ref", text, alias).term(self._form)

    # --- what processes here ask for ---

    def request(self, request: inputs.Request, random: Random) -> Answer:
        """Return the message that asks for it.

        Raises:
            ValueError: The caller is no reference of a process.
        """
        match request:
            case inputs.Call():
                origin = (_ORIGIN, request.caller)
                call = RpcCall(
                    request.module,
                    request.function,
                    request.arguments,
                    request.timeout_ms,
                    origin,
                )
                return Answer(request.peer, call, request.channel)
            case inputs.AnswerCall(_, caller, result, channel):
                to = RemoteRef.parse(caller)
                response = RpcResponse(result).term()
                return Answer(to.node, Forward(to.target.term(), response), channel)
            case inputs.Monitor(peer, caller, target, channel_or_none):
                tag = self.new_reference(random, alias=True)
                options: list[Term] = []
                if channel_or_none is not None:
                    options = [(_CHANNEL, channel_or_none)]
                self._asked[exact(tag)] = _Holding(peer, caller, target)
                return Answer(peer, Monitor((caller, tag), target, options), UNDEFINED)
            case inputs.Demonitor(peer, caller, reference):
                self._holding.pop(exact(reference), None)
                tag = self.new_reference(random, alias=True)
                flush: list[Term] = [Atom("flush")]
                return Answer(peer, Demonitor((caller, tag), reference, flush), UNDEFINED)
            case _ as never:
                assert_never(never)

    # --- what comes from elsewhere ---

    def replied(self, message: Term) -> list[Effect] | None:
        """Take a message to a process here if it answers a `Monitor`; None if it does not."""
        match message:
            case (tag, answer) if self._asked:
                asked = self._asked.pop(exact(tag), None)
            case _:
                return None
        if asked is None:
            return None
        match answer:
            case ("ok", reference):
                self._holding[exact(reference)] = asked._replace(reference=reference)
            case _:
                reference = None
        return [Monitored(asked.peer, asked.caller, asked.target, reference)]

    def received(
        self, message: RpcCall | Monitor | Demonitor | Down, channel: Atom, random: Random
    ) -> tuple[list[Effect], list[Answer]]:
        """Take a message to one of the servers; return what to tell and what to answer."""
        match message:
            case RpcCall(module, function, arguments, timeout, ("origin", caller)):
                node = _node(caller)
                if node is None:
                    return [], []
                asked = CallRequested(node, caller, module, function, arguments, timeout, channel)
                return [asked], []
            case Monitor((caller, tag), target, options):
                return [], self._monitor(caller, tag, target, options, channel, random)
            case Demonitor((caller, tag), reference, _):
                self._held.pop(exact(reference), None)
                return [], _reply(caller, tag, (_OK, True), channel)
            case Down(reference, _, target, reason):
                holding = self._holding.pop(exact(reference), None)
                if holding is None:
                    return [], []
                return [_notice(holding, reason)], []
            case _:
                return [], []  # a caller or an origin that is none

    def ended(self, process: str, reason: Term) -> list[Answer]:
        """Return the notices that a process here has ended."""
        self.processes.discard(process)
        gone = [key for key, held in self._held.items() if held.process == process]
        return [self._down(self._held.pop(key), reason) for key in gone]

    def node_down(self, peer: Atom) -> list[Effect]:
        """Return the notices that a node is gone, and forget what its processes have asked for."""
        for key in [key for key, held in self._held.items() if held.holder == peer]:
            del self._held[key]
        effects: list[Effect] = []
        for key in [key for key, asked in self._asked.items() if asked.peer == peer]:
            asked = self._asked.pop(key)
            effects.append(Monitored(peer, asked.caller, asked.target, None))
        effects.extend(
            _notice(self._holding.pop(key), _NOCONNECTION)
            for key in [key for key, each in self._holding.items() if each.peer == peer]
        )
        return effects

    # --- for others ---

    def _monitor(
        self,
        caller: Term,
        tag: Term,
        target: Term,
        options: list[Term],
        channel: Atom,
        random: Random,
    ) -> list[Answer]:
        holder = _node(caller)
        if holder is None:
            return []
        try:
            wanted = RemoteRef.parse(target)
        except ValueError:
            return _reply(caller, tag, (_ERROR, _BADARG), channel)
        alive = wanted.id in self.processes
        if wanted.node != self._name or not (alive or wanted.kind == "pid"):
            return _reply(caller, tag, (_ERROR, _BADARG), channel)
        if len(self._held) >= self._limit:
            return _reply(caller, tag, (_ERROR, _LIMIT), channel)
        reference = self.new_reference(random)
        held = _Held(holder, wanted.id, target, reference, _option(options))
        answers = _reply(caller, tag, (_OK, reference), channel)
        if alive:
            self._held[exact(reference)] = held
            return answers
        return [*answers, self._down(held, _NOPROC)]

    def _down(self, held: _Held, reason: Term) -> Answer:
        down = Down(held.reference, _PROCESS, held.target, reason)
        return Answer(held.holder, down, held.channel)


def _node(process: Term) -> Atom | None:
    try:
        return RemoteRef.parse(process).node
    except ValueError:
        return None


def _reply(caller: Term, tag: Term, answer: Term, channel: Atom) -> list[Answer]:
    try:
        to = RemoteRef.parse(caller)
    except ValueError:
        return []
    return [Answer(to.node, Forward(to.target.term(), Reply(tag, answer).term()), channel)]


def _option(options: list[Term]) -> Atom:
    for option in options:
        match option:
            case ("channel", Atom(channel)):
                return channel
    return UNDEFINED


def _notice(holding: _Holding, reason: Term) -> Deliver:
    message = (_DOWN, holding.reference, _PROCESS, holding.target, reason)
    return Deliver(holding.caller, message, holding.peer)
