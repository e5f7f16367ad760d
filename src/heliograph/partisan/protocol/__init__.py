# SPDX-License-Identifier: Apache-2.0
"""The protocol of a full mesh without sockets, clocks and chance of its own.

`NodeCore` is one node: inputs go in, effects come out. `Delivery` holds what is to be acknowledged.
"""

from heliograph.partisan.protocol.config import ProtocolConfig
from heliograph.partisan.protocol.core import CORE_NAMES, NodeCore
from heliograph.partisan.protocol.delivery import Delivery
from heliograph.partisan.protocol.effects import Effect
from heliograph.partisan.protocol.identity import Identity, is_ours, new_identity, read_actor
from heliograph.partisan.protocol.inputs import Input, TimerKey
from heliograph.partisan.protocol.membership import MembershipState, OrSet
from heliograph.partisan.protocol.mesh import MEMBERSHIP, Statistics
from heliograph.partisan.protocol.streams import (
    DeliveryConfig,
    IncomingStream,
    OutgoingStream,
    Verdict,
)

__all__ = [
    "CORE_NAMES",
    "MEMBERSHIP",
    "Delivery",
    "DeliveryConfig",
    "Effect",
    "Identity",
    "IncomingStream",
    "Input",
    "MembershipState",
    "NodeCore",
    "OrSet",
    "OutgoingStream",
    "ProtocolConfig",
    "Statistics",
    "TimerKey",
    "Verdict",
    "is_ours",
    "new_identity",
    "read_actor",
]
