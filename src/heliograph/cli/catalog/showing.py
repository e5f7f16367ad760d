# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.completion import complete_catalog, complete_event
from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heliograph.catalog.catalog import Catalog
    from heliograph.catalog.model import EventSpec, MetricSpec, SpanSpec, Use
    from heliograph.cli.output import Output

__all__ = ["show"]

_EPILOG = """\b
Examples:
  heliograph catalog show telemetry.handler.failure
  heliograph catalog show shop.checkout shop.yaml
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is asked for, and all that belongs to it."""

    asked: str
    name: str
    """What it is called now, if `asked` is an old name."""
    events: tuple[EventSpec, ...]
    """The event, or the three of a span."""
    span: SpanSpec | None
    metrics: tuple[MetricSpec, ...]
    whole_span: bool


@click.command(epilog=_EPILOG)
@click.argument("event", shell_complete=complete_event)
@click.argument("catalogs", metavar="[CATALOG]...", nargs=-1, shell_complete=complete_catalog)
@json_option
@click.pass_context
def show(ctx: click.Context, event: str, catalogs: tuple[str, ...], output: Output) -> None:
    """Tell everything about one event or span.

    What it carries, the span it belongs to, the metrics made of it, its attributes, and how to
    execute it and listen to it. An old name leads to the new one. Exits with 1 if there is no such
    event.
    """
    from heliograph.catalog.errors import did_you_mean, shorten
    from heliograph.cli import project

    catalog = project.catalogs(catalogs)
    found = _find(catalog, event)
    if found is None:
        mend = did_you_mean(event, [*catalog.events, *catalog.spans])
        missing = f"no event {shorten(event)!r} in {_names(catalog)}"
        output.note(f"heliograph: {missing}{mend and f'; {mend}'}")
        ctx.exit(ExitCode.FINDINGS)
    if output.json:
        output.document(_document(catalog, found))
    elif output.rich:
        from rich.text import Text

        output.show(*(_styled(line, Text) for line in _lines(catalog, found)))
    else:
        for line in _lines(catalog, found):
            output.line(line)


def _names(catalog: Catalog) -> str:
    return ", ".join(document.name for document in catalog.documents) or "no catalog"


def _find(catalog: Catalog, asked: str) -> _Shown | None:
    span = catalog.spans.get(asked)
    if span is not None and span.deprecated is not None and span.deprecated.renamed_to is not None:
        span = catalog.spans[span.deprecated.renamed_to]
    event = None if span is not None else catalog.events.get(catalog.aliases.get(asked, asked))
    if span is not None:
        events: tuple[EventSpec, ...] = span.events
    elif event is not None:
        events = (event,)
    else:
        return None
    names = {each.name for each in events}
    return _Shown(
        asked=asked,
        name=span.name if span is not None else events[0].name,
        events=events,
        span=span if span is not None else catalog.spans.get(events[0].span or ""),
        metrics=tuple(each for each in catalog.metrics.values() if names & {*each.events}),
        whole_span=span is not None,
    )


def _document(catalog: Catalog, found: _Shown) -> dict[str, Any]:
    from heliograph.cli.catalog import shapes

    aliases = [old for old, new in catalog.aliases.items() if new == found.name]
    return {
        "asked": found.asked,
        "name": found.name,
        "aliases": aliases,
        "events": [shapes.event(each) for each in found.events],
        "span": None if found.span is None else shapes.span(found.span),
        "metrics": [shapes.metric(each) for each in found.metrics],
        "examples": {
            "execute": "\n".join(_executing(found)),
            "attach": "\n".join(_attaching(catalog, found)),
        },
    }


# --- text ---


def _styled(line: str, text: Any) -> Any:
    """Headings stand out; what is indented is data."""
    return text(line, style="" if line.startswith(" ") else "bold")


def _lines(catalog: Catalog, found: _Shown) -> Iterator[str]:
    if found.asked != found.name:
        yield f"{found.asked} is an old name of {found.name}"
        yield ""
    about = found.span if found.whole_span and found.span is not None else found.events[0]
    yield found.name
    yield f"  {about.brief}"
    yield from _facts(catalog, found)
    for event in found.events:
        prefix = f"{event.kind}: " if found.whole_span else ""
        yield from _carried(f"{prefix}measurements", event.measurements)
        yield from _carried(f"{prefix}metadata", event.metadata)
    if found.metrics:
        yield ""
        yield "metrics"
        yield from _columns((f"{each.name}", _metric(each), each.brief) for each in found.metrics)
    yield ""
    yield "execute"
    yield from (f"  {line}".rstrip() for line in _executing(found))
    yield ""
    yield "listen"
    yield from (f"  {line}".rstrip() for line in _attaching(catalog, found))


