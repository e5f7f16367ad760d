# SPDX-License-Identifier: Apache-2.0
"""Types for annotations: what a handler and an observer look like, and what may follow a failure.

The core itself imports this module for type checkers only, since `typing` is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from heliograph.spans import ActiveSpan

__all__ = ["Execute", "Handler", "Observer", "OnFailure", "OpenSpan"]

Handler: TypeAlias = Callable[[str, Mapping[str, Any], Mapping[str, Any], Any], object]
"""`handler(event, measurements, metadata, config)`; what it returns is ignored."""

Observer: TypeAlias = Callable[[str, Mapping[str, Any], Mapping[str, Any]], object]
"""`observer(event, measurements, metadata)`; what it returns is ignored."""

OnFailure: TypeAlias = Literal["detach", "keep", "quarantine"]
"""What follows when a handler raises; see `heliograph.attach`."""


class Execute(Protocol):
    """The type of `heliograph.execute`."""

    def __call__(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any] = ...
    ) -> None:
        """Execute an event; see `heliograph.execute`."""


class OpenSpan(Protocol):
    """The type of `heliograph.span`."""

    def __call__(self, prefix: str, metadata: Mapping[str, Any] = ...) -> ActiveSpan[Any, Any]:
        """Open a span; see `heliograph.span`."""
