# SPDX-License-Identifier: Apache-2.0
"""What others tell of themselves, held against what this node is: its manager, run and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.partisan.protocol.effects import Mismatched
from heliograph.partisan.protocol.identity import read_actor, read_epoch
from heliograph.partisan.wire import Atom, TermMap
from heliograph.partisan.wire.terms import term_map

if TYPE_CHECKING:
    from heliograph.partisan.wire import ChannelSpec, NodeSpec, Term

__all__ = ["announced", "manager_of", "other_channels", "run_of"]

_LONGEST = 64  # characters of a word that a peer has chosen
_LONGEST_LIST = 255


def manager_of(state: Term) -> str:
    """Return which manager or strategy a state is of, as a word for people."""
    match state:
        case ("state", dict() | TermMap(), int()):
            return "hyparview"
        case (Atom() as kind, *_):
            return str(kind)[:_LONGEST]  # full_v1, scamp_v1, scamp_v2, or a user's own
        case dict() | TermMap():
            return "list"
        case _:
            return "unknown"


def run_of(state: Term) -> int | None:
    """Return which run of a node of our kind a state is of; None if it does not say."""
    match state:
        case ("state", _, epoch):
            return read_epoch(epoch)
        case ("full_v1" | "scamp_v1", actor, *_) | ("scamp_v2", _, actor, *_):
            return read_actor(actor)
        case dict() | TermMap():
            return next((run for key in state if (run := read_actor(key)) is not None), None)
        case _:
            return None


def announced(state: Term, actor: bytes) -> Term:
    """Return a state that announces a run, where it has no place for that.

    The original's star and static lists tell a set of nodes, and look at nobody else's: what is no
    node in it harms nobody.
    """
    match state:
        case dict() | TermMap():
            return term_map([*state.items(), (actor, [])])
        case _:
            return state


def other_channels(own: NodeSpec, theirs: NodeSpec) -> list[Mismatched]:
    """Tell of channels that a peer has otherwise than this node, or that one of both lacks.

    They talk all the same: who dials opens as many connections as the other wants, and what goes by
    a channel that the other lacks goes by the default one.
    """
    names = sorted({each.name for each in (*own.channels, *theirs.channels)})
    here = [_channel(own.channel(name), name) for name in names]
    there = [_channel(theirs.channel(name), name) for name in names]
    differing = [pair for pair in zip(here, there, strict=True) if pair[0] != pair[1]]
    if not differing:
        return []
    mine, others = (", ".join(texts)[:_LONGEST_LIST] for texts in zip(*differing, strict=True))
    return [Mismatched(theirs.name, "channels", mine, others)]


def _channel(channel: ChannelSpec | None, name: Atom) -> str:
    if channel is None:
        return f"no {name}"
    count = 1 if channel.parallelism is None else channel.parallelism
    return f"{name}:{count}{' monotonic' if channel.monotonic else ''}"
