# SPDX-License-Identifier: Apache-2.0
"""Frames for reading registers, compared with those of pymodbus."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
)

from heliograph.modboss import mbap

numbers = st.integers(1, 65000)
devices = st.integers(0, 255)
functions = st.sampled_from([3, 4])
words = st.integers(0, 0xFFFF)
REQUESTS = {3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest}
ANSWERS = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}


@given(numbers, devices, functions, words, st.integers(1, mbap.MOST_REGISTERS))
def test_requests_are_those_of_pymodbus(
    number: int, device_id: int, function: int, address: int, count: int
) -> None:
    theirs = REQUESTS[function](device_id, number, address, count)

    ours = mbap.request(number, device_id, function, address, count)

    assert ours == FramerSocket(DecodePDU(False)).buildFrame(theirs)


@given(numbers, devices, functions, st.lists(words, min_size=1, max_size=mbap.MOST_REGISTERS))
def test_answers_of_pymodbus_are_known_and_read(
    number: int, device_id: int, function: int, values: list[int]
) -> None:
    answer = ANSWERS[function](device_id, number, registers=values)
    frame = FramerSocket(DecodePDU(True)).buildFrame(answer)
    beginning = mbap.beginning_of_answer(number, device_id, function, len(values))

    assert mbap.is_answer(frame, beginning)
    assert mbap.registers(frame, len(values)) == values


@given(numbers, devices, functions, st.integers(1, mbap.MOST_REGISTERS), st.data())
def test_what_differs_anywhere_is_no_answer(
    number: int, device_id: int, function: int, count: int, data: st.DataObject
) -> None:
    beginning = mbap.beginning_of_answer(number, device_id, function, count)
    frame = beginning + bytes(2 * count)
    place = data.draw(st.integers(0, len(beginning) - 1))
    changed = bytearray(frame)
    changed[place] ^= data.draw(st.integers(1, 255))

    assert not mbap.is_answer(bytes(changed), beginning)
    assert not mbap.is_answer(frame[:-1], beginning)
    assert not mbap.is_answer(frame + b"\x00", beginning)
