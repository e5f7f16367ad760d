# SPDX-License-Identifier: Apache-2.0
"""What is generated from a catalog, and how it is kept from going stale.

Each module here has one pure function `render`: document in, text out, the same text every time.
`write` puts texts into files, `drift` tells which files no longer hold what they should, so that
every output has a check mode.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Drift", "drift", "to_yaml", "write"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A file that does not hold what its catalog says."""

    path: Path
    missing: bool
    """Whether there is no such file."""
    diff: str
    """What writing it again would change, as a unified diff of at most `lines` lines."""

    def __str__(self) -> str:
        state = "is missing" if self.missing else "is out of date"
        return f"{self.path} {state}\n{self.diff}" if self.diff else f"{self.path} {state}"


def write(files: Mapping[Path, str]) -> list[Path]:
    """Write generated texts, in UTF-8; folders are made as needed.

    Returns:
        The files that changed; those that were up to date are not touched.

    Raises:
        OSError: A file cannot be read or written.
    """
    changed = []
    for path, text in files.items():
        if _read(path) != text.encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            changed.append(path)
    return changed


def drift(files: Mapping[Path, str], *, lines: int = 40) -> list[Drift]:
    """Tell which files differ from what they should hold.

    Args:
        files: What each file should hold.
        lines: The longest diff to show of each; the rest is cut.

    Raises:
        OSError: A file exists and cannot be read.
    """
    found = []
    for path, text in files.items():
        held = _read(path)
        if held == text.encode():
            continue
        if held is None:
            found.append(Drift(path, missing=True, diff=""))
            continue
        diff = list(
            difflib.unified_diff(
                held.decode(errors="replace").splitlines(),
                text.splitlines(),
                str(path),
                f"{path} as generated",
                lineterm="",
                n=1,
            )
        )
        if len(diff) > lines:
            diff[lines:] = [f"... {len(diff) - lines} more lines"]
        found.append(Drift(path, missing=False, diff="\n".join(diff)))
    return found


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def to_yaml(data: Mapping[str, Any], *comments: str) -> str:
    """Plain data as YAML, in the order given, under comment lines.

    Lists of scalars stand on one line, texts of several lines as blocks.

    Raises:
        ImportError: PyYAML is not installed.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """With representers of its own."""

    def represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
        flow = not any(isinstance(item, list | dict) for item in items)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)

    def represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(list, represent_list)
    Dumper.add_representer(str, represent_str)
    body: str = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(f"# {comment}\n" for comment in comments) + body
