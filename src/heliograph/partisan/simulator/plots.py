# SPDX-License-Identifier: Apache-2.0
"""Plots of reports as SVG: lines over the first column, bars of a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.partisan.simulator.experiments import Result

__all__ = ["charts", "svg"]

_WIDTH, _HEIGHT, _MARGIN = 640, 360, 56
_COLORS: Final = ("#2563eb", "#dc2626", "#059669", "#7c3aed")  # apart for most eyes, and in print
_TICKS: Final = 5
_FONT: Final = 'font-family="sans-serif" font-size="12"'
_BAR: Final = 24


@dataclass(frozen=True, slots=True)
class _Plot:
    """What is drawn of a kind of scenario."""

    title: str
    x: str
    y: str
    lines: tuple[str, ...]


_FAILED: Final = "percent of nodes failed"
_PLOTS: Final = {
    "broadcast": {
        "": _Plot("Redundancy of each broadcast", "broadcast", "copies too many, each", ("rmr",)),
        "hops": _Plot("Hops of the last delivery", "broadcast", "hops", ("last_hop",)),
    },
    "degree": {
        "": _Plot("Nodes with a full active view", "seed", "part of all nodes", ("full",)),
    },
    "failures": {
        "": _Plot(
            "Reliability after simultaneous failures",
            _FAILED,
            "part of the living reached",
            ("first", "first_ten", "later", "after_cycles"),
        ),
        "redundancy": _Plot(
            "Redundancy after failures", _FAILED, "copies too many, each", ("rmr",)
        ),
        "hops": _Plot("Hops of the last delivery", _FAILED, "hops", ("last_hop",)),
        "control": _Plot(
            "Announcements, answers, grafts and prunes",
            _FAILED,
            "bytes a broadcast",
            ("control_bytes",),
        ),
    },
    "healing": {
        "": _Plot("Healing", _FAILED, "membership cycles", ("cycles",)),
    },
    "links": {
        "": _Plot("Length of links", "membership cycle", "of a square's side", ("link_length",)),
        "clustering": _Plot(
            "Clustering", "membership cycle", "neighbors that are neighbors", ("clustering",)
        ),
    },
}


def svg(result: Result) -> str:
    """Draw what matters most of a result."""
    return next(iter(charts(result).values()))


def charts(result: Result) -> dict[str, str]:
    """Draw all that there is to draw of a result, each by a name; that of the first is empty."""
    if result.scenario.kind == "graph":
        return {"": _distribution(result)}
    drawn = {}
    for name, plot in _PLOTS[result.scenario.kind].items():
        lines = []
        for line in plot.lines:
            at = result.columns.index(line)
            lines.append(
                [(float(row[0]), float(row[at])) for row in result.rows if row[at] is not None]
            )
        drawn[name] = _draw(plot, lines, bars=False)
    return drawn


def _distribution(result: Result) -> str:
    bars = [
        (float(name.rpartition("_")[2]), float(count))
        for name, count in result.rows
        if name.startswith("in_degree_")
    ]
    plot = _Plot("In-degree of the active views", "views a node is in", "nodes", ("nodes",))
    return _draw(plot, [bars], bars=True)


def _draw(plot: _Plot, lines: Sequence[Sequence[tuple[float, float]]], *, bars: bool) -> str:
    points = [point for line in lines for point in line] or [(0.0, 0.0)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right = min(xs) - bars, max(xs) + bars
    top = 1.0 if max(ys) <= 1 else max(ys)
    wide, high = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left) if right > left else 0.5
        return round(_MARGIN + wide * across, 1), round(_HEIGHT - _MARGIN - high * y / top, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _label(_WIDTH / 2, 24, plot.title, size=15),
        _label(_WIDTH / 2, _HEIGHT - 12, plot.x),
        _label(16, _HEIGHT / 2, plot.y, turned=True),
    ]
    for tick in range(_TICKS + 1):
        x, y = left + (right - left) * tick / _TICKS, top * tick / _TICKS
        (across, bottom), (_, up) = at(x, 0), at(left, y)
        parts += [
            f'<path d="M{_MARGIN} {up}h{wide}" stroke="#ddd"/>',
            _label(across, bottom + 18, f"{x:g}"),
            _label(_MARGIN - 8, up + 4, _short(y), anchor="end"),
        ]
    for number, (name, line) in enumerate(zip(plot.lines, lines, strict=True)):
        color = _COLORS[number % len(_COLORS)]
        if bars:
            for x, y in line:
                across, up = at(x, y)
                height = round(_HEIGHT - _MARGIN - up, 1)
                parts.append(
                    f'<rect x="{across - _BAR / 2}" y="{up}" width="{_BAR}" height="{height}"'
                    f' fill="{color}"/>'
                )
            continue
        path = " ".join(f"{'L' if index else 'M'}{x} {y}" for index, (x, y) in _each(line, at))
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        row = _MARGIN + 16 * number + high / 2
        parts.append(_label(_MARGIN + 12, row, name, anchor="start", color=color))
    return "\n".join([*parts, "</svg>", ""])


def _short(value: float) -> str:
    for size, sign in ((1_000_000, " M"), (1_000, " k")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def _each(line: Sequence[tuple[float, float]], at: Any) -> Any:
    return enumerate([at(x, y) for x, y in line])


def _label(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    anchor: str = "middle",
    color: str = "#333",
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{color}"{turn}>'
        f"{escape(text)}</text>"
    )
