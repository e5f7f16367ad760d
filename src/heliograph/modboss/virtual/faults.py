# SPDX-License-Identifier: Apache-2.0
"""Faults of a virtual device, and the rules that say when they happen.

A fault changes how one request is answered. Except for `Refuse` and a deaf `Silence` the request is
carried out all the same: a write whose answer was lost has still happened, as on a real device.
Faults that happen together are applied in one order, whatever order they were given in: wait,
refuse, change what is answered, change the frame, end the connection.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, Self

from heliograph.modboss.virtual.checks import check_integer

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable
    from types import TracebackType

    from heliograph.modboss.mapping import ObjectType

__all__ = [
    "Close",
    "Corrupt",
    "Cut",
    "Delay",
    "Fault",
    "FaultPlan",
    "Garbage",
    "Refuse",
    "Reset",
    "Rule",
    "Silence",
    "WrongCount",
    "WrongTransaction",
    "WrongUnit",
]

# Our choice: not the beginning of any frame, and longer than the header of one.
_GARBAGE: Final = bytes.fromhex("ff00deadbeef00ff7e7e")


class Fault:
    """The base class of all faults: frozen values that say what goes wrong."""

    __slots__ = ()

    def __str__(self) -> str:
        """Say it as short as a log wants it: `Refuse(6)`, `Silence`."""
        said = [
            repr(getattr(self, each.name))
            for each in fields(self)  # type: ignore[arg-type]  # every fault is a dataclass
            if getattr(self, each.name) != each.default
        ]
        return type(self).__name__ + (f"({', '.join(said)})" if said else "")


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """Answer with an exception code; the request is not carried out."""

    code: int
    """From 1 to 255: 2 is an illegal address, 3 an illegal value, 4 a failure, 6 busy."""

    def __post_init__(self) -> None:
        check_integer("Refuse: code", self.code, 1, 255)


@dataclass(frozen=True, slots=True)
class Silence(Fault):
    """Answer nothing."""

    deaf: bool = False
    """Whether the request is not carried out either."""


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """Answer late. Meanwhile further requests of the same connection wait, as on a real device."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"Delay: seconds {self.seconds!r} is no time from 0; give seconds")


@dataclass(frozen=True, slots=True)
class WrongUnit(Fault):
    """Answer in another unit's name."""

    unit: int | None = None
    """The id to answer with; the next one after the right one if None."""

    def __post_init__(self) -> None:
        if self.unit is not None:
            check_integer("WrongUnit: unit", self.unit, 0, 255)


@dataclass(frozen=True, slots=True)
class WrongTransaction(Fault):
    """Answer with another transaction id. Serial framings have none: there it changes nothing."""

    offset: int = 1
    """What is added to the right id, modulo 65,536."""


@dataclass(frozen=True, slots=True)
class WrongCount(Fault):
    """Answer a read with another number of values, well-formed otherwise; zeros are added."""

    count: int

    def __post_init__(self) -> None:
        check_integer("WrongCount: count", self.count, 0, 2000)


