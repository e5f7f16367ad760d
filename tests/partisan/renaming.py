# SPDX-License-Identifier: Apache-2.0
"""Comparing terms up to what is random: references, tokens, numbers of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.partisan.wire import Atom, ImproperList, Reference, Term, exact
from heliograph.partisan.wire.refs import RemoteRef

__all__ = ["Renaming"]

_TOKEN_LENGTH = 20


class Renaming:
    """Which of our references, tokens and numbers stand for which recorded ones."""

    def __init__(self) -> None:
        self._ours: dict[Any, Term] = {}
        self._theirs: dict[Any, Term] = {}

    def unify(self, recorded: Term, ours: Term) -> bool:
        """Tell whether a frame of ours is the recorded one, and learn what stands for what."""
        match recorded, ours:
            case ("ping", node, name, int()), ("ping", other, own, int()) if isinstance(
                recorded, tuple
            ):
                return node == other and self._bind(name, own)
        return self._walk(recorded, ours)

    def _walk(self, recorded: Term, ours: Term) -> bool:
        if _is_random(recorded) and _is_random(ours):
            return self._bind(recorded, ours)
        if type(recorded) is not type(ours):
            return False
        match recorded, ours:
            case tuple(), tuple():
                if _is_clock(recorded) and _is_clock(ours):
                    return self._clock(recorded, ours)
                return self._each(recorded, ours)
            case list(), list():
                return self._each(recorded, ours)
            case ImproperList(), ImproperList():
                return self._each(recorded.elements, ours.elements) and self._walk(
                    recorded.tail, ours.tail
                )
            case dict(), dict():
                return recorded.keys() == ours.keys() and all(
                    self._walk(value, ours[key]) for key, value in recorded.items()
                )
            case _:
                return exact(recorded) == exact(ours)

    def _each(self, recorded: Sequence[Term], ours: Sequence[Term]) -> bool:
        return len(recorded) == len(ours) and all(map(self._walk, recorded, ours))

    def _clock(self, recorded: Any, ours: Any) -> bool:
        label, [(node, number)] = recorded
        own_label, [(own_node, own_number)] = ours
        key, own = ("clock", node, number), ("clock", own_node, own_number)
        return (label, node) == (own_label, own_node) and self._bind(key, own)

    def _bind(self, recorded: Term, ours: Term) -> bool:
        key, own = exact(recorded), exact(ours)
        if _is_alias(recorded):
            # A process of the original has one alias for all its calls, ours one for each.
            self._ours[key] = ours
            return _is_alias(ours)
        if key not in self._ours and own not in self._theirs:
            self._ours[key] = ours
            self._theirs[own] = recorded
        return key in self._ours and exact(self._ours[key]) == own

    def translate(self, recorded: Term) -> Term:
        """Return what a peer would have sent, had it met our node."""
        if _is_random(recorded):
            return self._ours.get(exact(recorded), recorded)
        match recorded:
            case tuple():
                if _is_clock(recorded):
                    clock: Any = recorded
                    label, [(node, number)] = clock
                    known: Any = self._ours.get(exact(("clock", node, number)))
                    return (label, [(node, number if known is None else known[2])])
                return tuple([self.translate(each) for each in recorded])
            case list():
                return [self.translate(each) for each in recorded]
            case ImproperList(elements, tail):
                return ImproperList(
                    tuple([self.translate(each) for each in elements]), self.translate(tail)
                )
            case dict():
                return {key: self.translate(value) for key, value in recorded.items()}
            case _:
                return recorded


def _is_random(term: Term) -> bool:
    if isinstance(term, Reference):
        return True
    if isinstance(term, bytes):
        return len(term) == _TOKEN_LENGTH
    try:
        return RemoteRef.parse(term).kind == "ref"
    except ValueError:
        return False


def _is_alias(term: Term) -> bool:
    try:
        return RemoteRef.parse(term).alias
    except ValueError:
        return False


def _is_clock(term: Term) -> bool:
    match term:
        case (Atom(), [(Atom(), int())]):
            return isinstance(term, tuple)
        case _:
            return False
