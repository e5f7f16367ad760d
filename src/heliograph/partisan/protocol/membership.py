# SPDX-License-Identifier: Apache-2.0
"""Who belongs to the cluster: an observed-remove set of node specifications.

Shapiro, Preguiça, Baquero, Zawirski, "A comprehensive study of Convergent and Commutative
Replicated Data Types" (2011), section 3.3.5, in the form of the original's `state_orset`: to add is
to store a new random token, to remove is to mark all tokens seen so far as removed, and a node is a
member while one of its tokens is not. Merging keeps every token and lets removal win for each. So
states merged in any order, grouping and number give the same set, and whoever joins again after
being removed comes with a new token that no earlier removal covers. Removed entries are never
dropped.

On the wire it is `{state_orset, [{Spec, [{Token, Active}]}]}`, both lists ordered as Erlang orders
terms. The original merges such lists by walking along both, so an unordered one would corrupt its
set: what is sent from here is always ordered, what is received is ordered first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.partisan.errors import StateError
from heliograph.partisan.wire import Atom, NodeSpec, order_key

if TYPE_CHECKING:
    from heliograph.partisan.wire import Term

__all__ = ["EMPTY_SET", "MembershipState", "OrSet"]

Tokens: TypeAlias = Mapping[bytes, bool]

_STATE: Final = Atom("full_v1")
_SET: Final = Atom("state_orset")
_LONGEST_TOKEN: Final = 255


class OrSet:
    """An observed-remove set of node specifications. It never changes; operations return a new one.

    Args:
        entries: Each specification's tokens, with whether they are active.
    """

    __slots__ = ("_entries", "_ordered")

    def __init__(self, entries: Mapping[NodeSpec, Tokens] | None = None) -> None:
        self._entries: dict[NodeSpec, Tokens] = dict(entries) if entries is not None else {}
        self._ordered: list[NodeSpec] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OrSet):
            return NotImplemented
        return self._entries == other._entries

    def __hash__(self) -> int:
        return hash(
            frozenset([(spec, frozenset(tokens.items())) for spec, tokens in self._entries.items()])
        )

    def __contains__(self, spec: object) -> bool:
        tokens = self._entries.get(spec) if isinstance(spec, NodeSpec) else None
        return tokens is not None and True in tokens.values()

    def __len__(self) -> int:
        """Entries, those of removed nodes included."""
        return len(self._entries)

    def __iter__(self) -> Iterator[NodeSpec]:
        """Yield the members in Erlang's order."""
        return (spec for spec in self._order() if True in self._entries[spec].values())

    def __repr__(self) -> str:
        members = ", ".join(spec.name for spec in self)
        return f"<OrSet of {members or 'nobody'}; {len(self._entries)} entries>"

    def entries(self) -> Iterator[tuple[NodeSpec, Tokens]]:
        """Yield all that was ever added with its tokens, in Erlang's order."""
        return ((spec, self._entries[spec]) for spec in self._order())

    def tokens(self, spec: NodeSpec) -> Tokens:
        """Return a specification's tokens, none if it was never added."""
        return self._entries.get(spec, {})

    def named(self, name: Atom) -> list[NodeSpec]:
        """Return the members of one name: several if a node came back with another address."""
        return [spec for spec in self if spec.name == name]

    def add(self, spec: NodeSpec, token: bytes) -> OrSet:
        """Add a node under a token never used before."""
        return self.merge(OrSet({spec: {token: True}}))

    def remove(self, spec: NodeSpec) -> OrSet:
        """Remove a node: whatever of it was seen so far. Nothing changes if there is nothing."""
        tokens = self._entries.get(spec)
        if tokens is None or True not in tokens.values():
            return self
        return OrSet(self._entries | {spec: dict.fromkeys(tokens, False)})

    def merge(self, other: OrSet) -> OrSet:
        """Return what both know; `self` itself if the other knows nothing more."""
        changed: dict[NodeSpec, Tokens] = {}
        for spec, theirs in other._entries.items():
            ours = self._entries.get(spec)
            if ours is None:
                changed[spec] = theirs
            elif ours != theirs:
                merged = {**theirs, **ours}
                for token in theirs.keys() & ours.keys():
                    merged[token] = ours[token] and theirs[token]
                if merged != ours:
                    changed[spec] = merged
        return OrSet(self._entries | changed) if changed else self

    def term(self) -> Term:
        """Return the set's form on the wire, ordered throughout."""
        entries = [(spec.term(), sorted(self._entries[spec].items())) for spec in self._order()]
        return (_SET, entries)

    @classmethod
    def parse(cls, term: Term, *, entries: int = 10_000, tokens: int = 1_000) -> OrSet:
        """Read what `term` gives, in whatever order its lists are.

        Args:
            term: What a peer sent.
            entries: How many specifications to accept.
            tokens: How many tokens of each to accept.

        Raises:
            StateError: It is no such set, or a larger one.
        """
        match term:
            case ("state_orset", list(pairs)) if len(pairs) <= entries:
                pass
            case _:
                raise StateError(f"no membership set of at most {entries} entries", term)
        found: dict[NodeSpec, dict[bytes, bool]] = {}
        for pair in pairs:
            match pair:
                case (spec, list(marks)) if len(marks) <= tokens:
                    pass
                case _:
                    raise StateError(f"no entry of at most {tokens} tokens", pair)
            into = found.setdefault(_spec(spec), {})
            for token, active in _marks(marks):
                into[token] = active and into.get(token, True)
        return cls(found)

    def _order(self) -> list[NodeSpec]:
        if self._ordered is None:
            self._ordered = sorted(self._entries, key=_spec_order)
        return self._ordered


def _spec_order(spec: NodeSpec) -> Any:
    return order_key(spec.term())


def _spec(term: Term) -> NodeSpec:
    try:
        return NodeSpec.parse(term)
    except ValueError as error:
        raise StateError(f"no node specification ({error})", term) from error


def _marks(marks: Iterable[Term]) -> Iterator[tuple[bytes, bool]]:
    for mark in marks:
        match mark:
            case (bytes(token), bool(active)) if len(token) <= _LONGEST_TOKEN:
                yield token, active
            case _:
                raise StateError("no token with whether it is active", mark)


EMPTY_SET: Final = OrSet()
"""A cluster without members."""


@dataclass(frozen=True, slots=True)
class MembershipState:
    """What nodes tell each other of the membership: `{full_v1, Actor, ORSet}`."""

    actor: bytes
    """Who says so; see `identity`. It plays no part in merging."""
    members: OrSet

    def term(self) -> Term:
        """Return its form on the wire."""
        return (_STATE, self.actor, self.members.term())

    @classmethod
    def parse(cls, term: Term, *, entries: int = 10_000, tokens: int = 1_000) -> MembershipState:
        """Read what `term` gives.

        Raises:
            StateError: It is nothing of the kind: another membership strategy's state, or larger.
        """
        match term:
            case ("full_v1", bytes(actor), members):
                return cls(actor, OrSet.parse(members, entries=entries, tokens=tokens))
            case _:
                raise StateError("no state of the full membership strategy", term)