@dataclass(frozen=True, slots=True)
class Corrupt(Fault):
    """Flip all bits of one byte of the frame: on serial lines the checksum then fails."""

    index: int = -1
    """Which byte, counted as Python does; one past the frame's end means its last."""


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """Send only the beginning of the frame."""

    keep: int = 5
    """How many bytes."""

    def __post_init__(self) -> None:
        check_integer("Cut: keep", self.keep, 0, 512)


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Send bytes that are no frame, in place of the answer."""

    data: bytes = _GARBAGE


@dataclass(frozen=True, slots=True)
class Close(Fault):
    """Close the connection in place of an answer, or after a cut frame or garbage.

    UDP and serial lines have no connection: there it is silence.
    """


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """Reset the connection (RST on TCP) in place of an answer, or after a cut frame or garbage.

    UDP and serial lines have no connection: there it is silence.
    """


class Rule:
    """When faults happen; made by `inject`. As a context manager it is lifted at the end."""

    def __init__(
        self,
        faults: tuple[Fault, ...],
        *,
        object_type: ObjectType | None,
        addresses: Collection[tuple[ObjectType | None, range]] | None,
        count: int | Container[int] | None,
        only: Literal["read", "write"] | None,
        calls: Container[int] | None,
        times: int | None,
    ) -> None:
        self.faults = faults
        """What happens."""
        self.matched: int = 0
        """How many requests it was for."""
        self.fired = 0
        """How many of them went wrong by it."""
        self._object_type = object_type
        self._addresses = addresses
        self._count = count
        self._only = only
        self._calls = calls
        self._times = times
        self._lifted = False

    @property
    def active(self) -> bool:
        """Whether it can still make something go wrong."""
        return not self._lifted and (self._times is None or self.fired < self._times)

    def lift(self) -> None:
        """Let nothing more go wrong by it."""
        self._lifted = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lift()

    def __repr__(self) -> str:
        faults = ", ".join(map(repr, self.faults))
        return f"<Rule {faults}: fired {self.fired} of {self.matched}>"

    def meet(
        self, object_type: ObjectType | None, address: int, count: int, *, writes: bool
    ) -> bool:
        """Count a request, and tell whether it goes wrong by this rule."""
        if not self.active or not self._matches(object_type, address, count, writes=writes):
            return False
        self.matched += 1
        return self._calls is None or self.matched in self._calls

    def _matches(
        self, object_type: ObjectType | None, address: int, count: int, *, writes: bool
    ) -> bool:
        if self._only is not None and writes != (self._only == "write"):
            return False
        if self._object_type is not None and object_type != self._object_type:
            return False
        wanted = self._count
        if isinstance(wanted, int):
            if count != wanted:
                return False
        elif wanted is not None and count not in wanted:
            return False
        return self._addresses is None or any(
            (of is None or of == object_type)
            and address < each.stop
            and each.start < address + count
            for of, each in self._addresses
        )


class FaultPlan:
    """The rules of a device or a server. Safe to change from any thread while it serves."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that can still make something go wrong."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.active]
            return tuple(self._rules)

    def inject(
        self,
        *faults: Fault,
        object_type: ObjectType | None = None,
        addresses: int | range | Iterable[int] | None = None,
        places: Iterable[tuple[ObjectType, range]] | None = None,
        count: int | Container[int] | None = None,
        only: Literal["read", "write"] | None = None,
        calls: int | Container[int] | None = None,
        times: int | None = None,
    ) -> Rule:
        """Let requests go wrong; see `VirtualDevice.inject`."""
        if not faults:
            raise ValueError("inject: no fault; give at least one, as in inject(Refuse(2))")
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"inject: {fault!r} is no fault; give one, as in Refuse(2)")
        if only not in {None, "read", "write"}:
            raise ValueError(f"inject: only={only!r} is unknown; give 'read' or 'write'")
        if times is not None:
            check_integer("inject: times", times, 1, 2**63)
        within: list[tuple[ObjectType | None, range]] = list(places or ())
        if addresses is not None:
            within += [(None, each) for each in _ranges(addresses)]
        rule = Rule(
            faults,
            object_type=object_type,
            addresses=within if addresses is not None or places is not None else None,
            count=count,
            only=only,
            calls=(calls,) if isinstance(calls, int) else calls,
            times=times,
        )
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Lift all rules."""
        with self._lock:
            for rule in self._rules:
                rule.lift()
            self._rules.clear()

    def meet(
        self, object_type: ObjectType | None, address: int, count: int, *, writes: bool
    ) -> tuple[Fault, ...]:
        """What goes wrong with a request: the faults of the first rule that fires.

        Every rule counts the request, also after one has fired.
        """
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.active]
            fired: Rule | None = None
            for rule in self._rules:
                if rule.meet(object_type, address, count, writes=writes) and fired is None:
                    fired = rule
                    rule.fired += 1
            return fired.faults if fired is not None else ()


def _ranges(addresses: int | range | Iterable[int]) -> list[range]:
    if isinstance(addresses, int):
        return [range(addresses, addresses + 1)]
    if isinstance(addresses, range) and addresses.step == 1:
        return [addresses]
    return [range(each, each + 1) for each in addresses]
