# SPDX-License-Identifier: Apache-2.0
"""The file that a gateway is run by: what it may hold, and what it holds."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from heliograph import Telemetry
from heliograph.apps.gateway.grammar import GATEWAY
from heliograph.apps.gateway.scraping import installed
from heliograph.catalog.config import HANDLERS, plan_handlers
from heliograph.catalog.errors import ConfigError, Faults, StopReadingError, did_you_mean, shorten
from heliograph.catalog.shapes import check_file
from heliograph.modboss import ModbossError, Schema, SchemaError, transport_from_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.catalog.config import Handlers
    from heliograph.catalog.model import Where
    from heliograph.catalog.shapes import Cell, Entry
    from heliograph.modboss import Transport

__all__ = ["Cluster", "DeviceConfig", "GatewayConfig", "Group", "Otlp", "load"]


@dataclass(frozen=True, slots=True)
class Group:
    """Mappings of a device that are read together.

    Attributes:
        name: What events call it.
        names: The mappings; None for all that can be read.
        every: Seconds between two readings.
        dead_bands: Mapping name -> by how much its value must differ to be told.
    """

    name: str
    names: tuple[str, ...] | None
    every: float
    dead_bands: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device of the fleet.

    Attributes:
        name: Its name.
        address: Where it is, as a URL.
        transport: The same, parsed.
        unit: Its id behind that address.
        place: Where its schema comes from: a file, or `package.module:Class`.
        schema: The schema.
        groups: What is read how often.
        tags: Attributes of all its values.
        attempts: How often a request is made before a reading counts as failed.
        spacing: Seconds between two requests on its link.
        content: Digest of what the file says of it, the schema included.
    """

    name: str
    address: str
    transport: Transport
    unit: int
    place: str
    schema: type[Schema]
    groups: tuple[Group, ...]
    attempts: int
    spacing: float
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    content: str = ""

    def same(self, other: DeviceConfig) -> bool:
        """Whether nothing has changed, so that polling can just go on."""
        return self.content == other.content


@dataclass(frozen=True, slots=True)
class Cluster:
    """How a gateway finds the others.

    Attributes:
        name: Its name in the cluster.
        listen: Where it listens.
        advertise: Where others reach it, if that is elsewhere.
        seeds: Name -> address of gateways to join.
        tls: Paths of certificate, authority and perhaps key; None for plain connections.
        bind_names: Whether peers may only have names that their certificates hold.
        state: File that keeps the membership over restarts.
        settle: Seconds without change before a gateway takes what has become its own.
        patience: Seconds a starting gateway waits for others before it polls alone.
    """

    name: str
    listen: str
    advertise: tuple[str, ...] = ()
    seeds: Mapping[str, str] = field(default_factory=dict)
    tls: Mapping[str, str] | None = None
    bind_names: bool = False
    state: Path | None = None
    settle: float = 0.5
    patience: float = 5.0


@dataclass(frozen=True, slots=True)
class Otlp:
    """Where telemetry goes; what is None is left to the standard variables."""

    endpoint: str | None = None
    protocol: Any = None
    headers: Mapping[str, str] | None = None
    service_name: str | None = None
    metric_interval: float | None = None
    delay: float | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What a gateway's file holds.

    Attributes:
        path: The file.
        devices: The devices, by name.
        cluster: How it finds others; None for a gateway that is alone.
        otlp: Where telemetry goes; None for nowhere.
        health: Where it answers about its health; None for nowhere.
        prometheus: Whether it answers there with its metrics, too.
        handlers: What is attached to events while it runs; None for nothing.
        stop_within: Seconds that stopping may take.
    """

    path: Path
    devices: Mapping[str, DeviceConfig]
    cluster: Cluster | None = None
    otlp: Otlp | None = None
    health: str | None = None
    prometheus: bool = False
    handlers: Handlers | None = None
    stop_within: float = 10.0

    @property
    def name(self) -> str:
        """The gateway's name; without a cluster it is made of the machine's."""
        return self.cluster.name if self.cluster is not None else f"gateway@{os.uname().nodename}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that any of its devices has, in alphabetical order."""
        return tuple(sorted({tag for device in self.devices.values() for tag in device.tags}))

    def limited(self, device: str, mapping: str, side: str) -> bool:
        """Whether a mapping of a device has a limit on that side."""
        known = self.devices.get(device)
        limits = None if known is None else known.schema.mappings.get(mapping)
        if limits is None:
            return False
        return (limits.alarm_above if side == "above" else limits.alarm_below) is not None

    @property
    def digest(self) -> str:
        """What gateways compare, to learn whether they share out the same devices."""
        return hashlib.blake2b("\0".join(sorted(self.devices)).encode(), digest_size=8).hexdigest()


