# SPDX-License-Identifier: Apache-2.0
"""Reading registers by Modbus/TCP: the frames that most requests are made of, by one struct each.

A frame is a number, a zero, the length of the rest, the device and a PDU: of a request function,
address and count, of its answer function, number of octets and the registers. (MODBUS Messaging on
TCP/IP Implementation Guide V1.0b, section 3.1.3, and the protocol's specification, section 6.3.)
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

__all__ = ["MOST_REGISTERS", "beginning_of_answer", "is_answer", "registers", "request"]

MOST_REGISTERS: Final = 125
"""How many registers one request may ask for."""

_REQUEST: Final = struct.Struct(">HHHBBHH")
_ANSWER: Final = struct.Struct(">HHHBBB")
_BEGINNING: Final = _ANSWER.size


def request(number: int, device_id: int, function: int, address: int, count: int) -> bytes:
    """Make the frame that asks for registers."""
    return _REQUEST.pack(number, 0, 6, device_id, function, address, count)


def beginning_of_answer(number: int, device_id: int, function: int, count: int) -> bytes:
    """Make what the answer begins with; the registers follow."""
    return _ANSWER.pack(number, 0, 3 + 2 * count, device_id, function, 2 * count)


def is_answer(data: bytes, beginning: bytes) -> bool:
    """Say whether these octets are the answer that begins so, and nothing else."""
    return data.startswith(beginning) and len(data) == _BEGINNING + beginning[-1]


def registers(answer: bytes, count: int) -> list[int]:
    """Give the registers of an answer."""
    return list(_unpacker(count).unpack_from(answer, _BEGINNING))


@lru_cache(maxsize=MOST_REGISTERS)
def _unpacker(count: int) -> struct.Struct:
    return struct.Struct(f">{count}H")
