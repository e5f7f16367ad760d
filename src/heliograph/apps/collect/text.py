# SPDX-License-Identifier: Apache-2.0
"""What was received as lines and rows for people.

Whatever a sender writes, no control character reaches the terminal, and no line is endless.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from heliograph.apps.collect.model import ExponentialPoint, HistogramPoint, NumberPoint
from heliograph.apps.collect.quantiles import quantile
from heliograph.apps.collect.traces import branches
from heliograph.handlers.console import duration
from heliograph.plain import Limits, plain, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.apps.collect.model import Log, Metric, Point, Span, Value
    from heliograph.apps.collect.traces import Trace

__all__ = ["METRIC_COLUMNS", "Line", "log_line", "metric_row", "shown", "trace_lines"]

Line: TypeAlias = list[tuple[str, str]]
"""Pieces of text, each with the style it has on a terminal."""

METRIC_COLUMNS: Final = ("metric", "attributes", "value", "unit", "kind")

# Our choices: what a line has room for.
_LIMITS: Final = Limits(depth=2, items=4, text=60, nodes=32)
_ATTRIBUTES: Final = 10
_NAME: Final = 60
_BAR: Final = 12
_TEXT: Final = 200
# Too long for a line whatever is cut; `--json` has it.
_NOT_SHOWN: Final = "exception.stacktrace"

_SEVERITIES: Final = ("     ", "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR", "FATAL")
_SEVERITY_STYLES: Final = ("", "dim", "dim", "green", "yellow", "red", "bold red")


def trace_lines(trace: Trace) -> list[Line]:
    """A trace: a line about all of it, and one for each span, indented below its parent's."""
    tree = branches(trace.spans)
    begin = min(span.start for span in trace.spans)
    end = max(span.end for span in trace.spans)
    services = dict.fromkeys(branch.span.source.service for branch in tree)
    names = ", ".join(shown(service) for service in services if service)
    count = len(tree)
    head: Line = [
        ("trace ", "dim"),
        (trace.trace_id, "bold"),
        (f"  {names}" if names else "", "cyan"),
        (f"  {count} span{'s' if count != 1 else ''}  {duration(end - begin)}", ""),
    ]
    if trace.late:
        head.append((f"  again, with {len(trace.late)} more", "yellow"))
    labels = [f"{branch.guide}{shown(branch.span.name)}" for branch in tree]
    width = max(map(len, labels))
    times = [duration(branch.span.duration) for branch in tree]
    time_width = max(map(len, times))
    lines = [head]
    for branch, label, time in zip(tree, labels, times, strict=True):
        span = branch.span
        name = label[len(branch.guide) :]
        line: Line = [
            ("  ", ""),
            (branch.guide, "dim"),
            (name, "bold red" if span.status == "error" else "bold"),
            (" " * (width - len(label) + 2), ""),
            (time.rjust(time_width), ""),
            (f"  {_bar(span, begin, end)}", "blue"),
        ]
        if len(services) > 1 and span.source.service:
            line.append((f"  {shown(span.source.service)}", "cyan"))
        if span.kind not in {"internal", "unspecified"}:
            line.append((f"  {span.kind}", "dim"))
        if span.status == "error":
            said = f": {shown(span.status_message, _TEXT)}" if span.status_message else ""
            line.append((f"  error{said}", "red"))
        if span.span_id in trace.late:
            line.append(("  late", "yellow"))
        if branch.stray:
            line.append(("  parent not received", "dim"))
        line += _attributes(span.attributes)
        for word, things in (("event", span.events), ("link", span.links)):
            if things:
                line.append((f"  {len(things)} {word}{'s' if len(things) != 1 else ''}", "dim"))
        lines.append(line)
    return lines


def _bar(span: Span, begin: int, end: int) -> str:
    """Where in the trace's time a span was."""
    whole = max(1, end - begin)
    left = min(_BAR - 1, max(0, (span.start - begin) * _BAR // whole))
    right = min(_BAR, max(left + 1, -((begin - span.end) * _BAR // whole)))
    return f"{' ' * left}{'━' * (right - left)}{' ' * (_BAR - right)}"


def log_line(log: Log) -> Line:
    """A log record: when, how bad, what, and what is known of it."""
    level = min((max(0, log.severity) + 3) // 4, len(_SEVERITIES) - 1)
    when = log.time or log.observed
    clock = _clock(when) if when else " " * 12
    line: Line = [
        (clock, "dim"),
        (f"  {_SEVERITIES[level]}", _SEVERITY_STYLES[level]),
    ]
    if log.event_name:
        line.append((f"  {shown(log.event_name)}", "bold"))
    if isinstance(log.body, str):
        line.append((f"  {shown(log.body, _TEXT)}", ""))
    elif log.body is not None:
        line.append((f"  {rendered(plain(log.body, _LIMITS))}", ""))
    line += _attributes(log.attributes)
    if log.source.service:
        line.append((f"  {shown(log.source.service)}", "cyan"))
    if log.trace_id is not None:
        line.append((f"  trace {log.trace_id[:8]}", "dim"))
    return line


def _clock(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, ValueError, OSError):
        return " " * 12  # a year that no calendar has
    return f"{moment:%H:%M:%S}.{rest // 1_000_000:03d}"


def metric_row(metric: Metric, point: Point) -> tuple[str, ...]:
    """The latest of a series, as cells for `METRIC_COLUMNS`."""
    words = "".join(text for text, _ in _attributes(point.attributes))
    kind = {
        "sum": "counter" if metric.monotonic else "up-down counter",
        "exponential_histogram": "exponential histogram",
    }.get(metric.kind, metric.kind)
    if metric.temporality == "delta":
        kind += ", delta"
    return (shown(metric.name, _TEXT), words.strip(), _told(point), shown(metric.unit, 20), kind)


def _told(point: Point) -> str:
    if isinstance(point, NumberPoint):
        return "none" if point.value is None else _number(point.value)
    words = [f"count {point.count}"]
    if isinstance(point, HistogramPoint | ExponentialPoint):
        if point.sum is not None:
            words.append(f"sum {_number(point.sum)}")
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            value = quantile(point, share)
            if value is not None:
                words.append(f"{name} ≈{_number(value)}")
        if point.max is not None:
            words.append(f"max {_number(point.max)}")
    else:
        words.append(f"sum {_number(point.sum)}")
        words += [f"p{100 * share:g} {_number(value)}" for share, value in point.quantiles]
    return "  ".join(words)


def _number(value: float) -> str:
    """Whole numbers as they are, others to four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _attributes(attributes: Mapping[str, Value]) -> Line:
    line: Line = []
    keys = [key for key in attributes if key != _NOT_SHOWN]
    for key in keys[:_ATTRIBUTES]:
        line.append((f"  {shown(key)}=", "dim"))
        line.append((rendered(plain(attributes[key], _LIMITS)), ""))
    if len(keys) > _ATTRIBUTES:
        line.append((f"  … {len(keys) - _ATTRIBUTES} more", "dim"))
    return line


def shown(text: str, longest: int = _NAME) -> str:
    """A text, cut if it is too long, without anything that a terminal would act upon."""
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text if text.isprintable() else rendered(text)
