# SPDX-License-Identifier: Apache-2.0
"""Which versions there are, and which extras are complete; with the standard library alone."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import Final

from heliograph.apps.doctor.findings import Finding

__all__ = ["extras", "versions"]

_NAME: Final = "heliograph"
_OLDEST: Final = (3, 11)
# `opentelemetry-sdk<2,>=1.45; extra == 'otel'`, as wheels have it.
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<bounds>[^;]*)"
)
_EXTRA: Final = re.compile(r"extra == ['\"](?P<extra>[^'\"]+)['\"]")
_BOUND: Final = re.compile(r"(?P<how>>=|<)\s*(?P<version>[0-9.]+)")


def versions() -> Iterator[Finding]:
    """Of Python, of this package, and of the machine."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    text = f"{found} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] >= _OLDEST:
        yield Finding("python", sys.executable, "ok", text)
    else:  # pragma: no cover - nothing of this could be imported
        oldest = ".".join(map(str, _OLDEST))
        yield Finding("python", sys.executable, "failed", text, f"use Python {oldest} or newer")
    yield Finding("package", _NAME, "ok", version(_NAME))
    known = _requirements()
    wanted = {requirement for extra in known for requirement in _flat(known, extra)}
    for name in sorted({_parse(requirement)["name"].lower() for requirement in wanted}):
        with suppress(PackageNotFoundError):
            yield Finding("package", name, "ok", version(name))


def extras(requires: Mapping[str, list[str]] | None = None) -> Iterator[Finding]:
    """Of each extra, whether everything it needs is installed.

    Args:
        requires: Extra -> requirements; those of the installed package if None.
    """
    known = _requirements() if requires is None else requires
    for extra in known:
        missing = [lack for each in _flat(known, extra) if (lack := _lack(each)) is not None]
        if missing:
            mend = f'pip install "{_NAME}[{extra}]"'
            yield Finding("extra", extra, "absent", f"lacks {', '.join(missing)}", mend)
        else:
            yield Finding("extra", extra, "ok", "complete")


def _requirements() -> dict[str, list[str]]:
    """Extra -> what it requires, as the installed package says."""
    about = metadata(_NAME)
    known: dict[str, list[str]] = {extra: [] for extra in about.get_all("Provides-Extra") or ()}
    for line in about.get_all("Requires-Dist") or ():
        marker = line.partition(";")[2]
        wanted = _EXTRA.search(marker)
        # Of other conditions there is one, about an operating system that nobody runs this on.
        if wanted is not None and wanted["extra"] in known:
            known[wanted["extra"]].append(line.partition(";")[0].strip())
    return known


def _flat(known: Mapping[str, list[str]], extra: str) -> list[str]:
    """What an extra requires, other extras of this package written out."""
    pending, seen, found = [extra], {extra}, dict[str, None]()
    while pending:
        for requirement in known.get(pending.pop(0), ()):
            parsed = _parse(requirement)
            if parsed["name"] == _NAME:
                more = [each.strip() for each in (parsed["extras"] or "").split(",")]
                pending += [each for each in more if each not in seen]
                seen.update(more)
            else:
                found[requirement] = None
    return list(found)


def _parse(requirement: str) -> re.Match[str]:
    parsed = _REQUIREMENT.fullmatch(requirement)
    assert parsed is not None, requirement
    return parsed


def _lack(requirement: str) -> str | None:
    """What of a requirement is missing, or of the wrong version; None if nothing is."""
    parsed = _parse(requirement)
    name = parsed["name"]
    try:
        has = version(name)
    except PackageNotFoundError:
        return name
    for bound in _BOUND.finditer(parsed["bounds"]):
        enough = _numbers(has) >= _numbers(bound["version"])
        if enough is (bound["how"] == "<"):
            return f"{name}{bound['how']}{bound['version']} ({has} is installed)"
    return None


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    leading = re.match(r"[0-9]+(\.[0-9]+)*", text)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
