# SPDX-License-Identifier: Apache-2.0
"""A gateway: polls Modbus devices, shares them with other gateways, and exports what happens.

    gateway = Gateway(load("gateway.yaml"))
    await gateway.run()

Needs the extra `gateway`. It belongs to asyncio, as Modbus links do.
"""

from __future__ import annotations

from heliograph.apps.gateway.alarms import Alarm, Alarms
from heliograph.apps.gateway.config import (
    Cluster,
    DeviceConfig,
    GatewayConfig,
    Group,
    Otlp,
    load,
)
from heliograph.apps.gateway.exporting import check_export
from heliograph.apps.gateway.gateway import Gateway
from heliograph.apps.gateway.grammar import DEFAULT, GATEWAY, format_reference
from heliograph.apps.gateway.sharing import Sharing, owner, weight

__all__ = [
    "DEFAULT",
    "GATEWAY",
    "Alarm",
    "Alarms",
    "Cluster",
    "DeviceConfig",
    "Gateway",
    "GatewayConfig",
    "Group",
    "Otlp",
    "Sharing",
    "check_export",
    "format_reference",
    "load",
    "owner",
    "weight",
]
