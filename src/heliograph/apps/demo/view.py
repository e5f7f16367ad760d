# SPDX-License-Identifier: Apache-2.0
"""The demo as a live picture in a terminal, and its end as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from heliograph.apps.collect.text import metric_row, trace_lines
from heliograph.apps.demo.scene import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from heliograph.apps.collect.text import Line
    from heliograph.apps.demo.demo import Demo
    from heliograph.apps.demo.scene import Promise, Scene

__all__ = ["picture", "sparkline", "summary"]

_SPARK: Final = 6
# Columns for two panels side by side; where there are fewer, rows for log events beside traces.
_WIDE: Final = 110
_TALL: Final = 30
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_STATES: Final = {"running": "green", "killed": "bold red", "returning": "yellow"}
_METRICS: Final = (
    "gateway.device.count",
    "gateway.device.takeovers",
    "gateway.alarms",
    "modboss.read.duration",
    "modbus.client.operation.duration",
    "modbus.client.retries",
    "partisan.connection.latency",
    "heliograph.process.memory.usage",
)
_MARKS: Final = {True: ("ok", "green"), False: ("NOT SEEN", "bold red"), None: ("not here", "dim")}


def sparkline(values: Iterable[float], width: int) -> str:
    """The last values as blocks, the least of them the lowest and the greatest the highest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    least, most = min(shown), max(shown)
    step = (most - least) / (len(_BLOCKS) - 1)
    if not step:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[round((value - least) / step)] for value in shown)


class _Picture:
    """Fits itself into the terminal that it is shown in."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= _WIDE
        yield _layout(self._demo, wide=wide, height=options.height or console.height)


def picture(demo: Demo) -> RenderableType:
    """All of it, as it is now; where there is no room for all, the cluster and the traces."""
    return _Picture(demo)


def _layout(demo: Demo, *, wide: bool, height: int) -> Layout:
    scene = demo.scene
    head = Text.assemble(
        ("heliograph demo", "bold"),
        (f"  {demo.elapsed:5.1f} s of {demo.seconds:g}  ", "dim"),
        (demo.stage, "yellow"),
    )
    counts = scene.counts
    page = f"page at {demo.page}    " if demo.page else ""
    foot = Text(
        f"{counts['spans']} spans, {counts['metrics']} metric points, {counts['logs']} log events "
        f"at {demo.endpoint}    {page}Ctrl-C ends it",
        style="dim",
    )
    layout = Layout()
    log_events = Panel(_lines(scene.lines, 30, last=True), title="Log events")
    if not wide:
        lower = [Layout(Panel(_traces(scene), title="Traces"))]
        if height >= _TALL:
            lower.append(Layout(log_events))
        layout.split_column(
            Layout(head, size=1),
            Layout(Panel(_members(scene), title="Cluster"), size=6),
            Layout(Panel(_devices(scene), title="Devices"), size=len(scene.devices) + 3),
            *lower,
            Layout(foot, size=1),
        )
        return layout
    layout.split_column(
        Layout(head, size=1),
        Layout(name="upper", size=18),
        Layout(name="lower"),
        Layout(foot, size=1),
    )
    layout["upper"].split_row(Layout(name="left", size=74), Layout(name="right"))
    layout["left"].split_column(
        Layout(Panel(_members(scene), title="Cluster"), size=6),
        Layout(Panel(_devices(scene), title="Devices")),
    )
    layout["right"].split_column(
        Layout(Panel(_traces(scene), title="Traces")),
        Layout(Panel(_metrics(scene), title="Metrics"), size=len(_METRICS) + 2),
    )
    layout["lower"].update(log_events)
    return layout


def _members(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for gateway in scene.gateways.values():
        table.add_row(
            Text(gateway.name, "bold"),
            Text(gateway.state, _STATES.get(gateway.state, "dim")),
            Text(f"sees {gateway.living}" if gateway.living else ""),
            Text(", ".join(sorted(gateway.devices)), "cyan", no_wrap=True, overflow="ellipsis"),
        )
    return Group(table, _way(scene))


def _way(scene: Scene) -> RenderableType:
    """The tree along which the last alarm went."""
    broadcast = scene.broadcast
    if broadcast is None:
        return Text("no alarm yet", "dim")
    hops = ", ".join(f"{_short(name)} {1000 * after:.1f} ms" for name, after in broadcast.hops)
    return Text.assemble(
        ("last alarm ", "dim"),
        (f"{broadcast.device} {broadcast.mapping}  ", "red"),
        f"{_short(broadcast.root)} ─▸ {hops or '–'}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _short(name: str) -> str:
    return name.partition("@")[0]


def _devices(scene: Scene) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for column in ("device", "by", *VALUES):
        table.add_column(column, no_wrap=True)
    alarms = {device for told in scene.alarms.values() for device, _ in told}
    for device in scene.devices:
        held = ", ".join(_short(name) for name in scene.holders(device))
        row = [
            Text(device, "bold red" if device in alarms else "bold"),
            Text(held or "–", "cyan" if held else "bold red"),
        ]
        for mapping in VALUES:
            series = scene.series.get((device, mapping))
            if series is None or not series.values:
                row.append(Text())
            elif series.unit:
                value = f"{series.values[-1]:.3g} {series.unit}"
                row.append(
                    Text.assemble(f"{value:8} ", (sparkline(series.values, _SPARK), "green"))
                )
            else:
                row.append(Text("on" if series.values[-1] else "off"))
        table.add_row(*row)
    return table


def _traces(scene: Scene) -> RenderableType:
    found = list(scene.latest)[-2:]
    if scene.retry is not None:
        found = [scene.retry, *[each for each in found if each is not scene.retry][-1:]]
    lines: list[Line] = []
    for trace in found:
        lines += trace_lines(trace)
    return _lines(lines, 14)


def _metrics(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, min_width=max(map(len, _METRICS)), style="cyan")
    table.add_column(no_wrap=True, ratio=1)
    for name in _METRICS:
        if name in scene.metrics:
            _, _, value, unit, _ = metric_row(*scene.metrics[name])
            table.add_row(name, Text(f"{value} {unit}"))
    return table


def _lines(lines: Iterable[Line], most: int, *, last: bool = False) -> RenderableType:
    shown = list(lines)
    shown = shown[: -most - 1 : -1] if last else shown[:most]
    return Group(*(Text.assemble(*line, no_wrap=True, overflow="ellipsis") for line in shown))


def summary(demo: Demo, promises: Iterable[Promise]) -> RenderableType:
    """What was seen in the end: events by catalog, what was exported, and what was promised."""
    events = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("catalog", "events", "kinds seen", "not seen"):
        events.add_column(column, justify="right" if column == "events" else "left")
    for name, entries in demo.entries().items():
        missing = [event.removeprefix(f"{name}.") for event, count in entries.items() if not count]
        seen = len(entries) - len(missing)
        events.add_row(
            Text(name, "cyan"),
            str(sum(entries.values())),
            f"{seen} of {len(entries)}",
            Text(", ".join(missing), "dim"),
        )
    kept = Table(box=None, pad_edge=False, show_header=False)
    for promise in promises:
        mark, style = _MARKS[promise.kept]
        kept.add_row(Text(f"  {mark}", style), Text(promise.topic), Text(promise.text))
    return Group(events, kept)
