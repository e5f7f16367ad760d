# SPDX-License-Identifier: Apache-2.0
"""What the state that an acceptor sends in its handshake tells of it, whichever manager it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.partisan.protocol.identity import read_actor, read_epoch
from heliograph.partisan.wire import Atom, TermMap

if TYPE_CHECKING:
    from heliograph.partisan.wire import Term

__all__ = ["manager_of", "run_of"]

_LONGEST = 64  # characters of a word that a peer has chosen


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
        case _:
            return None
