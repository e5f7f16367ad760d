# SPDX-License-Identifier: Apache-2.0
"""Snapshots: read from a device, kept, served again, compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import (
    DeviceError,
    Schema,
    WrongCountError,
    coil,
    holding_register,
    input_register,
)
from heliograph.modboss.faults import IllegalDataAddressError
from heliograph.modboss.mapping import ObjectType
from heliograph.modboss.snapshot import Change, Snapshot, SnapshotError, adump, diff, dump
from heliograph.modboss.virtual import VirtualDevice


class Thermostat(Schema):
    outdoor_temp = input_register(1, "signed_int")
    setpoint = holding_register(10, "unsigned_int", mode="rw")
    label = holding_register(range(11, 13), "ascii", mode="rw")
    model = holding_register(20, "unsigned_int")
    command = holding_register(30, "unsigned_int", mode="w")
    heating = coil(5, "boolean", mode="rw")


class Reader:
    """Reads a virtual device without a server."""

    def __init__(self, device: VirtualDevice) -> None:
        self._device = device
        self.calls: list[tuple[ObjectType, int, int]] = []

    def __call__(self, object_type: ObjectType, address: int, count: int) -> list[int]:
        self.calls.append((object_type, address, count))
        function = {"coil": 1, "discrete_input": 2, "holding_register": 3, "input_register": 4}
        request = self._device.admit(function[object_type], address, count, None).request
        if request.refused is not None:
            raise IllegalDataAddressError(request.refused, "read")
        return self._device.fetch(object_type, address, count)

    async def acall(self, object_type: ObjectType, address: int, count: int) -> list[int]:
        return self(object_type, address, count)


@pytest.fixture
def device() -> VirtualDevice:
    values = {"outdoor_temp": -3, "setpoint": 21, "label": "heat", "model": 7, "heating": True}
    return VirtualDevice(Thermostat, values)


OBJECTS: dict[ObjectType, dict[int, int]] = {
    "holding_register": {10: 21, 11: 0x6865, 12: 0x6174, 20: 7},
    "input_register": {1: 0xFFFD},
    "coil": {5: 1},
}


def test_a_schema_is_read_as_a_whole_in_few_requests(device: VirtualDevice) -> None:
    read = Reader(device)
    taken = dump(Thermostat, read, source="tcp://plc:502", device_id=3)

    assert taken.objects == OBJECTS
    assert (taken.refused, taken.schema, taken.device_id) == ({}, "Thermostat", 3)
    assert read.calls == [
        ("holding_register", 10, 3),
        ("holding_register", 20, 1),
        ("input_register", 1, 1),
        ("coil", 5, 1),
    ]


def test_a_coroutine_function_reads_as_well(device: VirtualDevice) -> None:
    read = Reader(device)
    device.remove("holding_register", [20])
    taken = asyncio.run(adump(Thermostat, read.acall))

    assert taken.objects["holding_register"] == {10: 21, 11: 0x6865, 12: 0x6174}
    assert taken.refused == {"holding_register": (20,)}


def test_ranges_are_read_in_pieces_and_what_is_refused_is_found(device: VirtualDevice) -> None:
    taken = dump({"holding_register": [range(8, 22)], "coil": [range(5, 6)]}, Reader(device))

    assert taken.objects["holding_register"] == OBJECTS["holding_register"]
    assert taken.refused == {"holding_register": (8, 9, *range(13, 20), 21)}
    assert taken.schema is None


def test_large_ranges_are_read_by_the_limit() -> None:
    read = Reader(VirtualDevice(raw={"holding_register": {0: [0] * 300}}))
    dump({"holding_register": [range(300)]}, read)

    assert [count for _, _, count in read.calls] == [125, 125, 50]


def test_a_mapping_is_read_in_one_go() -> None:
    wide = Schema.from_mappings(
        "Wide",
        [
            {"name": "a", "type": "holding_register", "address": range(100)},
            {"name": "b", "type": "holding_register", "address": range(100, 130)},
        ],
    )
    read = Reader(VirtualDevice(wide))
    dump(wide, read)

    assert [count for _, _, count in read.calls] == [100, 30]


def test_another_failure_is_the_callers() -> None:
    def fail(*_request: object) -> list[int]:
        raise DeviceError("busy")

    with pytest.raises(DeviceError, match="busy"):
        dump(Thermostat, fail)


def test_a_wrong_count_is_an_error() -> None:
    with pytest.raises(WrongCountError, match="2 values came where 3 were asked for"):
        dump({"holding_register": [range(3)]}, lambda *_: [1, 2])


@pytest.mark.parametrize("bad", [range(5, 5), range(0, 10, 2), range(-1, 3), range(65530, 65537)])
def test_what_is_no_range_of_addresses_is_refused(bad: range) -> None:
    with pytest.raises(ValueError, match="is no range of addresses"):
        dump({"coil": [bad]}, lambda *_: [])
    with pytest.raises(ValueError, match="'coils' is no object type"):
        dump({"coils": [range(1)]}, lambda *_: [])  # type: ignore[dict-item]  # the mistake


def test_a_snapshot_is_kept_in_a_file_that_people_can_read(
    device: VirtualDevice, tmp_path: Path
) -> None:
    device.remove("holding_register", [20])
    taken = dump(Thermostat, Reader(device), taken="2026-01-02T03:04:05+00:00", source="tcp://plc")
    taken.save(tmp_path / "taken.json")

    assert Snapshot.load(tmp_path / "taken.json") == taken
    assert (tmp_path / "taken.json").read_text() == (
        "{\n"
        '  "format": "heliograph modbus snapshot",\n'
        '  "version": 1,\n'
        '  "device_id": 1,\n'
        '  "schema": "Thermostat",\n'
        '  "source": "tcp://plc",\n'
        '  "taken": "2026-01-02T03:04:05+00:00",\n'
        '  "objects": {\n'
        '    "holding_register": {"10": [21, 26725, 24948]},\n'
        '    "input_register": {"1": [65533]},\n'
        '    "coil": {"5": [1]}\n'
        "  },\n"
        '  "refused": {"holding_register": ["20-20"]}\n'
        "}\n"
    )


def cells(most: int) -> st.SearchStrategy[dict[int, int]]:
    return st.dictionaries(st.integers(0, 0xFFFF), st.integers(0, most), max_size=20).map(
        lambda found: dict(sorted(found.items()))
    )


@given(
    st.fixed_dictionaries({}, optional={"holding_register": cells(0xFFFF), "coil": cells(1)}).map(
        lambda found: {kind: each for kind, each in found.items() if each}
    ),
    st.sets(st.integers(0, 0xFFFF), min_size=1).map(lambda found: tuple(sorted(found))),
)
def test_every_snapshot_comes_back_from_its_text(
    objects: dict[ObjectType, dict[int, int]], refused: tuple[int, ...]
) -> None:
    taken = Snapshot(objects, {"coil": refused}, device_id=9)

    assert Snapshot.loads(taken.dumps()) == taken


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(
                    ["format", "version", "device_id", "objects", "refused", "coil", "1"]
                ),
                inner,
            )
            | st.lists(inner)
        ),
    )
)
def test_whatever_is_no_snapshot_is_one_clear_error(document: Any) -> None:
    if isinstance(document, dict):
        document |= {"format": "heliograph modbus snapshot", "version": 1}
    with suppress(SnapshotError):  # what else is raised fails the test
        Snapshot.loads(json.dumps(document))


def text_of(**changes: Any) -> str:
    document = json.loads(Snapshot(OBJECTS).dumps()) | changes
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "x.json is no JSON: "),
        ("[]", 'x.json is no snapshot: it has no "format"'),
        (text_of(format="?"), "is no snapshot"),
        (text_of(version=2), "has version 2; this program reads version 1"),
        (text_of(device_id=True), "device_id is True"),
        (text_of(source=7), "source is 7; it must be text or null"),
        (text_of(objects=[]), "objects is []; it must be an object"),
        (text_of(objects={"register": {}}), "objects: 'register' is no object type"),
        (text_of(objects={"coil": [1]}), "objects: coil is [1]; it must be an object"),
        (text_of(objects={"coil": {"1": 1}}), "objects: coil 1: 1 is no list of values"),
        (text_of(objects={"coil": {"65535": [1, 1]}}), "is no list of values that fit there"),
        (text_of(objects={"coil": {"1": [0, 2]}}), "objects: coil 2 is 2; it must be from 0 to 1"),
        (text_of(objects={"coil": {"-1": [1]}}), "objects: coil: '-1' is no address"),
        (text_of(objects={"coil": {"1": [1, 1], "2": [1]}}), "objects: coil 2 is there twice"),
        (text_of(refused={"coil": "5-6"}), "refused: coil is '5-6'; it must be a list"),
        (text_of(refused={"coil": ["5-x"]}), "refused: coil: 'x' is no address from 0 to 65535"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, complaint: str) -> None:
    with pytest.raises(SnapshotError) as raised:
        Snapshot.loads(text, "x.json")
    assert complaint in str(raised.value)


def test_a_snapshot_is_served_again(device: VirtualDevice) -> None:
    device.remove("holding_register", [20])
    taken = dump(Thermostat, Reader(device), device_id=4)

    again = taken.virtual(Thermostat)
    assert (again.unit, again["label"], again["outdoor_temp"]) == (4, "heat", -3)
    assert dump(Thermostat, Reader(again)).objects == taken.objects
    assert dump(Thermostat, Reader(again)).refused == taken.refused
    assert again.admit(6, 30, 1, [1]).request.refused is None, "write-only ones are there"

    raw = taken.virtual(unit=9)
    assert raw.unit == 9
    assert {kind: each for kind, each in raw.objects().items() if each} == taken.objects


def test_a_snapshot_is_decoded_by_a_schema(device: VirtualDevice) -> None:
    device.remove("holding_register", [11])
    taken = dump(Thermostat, Reader(device))

    assert taken.values(Thermostat) == {
        "outdoor_temp": -3,
        "setpoint": 21,
        "model": 7,
        "heating": True,
    }


def test_a_difference_is_told_by_name_or_address(device: VirtualDevice) -> None:
    before = dump(Thermostat, Reader(device))
    device["label"] = "heal"
    device["outdoor_temp"] = 4
    device.remove("holding_register", [20])
    after = dump(Thermostat, Reader(device))

    assert [str(each) for each in diff(before, after, Thermostat)] == [
        "label (holding_register 11 to 12): 'heat' -> 'heal'",
        "model (holding_register 20): 7 -> missing",
        "outdoor_temp (input_register 1): -3 -> 4",
    ]
    assert [str(each) for each in diff(after, before)] == [
        "holding_register 12: 24940 -> 24948",
        "holding_register 20: missing -> 7",
        "input_register 1: 4 -> 65533",
    ]
    assert diff(before, before, Thermostat) == []


def test_neighbours_without_a_name_are_one_change() -> None:
    before, after = Snapshot({"coil": {1: 0, 2: 0, 4: 0}}), Snapshot({"coil": {1: 1, 2: 1, 4: 1}})

    assert diff(before, after, Thermostat) == [
        Change("coil", range(1, 3), (0, 0), (1, 1)),
        Change("coil", range(4, 5), (0,), (1,)),
    ]


def test_what_cannot_be_decoded_is_told_as_integers() -> None:
    before = Snapshot({"holding_register": {11: 1, 12: 2}})
    after = Snapshot({"holding_register": {11: 0x6161, 12: 0xFFFF}})

    class Strict(Schema):
        even = holding_register(range(11, 13), "even")

        @staticmethod
        def decode_even(values: Sequence[int]) -> int:
            if sum(values) % 2:
                raise ZeroDivisionError
            return sum(values)

    assert [str(each) for each in diff(before, after, Strict)] == [
        "even (holding_register 11 to 12): 1 2 -> 90464"
    ]
