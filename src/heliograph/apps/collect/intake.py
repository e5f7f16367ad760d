# SPDX-License-Identifier: Apache-2.0
"""Where the requests of every server end."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from heliograph.apps.collect.bodies import MAX_BODY
from heliograph.apps.collect.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.apps.collect.decoding import Encoding
    from heliograph.apps.collect.model import Batch, Signal

__all__ = ["BusyError", "Intake"]


class BusyError(Exception):
    """Whoever is to take a batch can't take it now; the sender may try again."""


class Intake:
    """Decodes requests, hands on what they bring, and counts those that are refused.

    Attributes:
        limit: Bytes of one request that are taken, inflated.
        refused: How many requests were refused, by the status HTTP has for the reason.
    """

    limit: int
    refused: Counter[int]

    def __init__(self, hand_on: Callable[[Batch], None], limit: int = MAX_BODY) -> None:
        """Args: who gets what arrives, and may raise `BusyError`; the longest request taken."""
        self._hand_on = hand_on
        self._lock = threading.Lock()
        self.limit = limit
        self.refused = Counter()

    def take(self, signal: Signal, body: bytes, encoding: Encoding) -> None:
        """Decode a request and hand it on.

        Raises:
            MalformedError: It can't be decoded.
            BusyError: Nobody can take it now.
        """
        self._hand_on(decode(signal, body, encoding))

    def refuse(self, status: int) -> None:
        """Count a request that is refused."""
        with self._lock:
            self.refused[status] += 1
