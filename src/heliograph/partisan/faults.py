# SPDX-License-Identifier: Apache-2.0
"""Scripts of faults: what becomes of frames between nodes under test, and when.

One script does the same harm in the simulator and on sockets. It is a file in TOML, or made of the
same in Python:

    seed = 7

    [[fault]]
    kind = "drop"            # or duplicate, delay, reorder, partition
    begin = 0.5              # seconds after the script's begin
    end = 2.0
    share = 0.1              # of the frames that it concerns
    frames = "messages"      # of applications alone; "all" by default
    between = [["py1@127.0.0.1"], ["py2@127.0.0.1"]]    # from the first to the second; else all

    [[fault]]
    kind = "partition"
    begin = 2.0
    end = 3.0
    groups = [["py1@127.0.0.1"], ["py2@127.0.0.1", "py3@127.0.0.1"]]

Connections are TCP's to the nodes: what a partition holds back arrives when it ends, in order, and
what is delayed is not overtaken. Only `drop`, `duplicate` and `reorder` do what TCP never does, as
a faulty proxy would, or a process that is killed with frames in its hands.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Fault", "FaultKind", "Faults", "Way"]

FaultKind: TypeAlias = Literal["drop", "duplicate", "delay", "reorder", "partition"]

_KINDS: Final = ("drop", "duplicate", "delay", "reorder", "partition")
_SECOND: Final = 1_000_000_000
_LARGEST_SEED: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: `"drop"` loses frames, `"duplicate"` sends them twice, `"delay"` holds them up for up
            to `time`, `"reorder"` lets others overtake them meanwhile, `"partition"` lets nothing
            pass between groups.
        begin: When it begins, in seconds after the script's begin.
        end: When it ends.
        share: Of the frames it concerns, from 0 to 1.
        time: The longest delay, in seconds; for `"delay"` and `"reorder"`.
        frames: `"all"`, or `"messages"` of applications alone.
        between: Whose frames to whom: two groups of names; None for all.
        groups: The parts of a partition, each a group of names; whoever is in none is in one more.

    Raises:
        ValueError: A value is out of range, or what the kind needs is missing.
    """

    kind: FaultKind
    begin: float = 0.0
    end: float = float("inf")
    share: float = 1.0
    time: float = 0.05
    frames: Literal["all", "messages"] = "all"
    between: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(_KINDS)}")
        if not 0 <= self.begin < self.end:
            raise ValueError(
                f"it begins at {self.begin} s and ends at {self.end} s; it must end later"
            )
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}; it must be from 0 to 1")
        if not self.time >= 0:
            raise ValueError(f"time is {self.time}; it must not be below 0 s")
        if self.frames not in {"all", "messages"}:
            raise ValueError(f"frames is {self.frames!r}; it must be all or messages")
        if (self.kind == "partition") != bool(self.groups):
            raise ValueError("a partition has groups, and nothing else has")
        if self.between is not None and len(self.between) != 2:
            raise ValueError("between is two groups of names: whose frames, and to whom")

    def concerns(self, sender: str, receiver: str) -> bool:
        """Tell whether it is about frames of one node to another."""
        if self.between is None:
            return True
        return sender in self.between[0] and receiver in self.between[1]


class Way(NamedTuple):
    """What becomes of one frame."""

    delays: tuple[int, ...]
    """Nanoseconds until each of its copies goes on; none if it is lost."""
    overtaken: bool
    """Whether frames behind it need not wait for it."""


_PLAIN: Final = Way((0,), False)


