# SPDX-License-Identifier: Apache-2.0
"""Devices without hardware: real Modbus servers made from schemas, with faults on demand."""

from __future__ import annotations

from heliograph.modboss.virtual.device import VirtualDevice
from heliograph.modboss.virtual.faults import (
    Close,
    Corrupt,
    Cut,
    Delay,
    Fault,
    FaultPlan,
    Garbage,
    Refuse,
    Reset,
    Rule,
    Silence,
    WrongCount,
    WrongTransaction,
    WrongUnit,
)
from heliograph.modboss.virtual.line import Line
from heliograph.modboss.virtual.requests import Request
from heliograph.modboss.virtual.scripts import Script, ramp, sine, steps
from heliograph.modboss.virtual.server import VirtualServer

__all__ = [
    "Close",
    "Corrupt",
    "Cut",
    "Delay",
    "Fault",
    "FaultPlan",
    "Garbage",
    "Line",
    "Refuse",
    "Request",
    "Reset",
    "Rule",
    "Script",
    "Silence",
    "VirtualDevice",
    "VirtualServer",
    "WrongCount",
    "WrongTransaction",
    "WrongUnit",
    "ramp",
    "sine",
    "steps",
]
