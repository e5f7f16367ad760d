# SPDX-License-Identifier: Apache-2.0
"""Parts of catalogs as JSON has them. What is documented in docs/reference/cli.md is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.catalog.diff import Change
    from heliograph.catalog.errors import Fault
    from heliograph.catalog.executions import Execution
    from heliograph.catalog.lint import Finding
    from heliograph.catalog.model import (
        Deprecation,
        Document,
        EventSpec,
        MetricSpec,
        SpanSpec,
        Use,
        Where,
    )

__all__ = ["catalog", "change", "event", "execution", "fault", "finding", "metric", "span"]


def catalog(document: Document) -> dict[str, Any]:
    """A catalog without its entries."""
    return {
        "name": document.name,
        "version": document.version,
        "brief": document.brief,
        "file": document.file,
        "stability": document.stability,
        "schema_url": document.schema_url,
    }


def event(spec: EventSpec) -> dict[str, Any]:
    """An event and what it carries."""
    return {
        "name": spec.name,
        "catalog": spec.catalog,
        "kind": spec.kind,
        "span": spec.span,
        "brief": spec.brief,
        "measurements": [_use(each) for each in spec.measurements],
        "metadata": [_use(each) for each in spec.metadata],
        "severity": spec.severity,
        "log": spec.log,
        "stability": spec.stability,
        "deprecated": _deprecated(spec.deprecated),
        "note": spec.note,
    }


def _use(use: Use) -> dict[str, Any]:
    field = use.field
    return {
        "key": use.key,
        "type": field.type,
        "unit": field.unit,
        "required": use.required,
        "brief": field.brief,
        "attribute": field.attribute,
        "cardinality": "high" if field.high_cardinality else "low",
        "sensitivity": "sensitive" if field.sensitive else "public",
        "values": list(field.values),
        "examples": list(field.examples),
        "stability": field.stability,
        "deprecated": _deprecated(field.deprecated),
        "note": field.note,
    }


def span(spec: SpanSpec) -> dict[str, Any]:
    """A span; its events are told by name."""
    return {
        "name": spec.name,
        "catalog": spec.catalog,
        "kind": spec.kind,
        "span_name": spec.span_name or spec.name,
        "brief": spec.brief,
        "events": [each.name for each in spec.events],
        "stability": spec.stability,
        "deprecated": _deprecated(spec.deprecated),
        "note": spec.note,
    }


def metric(spec: MetricSpec) -> dict[str, Any]:
    """A metric; its events, measurement and tags are told by name."""
    return {
        "name": spec.name,
        "catalog": spec.catalog,
        "brief": spec.brief,
        "instrument": spec.instrument,
        "unit": spec.unit,
        "events": list(spec.events),
        "measurement": None if spec.measurement is None else spec.measurement.key,
        "tags": [*(tag.key for tag in spec.tags), *(["error.type"] if spec.error_type else [])],
        "stability": spec.stability,
        "deprecated": _deprecated(spec.deprecated),
        "note": spec.note,
    }


def _deprecated(deprecation: Deprecation | None) -> dict[str, Any] | None:
    if deprecation is None:
        return None
    return {"renamed_to": deprecation.renamed_to, "note": deprecation.note}


def fault(found: Fault) -> dict[str, Any]:
    """A fault of a catalog that does not load."""
    return {
        **_where(found.where),
        "path": found.path,
        "message": found.message,
        "mend": found.mend,
    }


def finding(found: Finding) -> dict[str, Any]:
    """What is questionable."""
    return {
        "level": found.level,
        "rule": found.rule,
        "subject": found.subject,
        "message": found.message,
        **_where(found.where),
    }


def change(found: Change) -> dict[str, Any]:
    """What differs between two versions."""
    return {"impact": found.impact, "path": found.path, "reason": found.reason}


def execution(found: Execution) -> dict[str, Any]:
    """A place in the source that executes an event or opens a span."""
    return {
        "name": found.name,
        "kind": found.kind,
        "dynamic": found.dynamic,
        "used": found.used,
        "certain": found.certain,
        "file": found.file,
        "line": found.line,
        "column": found.column,
    }


def _where(where: Where | None) -> dict[str, Any]:
    if where is None:
        return {"file": None, "line": None, "column": None}
    return {"file": where.file, "line": where.line, "column": where.column}
