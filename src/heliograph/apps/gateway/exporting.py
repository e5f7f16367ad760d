# SPDX-License-Identifier: Apache-2.0
"""Where a gateway's telemetry goes, and with which attributes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from heliograph.apps.gateway.tags import with_tags
from heliograph.catalog import ConfigError, Fault, load

if TYPE_CHECKING:
    from heliograph.apps.gateway.config import GatewayConfig, Otlp
    from heliograph.otel import Bridge
    from heliograph.otel.configuration import Settings

__all__ = ["check_export", "export", "is_exported", "service", "settings"]

_SERVICE: Final = "heliograph-gateway"
_ENDPOINTS: Final = tuple(
    f"OTEL_EXPORTER_OTLP_{part}ENDPOINT" for part in ("", "TRACES_", "METRICS_", "LOGS_")
)


def is_exported(config: GatewayConfig) -> bool:
    """Whether anything is exported: the file says so, or a standard variable does."""
    return config.otlp is not None or any(os.environ.get(name) for name in _ENDPOINTS)


def service(otlp: Otlp | None) -> str | None:
    """What the service is called; None where a variable says it."""
    if otlp is not None and otlp.service_name is not None:
        return otlp.service_name
    return None if os.environ.get("OTEL_SERVICE_NAME") else _SERVICE


def _options(config: GatewayConfig) -> dict[str, Any]:
    otlp = config.otlp
    said: dict[str, Any] = {}
    if otlp is not None:
        for each in ("endpoint", "protocol", "headers", "metric_interval", "delay"):
            said[each] = getattr(otlp, each)
    return {
        **said,
        "service_name": service(otlp),
        "resource_attributes": {"service.instance.id": config.name},
    }


def settings(config: GatewayConfig) -> Settings:
    """How it is exported: the file and the standard variables put together.

    Raises:
        ConfigError: Something is wrong with them.
    """
    from heliograph.otel import ConfigurationError
    from heliograph.otel.configuration import Options, settle

    try:
        return settle(Options(**_options(config)))
    except ConfigurationError as error:
        raise _located(error, config.otlp) from error


def check_export(config: GatewayConfig) -> None:
    """Find what is wrong with the settings of the export, the standard variables included.

    Raises:
        ConfigError: Something is.
    """
    if is_exported(config):
        settings(config)


def export(config: GatewayConfig) -> Bridge:
    """Export from now on.

    Raises:
        ConfigError: The settings are wrong.
    """
    from heliograph import otel

    try:
        return otel.configure(**_options(config), catalogs=with_tags(load(), config.tags))
    except otel.ConfigurationError as error:
        raise _located(error, config.otlp) from error


def _located(error: Any, otlp: Otlp | None) -> ConfigError:
    where = None if otlp is None else otlp.where
    return ConfigError([Fault(str(each), where) for each in error.faults])
