# SPDX-License-Identifier: Apache-2.0
"""Trace context across wires, for components that know nothing of tracing."""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without the import
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from contextlib import AbstractContextManager
    from typing import Final

__all__ = ["Propagator"]


class Propagator:
    """How a component hands trace context over a wire without knowing who traces.

    A component that sends calls `inject` and puts the carrier's pairs beside its message; one that
    receives works inside `extract`. The base class carries nothing; `heliograph.otel` has one that
    speaks OpenTelemetry's propagators. Any object with these two methods will do.
    """

    __slots__ = ()

    def inject(self, carrier: MutableMapping[str, str]) -> None:
        """Write the current trace context into `carrier`; must not raise."""

    def extract(
        self,
        carrier: Mapping[str, str],  # noqa: ARG002 - others use it
    ) -> AbstractContextManager[None]:
        """Make the context in `carrier` the current one while the returned manager is open.

        A carrier without a context, or with a broken one, changes nothing; must not raise.
        """
        return _NOTHING


class _Nothing:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


_NOTHING: Final = _Nothing()
