# SPDX-License-Identifier: Apache-2.0
"""`heliograph modbus watch`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.modbus.target import SECONDS, Target, interrupts, target_options
from heliograph.cli.modbus.values import clock, shown
from heliograph.cli.output import JSON_VERSION, json_option, plural
from heliograph.cli.seconds import Seconds

if TYPE_CHECKING:
    from rich.console import Group

    from heliograph.cli.output import Output
    from heliograph.modboss import PollGroup, Update

__all__ = ["watch"]

# Our choice: as many readings as fit beside a name and a value.
_SAMPLES: Final = 32
_BARS: Final = "▁▂▃▄▅▆▇█"
_GAP: Final = "·"

_EPILOG: Final = """\b
Examples:
  heliograph modbus watch tcp://192.168.1.20 --schema boiler.yaml flow_temp --every 0.5
  heliograph modbus watch tcp://192.168.1.20 holding:100:float32 --json | jq .changed
"""


@click.command(epilog=_EPILOG)
@click.argument("url")
@click.argument("names", metavar="[NAME|ADDRESS]...", nargs=-1)
@target_options
@click.option(
    "--every",
    metavar="SECONDS",
    type=Seconds(0.01, itself=True),
    default=1.0,
    show_default=True,
    help="The time between two readings.",
)
@click.option("--updates", type=click.IntRange(1), help="End after so many updates.")
@click.option("--duration", metavar="SECONDS", type=SECONDS, help="End after this time.")
@json_option
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    url: str,
    names: tuple[str, ...],
    every: float,
    updates: int | None,
    duration: float | None,
    output: Output,
    **options: Any,
) -> None:
    """Read a device again and again, and show what changes.

    On a terminal it is a table with a curve of the last readings; in a pipe each change is a line.
    Ends on an interrupt. What the device refuses is left out, and what fails is tried again.
    """
    target = Target.of(ctx, url, names, **options)
    asyncio.run(_Session(output, target, every, updates).run(duration))


class _Session:
    """One run."""

    def __init__(self, output: Output, target: Target, every: float, updates: int | None) -> None:
        self._output = output
        self._target = target
        self._every = every
        self._left = updates
        self._failure: Exception | None = None
        self._counts = {"updates": 0, "changes": 0, "failures": 0}

    async def run(self, duration: float | None) -> None:
        from heliograph.modboss import Polling

        device = self._target.device(on_refusal="split")
        polling = Polling(rest=0)
        names = self._target.names or "all"
        # One attempt in a cycle: the next one is another, and nothing that fails is hidden.
        group = polling.add(device, names, every=self._every, group="watch")
        view = _View(group) if self._output.rich else None
        with interrupts() as ended:
            async with device, polling:
                self._begin(group)
                watching = asyncio.create_task(self._follow(polling, ended, view))
                drawing = asyncio.create_task(view.draw(self._every)) if view else None
                try:
                    async with asyncio.timeout(duration):
                        await ended.wait()
                except TimeoutError:
                    pass
                for task in (watching, drawing):
                    if task is not None:
                        task.cancel()
                        await asyncio.wait([task])
        self._end()

    async def _follow(self, polling: Any, ended: asyncio.Event, view: _View | None) -> None:
        async for update in polling.updates():
            self._take(update, quiet=view is not None)
            if self._left is not None and self._counts["updates"] >= self._left:
                ended.set()
                return

    def _take(self, update: Update, *, quiet: bool) -> None:
        self._counts["updates"] += 1
        self._counts["changes"] += len(update.changed)
        self._counts["failures"] += update.failure is not None
        before, self._failure = self._failure, update.failure
        if self._output.json:
            self._document(update)
            return
        if quiet:
            return
        at = clock(update.at)
        if update.failure is not None:
            self._output.line(f"{at}\t\t{type(update.failure).__name__}: {update.failure}")
            return
        if before is not None:
            self._output.line(f"{at}\t\tanswers again")
        for name, value in update.changed.items():
            unit = update.device.schema.mappings[name].unit
            self._output.line(f"{at}\t{name}\t{shown(value)}" + (f" {unit}" if unit else ""))

    def _document(self, update: Update) -> None:
        from heliograph.plain import plain

        failure = update.failure
        self._object(
            "update",
            {
                "time": update.at,
                "changed": plain(update.changed),
                "failure": None
                if failure is None
                else {"type": type(failure).__name__, "message": str(failure)},
            },
        )

    def _begin(self, group: PollGroup) -> None:
        about = self._target.about
        if self._output.json:
            self._object("watching", {"device": about, "names": list(group.names)})
        else:
            self._output.note(
                f"Watching {plural(len(group.names), 'value')} of unit {about['unit']} at "
                f"{about['url']} every {self._every:g} s; an interrupt (Ctrl-C) ends it."
            )

    def _end(self) -> None:
        if self._output.json:
            self._object("summary", self._counts)
        else:
            counts = self._counts
            self._output.note(
                f"{plural(counts['updates'], 'update')}, {plural(counts['changes'], 'change')}, "
                f"{plural(counts['failures'], 'failure')}."
            )

    def _object(self, kind: str, data: dict[str, Any]) -> None:
        whole = {"version": JSON_VERSION, "command": "modbus watch", "kind": kind, **data}
        self._output.line(json.dumps(whole, ensure_ascii=False))


class _View:
    """The table on a terminal."""

    def __init__(self, group: PollGroup) -> None:
        self._group = group
        self._samples: dict[str, deque[Any]] = {
            name: deque(maxlen=_SAMPLES) for name in group.names
        }

    async def draw(self, every: float) -> None:
        """Draw until cancelled."""
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False, emoji=False, markup=False)
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while True:
                self.sample()
                live.update(self.table(), refresh=True)
                await asyncio.sleep(every)

    def sample(self) -> None:
        """Note what the values are now."""
        group = self._group
        for name, samples in self._samples.items():
            samples.append(None if group.failure is not None else group.values.get(name))

    def table(self) -> Group:
        """What is shown now."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        group, mappings = self._group, self._group.device.schema.mappings
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("name", "value", "unit", "last readings"):
            table.add_column(column, no_wrap=True)
        for name, samples in self._samples.items():
            known = name in group.values
            table.add_row(
                Text(name, style="cyan"),
                Text(shown(group.values[name]) if known else "", style="bold"),
                mappings[name].unit or "",
                Text(sparkline(samples), style="green"),
            )
        said = Text(no_wrap=True, overflow="ellipsis")
        if group.failure is not None:
            said.append(f" {type(group.failure).__name__}: {group.failure}", "red")
        elif group.at:
            said.append(f" {clock(group.at)}, {group.missed} missed", "dim")
        return Group(table, said)


def sparkline(samples: Any) -> str:
    """The last readings as bars, the least as the lowest one; a gap where there was no number."""
    numbers = [
        float(each) if isinstance(each, int | float) and each - each == 0 else None
        for each in samples
    ]
    known = [each for each in numbers if each is not None]
    if not known:
        return _GAP * len(numbers)
    least, span = min(known), max(known) - min(known)
    return "".join(
        _GAP
        if each is None
        else _BARS[round((each - least) / span * (len(_BARS) - 1)) if span else 0]
        for each in numbers
    )
