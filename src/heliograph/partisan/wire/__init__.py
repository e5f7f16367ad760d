# SPDX-License-Identifier: Apache-2.0
"""What goes over a connection: frames, terms in the External Term Format, Partisan's messages."""

from heliograph.partisan.wire.decode import decode, decode_forward
from heliograph.partisan.wire.encode import encode, encode_forward
from heliograph.partisan.wire.frames import FRAME_LIMIT, FrameReader, frame
from heliograph.partisan.wire.limits import DEFAULT_LIMITS, Limits
from heliograph.partisan.wire.messages import Message
from heliograph.partisan.wire.order import compare, order_key
from heliograph.partisan.wire.specs import ChannelSpec, ListenAddr, NodeSpec
from heliograph.partisan.wire.terms import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    TermMap,
    exact,
    same,
)

__all__ = [
    "DEFAULT_LIMITS",
    "FRAME_LIMIT",
    "Atom",
    "BitString",
    "ChannelSpec",
    "Export",
    "FrameReader",
    "Fun",
    "ImproperList",
    "Limits",
    "ListenAddr",
    "Message",
    "NodeSpec",
    "Pid",
    "Port",
    "Reference",
    "Term",
    "TermMap",
    "compare",
    "decode",
    "decode_forward",
    "encode",
    "encode_forward",
    "exact",
    "frame",
    "order_key",
    "same",
]
