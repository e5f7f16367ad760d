# SPDX-License-Identifier: Apache-2.0
"""What a device held at one moment: read from it, kept in a file, served again, compared.

    taken = await adump(Thermostat, device.unit.read)
    taken.save("thermostat.json")
    with VirtualServer(Snapshot.load("thermostat.json").virtual(Thermostat)) as server: ...
    for change in diff(Snapshot.load("before.json"), taken, Thermostat): print(change)

A snapshot has integers by address, as the device gave them, so that it needs no schema and outlives
changes of one. Addresses that the device refused are noted as refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heliograph.modboss.definition import MAX_ADDRESS, READ_LIMITS
from heliograph.modboss.errors import DeviceError, ModbossError, WrongCountError, shown
from heliograph.modboss.mapping import BITS, OBJECT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.schema import Schema
    from heliograph.modboss.virtual import VirtualDevice

__all__ = ["Change", "Snapshot", "SnapshotError", "adump", "diff", "dump"]

What: TypeAlias = "type[Schema] | Mapping[ObjectType, Iterable[range]]"

_FORMAT: Final = "heliograph modbus snapshot"
_VERSION: Final = 1


class SnapshotError(ModbossError, ValueError):
    """A file is no snapshot; the text says which file, what is wrong, and where in it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a device held at one moment."""

    objects: Mapping[ObjectType, Mapping[int, int]]
    """Integers by object type and address: 0 to 65535, of coils and discrete inputs 0 or 1."""
    refused: Mapping[ObjectType, tuple[int, ...]] = field(default_factory=dict)
    """Addresses that were asked for, and that the device refused."""
    device_id: int = 1
    schema: str | None = None
    """The name of the schema that said what to read."""
    source: str | None = None
    """Where the device was, as a URL."""
    taken: str | None = None
    """When it was begun, by RFC 3339 in UTC."""

    def save(self, path: str | Path) -> None:
        """Write it to a file, as JSON that people can read and compare.

        Raises:
            OSError: The file cannot be written.
        """
        Path(path).write_text(self.dumps(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Snapshot:
        """Read what `save` wrote.

        Raises:
            OSError: The file cannot be read.
            SnapshotError: It is no snapshot.
        """
        return cls.loads(Path(path).read_bytes(), str(path))

    def dumps(self) -> str:
        """The text that `save` writes."""
        about = {
            "device_id": self.device_id,
            "schema": self.schema,
            "source": self.source,
            "taken": self.taken,
        }
        head = {"format": _FORMAT, "version": _VERSION, **about}
        lines = [f'  "{key}": {json.dumps(value)},' for key, value in head.items()]
        blocks = [
            f'    "{object_type}": {{{_block(self.objects[object_type])}}}'
            for object_type in OBJECT_TYPES
            if self.objects.get(object_type)
        ]
        refused = {
            object_type: [f"{run.start}-{run.stop - 1}" for run in _runs(addresses)]
            for object_type, addresses in self.refused.items()
            if addresses
        }
        inner = ",\n".join(blocks)
        lines += ['  "objects": {', *([inner] if inner else []), "  },"]
        lines.append(f'  "refused": {json.dumps(refused)}')
        return "\n".join(["{", *lines, "}", ""])

    @classmethod
    def loads(cls, text: str | bytes, name: str = "snapshot") -> Snapshot:
        """Read the text that `dumps` gave.

        Args:
            text: The text.
            name: What errors call it.

        Raises:
            SnapshotError: It is no snapshot.
        """
        return _Reader(name).read(text)

    def values(self, schema: type[Schema], **context: Any) -> dict[str, Any]:
        """Decode the mappings of a schema that are there as a whole.

        Raises:
            DecodeError: A codec gives the integers no meaning.
        """
        found = {}
        for name, mapping in schema.mappings.items():
            cells = self.objects.get(mapping.object_type, {})
            integers = [cells[each] for each in mapping.addresses if each in cells]
            if mapping.readable and len(integers) == mapping.address_count:
                found[name] = mapping.decode(integers, context)
        return found

    def virtual(self, schema: type[Schema] | None = None, **options: Any) -> VirtualDevice:
        """A device that holds the same, and refuses what the original refused.

        Args:
            schema: Gives names to its objects; it says, too, which of them can be written. Without
                one all coils and holding registers can.
            options: Those of `VirtualDevice`, such as `unit`.
        """
        from heliograph.modboss.virtual import VirtualDevice

        raw: dict[ObjectType, dict[int, list[int]]] = {
            object_type: {run.start: [cells[each] for each in run] for run in _runs(cells)}
            for object_type, cells in self.objects.items()
        }
        device = VirtualDevice(schema, raw=raw, **{"unit": self.device_id, **options})
        for mapping in schema.mappings.values() if schema is not None else ():
            if mapping.readable:
                held = self.objects.get(mapping.object_type, {})
                device.remove(mapping.object_type, set(mapping.addresses).difference(held))
        return device


# -- Reading it from a device ---------------------------------------------------------------------


def dump(what: What, read_func: Callable[[ObjectType, int, int], Any], **about: Any) -> Snapshot:
    """Read a device as a whole, integers only.

    A block that the device refuses is halved until it is known which addresses it refuses.

    Args:
        what: A schema, of which all that can be read is; or ranges of addresses by object type.
        read_func: Reads `(object_type, starting_address, count)`, as of `heliograph.modboss.read`.
        about: `device_id`, `schema`, `source` and `taken` of the snapshot.

    Raises:
        DeviceError: The device failed otherwise than by refusing.
        WrongCountError: It gave another number of values than asked for.
        ValueError: A range is none.
    """
    steps = _dumping(what, about)
    try:
        request = next(steps)
        while True:
            try:
                values = read_func(*request)
            except DeviceError as error:
                request = steps.throw(error)
            else:
                request = steps.send(values)
    except StopIteration as end:
        snapshot: Snapshot = end.value
        return snapshot


async def adump(
    what: What, read_func: Callable[[ObjectType, int, int], Coroutine[Any, Any, Any]], **about: Any
) -> Snapshot:
    """Do what `dump` does, with a coroutine function such as `device.unit.read`."""
    steps = _dumping(what, about)
    try:
        request = next(steps)
        while True:
            try:
                values = await read_func(*request)
            except DeviceError as error:
                request = steps.throw(error)
            else:
                request = steps.send(values)
    except StopIteration as end:
        snapshot: Snapshot = end.value
        return snapshot


def _dumping(
    what: What, about: dict[str, Any]
) -> Generator[tuple[ObjectType, int, int], Any, Snapshot]:
    about.setdefault("taken", datetime.now(UTC).isoformat(timespec="milliseconds"))
    if isinstance(what, Mapping):
        pieces = _pieces_of_ranges(what)
    else:
        about.setdefault("schema", what.schema_name)
        pieces = _pieces_of_schema(what)
    objects: dict[ObjectType, dict[int, int]] = {}
    refused: dict[ObjectType, list[int]] = {}
    for object_type, piece in pieces:
        pending = [piece]
        while pending:
            block = pending.pop()
            try:
                values = yield object_type, block.start, len(block)
            except DeviceError as error:
                if not error.refusal:
                    raise
                if len(block) == 1:
                    refused.setdefault(object_type, []).append(block.start)
                else:
                    half = block.start + len(block) // 2
                    pending += [range(half, block.stop), range(block.start, half)]
                continue
            listed = values if isinstance(values, list | tuple) else [values]
            if len(listed) != len(block):
                raise WrongCountError(object_type, block.start, len(block), len(listed))
            objects.setdefault(object_type, {}).update(zip(block, map(int, listed), strict=True))
    return Snapshot(
        {kind: dict(sorted(cells.items())) for kind, cells in objects.items()},
        {kind: tuple(sorted(addresses)) for kind, addresses in refused.items()},
        **about,
    )


def _pieces_of_ranges(
    ranges: Mapping[ObjectType, Iterable[range]],
) -> list[tuple[ObjectType, range]]:
    pieces = []
    for object_type, given in ranges.items():
        if object_type not in OBJECT_TYPES:
            raise ValueError(
                f"{object_type!r} is no object type; give one of {', '.join(OBJECT_TYPES)}"
            )
        limit = READ_LIMITS[object_type]
        for each in given:
            if not each or each.step != 1 or each.start < 0 or each.stop > MAX_ADDRESS + 1:
                raise ValueError(
                    f"{each} of {object_type} is no range of addresses; they go up by one, within "
                    f"0 to {MAX_ADDRESS}"
                )
            pieces += [
                (object_type, range(start, min(start + limit, each.stop)))
                for start in range(each.start, each.stop, limit)
            ]
    return pieces


def _pieces_of_schema(schema: type[Schema]) -> list[tuple[ObjectType, range]]:
    """Neighbouring mappings are read together, and a mapping in one go, so that it is not torn."""
    pieces: list[tuple[ObjectType, range]] = []
    readable = [each for each in schema.mappings.values() if each.readable]
    for mapping in sorted(
        readable, key=lambda each: (OBJECT_TYPES.index(each.object_type), each.starting_address)
    ):
        limit = schema.read_limits[mapping.object_type]
        if pieces:
            object_type, run = pieces[-1]
            if (
                object_type == mapping.object_type
                and run.stop == mapping.starting_address
                and mapping.end_address - run.start <= limit
            ):
                pieces[-1] = object_type, range(run.start, mapping.end_address)
                continue
        pieces.append((mapping.object_type, mapping.addresses))
    return pieces


# -- Comparing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two snapshots: a mapping, or neighbouring addresses without a name."""

    object_type: ObjectType
    addresses: range
    before: tuple[int | None, ...]
    """The integers, None for an address that the first snapshot has not."""
    after: tuple[int | None, ...]
    """The integers, None for an address that the second snapshot has not."""
    name: str | None = None
    value_before: Any = None
    """The decoded value, None without a name, or where an address is missing."""
    value_after: Any = None

    def __str__(self) -> str:
        last = f" to {self.addresses.stop - 1}" if len(self.addresses) > 1 else ""
        where = f"{self.object_type} {self.addresses.start}{last}"
        if self.name is None:
            return f"{where}: {_told(self.before)} -> {_told(self.after)}"
        old = _told(self.before) if self.value_before is None else repr(self.value_before)
        new = _told(self.after) if self.value_after is None else repr(self.value_after)
        return f"{self.name} ({where}): {old} -> {new}"


