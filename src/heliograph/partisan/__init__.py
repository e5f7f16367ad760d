# SPDX-License-Identifier: Apache-2.0
"""A cluster node that speaks the wire protocol of Erlang's Partisan 5.

`heliograph.partisan.events` has the handles and types of what `catalogs/partisan.yaml` describes,
`heliograph.partisan.wire` Erlang's terms and the messages made of them, and
`heliograph.partisan.protocol` the protocol without any I/O.
"""

from heliograph.partisan.channels import Channel
from heliograph.partisan.driver import PlaintextWarning
from heliograph.partisan.errors import (
    CallError,
    DecodeError,
    EncodeError,
    FrameError,
    InboxClosedError,
    JoinError,
    ListenError,
    LocalError,
    MismatchError,
    NameTakenError,
    NodeClosedError,
    NoReplyError,
    NotConnectedError,
    PartisanError,
    QueueFullError,
    RemoteError,
    StateError,
    UnknownHandlerError,
    UnknownNodeError,
)
from heliograph.partisan.inbox import Inbox, Overflow
from heliograph.partisan.limits import Admission, Limits
from heliograph.partisan.managers import (
    ClientServer,
    FullMesh,
    HyParView,
    Manager,
    Own,
    ScampV1,
    ScampV2,
    Static,
)
from heliograph.partisan.members import Connection, Member
from heliograph.partisan.node import Node
from heliograph.partisan.processes import Monitor, Request
from heliograph.partisan.protocol import ProtocolConfig
from heliograph.partisan.protocol.broadcasting import BroadcastHandler
from heliograph.partisan.protocol.detection import DetectionConfig
from heliograph.partisan.tls import Tls
from heliograph.partisan.watching import (
    Change,
    ChangeKind,
    Changes,
    NodeDown,
    NodeDownReason,
    NodeMonitor,
    Subscription,
)
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.refs import RemoteRef

__all__ = [
    "Admission",
    "Atom",
    "BroadcastHandler",
    "CallError",
    "Change",
    "ChangeKind",
    "Changes",
    "Channel",
    "ClientServer",
    "Connection",
    "DecodeError",
    "DetectionConfig",
    "EncodeError",
    "FrameError",
    "FullMesh",
    "HyParView",
    "Inbox",
    "InboxClosedError",
    "JoinError",
    "Limits",
    "ListenError",
    "LocalError",
    "Manager",
    "Member",
    "MismatchError",
    "Monitor",
    "NameTakenError",
    "NoReplyError",
    "Node",
    "NodeClosedError",
    "NodeDown",
    "NodeDownReason",
    "NodeMonitor",
    "NotConnectedError",
    "Overflow",
    "Own",
    "PartisanError",
    "PlaintextWarning",
    "ProtocolConfig",
    "QueueFullError",
    "RemoteError",
    "RemoteRef",
    "Request",
    "ScampV1",
    "ScampV2",
    "StateError",
    "Static",
    "Subscription",
    "Tls",
    "UnknownHandlerError",
    "UnknownNodeError",
]
