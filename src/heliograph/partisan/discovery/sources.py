# SPDX-License-Identifier: Apache-2.0
"""Where nodes may be found: a list, a file; and how sources are written on a command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from heliograph.partisan.addresses import check_node_name, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FileSource", "Found", "ListSource", "Source", "parse_found"]

_FILE_SIZE: Final = 1 << 20
"""Bytes of a file that are read; our choice, more than ten thousand nodes take."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place where a node may be.

    Attributes:
        address: Where it listens, `host:port`.
        name: Its name; None if the source does not know. Whoever listens there is asked anyway.
    """

    address: str
    name: str | None = None


def parse_found(text: str) -> Found:
    """Read `host:port` or `name@host=host:port`.

    Raises:
        ValueError: It is neither.
    """
    before, equals, after = text.strip().rpartition("=")
    parse_address(after, lowest=1)
    return Found(after, check_node_name(before) if equals else None)


class Source(ABC):
    """Where nodes may be found; subclasses look somewhere.

    Attributes:
        text: What it is called in events, as on a command line: `dns:orders.example:10200`.
    """

    text: str

    @abstractmethod
    async def find(self) -> list[Found]:
        """Look, and return what there is now.

        Raises:
            OSError: There is no answer. Whatever is raised counts as an attempt that failed.
        """

    async def changed(self) -> None:
        """Return as soon as looking again is worth it; by default, never."""
        await anyio.sleep_forever()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.text}>"


class ListSource(Source):
    """A list that never changes.

    Args:
        nodes: Each `host:port`, or `name@host=host:port`.

    Raises:
        ValueError: One is neither, or there is none.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        nodes = [each.strip() for each in nodes]
        self._found = [parse_found(each) for each in nodes]
        if not nodes:
            raise ValueError("the list of nodes to find is empty; give host:port, or leave it out")
        self.text: str = f"list:{','.join(nodes)}"

    async def find(self) -> list[Found]:
        return [*self._found]


class FileSource(Source):
    """A file that may change: a node on each line, as in a list; what follows a `#` is a comment.

    Args:
        path: The file; it need not be there yet.
        interval: Seconds between two looks at whether it has changed.

    Raises:
        ValueError: The interval is not above 0.
    """

    def __init__(self, path: Path | str, *, interval: float = 1.0) -> None:
        if not interval > 0:
            raise ValueError(f"interval is {interval}; it must be above 0 seconds")
        self.path: Path = Path(path)
        self.interval: float = interval
        self.text: str = f"file:{path}"
        self._seen: tuple[int, int, int] | None = None

    async def find(self) -> list[Found]:
        self._seen = await self._state()
        async with await anyio.open_file(self.path, "rb") as file:
            data = await file.read(_FILE_SIZE + 1)
        if len(data) > _FILE_SIZE:
            raise ValueError(f"{self.path} has more than {_FILE_SIZE} bytes; is it the right file?")
        found = []
        for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text:
                try:
                    found.append(parse_found(text))
                except ValueError as error:
                    raise ValueError(f"{self.path}, line {number}: {error}") from None
        return found

    async def changed(self) -> None:
        # No event tells of a changed file on every file system.
        same = await self._state() == self._seen
        while same:
            await anyio.sleep(self.interval)
            same = await self._state() == self._seen

    async def _state(self) -> tuple[int, int, int] | None:
        """Return what differs once the file was written or replaced; None if it is not there."""
        try:
            found = await anyio.Path(self.path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
