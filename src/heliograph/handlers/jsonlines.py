# SPDX-License-Identifier: Apache-2.0
"""Events as lines of JSON in a file that can't outgrow its bounds.

A line is an object with `time` (ISO 8601, UTC, nanoseconds), `event`, `measurements` and
`metadata`; `heliograph.plain` says what becomes of values that JSON has no form for.

How it works, for whoever changes it:

*   A line is one `write` to a file opened for appending, without a buffer. So a forked child or
    another process may write to the same file: lines don't mix, and nothing is written twice.
*   Before each line the file is looked up by its path, so that it may be rotated or removed by
    others. Whoever rotates it holds its lock; who doesn't get the lock leaves it to the other.
*   Under the lock of this object nothing of the emitter's is called. A signal handler or a
    finaliser that emits there leaves its line to the one it interrupted.
*   Nothing is raised. What could not be written is counted, and told of by
    `heliograph.jsonlines.dropped`: at once, then once a second, and when writing works again.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
import weakref
from collections import deque
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from heliograph.events import JSONLINES_DROPPED
from heliograph.handlers.declared import Declared, Made
from heliograph.plain import NARROW, WIDE, pairs, plain
from heliograph.spans import now
from heliograph.telemetry import default

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.events import JsonlinesDroppedMeasurements, JsonlinesDroppedMetadata
    from heliograph.handlers.declared import CatalogLike
    from heliograph.telemetry import Event, Telemetry

__all__ = ["JsonLines", "json_line"]

_Reason: TypeAlias = Literal["oversize", "unencodable", "write_failed", "closed"]

# Our choices. The smallest line has room for a name and a few marks of what was cut.
_SMALLEST_LINE: Final = 256
_TELL_INTERVAL_NS: Final = 1_000_000_000

_writers: Final[weakref.WeakSet[JsonLines]] = weakref.WeakSet()


class JsonLines:
    """A handler that appends each event to a file as a line of JSON.

        with JsonLines("events.jsonl") as lines:
            heliograph.attach("file", "shop.order.placed", lines)

    Any thread may use it, and a forked child goes on with the same file. The file is opened when
    there is something to write. Never raises; what can't be written is counted.

    Args:
        path: The file, relative to the present working directory. Its folder must exist.
        max_line: Bytes of the longest line. An event that makes a longer one is written with less
            detail; if it is still too long it is dropped.
        max_bytes: Bytes of the file; a line that would exceed them goes into a new one.
        backups: How many full files are kept, as `path.1` (the newest), `path.2` and so on.
        catalog: What it calls sensitive is left out. A catalog, or names or paths of catalogs.
        telemetry: Where `heliograph.jsonlines.dropped` is executed; the default one if None.

    Raises:
        ValueError: A number is out of its range.
        TypeError: A number is no integer.
        CatalogError: A catalog to be loaded is broken or unknown.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_declared",
        "_dropped",
        "_event",
        "_file",
        "_identity",
        "_interrupting",
        "_lock",
        "_told_at",
        "_torn",
        "_untold",
        "_writing",
        "backups",
        "max_bytes",
        "max_line",
        "path",
    )
    path: str
    max_line: int
    max_bytes: int
    backups: int

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_line: int = 16_384,
        max_bytes: int = 16 * 2**20,
        backups: int = 3,
        catalog: CatalogLike | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._file: int | None = None
        self.path = os.path.abspath(path)  # noqa: PTH100 - a plain string for the calls below
        if "\0" in self.path:
            raise ValueError(f"path {self.path!r} has a null character; no file can be called so")
        self.max_line = _at_least("max_line", max_line, _SMALLEST_LINE)
        self.max_bytes = _at_least("max_bytes", max_bytes, max_line)
        self.backups = _at_least("backups", backups, 0)
        self._declared = Declared(catalog)
        self._event: Event[JsonlinesDroppedMeasurements, JsonlinesDroppedMetadata]
        self._event = (default() if telemetry is None else telemetry).event(JSONLINES_DROPPED.name)
        self._identity = (0, 0)  # device and inode of the open file
        self._torn = False  # whether the last line was written in part
        self._lock = RLock()
        self._writing = False
        self._interrupting: deque[bytes] = deque()
        self._closed = False
        self._dropped = 0
        self._untold: dict[_Reason, int] = {}
        self._told_at: int | None = None
        _writers.add(self)

    @property
    def dropped(self) -> int:
        """How many lines were not written."""
        return self._dropped

    def close(self) -> None:
        """Close the file. Events that come later are dropped; closing twice is closing once."""
        with self._lock:
            self._closed = True
            self._close_file()
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._close_file()

    def __repr__(self) -> str:
        return f"<JSON lines to {self.path!r}: {self._dropped} dropped>"

    def __call__(
        self,
        event: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any],
        _config: object = None,
    ) -> None:
        """Write an event; a configuration given to `attach` is not used."""
        try:
            line = self._encode(event, measurements, metadata)
        except Exception:  # noqa: BLE001 - at the end of stack or memory anything may fail
            self._drop({"unencodable": 1})
            return
        if len(line) > self.max_line:
            self._drop({"oversize": 1})
            return
        lost = self._put(line)
        if lost:
            self._drop(lost)
        elif self._untold:
            self._tell()

    # -- Encoding ---------------------------------------------------------------------------------

    def _encode(self, event: str, measurements: object, metadata: object) -> bytes:
        """Return the line, with less detail if it is too long."""
        traits = self._declared.of(event)
        line = b""
        for limits in (WIDE, NARROW):
            measured = pairs(measurements, limits, traits.hidden_measurements)
            record = {
                "time": _iso(measured.get("system_time")),
                "event": plain(event, limits),
                "measurements": measured,
                "metadata": pairs(metadata, limits, traits.hidden_metadata),
            }
            text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            line = text.encode() + b"\n"
            if len(line) <= self.max_line:
                break
        return line

    # -- Writing, under the lock ------------------------------------------------------------------

    def _put(self, line: bytes) -> dict[_Reason, int]:
        """Write a line, and those left by whoever interrupts; return how many were lost."""
        with self._lock:
            self._interrupting.append(line)
            if self._writing:
                return {}
            lost: dict[_Reason, int] = {}
            self._writing = True
            try:
                while self._interrupting:
                    reason = self._write(self._interrupting.popleft())
                    if reason is not None:
                        lost[reason] = lost.get(reason, 0) + 1
            finally:
                self._writing = False
            return lost

    def _write(self, line: bytes) -> _Reason | None:
        if self._closed:
            return "closed"
        try:
            file = self._open_for(len(line))
            # A line that was cut short, by a full disk or a crash, is ended before the next begins.
            rest = memoryview(b"\n" + line if self._torn else line)
            while rest:
                rest = rest[os.write(file, rest) :]
                self._torn = bool(rest)
        except OSError:
            return "write_failed"
        return None

    def _open_for(self, length: int) -> int:
        """Return the file to which a line of this length may be written."""
        present = self._status()
        if present is None or _identity(present) != self._identity or not self._is_ours():
            self._close_file()
            present = self._open_file()
        if (
            stat.S_ISREG(present.st_mode)
            and present.st_size
            and present.st_size + length > self.max_bytes
        ):
            self._rotate()
        assert self._file is not None, "it was opened, and opened again after rotating"
        return self._file

    def _status(self) -> os.stat_result | None:
        """Return what the path is at present; None if there is no such file."""
        try:
            return os.stat(self.path)  # noqa: PTH116 - once a line: no Path is made for it
        except FileNotFoundError:
            return None

    def _open_file(self) -> os.stat_result:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = file = os.open(self.path, flags, 0o666)
        status = os.fstat(file)
        self._identity = _identity(status)
        # Whoever wrote before may have been cut short.
        self._torn = (
            stat.S_ISREG(status.st_mode)
            and status.st_size > 0
            and os.pread(file, 1, status.st_size - 1) != b"\n"
        )
        return status

    def _is_ours(self) -> bool:
        """Whether the open file is still the one that was opened.

        Somebody who closes all files may have closed it; its number may be another file's now.
        """
        if self._file is None:
            return False
        try:
            return _identity(os.fstat(self._file)) == self._identity
        except OSError:
            return False

    def _close_file(self) -> None:
        if self._is_ours():
            assert self._file is not None, "what is ours is open"
            with suppress(OSError):  # a network's file system may complain about an earlier write
                os.close(self._file)
        self._file = None

    def _rotate(self) -> None:
        """Move the full file out of the way and open a new one."""
        assert self._file is not None, "a file must be open in order to be full"
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process is at it; this line still goes into the full file
        present = self._status()
        if present is not None and _identity(present) == self._identity:
            for number in range(self.backups - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")  # noqa: PTH105
            if self.backups:
                os.replace(self.path, f"{self.path}.1")  # noqa: PTH105 - strings, as above
            else:
                os.unlink(self.path)  # noqa: PTH108 - a string, as above
        self._close_file()  # which unlocks it
        self._open_file()

    # -- Telling ----------------------------------------------------------------------------------

    def _drop(self, lost: Mapping[_Reason, int]) -> None:
        with self._lock:
            for reason, count in lost.items():
                self._dropped += count
                self._untold[reason] = self._untold.get(reason, 0) + count
        time_ns, _ = now()
        if self._told_at is None or time_ns - self._told_at >= _TELL_INTERVAL_NS:
            self._told_at = time_ns
            self._tell()

    def _tell(self) -> None:
        """Execute the event for what was dropped since the last time."""
        with self._lock:
            untold, self._untold = self._untold, {}
        for reason, count in untold.items():
            if self._event.handlers:
                self._event.execute({"count": count}, {"path": self.path, "reason": reason})

    def _begin_in_child(self) -> None:
        self._lock = RLock()  # another thread of the parent may have held it
        self._writing = False
        self._interrupting.clear()
        self._untold = {}  # for the parent to tell
        self._close_file()  # a shared one would share its lock, too


def json_line(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: object
) -> None:
    """Append an event to a file as a line of JSON.

        heliograph.attach("file", "shop.order.placed", json_line, {"path": "events.jsonl"})

    Args:
        event: The event's name.
        measurements: Its measurements.
        metadata: Its metadata.
        config: A mapping of the arguments of `JsonLines`: `path`, and if need be `max_line`,
            `max_bytes`, `backups`, `catalog`.

    Raises:
        TypeError: The configuration is no mapping, or a number in it is none.
        ValueError: An option is unknown or missing, or a number is out of its range.
        CatalogError: A catalog to be loaded is broken or unknown.
    """
    _made.by(config)(event, measurements, metadata, None)


_made: Final = Made(
    JsonLines, ("path", "max_line", "max_bytes", "backups", "catalog"), required=("path",)
)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _iso(system_time: object) -> str:
    """Return a time in nanoseconds since the epoch as ISO 8601; the present one if it is none."""
    if not isinstance(system_time, int) or not 0 <= system_time < 2**63:
        _, system_time = now()
    seconds, nanoseconds = divmod(system_time, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def _at_least(what: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} {value!r} is not an integer")
    if value < least:
        raise ValueError(f"{what} is {value}; it must be at least {least}")
    return value


def _begin_in_child() -> None:
    for writer in list(_writers):
        writer._begin_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(after_in_child=_begin_in_child)
