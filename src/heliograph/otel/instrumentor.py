# SPDX-License-Identifier: Apache-2.0
"""The bridge for `opentelemetry-instrument python app.py`, without a line of code.

OpenTelemetry's launcher sets up its providers, finds this class by the entry point
`opentelemetry_instrumentor`, and calls its `instrument`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined] # untyped
    BaseInstrumentor,
)

from heliograph.otel.bridge import instrument

if TYPE_CHECKING:
    from collections.abc import Collection

    from heliograph.otel.bridge import Bridge

__all__ = ["HeliographInstrumentor"]


class HeliographInstrumentor(BaseInstrumentor):  # type: ignore[misc] # its module has no types
    """Turns the bridge on and off; the keyword arguments are those of `instrument`."""

    _bridge: Bridge | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing has to be there beside the bridge itself."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        self._bridge = instrument(**kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the base class's signature
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.detach()
