# SPDX-License-Identifier: Apache-2.0
"""Trace context across a component's own wires, by OpenTelemetry's propagators.

Components know only `heliograph.Propagator`; `heliograph.set_propagator(OtelPropagator())` gives
them this one. Which formats are spoken is for OpenTelemetry to say: its global propagator, which
honours `OTEL_PROPAGATORS`, unless another one is given.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.context import attach, get_current
from opentelemetry.propagate import get_global_textmap

from heliograph import Propagator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping
    from contextlib import AbstractContextManager

    from opentelemetry.propagators.textmap import TextMapPropagator

__all__ = ["OtelPropagator"]

_logger: Final = logging.getLogger("heliograph")


class OtelPropagator(Propagator):
    """Carries the current trace context and baggage as OpenTelemetry's propagators write them."""

    __slots__ = ("_textmap",)

    def __init__(self, textmap: TextMapPropagator | None = None) -> None:
        """Choose the format.

        Args:
            textmap: OpenTelemetry's propagator; its global one, asked each time, if None.
        """
        self._textmap = textmap

    def inject(self, carrier: MutableMapping[str, str]) -> None:
        """Write the current trace context into `carrier`; what cannot be written is left out."""
        try:
            (self._textmap or get_global_textmap()).inject(carrier)
        except Exception:
            _logger.exception("the trace context could not be injected")

    def extract(self, carrier: Mapping[str, str]) -> AbstractContextManager[None]:
        """Make the context in `carrier` the current one while the returned manager is open."""
        return self._extracted(carrier)

    @contextmanager
    def _extracted(self, carrier: Mapping[str, str]) -> Iterator[None]:
        previous = get_current()
        try:
            extracted = (self._textmap or get_global_textmap()).extract(carrier, previous)
        except Exception:
            _logger.exception("a trace context could not be extracted")
            extracted = previous
        attach(extracted)
        try:
            yield
        finally:
            # By value, and only where it still is the current one: no token crosses contexts.
            if get_current() is extracted:
                attach(previous)