def load(path: str | os.PathLike[str]) -> GatewayConfig:
    """Read a gateway's file, and the device files that it names.

    Raises:
        ConfigError: Something is wrong; all faults are named, each with its line.
        ImportError: PyYAML is not installed.
    """
    faults = Faults()
    config: GatewayConfig | None = None
    with suppress(StopReadingError):
        top = check_file(path, GATEWAY, faults, "gateway")
        if top is not None:
            config = _Reading(Path(path), faults).config(top)
    if faults or config is None:
        raise ConfigError(faults)
    return config


class _Reading:
    """Makes a configuration of what has passed the shapes."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._schemas: dict[str, type[Schema] | None] = {}

    def config(self, top: Entry) -> GatewayConfig:
        devices = {
            name: made
            for name, cell in top.entry("devices").cells.items()
            if cell.value is not None and (made := self._device(name, cell.value)) is not None
        }
        return GatewayConfig(
            path=self._path,
            devices=devices,
            cluster=self._cluster(top.entry("cluster")) if "cluster" in top else None,
            otlp=_otlp(top.entry("otlp")) if "otlp" in top else None,
            health=self._address(top.cells.get("health")),
            prometheus=self._prometheus(top),
            handlers=self._handlers(top),
            stop_within=top.get("stop_within", 10.0),
        )

    def _file(self, name: str) -> Path:
        return self._path.parent / name

    # -- Devices ----------------------------------------------------------------------------------

    def _device(self, name: str, entry: Entry) -> DeviceConfig | None:
        transport = None
        with self._told(entry.where_of("address")):
            transport = transport_from_url(entry.get("address", ""))
        place = entry.get("schema")
        if transport is None or place is None or entry.broken:
            return None
        schema = self._schema(place, entry.where_of("schema"))
        if schema is None:
            return None
        groups = tuple(
            self._group(group, cell.value, schema)
            for group, cell in entry.entry("groups").cells.items()
            if cell.value is not None
        )
        made = DeviceConfig(
            name=name,
            address=entry.get("address"),
            transport=transport,
            unit=entry.get("unit", 1),
            place=place,
            schema=schema,
            groups=groups or (Group("default", None, 1.0),),
            tags=self._tags(entry.entry("tags")),
            attempts=entry.get("attempts", 3),
            spacing=entry.get("spacing", 0.0),
        )
        return replace(made, content=_content(made, self._file(place)))

    def _tags(self, entry: Entry) -> dict[str, str]:
        found = {}
        for name, cell in entry.cells.items():
            if name.startswith(_OURS):
                mend = "begin it with a word of your own"
                self._faults.add(f"tag {name!r} is one of the gateway's", cell.where, mend)
            elif cell.value is not None:
                text = str(cell.value)
                found[name] = text.lower() if isinstance(cell.value, bool) else text
        return found

    def _group(self, name: str, entry: Entry, schema: type[Schema]) -> Group:
        names = None
        readable = [each.name for each in schema.mappings.values() if each.readable]
        if "names" in entry:
            names = tuple(cell.value for cell in entry.items("names"))
            for cell in entry.items("names"):
                self._known(cell.value, readable, cell.where, schema)
        bands = entry.entry("dead_bands").cells
        for band, cell in bands.items():
            self._known(band, readable if names is None else names, cell.where, schema)
        return Group(
            name,
            names,
            entry.get("every", 1.0),
            {band: cell.value for band, cell in bands.items() if cell.value is not None},
        )

    def _known(self, name: str, names: Any, where: Where, schema: type[Schema]) -> None:
        if name not in names:
            mend = did_you_mean(name, names, f"there are {', '.join(list(names)[:8])}")
            self._faults.add(f"{schema.schema_name} has no {name!r} to be read here", where, mend)

    def _schema(self, place: str, where: Where) -> type[Schema] | None:
        if place in self._schemas:
            return self._schemas[place]
        self._schemas[place] = None
        with self._told(where):
            self._schemas[place] = self._load(place)
        return self._schemas[place]

    def _load(self, place: str) -> type[Schema]:
        module, colon, name = place.partition(":")
        if not colon or self._file(place).exists():
            return Schema.from_file(self._file(place))
        self._importable()
        found: Any = self._imported(module)
        for part in name.split("."):
            found = getattr(found, part)
        if not (isinstance(found, type) and issubclass(found, Schema)):
            raise TypeError(f"{place} is no schema; derive it from heliograph.modboss.Schema")
        return found

    def _imported(self, module: str) -> Any:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # a module of the user's may raise anything
            reason = f"{type(error).__name__}: {shorten(str(error), 200)}"
            raise ImportError(f"importing {module!r} fails: {reason}; mend that module") from error

    def _importable(self) -> None:
        """Let modules that lie beside the file be found."""
        folder = str(self._path.parent.absolute())
        if folder not in sys.path:
            sys.path.insert(0, folder)

    def _told(self, where: Where) -> _Told:
        return _Told(self._faults, where)

    # -- The rest ---------------------------------------------------------------------------------

    def _handlers(self, top: Entry) -> Handlers | None:
        given = top.get("handlers")
        if not given:
            return None
        self._importable()
        section, folder = top, self._path.parent
        if isinstance(given, str):
            path = self._file(given)
            found = check_file(path, HANDLERS, self._faults)
            if found is None:
                return None
            section, folder = found, path.parent
        planned = plan_handlers(section, folder, self._faults)
        if not self._faults:
            # Tried where nobody listens: whether they can be attached is known only then.
            try:
                planned.attach(Telemetry()).close()
            except ConfigError as error:
                self._faults.extend(error.faults)
        return planned

    def _cluster(self, entry: Entry) -> Cluster:
        tls, bind = None, False
        if "tls" in entry:
            given = entry.entry("tls")
            tls = {
                name: str(self._file(given.get(name)))
                for name in ("certificate", "key", "authority")
                if name in given.cells
            }
            bind = given.get("bind_names", False)
        state = entry.get("state")
        return Cluster(
            name=entry.get("name", ""),
            listen=self._address(entry.cells.get("listen")) or "127.0.0.1:0",
            advertise=tuple(
                address
                for cell in entry.items("advertise")
                if (address := self._address(cell, lowest=1)) is not None
            ),
            seeds={
                name: address
                for name, cell in entry.entry("seeds").cells.items()
                if (address := self._address(cell, lowest=1)) is not None
            },
            tls=tls,
            bind_names=bind,
            state=None if state is None else self._file(state),
            settle=entry.get("settle", 0.5),
            patience=entry.get("patience", 5.0),
        )

    def _prometheus(self, top: Entry) -> bool:
        wanted: bool = top.get("prometheus", False)
        if wanted and "health" not in top:
            where = top.where_of("prometheus")
            self._faults.add("metrics, and nowhere to answer with them", where, "add health")
        elif wanted and not installed():
            mend = 'pip install "heliograph[prometheus]"'
            self._faults.add("the exporter is missing", top.where_of("prometheus"), mend)
        return wanted

    def _address(self, cell: Cell | None, lowest: int = 0) -> str | None:
        if cell is None or cell.value is None:
            return None
        text: str = cell.value
        port = text.rpartition(":")[2]
        if not lowest <= int(port) <= _PORTS:
            mend = f"ports go from {lowest} to {_PORTS}"
            self._faults.add(f"{port} is no port", cell.where, mend)
        return text


_PORTS: Final = 0xFFFF

# Attributes that a device's values have anyway, or that their export may add.
_OURS: Final = ("gateway.", "otel.")

_UNREADABLE = (ModbossError, ValueError, TypeError, ImportError, AttributeError, OSError)


class _Told:
    """Turns what reading a device can fail with into faults at a place."""

    def __init__(self, faults: Faults, where: Where) -> None:
        self._faults = faults
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        if isinstance(error, SchemaError):
            for fault in error.faults:
                self._faults.add(str(fault), self._where)
            return True
        if isinstance(error, _UNREADABLE):
            self._faults.add(str(error), self._where)
            return True
        return False


def _otlp(entry: Entry) -> Otlp:
    headers = entry.entry("headers").cells
    return Otlp(
        endpoint=entry.get("endpoint"),
        protocol=entry.get("protocol"),
        headers={name: cell.value for name, cell in headers.items()} if headers else None,
        service_name=entry.get("service_name"),
        metric_interval=entry.get("metric_interval"),
        delay=entry.get("delay"),
        where=entry.where,
    )


def _content(device: DeviceConfig, file: Path) -> str:
    # A class cannot change while its module stays imported; a file can.
    content = hashlib.blake2b(file.read_bytes()).hexdigest() if file.is_file() else ""
    groups = [
        (each.name, each.names, each.every, sorted(each.dead_bands.items()))
        for each in device.groups
    ]
    said = [device.address, device.unit, device.place, device.attempts, device.spacing]
    return json.dumps([said, groups, sorted(device.tags.items()), content])