def _told(integers: Sequence[int | None]) -> str:
    return " ".join("missing" if each is None else str(each) for each in integers)


def diff(before: Snapshot, after: Snapshot, schema: type[Schema] | None = None) -> list[Change]:
    """What differs between two snapshots, by object type and address.

    Args:
        before: The one.
        after: The other.
        schema: Names what differs, and decodes it; a value that cannot be decoded is left out.
    """
    changes = []
    for object_type in OBJECT_TYPES:
        old, new = before.objects.get(object_type, {}), after.objects.get(object_type, {})
        differing = {each for each in {*old, *new} if old.get(each) != new.get(each)}
        named = [
            mapping
            for mapping in (schema.mappings.values() if schema is not None else ())
            if mapping.object_type == object_type and not differing.isdisjoint(mapping.addresses)
        ]
        found = [
            Change(
                object_type,
                mapping.addresses,
                integers_before := tuple(map(old.get, mapping.addresses)),
                integers_after := tuple(map(new.get, mapping.addresses)),
                mapping.name,
                _decoded(mapping, integers_before),
                _decoded(mapping, integers_after),
            )
            for mapping in named
        ]
        unnamed = differing.difference(*(mapping.addresses for mapping in named))
        found += [
            Change(object_type, run, tuple(map(old.get, run)), tuple(map(new.get, run)))
            for run in _runs(unnamed)
        ]
        changes += sorted(found, key=lambda change: change.addresses.start)
    return changes


