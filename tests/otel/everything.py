# SPDX-License-Identifier: Apache-2.0
"""Executes everything that a catalog declares, and holds what arrives to its Weaver registry."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from heliograph import Error, Event, Ok, Telemetry
from heliograph.apps.collect import Log, Metric, NumberPoint, Span
from heliograph.catalog.model import Document, EventSpec, FieldSpec, Use
from heliograph.catalog.outputs import weaver
from heliograph.spans import SPAN_CONTEXT

_contexts = itertools.count(1)


# -- Executing -------------------------------------------------------------------------------------


def execute_everything(document: Document, telemetry: Telemetry, handles: object = None) -> None:
    """Execute each event, with and without what may be absent; each span both ways, and endlessly.

    Args:
        document: The catalog.
        telemetry: The dispatcher.
        handles: A module with generated handles, to be used where it has them.
    """
    made: dict[str, Any] = {}
    for value in vars(handles).values() if handles is not None else ():
        for each in (value, *(getattr(value, end, None) for end in ("start", "stop", "exception"))):
            if isinstance(each, Event):
                made[each.name] = each

    def execute(event: EventSpec, variant: int, context: object = None) -> None:
        handle = made.get(event.name) or telemetry.event(event.name)
        metadata = _values(event.metadata, variant)
        if context is not None:
            metadata[SPAN_CONTEXT] = context
        handle.execute(_values(event.measurements, variant), metadata)

    # As many as it takes to have each value of the longest enumeration.
    variants = max(4, *(len(field.values) for field in document.fields.values()))
    for event in document.events.values():
        if event.kind == "point" and event.alias_of is None:
            for variant in range(variants):
                execute(event, variant)
    for span in document.spans.values():
        if span.deprecated is not None and span.deprecated.renamed_to in document.spans:
            continue
        ends = (span.stop, span.exception, span.stop, span.stop)
        for variant in range(variants + 1):
            end = ends[variant % 4] if variant < variants else None
            context = f"context-{next(_contexts)}"
            execute(span.start, variant, context)
            if end is not None:
                execute(end, variant, context)


def _values(uses: Iterable[Use], variant: int) -> dict[str, Any]:
    """Values: 0 and 1 of everything, 2 of what must be there only, 3 with long texts."""
    return {
        use.key: _value(use.field, variant)
        for use in uses
        if (use.required or variant != 2) and use.key != SPAN_CONTEXT
    }


def _value(field: FieldSpec, variant: int) -> Any:
    if field.name in {"system_time", "monotonic_time"}:
        return 1_700_000_000_000_000_000
    kind, array = field.type.removesuffix("[]"), field.type.endswith("[]")
    given: Any = next(iter(field.examples), None)
    if field.values:
        given = field.values[variant % len(field.values)]
    elif type(given) is int:
        given += variant % 2
    elif kind == "string" and variant == 3:
        given = "long " * 4000
    if isinstance(given, tuple):
        return list(given)
    if given is None:
        given = _samples(variant)[kind]
    return [given] if array else given


def _samples(variant: int) -> dict[str, Any]:
    error = ValueError("something is wrong")
    return {
        "string": "a text",
        "int": 3,
        "float": 0.5,
        "number": 3 if variant else 0.25,
        "bool": True,
        "bytes": b"\x00\xff",
        "map": {"key": [1, "two", None]},
        "any": [1, {"deep": 2.5}],
        "result": Error("timeout") if variant % 2 else Ok({"rows": 3}),
        "exception": error,
        "stacktrace": traceback.extract_stack(),
    }


# -- Holding to the registry -----------------------------------------------------------------------


class Registry:
    """A generated registry, and everything that was received otherwise than it says."""

    def __init__(self, document: Document) -> None:
        files = {name: yaml.safe_load(text) for name, text in weaver.render(document).items()}
        self._document = document
        self._schema_url = files[weaver.MANIFEST]["schema_url"]
        self._attributes: dict[str, Any] = {
            each["key"]: each["type"]
            for each in files.get("attributes.yaml", {}).get("attributes", ())
        }
        # Defined by OpenTelemetry's semantic conventions, which the registry refers to.
        self._foreign = {
            "error.type": "string",
            "exception.type": "string",
            "exception.message": "string",
            "exception.stacktrace": "string",
            "server.address": "string",
            "server.port": "int",
            "network.transport": "string",
            "network.protocol.name": "string",
        }
        self.spans: dict[str, Any] = {
            each["name"]["note"]: each
            for each in files.get("spans.yaml", {}).get("spans", ())
            if "deprecated" not in each
        }
        self.events: dict[str, Any] = {
            each["name"]: each
            for each in files.get("events.yaml", {}).get("events", ())
            if "deprecated" not in each
        }
        self.metrics: dict[str, Any] = {
            each["name"]: each
            for each in files.get("metrics.yaml", {}).get("metrics", ())
            if "deprecated" not in each
        }
        self.differences: list[str] = []

    def _differ(self, what: str, expected: object, got: object) -> None:
        if expected != got:
            self.differences.append(f"{what}: the registry has {expected!r}, received {got!r}")

    def check(
        self, spans: Iterable[Span], metrics: Iterable[Metric], logs: Iterable[Log]
    ) -> list[str]:
        """All differences, what the registry has and what was never received included."""
        seen: set[tuple[str, str]] = set()
        for span in spans:
            entry = self.spans.get(span.name)
            seen.add(("span", span.name))
            self._common(f"span {span.name}", entry, span.source, span.attributes)
            if entry is not None:
                self._differ(f"kind of {span.name}", entry["kind"], span.kind)
        for log in logs:
            entry = self.events.get(log.event_name)
            seen.add(("event", log.event_name))
            self._common(f"event {log.event_name}", entry, log.source, log.attributes)
            if entry is not None:
                severity = entry["annotations"]["heliograph"]["severity"]
                self._differ(f"severity of {log.event_name}", severity.upper(), log.severity_text)
        for metric in metrics:
            seen.add(("metric", metric.name))
            self._metric(metric, self.metrics.get(metric.name))
        for kind, entries in (
            ("span", self.spans),
            ("event", self.events),
            ("metric", self.metrics),
        ):
            for name in entries:
                if (kind, name) not in seen:
                    self.differences.append(f"{kind} {name}: never received")
        return sorted(set(self.differences))

    def _metric(self, metric: Metric, entry: Any) -> None:
        for point in metric.points:
            self._common(f"metric {metric.name}", entry, metric.source, point.attributes)
        if entry is None:
            return
        kind = {
            "sum": "counter" if metric.monotonic else "updowncounter",
            "exponential_histogram": "histogram",
        }.get(metric.kind, metric.kind)
        self._differ(f"instrument of {metric.name}", entry["instrument"], kind)
        self._differ(f"unit of {metric.name}", entry["unit"], metric.unit)
        self._differ(f"brief of {metric.name}", entry["brief"], metric.description)
        notes = entry["annotations"]["heliograph"]
        for point in metric.points:
            if isinstance(point, NumberPoint):
                got = "int" if isinstance(point.value, int) else "double"
                self._differ(f"value type of {metric.name}", notes["value_type"], got)
            elif hasattr(point, "bounds") and notes.get("buckets"):
                self._differ(f"buckets of {metric.name}", notes["buckets"], list(point.bounds))

    def _common(self, what: str, entry: Any, source: Any, attributes: Mapping[str, object]) -> None:
        scope = (source.scope.name, source.scope.version)
        self._differ(f"scope of {what}", (self._document.name, self._document.version), scope)
        if self._document.schema_url is not None:
            self._differ(f"schema of {what}", self._schema_url, source.scope.schema_url)
        if entry is None:
            self.differences.append(f"{what}: not in the registry")
            return
        listed = {each["ref"]: each for each in entry.get("attributes", ())}
        for name, value in attributes.items():
            if name not in listed:
                self.differences.append(f"{what}: {name} is not listed")
                continue
            kind = self._attributes.get(name) or self._foreign[name]
            if isinstance(kind, dict):
                members = [each["value"] for each in kind["members"]]
                if value not in members:
                    self.differences.append(f"{what}: {name} is {value!r}, no member")
            elif not _is(value, kind):
                self.differences.append(f"{what}: {name} is {value!r}, no {kind}")
        if what.startswith("span") and "heliograph.orphan" in attributes:
            return  # its end, and what that would have told, never came
        for name, each in listed.items():
            if each["requirement_level"] == "required" and name not in attributes:
                self.differences.append(f"{what}: {name} is required, and absent")


def _is(value: object, kind: str) -> bool:
    if kind.endswith("[]"):
        return isinstance(value, list) and all(_is(e, kind.removesuffix("[]")) for e in value)
    types: dict[str, Any] = {"string": str, "int": int, "double": float, "boolean": bool}
    return type(value) is types[kind]