def _facts(catalog: Catalog, found: _Shown) -> Iterator[str]:
    event, span = found.events[0], found.span
    about = span if found.whole_span and span is not None else event
    [document] = [each for each in catalog.documents if each.name == event.catalog]
    facts = [("catalog", f"{document.name} {document.version}, {document.file}")]
    if span is not None:
        others = ", ".join(each.name for each in span.events)
        facts.append(("span", f"{span.name}, kind {span.kind}: {others}"))
    else:
        logged = f"severity {event.severity}" if event.log else "none"
        facts.append(("log event", logged))
    facts.append(("stability", about.stability))
    if about.deprecated is not None:
        facts.append(("deprecated", about.deprecated.note or "yes"))
    aliases = [old for old, new in catalog.aliases.items() if new == found.name]
    if aliases:
        facts.append(("old names", ", ".join(aliases)))
    if about.note:
        facts.append(("note", about.note))
    yield from _columns(facts)


def _carried(title: str, uses: Iterable[Use]) -> Iterator[str]:
    rows = [_use(use) for use in uses]
    if rows:
        yield ""
        yield title
        yield from _columns(rows)


def _use(use: Use) -> tuple[str, ...]:
    field = use.field
    kind = f"{field.type} in {field.unit}" if field.unit else field.type
    remarks = [
        *([] if use.required else ["may be absent"]),
        *(["sensitive"] if field.sensitive else []),
        *(["high cardinality"] if field.high_cardinality else []),
        *([f"one of {', '.join(map(str, field.values))}"] if field.values else []),
        *([f"such as {_plain(field.examples[0])}"] if field.examples else []),
        *(["deprecated"] if field.deprecated is not None else []),
    ]
    brief = f"{field.brief} ({'; '.join(remarks)})" if remarks else field.brief
    return use.key, kind, field.attribute or "-", brief


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metric(metric: MetricSpec) -> str:
    tags = [*(tag.key for tag in metric.tags), *(["error.type"] if metric.error_type else [])]
    by = f" by {', '.join(tags)}" if tags else ""
    return f"{metric.instrument} in {metric.unit}{by}"


def _columns(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their cells, but the last, aligned."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"  {'  '.join(cells).rstrip()}"


# --- examples ---


def _executing(found: _Shown) -> list[str]:
    """Code that executes the event, with one value for each key that must be there."""
    event, span = found.events[0], found.span
    if span is None:
        given = [
            _values(event.measurements),
            *([_values(event.metadata)] if event.metadata else []),
        ]
        return [f'heliograph.execute("{event.name}", {", ".join(given)})']
    standard = {"telemetry_span_context"}
    told = [use for use in span.start.metadata if use.key not in standard]
    metadata = f", {_values(told)}" if told else ""
    lines = [f'with heliograph.span("{span.name}"{metadata}) as span:']
    implied = {"duration", "monotonic_time"}
    known = standard | {use.key for use in told}
    lines += [
        f'    span.measurements["{use.key}"] = {_value(use)}'
        for use in span.stop.measurements
        if use.required and use.key not in implied
    ]
    lines += [
        f'    span.metadata["{use.key}"] = {_value(use)}'
        for use in span.stop.metadata
        if use.required and use.key not in known
    ]
    return lines if len(lines) > 1 else [*lines, "    ..."]


def _attaching(catalog: Catalog, found: _Shown) -> list[str]:
    from heliograph.catalog.find import installed

    attach = f'heliograph.attach("mine", "{found.name}", handle)'
    if found.whole_span:
        [document] = [each for each in catalog.documents if each.name == found.events[0].catalog]
        load = f'load("{document.name if document.name in installed() else document.file}")'
        attach = f'heliograph.catalog.{load}.attach("mine", "{found.name}.*", handle)'
    return [
        "def handle(event, measurements, metadata, config):",
        "    print(event, measurements, metadata)",
        "",
        attach,
    ]


def _values(uses: Iterable[Use]) -> str:
    inner = ", ".join(f'"{use.key}": {_value(use)}' for use in uses if use.required)
    return f"{{{inner}}}"


_SAMPLES: Final = {
    "string": '"..."',
    "int": "1",
    "float": "0.5",
    "number": "1",
    "bool": "True",
    "bytes": 'b"..."',
    "map": "{}",
    "any": "...",
    "result": "heliograph.Ok(...)",
    "exception": "error",
    "stacktrace": "stack",
}


def _value(use: Use) -> str:
    field = use.field
    given = next(iter((*field.examples, *field.values)), None)
    if given is None or field.type == "bytes":
        return _SAMPLES.get(field.type, "[]")
    if isinstance(given, tuple):
        return repr(list(given)).replace("'", '"')
    return f'"{given}"' if isinstance(given, str) else repr(given)
