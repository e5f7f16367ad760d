# SPDX-License-Identifier: Apache-2.0
"""What of a gateway does not work, while the rest does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from heliograph.apps.gateway.events import PART_FAILING, PART_RECOVERED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Part", "Troubles"]

Part = Literal["health", "peer", "state"]


@dataclass(frozen=True, slots=True)
class _Trouble:
    failure: Exception
    since: int


class Troubles:
    """Tells of each part once that it fails, and once that it works again.

    Args:
        gateway: What its events call the gateway.
    """

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._known: dict[tuple[Part, str], _Trouble] = {}

    def see(self, part: Part, failures: Mapping[str, Exception]) -> None:
        """Take note of how a part is doing.

        Args:
            part: The part.
            failures: What of it fails, by address, path or name, and with what.
        """
        for about, failure in failures.items():
            if (part, about) not in self._known:
                self._known[part, about] = _Trouble(failure, time.monotonic_ns())
                PART_FAILING.execute(
                    {},
                    {"gateway": self._gateway, "part": part, "about": about, "failure": failure},
                )
        for key in [key for key in self._known if key[0] == part and key[1] not in failures]:
            trouble = self._known.pop(key)
            PART_RECOVERED.execute(
                {"since_failing": time.monotonic_ns() - trouble.since},
                {"gateway": self._gateway, "part": part, "about": key[1]},
            )

    def state(self) -> list[dict[str, Any]]:
        """What fails, as plain data."""
        return [
            {
                "part": part,
                "about": about,
                "failure": str(trouble.failure) or type(trouble.failure).__name__,
            }
            for (part, about), trouble in self._known.items()
        ]
