# SPDX-License-Identifier: Apache-2.0
"""Who a node is, beyond its name: the actor that says so, and the numbers its messages carry.

Some fields of the protocol are opaque to an Erlang node: it stores the actor of a membership state
without ever looking into it, it sends the clock of an acknowledged message back as it came, and of
HyParView's epochs it wants to know which is later.
Nodes of our kind recognise each other by them, and no frame tells an Erlang node of it:

```text
actor, 20 bytes       "heliograph" | version | features | incarnation, 6 bytes | random, 2 bytes
number, 128 bits       0xB7, 8 bits | incarnation, 48 bits | stream, 24 bits | sequence, 48 bits
epoch, 112 bits        0xB7, 8 bits | milliseconds, 48 bits | incarnation, 48 bits | count, 8 bits
```

An incarnation is drawn at random at each start, so that a number never means two messages, not even
after a restart. An Erlang node counts from 0 and never reaches a number of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = [
    "SEQUENCE_BITS",
    "SEQUENCE_MASK",
    "Identity",
    "is_ours",
    "new_epoch",
    "new_identity",
    "read_actor",
    "read_epoch",
    "run_of",
    "stream_key",
]

_MAGIC: Final = b"heliograph"
_VERSION: Final = 1
# What a node of our kind can do; every one so far acknowledges cumulatively and expects it.
_CUMULATIVE: Final = 1
_ACTOR_LENGTH: Final = 20  # the original's: a SHA-1 digest

SEQUENCE_BITS: Final = 48
"""Bits of a message's number that count within its stream."""
SEQUENCE_MASK: Final = (1 << SEQUENCE_BITS) - 1
_STREAM_BITS: Final = 24
_INCARNATION_BITS: Final = 48
_MARK: Final = 0xB7 << (SEQUENCE_BITS + _STREAM_BITS + _INCARNATION_BITS)
_MARK_SHIFT: Final = SEQUENCE_BITS + _STREAM_BITS + _INCARNATION_BITS
_EPOCH_MARK: Final = 0xB7
_COMEBACK_BITS: Final = 8
_LAST_STREAM: Final = (1 << _STREAM_BITS) - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """One run of one node.

    Attributes:
        incarnation: Which run, 48 random bits.
        actor: 20 bytes that announce it to nodes of our kind.
    """

    incarnation: int
    actor: bytes

    def stream(self, index: int) -> int:
        """Return the number that messages of the run's `index`-th stream start from.

        A message's own number is this plus its place in the stream.

        Raises:
            OverflowError: The run has used its 16,777,215 streams.
        """
        if index > _LAST_STREAM:
            raise OverflowError(f"stream {index} of {_LAST_STREAM}: restart the node for new ones")
        return _MARK | ((self.incarnation << _STREAM_BITS | index) << SEQUENCE_BITS)


def new_identity(random_bytes: Callable[[int], bytes]) -> Identity:
    """Draw the identity of a new run.

    Args:
        random_bytes: Returns as many random bytes as asked for.
    """
    run = random_bytes(_INCARNATION_BITS // 8)
    head = _MAGIC + bytes((_VERSION, _CUMULATIVE)) + run
    return Identity(int.from_bytes(run, "big"), head + random_bytes(_ACTOR_LENGTH - len(head)))


def read_actor(actor: object) -> int | None:
    """Return the incarnation that an actor announces, or None if its node is not of our kind."""
    if not isinstance(actor, bytes) or len(actor) != _ACTOR_LENGTH:
        return None
    if not actor.startswith(_MAGIC) or not actor[len(_MAGIC) + 1] & _CUMULATIVE:
        return None
    start = len(_MAGIC) + 2
    return int.from_bytes(actor[start : start + _INCARNATION_BITS // 8], "big")


def new_epoch(identity: Identity, milliseconds: int) -> int:
    """Return the epoch that announces a run, later than those of the node's former runs.

    Its last bits count how often the run has left a cluster and come again.

    Args:
        identity: The run.
        milliseconds: Since 1970, when it began.
    """
    head = _EPOCH_MARK << _INCARNATION_BITS | milliseconds
    return (head << _INCARNATION_BITS | identity.incarnation) << _COMEBACK_BITS


def read_epoch(epoch: object) -> int | None:
    """Return the incarnation that an epoch announces, or None if its node is not of our kind."""
    if type(epoch) is not int:
        return None
    rest = epoch >> _COMEBACK_BITS
    if rest >> 2 * _INCARNATION_BITS != _EPOCH_MARK:
        return None
    return rest & ((1 << _INCARNATION_BITS) - 1)


def is_ours(number: int) -> bool:
    """Tell whether a message's number was given by a node of our kind."""
    return number >> _MARK_SHIFT == _MARK >> _MARK_SHIFT


def stream_key(number: int) -> int:
    """Return what all numbers of one stream of one run have in common, and no others."""
    return number >> SEQUENCE_BITS


def run_of(key: int) -> int:
    """Return which run a `stream_key` belongs to."""
    return key >> _STREAM_BITS & ((1 << _INCARNATION_BITS) - 1)
