# SPDX-License-Identifier: Apache-2.0
"""Blocks that a device refuses, divided until it is known what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph.modboss.errors import DeviceError
from heliograph.modboss.plan import batch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from heliograph.modboss.calls import Calls, Effect
    from heliograph.modboss.mapping import Mapping
    from heliograph.modboss.plan import Batch
    from heliograph.modboss.refusals import Operation, Refusals

__all__ = ["Splitter"]


class Splitter:
    """Makes the calls of an operation; a batch that the device refuses is made in two parts.

    A part that is refused is divided again, down to single mappings; each part has the attempts of
    a batch, but a refusal itself is never tried again. Batches are divided at the gap that is
    nearest to the middle, since what nobody asked for is refused most often, or else in the middle.

    Attributes:
        accepted: What the device took, in the order of the calls.
        refused: The mappings that it refused alone, and how.
        divided: Whether a batch was refused at all.
    """

    __slots__ = (
        "_calls",
        "_fences",
        "_operation",
        "_take",
        "_value",
        "accepted",
        "divided",
        "refused",
    )

    def __init__(
        self,
        calls: Calls,
        operation: Operation,
        value: Callable[[Batch], Any],
        take: Callable[[Batch, Any], None],
    ) -> None:
        self._calls = calls
        self._operation: Operation = operation
        self._value = value
        self._take = take
        self._fences: list[Batch] = []
        self.accepted: list[Batch] = []
        self.refused: dict[Mapping, DeviceError] = {}
        self.divided: bool = False

    def run(self, batches: Iterable[Batch], memory: Refusals) -> Generator[Effect, Any, None]:
        """Make all calls, and remember what was learned.

        Raises:
            DeviceError: Something failed that was no refusal, or the device refused everything.
        """
        try:
            for batch in batches:
                self._calls.batches += 1
                yield from self._make(batch)
        finally:
            self._remember(memory)
        if self.refused and not self.accepted:
            raise next(iter(self.refused.values()))

    def _make(self, batch: Batch) -> Generator[Effect, Any, bool]:
        """Make a call, or its parts.

        Returns:
            Whether the device took the batch as a whole.
        """
        try:
            reply = yield from self._calls.make(batch, self._value(batch))
        except DeviceError as error:
            if not error.refusal:
                raise
            refusal = error.with_traceback(None)  # which refers to this frame
        else:
            self._take(batch, reply)
            self.accepted.append(batch)
            return True
        self.divided = True
        if len(batch.mappings) == 1:
            self.refused[batch.mappings[0]] = refusal
            return False
        at = _middle(batch)
        first, second = batch_of(batch.mappings[:at]), batch_of(batch.mappings[at:])
        both = [(yield from self._make(first)), (yield from self._make(second))]
        if all(both):
            # Neither was refused: it is the whole that the device does not take.
            self._fences.append(second)
        return False

    def _remember(self, memory: Refusals) -> None:
        if not self.accepted:
            return
        for mapping, error in self.refused.items():
            memory.refuse(self._operation, mapping, error.reason)
        for batch in self._fences:
            memory.fence(self._operation, batch.object_type, batch.starting_address)
        for batch in self.accepted:
            for mapping in batch.mappings:
                memory.accept(self._operation, mapping)


def _middle(batch: Batch) -> int:
    """Say before which mapping a batch is divided."""
    mappings = batch.mappings
    middle = len(mappings) / 2
    gaps = [
        at
        for at in range(1, len(mappings))
        if mappings[at].starting_address > mappings[at - 1].end_address
    ]
    return min(gaps, key=lambda at: abs(at - middle), default=len(mappings) // 2)
