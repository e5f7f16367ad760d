# SPDX-License-Identifier: Apache-2.0
"""Reading OpenTelemetry's standard variables.

An empty variable counts as unset, as the specification has it. A value that can't be used is a
fault, not a guess: all faults are collected, and one error names each with its mend. Values of
headers are never repeated, since they hold credentials.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["ConfigurationError", "Environment", "Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a configuration.

    Attributes:
        name: The variable or argument.
        problem: What is wrong with it, its value included unless that is secret.
        mend: What to do.
    """

    name: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.name} {self.problem}; {self.mend}"


class ConfigurationError(ValueError):
    """The bridge can't be set up as asked; nothing was set up.

    Attributes:
        faults: Everything that is wrong.
    """

    faults: tuple[Fault, ...]

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        listed = [str(fault) for fault in self.faults]
        noun = "fault" if len(listed) == 1 else "faults"
        super().__init__("\n".join([f"{len(listed)} {noun} in the configuration", *listed]))


class Environment:
    """Variables, each read with the first of several names that is set.

    Attributes:
        faults: What was found wrong so far.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.faults: list[Fault] = []

    def fault(self, name: str, problem: str, mend: str) -> None:
        """Note that something is wrong."""
        self.faults.append(Fault(name, problem, mend))

    def first(self, *names: str) -> tuple[str, str | None]:
        """The first of these variables that is set, with its value; the last name if none is."""
        for name in names:
            value = self._variables.get(name, "").strip()
            if value:
                return name, value
        return names[-1], None

    def text(self, *names: str) -> str | None:
        """A text."""
        return self.first(*names)[1]

    def _convert(self, convert: Callable[[str], T], mend: str, names: Sequence[str]) -> T | None:
        name, value = self.first(*names)
        if value is None:
            return None
        try:
            return convert(value)
        except ValueError:
            self.fault(name, f"is {value!r}", mend)
            return None

    def flag(self, *names: str) -> bool | None:
        """A `true` or `false`, in whatever case."""
        return self._convert(_flag, "write true or false", names)

    def choice(self, allowed: Sequence[str], *names: str) -> str | None:
        """One of several words, in whatever case."""

        def convert(value: str) -> str:
            if value.lower() not in allowed:
                raise ValueError
            return value.lower()

        return self._convert(convert, f"choose from {', '.join(allowed)}", names)

    def whole(self, *names: str, least: int = 1) -> int | None:
        """A whole number."""

        def convert(value: str) -> int:
            number = int(value)
            if number < least:
                raise ValueError
            return number

        return self._convert(convert, f"write a whole number of at least {least}", names)

    def ratio(self, *names: str) -> float | None:
        """A number between 0 and 1."""

        def convert(value: str) -> float:
            number = float(value)
            if not 0 <= number <= 1:
                raise ValueError
            return number

        return self._convert(convert, "write a number between 0 and 1", names)

    def seconds(self, *names: str, least: float = 0.001) -> float | None:
        """A time, which variables state in milliseconds, in seconds."""

        def convert(value: str) -> float:
            number = float(value) / 1000
            if not least <= number < math.inf:
                raise ValueError
            return number

        mend = f"write milliseconds, at least {least * 1000:g}"
        return self._convert(convert, mend, names)

    def pairs(self, *names: str, secret: bool = False) -> dict[str, str]:
        """Comma-separated pairs `key=value`, percent-encoded, such as headers."""
        name, value = self.first(*names)
        found: dict[str, str] = {}
        for position, pair in enumerate((value or "").split(","), start=1):
            if not pair.strip():
                continue
            key, equals, text = pair.partition("=")
            key = unquote(key.strip())
            if not equals or not key:
                shown = "" if secret else f"{pair.strip()!r}, "
                problem = f"has an entry, number {position}, {shown}that is no key=value"
                self.fault(name, problem, "write key1=value1,key2=value2, percent-encoded")
                continue
            found[key] = unquote(text.strip())
        return found

    def file(self, *names: str) -> str | None:
        """The path of a file that can be read."""
        name, value = self.first(*names)
        if value is not None:
            self.check_file(name, value)
        return value

    def check_file(self, name: str, path: str) -> None:
        """Note it if a file can't be read."""
        try:
            with Path(path).open("rb"):
                pass
        except (OSError, ValueError) as failure:
            reason = getattr(failure, "strerror", None) or str(failure)
            self.fault(
                name, f"names {path!r}, which can't be read: {reason}", "name a readable file"
            )

    def check_url(self, name: str, url: str, *, scheme_needed: bool) -> None:
        """Note it if this is no endpoint."""
        mend = "write something like http://collector:4318"
        try:
            parts = urlsplit(url if "://" in url or scheme_needed else f"http://{url}")
            host, _ = parts.hostname, parts.port
        except ValueError:
            self.fault(name, f"is {url!r}, which is no URL", mend)
            return
        if parts.scheme not in {"http", "https"}:
            self.fault(name, f"is {url!r}, which begins with neither http:// nor https://", mend)
        elif not host:
            self.fault(name, f"is {url!r}, which has no host", mend)


def _flag(value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise ValueError
    return value.lower() == "true"
