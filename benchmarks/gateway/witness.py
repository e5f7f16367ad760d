# SPDX-License-Identifier: Apache-2.0
"""The handler that the soak's gateways are given: it notes what happens where no kill can undo it.

Lines go to a file as they are written, in one piece each, so that what a killed gateway did is
known to its last moment; counts of all events follow a few times a second. Times are of the
monotonic clock, which all processes of a machine have in common.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliograph import Ok

__all__ = ["note"]

_BETWEEN = 0.25


class Witness:
    """Notes the events of one process."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        name = os.environ["SOAK_RUN"]
        self._lines = os.open(folder / f"{name}.lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._file = folder / f"{name}.counts"
        self._keeping = threading.Lock()
        threading.Thread(target=self._keep, daemon=True).start()

    def line(self, *fields: object) -> None:
        """Write a line."""
        os.write(self._lines, (json.dumps([time.monotonic(), *fields]) + "\n").encode())

    def keep(self) -> None:
        """Write the counts."""
        with self._keeping:
            new = self._file.with_suffix(".new")
            told = {"tasks": len(asyncio.all_tasks(self._loop)), "events": dict(self.counts.copy())}
            new.write_text(json.dumps(told), encoding="utf-8")
            new.replace(self._file)  # whoever reads it finds the whole of it

    def _keep(self) -> None:
        while True:
            time.sleep(_BETWEEN)
            self.keep()


_witness: list[Witness] = []


def note(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Note an event; `config` has the folder."""
    if not _witness:
        _witness.append(Witness(Path(config["folder"])))
    witness = _witness[0]
    witness.counts[event] += 1
    match event:
        case "modboss.poll.cycle":
            since_due = (measurements["lag"] + measurements["cycle_time"]) / 1e9
            ok = isinstance(metadata["outcome"], Ok)
            witness.line("cycle", metadata["device"], ok, since_due)
        case "gateway.alarm.raised" | "gateway.alarm.cleared":
            key = [metadata[name] for name in ("device", "mapping", "side")]
            witness.line("alarm", metadata["gateway"], metadata["told_by"], key, event[14:])
        case "gateway.stopped":
            witness.keep()
