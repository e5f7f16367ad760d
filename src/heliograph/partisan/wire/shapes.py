# SPDX-License-Identifier: Apache-2.0
"""How messages are laid out: tags, fields and what is wrapped around them.

A message declares its fields with types; how each is read and written follows from its type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    dataclass_transform,
)

from heliograph.partisan.wire.specs import NodeSpec
from heliograph.partisan.wire.terms import Atom

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = [
    "FORWARD",
    "MANAGER",
    "MONITOR",
    "PLUMTREE",
    "RPC_BACKEND",
    "STRATEGY",
    "Clock",
    "Counts",
    "Disconnection",
    "Message",
    "Unknown",
    "Where",
    "message",
    "parsed",
]

MANAGER: Final = Atom("partisan_pluggable_peer_service_manager")
"""Whom the messages of a full mesh are addressed to."""
PLUMTREE: Final = Atom("partisan_plumtree_broadcast")
"""Whom the messages of broadcast trees are addressed to."""
RPC_BACKEND: Final = Atom("partisan_rpc_backend")
"""Whom remote calls are addressed to."""
MONITOR: Final = Atom("partisan_monitor")
"""Whom requests to monitor are addressed to."""

FORWARD: Final = Atom("forward_message")
STRATEGY: Final = Atom("membership_strategy")
_CAST: Final = Atom("$gen_cast")
_CALL: Final = Atom("$gen_call")
_UNDEFINED: Final = Atom("undefined")


class _Misfit(Exception):
    """A field is not what its message has there."""


class Message:
    """What all messages are."""

    __slots__ = ()
    _shape: ClassVar[_Shape]

    def term(self) -> Term:
        """Return the message as it goes on the wire, wrapped as the receiver expects it."""
        return _WRAPPERS[self._shape.where](self, self._shape.write(self))


@dataclass(frozen=True, slots=True)
class Unknown(Message):
    """A term that is none of the messages here."""

    received: Term
    reason: str

    def term(self) -> Term:
        return self.received


Counts: TypeAlias = tuple[tuple[Atom, int], ...]
"""A vector clock: nodes, and how many messages of each."""


class Clock(NamedTuple):
    """What an acknowledgement repeats: `{Label, [{Node, Number}]}`."""

    label: Atom
    counts: Counts


class Disconnection(NamedTuple):
    """How often a node dropped its neighbours: `{Epoch, Number}`."""

    epoch: int
    number: int


# -- How fields are read and written ---------------------------------------------------------------


class _Codec(NamedTuple):
    read: Callable[[Any], Any]
    """Makes a field of a term, or raises `_Misfit`, `ValueError` or `TypeError`."""
    write: Callable[[Any], Term]


def _only(kind: type) -> _Codec:
    def read(term: Term) -> Term:
        if type(term) is not kind:
            raise _Misfit(f"{kind.__name__} expected")
        return term

    return _Codec(read, _as_it_is)


def _as_it_is(term: Term) -> Term:
    return term


def _read_specs(term: Term) -> tuple[NodeSpec, ...]:
    return tuple([NodeSpec.parse(each) for each in _LIST.read(term)])


def _write_specs(specs: tuple[NodeSpec, ...]) -> Term:
    return [spec.term() for spec in specs]


def _read_spec_if_any(term: Term) -> NodeSpec | None:
    return None if term == _UNDEFINED else NodeSpec.parse(term)


def _write_spec_if_any(spec: NodeSpec | None) -> Term:
    return _UNDEFINED if spec is None else spec.term()


def _read_counts(term: Term) -> Counts:
    return tuple([(_ATOM.read(node), _INT.read(number)) for node, number in _LIST.read(term)])


def _read_clock(term: Any) -> Clock:
    label, counts = term
    return Clock(_ATOM.read(label), _read_counts(counts))


def _write_clock(clock: Clock) -> Term:
    return clock.label, [*clock.counts]


def _read_disconnection(term: Any) -> Disconnection:
    epoch, count = term
    return Disconnection(_INT.read(epoch), _INT.read(count))


_ATOM: Final = _only(Atom)
_INT: Final = _only(int)
_LIST: Final = _only(list)
_CODECS: Final[dict[str, _Codec]] = {
    "Term": _Codec(_as_it_is, _as_it_is),
    "Atom": _ATOM,
    "int": _INT,
    "bool": _only(bool),
    "list[Term]": _LIST,
    "NodeSpec": _Codec(NodeSpec.parse, NodeSpec.term),
    "NodeSpec | None": _Codec(_read_spec_if_any, _write_spec_if_any),
    "tuple[NodeSpec, ...]": _Codec(_read_specs, _write_specs),
    "Counts": _Codec(_read_counts, list),
    "Clock": _Codec(_read_clock, _write_clock),
    "Disconnection": _Codec(_read_disconnection, tuple),
}


class Where(Enum):
    """What a message is wrapped in."""

    CONNECTION = auto()
    MANAGER = auto()
    STRATEGY = auto()
    BROADCAST = auto()
    RPC = auto()
    MONITOR_CALL = auto()
    MONITOR_CAST = auto()
    PAYLOAD = auto()


class _Shape(NamedTuple):
    """How a message is laid out: tag, and name and codec of each field."""

    where: Where
    tag: Atom
    fields: tuple[tuple[str, _Codec], ...]

    def write(self, source: Message) -> tuple[Term, ...]:
        return (self.tag, *[codec.write(getattr(source, name)) for name, codec in self.fields])


Kind = TypeVar("Kind", bound=Message)
_SHAPES: Final[dict[tuple[Where, str, int], type[Message]]] = {}
"""All messages, by what they are wrapped in, tag, and size of the tuple."""


@dataclass_transform(frozen_default=True)
def message(where: Where, tag: str) -> Callable[[type[Kind]], type[Kind]]:
    """Declare the decorated class a message: where it belongs, and the atom it begins with."""

    def declare(given: type[Kind]) -> type[Kind]:
        # Frozen for those who check types alone: to enforce it makes a message three times as dear.
        kind = dataclass(slots=True, unsafe_hash=True)(given)
        declared = fields(cast("Any", kind))  # a data class since the line above
        given_fields = [(each.name, _CODECS[str(each.type)]) for each in declared]
        if where is Where.MONITOR_CALL:
            given_fields.pop(0)  # who calls stands in the wrapper
        shape = _Shape(where, Atom(tag), tuple(given_fields))
        kind._shape = shape
        _SHAPES[where, tag, 1 + len(shape.fields)] = kind
        return kind

    return declare


def parsed(where: Where, term: Term, whole: Term, *first: Term) -> Message:
    """Return the message that `term` is, or `Unknown`.

    Args:
        where: Where it was found.
        term: Its own tuple.
        whole: What was received.
        first: Fields that stand outside of its tuple.
    """
    if not isinstance(term, tuple) or not term or not isinstance(term[0], Atom):
        return Unknown(whole, "no tuple that begins with an atom")
    kind = _SHAPES.get((where, term[0], len(term)))
    if kind is None:
        return Unknown(whole, f"no message {term[0]} of {len(term)} elements is known here")
    values = [*first]
    for (name, codec), value in zip(kind._shape.fields, term[1:], strict=True):
        try:
            values.append(codec.read(value))
        except (_Misfit, TypeError, ValueError) as error:
            return Unknown(whole, f"{kind.__name__}: {name}: {error}")
    return kind(*values)


_WRAPPERS: Final[dict[Where, Callable[[Any, Term], Term]]] = {
    Where.CONNECTION: lambda _, term: term,
    Where.PAYLOAD: lambda _, term: term,
    Where.MANAGER: lambda _, term: (FORWARD, MANAGER, term),
    Where.STRATEGY: lambda _, term: (FORWARD, MANAGER, (STRATEGY, term)),
    Where.BROADCAST: lambda _, term: (FORWARD, PLUMTREE, (_CAST, term)),
    Where.RPC: lambda _, term: (FORWARD, RPC_BACKEND, term),
    Where.MONITOR_CAST: lambda _, term: (FORWARD, MONITOR, (_CAST, term)),
    Where.MONITOR_CALL: lambda call, term: (FORWARD, MONITOR, (_CALL, call.caller, term)),
}
"""What stands around a message, by where it belongs."""