class Faults:
    """A script of faults, for any number of nodes of one process.

    Args:
        faults: The faults.
        seed: What all chance derives from, from 0 to 2⁶³ - 1.

    Attributes:
        faults: See above.
        seed: See above.

    Raises:
        ValueError: The seed is out of range.
    """

    def __init__(self, faults: Iterable[Fault], *, seed: int = 0) -> None:
        if not 0 <= seed <= _LARGEST_SEED:
            raise ValueError(f"seed is {seed}; it must be from 0 to {_LARGEST_SEED}")
        self.faults: tuple[Fault, ...] = tuple(faults)
        self.seed: int = seed
        self._random = random.Random(seed)  # noqa: S311 - it does harm, and shall do it again
        self._begin: int | None = None

    @classmethod
    def from_file(cls, path: Path | str) -> Faults:
        """Read a script.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no script; the text says where, and what would be one.
        """
        try:
            return cls.from_table(tomllib.loads(Path(path).read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Faults:
        """Make a script of what TOML gives.

        Raises:
            ValueError: It is no script.
        """
        unknown = table.keys() - {"seed", "fault"}
        if unknown:
            raise ValueError(f"{min(unknown)} is unknown; there are seed and fault")
        seed = table.get("seed", 0)
        found = table.get("fault", [])
        if type(seed) is not int or not isinstance(found, list):
            raise ValueError("seed is an integer, and each fault a table [[fault]]")
        return cls([_fault(number, each) for number, each in enumerate(found, 1)], seed=seed)

    # --- for those who carry frames ---

    def begin(self, now: int) -> None:
        """Begin the script, unless it has begun; times are in nanoseconds of one clock."""
        if self._begin is None:
            self._begin = now

    def changes(self) -> list[int]:
        """Return when something begins or ends, in nanoseconds, once the script has begun."""
        begin = self._begin or 0
        times = {at for each in self.faults for at in (each.begin, each.end) if at != float("inf")}
        return [begin + round(at * _SECOND) for at in sorted(times)]

    def apart(self, one: str, other: str, now: int) -> bool:
        """Tell whether a partition is between two nodes."""
        for fault in self._now(now):
            if fault.kind == "partition" and _part(fault, one) != _part(fault, other):
                return True
        return False

    def way(self, sender: str, receiver: str, now: int, *, message: bool) -> Way:
        """Say what becomes of a frame.

        Args:
            sender: Whose it is.
            receiver: For whom.
            now: Nanoseconds.
            message: Whether it is a message of an application.
        """
        delay, copies, overtaken = 0, 1, False
        for fault in self._now(now):
            if (
                fault.kind == "partition"
                or (fault.frames == "messages" and not message)
                or not fault.concerns(sender, receiver)
                or self._random.random() >= fault.share
            ):
                continue
            if fault.kind == "drop":
                return Way((), False)
            if fault.kind == "duplicate":
                copies += 1
            else:
                delay += round(self._random.random() * fault.time * _SECOND)
                overtaken = overtaken or fault.kind == "reorder"
        if not delay and copies == 1:
            return _PLAIN
        return Way((delay,) * copies, overtaken)

    def _now(self, now: int) -> list[Fault]:
        at = (now - (now if self._begin is None else self._begin)) / _SECOND
        return [each for each in self.faults if each.begin <= at < each.end]


def _part(fault: Fault, name: str) -> int:
    return next((part for part, names in enumerate(fault.groups) if name in names), -1)


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "kind": (str,),
    "begin": (int, float),
    "end": (int, float),
    "share": (int, float),
    "time": (int, float),
    "frames": (str,),
    "between": (list,),
    "groups": (list,),
}


def _fault(number: int, table: Any) -> Fault:
    where = f"fault {number}"
    if not isinstance(table, dict) or "kind" not in table:
        raise ValueError(f"{where} has no kind; it is one of {', '.join(_KINDS)}")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _TYPES:
            raise ValueError(f"{where}: {key} is unknown; there are {', '.join(_TYPES)}")
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            wanted = _TYPES[key][-1].__name__
            raise ValueError(f"{where}: {key} is {value!r}; it is {wanted}")  # noqa: TRY004 - a file
        given[key] = _groups(f"{where}: {key}", value) if isinstance(value, list) else value
    try:
        return Fault(**given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _groups(where: str, value: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    groups = []
    for names in value:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{where} is a list of groups, each a list of names of nodes")
        groups.append(tuple(names))
    return tuple(groups)
