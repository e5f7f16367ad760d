# SPDX-License-Identifier: Apache-2.0
"""A device that exists in memory alone: its objects, its scripts, its faults and its log."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from heliograph.modboss.mapping import BITS, OBJECT_TYPES
from heliograph.modboss.virtual.checks import check_integer
from heliograph.modboss.virtual.faults import FaultPlan, Refuse
from heliograph.modboss.virtual.requests import FUNCTIONS, Request
from heliograph.modboss.virtual.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
    from typing import Literal

    from heliograph.modboss.mapping import Mapping as ObjectMapping
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.schema import Schema
    from heliograph.modboss.virtual.faults import Fault, Rule

__all__ = ["Admission", "VirtualDevice"]

_ILLEGAL_ADDRESS: Final = 2
_DEVICE_FAILURE: Final = 4

# Our choice: more than a test looks at, and a bound for a simulator that runs for weeks.
_KEPT: Final = 10_000

_log = logging.getLogger(__name__)


class Admission(NamedTuple):
    """What is to become of a request."""

    request: Request
    faults: tuple[Fault, ...]


class _Scripted:
    """A mapping whose value changes by itself."""

    __slots__ = ("mapping", "reads", "script")

    def __init__(self, mapping: ObjectMapping, script: Script) -> None:
        self.mapping = mapping
        self.script = script
        self.reads = 0


class VirtualDevice:
    """A Modbus device without hardware, which `VirtualServer` puts on a connection.

    It has the objects of its schema, and whatever is given as raw values; requests for any other
    address are refused as illegal (exception code 2), and so are writes to what the schema calls
    read-only, and reads of what it calls write-only. A value may be a `Script` (`ramp`, `sine`,
    `steps`) or a callable of the seconds served; it then changes by itself until it is written.

    All methods may be called from any thread, also while it serves.
    """

    def __init__(
        self,
        schema: type[Schema] | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        raw: Mapping[ObjectType, Mapping[int, int | Sequence[int]]] | None = None,
        unit: int = 1,
        context: Mapping[Any, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        keep: int = _KEPT,
    ) -> None:
        """Make a device; objects without a value are zero.

        Args:
            schema: The names, types and addresses of its objects.
            values: Values, scripts or callables by name.
            raw: Integers by object type and address; they win over the schema's zeros.
            unit: Its id on the line, from 0 to 255.
            context: What custom codecs get.
            clock: Seconds; scripts and the log count from the start of serving.
            keep: How many requests the log keeps.

        Raises:
            ValueError: An address, a unit or a raw value is out of range.
            LookupError: The schema has no such name.
            EncodeError: A value does not fit its mapping.
        """
        self.schema = schema
        self.unit: int = check_integer("VirtualDevice: unit", unit, 0, 255)
        self.faults: FaultPlan = FaultPlan()
        """The rules of this device."""
        self.failures: deque[Exception] = deque(maxlen=100)
        """What scripts raised; the request was then refused with exception code 4."""
        self.on_request: Callable[[Request], object] | None = None
        """Called with each request as it comes, in the server's thread; must not block."""
        self._context = MappingProxyType(dict(context or {}))
        self._clock = clock
        self._began = clock()
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._count = 0
        self._requests: deque[Request] = deque(maxlen=keep)
        self._written: deque[tuple[str, Any]] = deque(maxlen=keep)
        self._cells: dict[ObjectType, dict[int, int]] = {each: {} for each in OBJECT_TYPES}
        self._absent: dict[ObjectType, set[int]] = {each: set() for each in OBJECT_TYPES}
        self._unreadable: dict[ObjectType, set[int]] = {each: set() for each in OBJECT_TYPES}
        self._unwritable: dict[ObjectType, set[int]] = {each: set() for each in OBJECT_TYPES}
        self._scripted: dict[str, _Scripted] = {}
        self._mappings: Mapping[str, ObjectMapping] = {} if schema is None else schema.mappings
        for mapping in self._mappings.values():
            self._add(mapping)
        for object_type, blocks in (raw or {}).items():
            for address, block in blocks.items():
                self._load(object_type, address, block)
        for name, value in (values or {}).items():
            self[name] = value

    def __repr__(self) -> str:
        what = self.schema.__name__ if self.schema is not None else "raw objects"
        return f"<VirtualDevice {what}, unit {self.unit}>"

    def _add(self, mapping: ObjectMapping) -> None:
        addresses = mapping.addresses
        self._cells[mapping.object_type].update(dict.fromkeys(addresses, 0))
        if not mapping.readable:
            self._unreadable[mapping.object_type].update(addresses)
        if not mapping.writable:
            self._unwritable[mapping.object_type].update(addresses)

    def _load(self, object_type: ObjectType, address: int, block: int | Sequence[int]) -> None:
        if object_type not in self._cells:
            raise ValueError(
                f"raw: object type {object_type!r} is unknown; give one of "
                f"{', '.join(OBJECT_TYPES)}"
            )
        values = [block] if isinstance(block, int) else block
        if not 0 <= address <= address + len(values) <= 0x10000:
            raise ValueError(
                f"raw: {object_type} {address} and the {len(values)} values from there are out of "
                "range; addresses go from 0 to 65535"
            )
        self._store_cells(object_type, address, values)

    # -- Values -----------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """The value of a mapping, decoded: what the next read would get."""
        mapping = self._mapping(name)
        with self._lock:
            scripted = self._scripted.get(name)
            if scripted is not None:
                return scripted.script.at(self._seconds(), scripted.reads)
            return self._decode(mapping)

    def __setitem__(self, name: str, value: Any) -> None:
        """Give a mapping a value, a script, or a callable of the seconds served."""
        mapping = self._mapping(name)
        script = Script.of(value)
        with self._lock:
            self._absent[mapping.object_type].difference_update(mapping.addresses)
            if script is not None:
                self._scripted[name] = _Scripted(mapping, script)
                return
            self._scripted.pop(name, None)
            self._store_value(mapping, value)

    def _mapping(self, name: str) -> ObjectMapping:
        mapping = self._mappings.get(name)
        if mapping is None:
            known = ", ".join(self._mappings) or "none, for want of a schema"
            raise LookupError(f"{self!r} has no mapping {name!r}; there are {known}")
        return mapping

    def _store_value(self, mapping: ObjectMapping, value: Any) -> None:
        encoded = mapping.encode(value, self._context)
        self._store_cells(mapping.object_type, mapping.starting_address, encoded)

    def _decode(self, mapping: ObjectMapping) -> Any:
        cells = self._cells[mapping.object_type]
        return mapping.decode([cells[each] for each in mapping.addresses], self._context)

    def raw(self, object_type: ObjectType, address: int, count: int = 1) -> list[int]:
        """The integers at an address as a read would get them.

        Raises:
            LookupError: The device has no object there.
        """
        with self._lock:
            self._refresh(object_type, address, count, reading=False)
            cells = self._cells[object_type]
            try:
                return [cells[each] for each in range(address, address + count)]
            except KeyError as missing:
                raise LookupError(
                    f"{self!r} has no {object_type} {missing.args[0]}; give addresses of its own"
                ) from None

    def set_raw(self, object_type: ObjectType, address: int, values: int | Sequence[int]) -> None:
        """Set the integers at an address and behind it; scripts there end.

        Raises:
            LookupError: The device has no object there.
            ValueError: A value does not fit an object.
        """
        block = [values] if isinstance(values, int) else list(values)
        with self._lock:
            for each in range(address, address + len(block)):
                if each not in self._cells[object_type]:
                    raise LookupError(f"{self!r} has no {object_type} {each}; give it as raw")
            self._end_scripts(object_type, address, len(block))
            self._store_cells(object_type, address, block)
            self._absent[object_type].difference_update(range(address, address + len(block)))

    def remove(self, object_type: ObjectType, addresses: Iterable[int]) -> None:
        """Let requests for these addresses be refused, as if there were no objects.

        What is set there afterwards brings them back.
        """
        with self._lock:
            self._absent[object_type].update(addresses)

    def _store_cells(self, object_type: ObjectType, address: int, values: Sequence[Any]) -> None:
        most = 1 if object_type in BITS else 0xFFFF
        self._cells[object_type].update(
            {
                # A bit may be given as a truth value.
                place: check_integer(
                    f"{object_type} {place}:",
                    int(value) if isinstance(value, bool) else value,
                    0,
                    most,
                )
                for place, value in enumerate(values, address)
            }
        )

    def objects(self) -> dict[ObjectType, dict[int, int]]:
        """A copy of all objects, by type and address, as they are stored now."""
        with self._lock:
            for object_type, cells in self._cells.items():
                if cells:
                    self._refresh(object_type, 0, 0x10000, reading=False)
            return {
                object_type: {
                    address: cells[address]
                    for address in sorted(cells.keys() - self._absent[object_type])
                }
                for object_type, cells in self._cells.items()
            }

    # -- Scripts ----------------------------------------------------------------------------------

    def restart(self) -> None:
        """Let scripts begin anew: time is zero, and nothing has been read."""
        with self._lock:
            self._began = self._clock()
            for scripted in self._scripted.values():
                scripted.reads = 0

    def _seconds(self) -> float:
        return self._clock() - self._began

    def _touched(
        self, object_type: ObjectType, address: int, count: int
    ) -> list[tuple[str, ObjectMapping]]:
        return [
            (name, mapping)
            for name, mapping in self._mappings.items()
            if mapping.object_type == object_type
            and mapping.starting_address < address + count
            and address < mapping.end_address
        ]

    def _refresh(self, object_type: ObjectType, address: int, count: int, *, reading: bool) -> None:
        """Bring what scripts say into memory."""
        now = self._seconds()
        for scripted in self._scripted.values():
            mapping = scripted.mapping
            if (
                mapping.object_type != object_type
                or mapping.starting_address >= address + count
                or address >= mapping.end_address
            ):
                continue
            self._store_value(mapping, scripted.script.at(now, scripted.reads))
            if reading:
                scripted.reads += 1

    def _end_scripts(self, object_type: ObjectType, address: int, count: int) -> None:
        for name, _mapping in self._touched(object_type, address, count):
            self._scripted.pop(name, None)

    # -- Faults -----------------------------------------------------------------------------------

    def inject(
        self,
        *faults: Fault,
        names: str | Iterable[str] | None = None,
        object_type: ObjectType | None = None,
        addresses: int | range | Collection[int] | None = None,
        count: int | Container[int] | None = None,
        only: Literal["read", "write"] | None = None,
        calls: int | Container[int] | None = None,
        times: int | None = None,
    ) -> Rule:
        """Let requests go wrong from now on.

        Whatever is not given matches all. Of several rules the first one given that fires decides.

        Args:
            faults: What happens, together.
            names: Only requests that touch one of these mappings.
            object_type: Only requests for objects of this type.
            addresses: Only requests that touch one of these addresses.
            count: Only requests for so many addresses: a number, or a range or set of numbers.
            only: Only reads, or only writes.
            calls: Which of the requests that match, counted from 1: a number, a range or a set.
            times: How often at most.

        Returns:
            The rule: it counts, it can be lifted, and it is lifted at the end of a `with`.
        """
        places: list[tuple[ObjectType, range]] | None = None
        if names is not None:
            mappings = map(self._mapping, [names] if isinstance(names, str) else names)
            places = [(each.object_type, each.addresses) for each in mappings]
        return self.faults.inject(
            *faults,
            object_type=object_type,
            addresses=addresses,
            places=places,
            count=count,
            only=only,
            calls=calls,
            times=times,
        )

    # -- The log ----------------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[Request, ...]:
        """What it was asked, oldest first; what went wrong on purpose included."""
        with self._lock:
            return tuple(self._requests)

    @property
    def written(self) -> list[tuple[str, Any]]:
        """What was written to mappings: names and decoded values, oldest first.

        A value that its codec cannot decode is there as integers.
        """
        with self._lock:
            return list(self._written)

    def clear_log(self) -> None:
        """Forget all requests and writes; numbers go on."""
        with self._lock:
            self._requests.clear()
            self._written.clear()

    def wait_for_requests(self, count: int, *, timeout: float = 10.0) -> None:
        """Return when so many requests have come in all.

        Raises:
            TimeoutError: They have not within `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(self._too_few(count, timeout))

    async def await_requests(self, count: int, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - the message needs it
        """As `wait_for_requests`, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        with self._lock:
            if self._count >= count:
                return
            self._waiters.append((count, loop, arrived))
        try:
            async with asyncio.timeout(timeout):
                await arrived
        except TimeoutError:
            raise TimeoutError(self._too_few(count, timeout)) from None

    def _too_few(self, count: int, timeout: float) -> str:
        return f"{self!r} got {self._count} requests of {count} within {timeout:g} s"

    def _note(self, request: Request) -> None:
        self._requests.append(request)
        if self.on_request is not None:
            self.on_request(request)
        self._arrived.notify_all()
        waiting = []
        for waiter in self._waiters:
            wanted, loop, arrived = waiter
            if loop.is_closed() or arrived.done():
                continue
            if wanted <= self._count:
                loop.call_soon_threadsafe(_resolve, arrived)
            else:
                waiting.append(waiter)
        self._waiters = waiting

    # -- Serving: what the server calls -----------------------------------------------------------

    def admit(
        self,
        function: int,
        address: int,
        count: int,
        values: Sequence[int] | None,
        *,
        also_read: range | None = None,
        plan: FaultPlan | None = None,
    ) -> Admission:
        """Take a request in: decide what becomes of it, and write it down.

        Args:
            function: The function code.
            address: The first address.
            count: The number of addresses.
            values: What is to be written, None for a read.
            also_read: The addresses that a write reads, too.
            plan: Rules that come before the device's own.
        """
        meaning = FUNCTIONS.get(function)
        object_type = meaning.object_type if meaning is not None else None
        writes = values is not None
        with self._lock:
            faults = plan.meet(object_type, address, count, writes=writes) if plan else ()
            # The device's own rules count the request in any case.
            own = self.faults.meet(object_type, address, count, writes=writes)
            faults = faults or own
            refusal = next((each.code for each in faults if isinstance(each, Refuse)), None)
            if refusal is None and object_type is not None:
                refusal = self._check_access(
                    object_type, range(address, address + count), writes=writes
                )
                if refusal is None and also_read is not None:
                    refusal = self._check_access(object_type, also_read, writes=False)
            if refusal is None and object_type is not None and not writes:
                refusal = self._run_scripts(object_type, address, count)
            self._count += 1
            request = Request(
                number=self._count,
                unit=self.unit,
                function=function,
                object_type=object_type,
                address=address,
                count=count,
                values=tuple(values) if values is not None else None,
                at=self._seconds(),
                faults=faults,
                refused=refusal,
            )
            self._note(request)
        return Admission(request, faults)

    def _check_access(
        self, object_type: ObjectType, addresses: range, *, writes: bool
    ) -> int | None:
        barred = (self._unwritable if writes else self._unreadable)[object_type]
        if (
            all(map(self._cells[object_type].__contains__, addresses))
            and self._absent[object_type].isdisjoint(addresses)
            and barred.isdisjoint(addresses)
        ):
            return None
        return _ILLEGAL_ADDRESS

    def _run_scripts(self, object_type: ObjectType, address: int, count: int) -> int | None:
        try:
            self._refresh(object_type, address, count, reading=True)
        except Exception as failure:  # noqa: BLE001 - a script is somebody else's code
            _log.error("%r: a script failed: %s", self, failure)
            self.failures.append(failure)
            return _DEVICE_FAILURE
        return None

    def fetch(self, object_type: ObjectType, address: int, count: int) -> list[int]:
        """The stored integers; zero where there is no object."""
        with self._lock:
            cells = self._cells[object_type]
            return [cells.get(each, 0) for each in range(address, address + count)]

    def store(self, object_type: ObjectType, address: int, values: Sequence[int]) -> None:
        """Carry out a write that was admitted."""
        with self._lock:
            self._end_scripts(object_type, address, len(values))
            self._store_cells(object_type, address, values)
            for name, mapping in self._touched(object_type, address, len(values)):
                try:
                    value = self._decode(mapping)
                except Exception:  # noqa: BLE001 - whatever a codec raises, the write has happened
                    value = self.fetch(object_type, mapping.starting_address, mapping.address_count)
                self._written.append((name, value))

    def runs(self) -> dict[ObjectType, list[range]]:
        """The addresses that it has, joined to runs, by type."""
        with self._lock:
            return {object_type: _runs(sorted(cells)) for object_type, cells in self._cells.items()}


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _runs(addresses: Iterable[int]) -> list[range]:
    runs: list[range] = []
    for address in addresses:
        if runs and runs[-1].stop == address:
            runs[-1] = range(runs[-1].start, address + 1)
        else:
            runs.append(range(address, address + 1))
    return runs