def _decoded(mapping: Any, integers: tuple[int | None, ...]) -> Any:
    if None in integers:
        return None
    try:
        return mapping.decode(integers)
    except Exception:  # noqa: BLE001 - codecs are anybody's; the integers are told all the same
        return None


# -- The file -------------------------------------------------------------------------------------


def _runs(addresses: Iterable[int]) -> list[range]:
    runs: list[range] = []
    for address in sorted(addresses):
        if runs and runs[-1].stop == address:
            runs[-1] = range(runs[-1].start, address + 1)
        else:
            runs.append(range(address, address + 1))
    return runs


def _block(cells: Mapping[int, int]) -> str:
    return ", ".join(
        f'"{run.start}": {json.dumps([cells[each] for each in run])}' for run in _runs(cells)
    )


class _Reader:
    """Takes a file apart, and says what is wrong with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, text: str | bytes) -> Snapshot:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise self._error(f"is no JSON: {error}") from None
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise self._error(f'is no snapshot: it has no "format": "{_FORMAT}"')
        if document.get("version") != _VERSION:
            version = shown(document.get("version"))
            raise self._error(f"has version {version}; this program reads version {_VERSION}")
        about: dict[str, Any] = {}
        for key in ("schema", "source", "taken"):
            about[key] = document.get(key)
            if not isinstance(about[key], str | None):
                raise self._error(f"{key} is {shown(about[key])}; it must be text or null")
        device_id = document.get("device_id")
        if type(device_id) is not int or not 0 <= device_id <= 255:
            raise self._error(f"device_id is {shown(device_id)}; it must be from 0 to 255")
        return Snapshot(
            {
                kind: self._cells(kind, self._table(f"objects: {kind}", blocks))
                for kind, blocks in self._kinds(document, "objects").items()
            },
            {
                kind: self._addresses(kind, runs)
                for kind, runs in self._kinds(document, "refused").items()
            },
            device_id=device_id,
            **about,
        )

    def _error(self, text: str) -> SnapshotError:
        return SnapshotError(f"{self._name} {text}")

    def _table(self, where: str, found: object) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise self._error(f"{where} is {shown(found)}; it must be an object")
        return found

    def _kinds(self, document: dict[str, Any], key: str) -> dict[ObjectType, Any]:
        found = self._table(key, document.get(key, {}))
        for kind in found:
            if kind not in OBJECT_TYPES:
                raise self._error(
                    f"{key}: {shown(kind)} is no object type; there are {', '.join(OBJECT_TYPES)}"
                )
        return found  # type: ignore[return-value]  # just looked at

    def _cells(self, kind: ObjectType, blocks: dict[str, Any]) -> dict[int, int]:
        most = 1 if kind in BITS else 0xFFFF
        cells: dict[int, int] = {}
        for key, values in blocks.items():
            start = self._address(f"objects: {kind}", key)
            if not isinstance(values, list) or start + len(values) > MAX_ADDRESS + 1:
                raise self._error(
                    f"objects: {kind} {key}: {shown(values)} is no list of values that fit there"
                )
            for address, value in enumerate(values, start):
                if type(value) is not int or not 0 <= value <= most:
                    raise self._error(
                        f"objects: {kind} {address} is {shown(value)}; it must be from 0 to {most}"
                    )
                if address in cells:
                    raise self._error(f"objects: {kind} {address} is there twice")
                cells[address] = value
        return dict(sorted(cells.items()))

    def _addresses(self, kind: ObjectType, runs: object) -> tuple[int, ...]:
        where = f"refused: {kind}"
        if not isinstance(runs, list):
            raise self._error(f"{where} is {shown(runs)}; it must be a list")
        addresses: set[int] = set()
        for run in runs:
            first, _, last = str(run).partition("-")
            start, end = self._address(where, first), self._address(where, last or first)
            addresses.update(range(start, end + 1))
        return tuple(sorted(addresses))

    def _address(self, where: str, text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= MAX_ADDRESS:
            return int(text)
        raise self._error(f"{where}: {shown(text)} is no address from 0 to {MAX_ADDRESS}")
