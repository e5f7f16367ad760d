# SPDX-License-Identifier: Apache-2.0
"""Counts events in a gateway's own process: the handler that the demo's gateways are given.

The counts are kept in a file, so that those of a gateway that is killed are not lost with it.
"""

from __future__ import annotations

import atexit
import json
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["count", "read"]

_BETWEEN: Final = 0.25
_counts: Final[Counter[str]] = Counter()
_starting: Final = threading.Lock()
_files: Final[list[Path]] = []


def count(
    event: str, _measurements: Mapping[str, Any], _metadata: Mapping[str, Any], config: Any
) -> None:
    """Count an event.

    Args:
        event: The event's name.
        config: A mapping whose `file` is where the counts are kept.
    """
    if not _files:
        _start(Path(config["file"]))
    _counts[event] += 1


def read(file: Path) -> Counter[str]:
    """Return what was counted into a file; nothing if there is none yet."""
    try:
        return Counter(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Counter()


def _start(file: Path) -> None:
    with _starting:
        if _files:
            return
        _files.append(file)
        ended = threading.Event()
        thread = threading.Thread(target=_keep, args=(file, ended), daemon=True)
        thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    atexit.register(end)


def _keep(file: Path, ended: threading.Event) -> None:
    while True:
        last = ended.wait(_BETWEEN)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(_counts.copy()), encoding="utf-8")
        new.replace(file)  # whoever reads it finds the whole of it
        if last:
            return
