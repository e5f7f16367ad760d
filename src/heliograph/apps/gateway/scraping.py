# SPDX-License-Identifier: Apache-2.0
"""Metrics as Prometheus asks for them, by OpenTelemetry's own exporter; needs `prometheus`.

The gateway's other metrics go by OTLP; these are kept a second time, by OpenTelemetry's SDK.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

from heliograph.apps.gateway.tags import with_tags
from heliograph.catalog import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph import Telemetry

__all__ = ["CONTENT_TYPE", "Scraping", "installed"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text format, which every Prometheus reads."""

# As many series of one metric as the catalog allows for values of devices.
_SERIES: Final = 20_000
_SIGNALS: Final[tuple[Literal["metrics"]]] = ("metrics",)


def installed() -> bool:
    """Whether the exporter is there."""
    return find_spec("prometheus_client") is not None


class Scraping:
    """Keeps metrics until they are asked for.

    Args:
        service: The service's name; None for that of OpenTelemetry's variables.
        instance: The gateway's name.
        tags: Attributes that values of devices have beyond those of the catalog.
        telemetry: The dispatcher; the default one if None.
    """

    def __init__(
        self,
        service: str | None,
        instance: str,
        *,
        tags: Sequence[str] = (),
        telemetry: Telemetry | None = None,
    ) -> None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from opentelemetry.sdk.metrics import MeterProvider, ObservableGauge
        from opentelemetry.sdk.resources import Resource
        from prometheus_client import CollectorRegistry

        from heliograph import otel

        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(
            registry=self._registry,
            scope_info_enabled=False,
            cardinality_limits={ObservableGauge: _SERIES},
        )
        named = {} if service is None else {"service.name": service}
        resource = Resource.create({**named, "service.instance.id": instance})
        self._provider = MeterProvider([reader], resource=resource)
        self._bridge = otel.instrument(
            with_tags(load(), tags),
            meter_provider=self._provider,
            signals=_SIGNALS,
            propagate=False,
            telemetry=telemetry,
        )

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def close(self) -> None:
        """Keep no more."""
        self._bridge.shutdown()
        self._provider.shutdown()
