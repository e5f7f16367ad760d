# SPDX-License-Identifier: Apache-2.0
"""What catalogs declare, as a page gets it: every event, span and metric with what it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from heliograph.plain import Limits, plain

if TYPE_CHECKING:
    from heliograph.catalog import Catalog, EventSpec, FieldSpec, MetricSpec, SpanSpec, Use

__all__ = ["declared"]

_LIMITS: Final = Limits(depth=3, items=16, text=200, nodes=64)


def declared(catalog: Catalog) -> dict[str, Any]:
    """All entries of a catalog, old names included, in its order."""
    return {
        "catalogs": [
            {"name": each.name, "version": each.version, "brief": each.brief}
            for each in catalog.documents
        ],
        "entries": [
            *(_event(each) for each in catalog.events.values()),
            *(_span(each) for each in catalog.spans.values()),
            *(_metric(each) for each in catalog.metrics.values()),
        ],
    }


def _common(spec: EventSpec | SpanSpec | MetricSpec, kind: str) -> dict[str, Any]:
    deprecated = spec.deprecated
    return {
        "kind": kind,
        "name": spec.name,
        "catalog": spec.catalog,
        "brief": spec.brief,
        "note": spec.note,
        "stability": spec.stability,
        "deprecated": None
        if deprecated is None
        else {"to": deprecated.renamed_to, "note": deprecated.note},
    }


def _event(spec: EventSpec) -> dict[str, Any]:
    return {
        **_common(spec, "event"),
        "span": spec.span,
        "severity": spec.severity,
        "log": spec.log,
        "measurements": [_use(each) for each in spec.measurements],
        "metadata": [_use(each) for each in spec.metadata],
    }


def _span(spec: SpanSpec) -> dict[str, Any]:
    return {
        **_common(spec, "span"),
        "span_kind": spec.kind,
        "span_name": spec.span_name or spec.name,
        "events": [each.name for each in spec.events],
    }


def _metric(spec: MetricSpec) -> dict[str, Any]:
    alert = spec.alert
    return {
        **_common(spec, "metric"),
        "instrument": spec.instrument,
        "unit": spec.unit,
        "events": list(spec.events),
        "measurement": None if spec.measurement is None else spec.measurement.key,
        "tags": [*(_field(tag) for tag in spec.tags)],
        "error_type": spec.error_type,
        "buckets": list(spec.buckets),
        "alert": None
        if alert is None
        else {
            "above": alert.above,
            "threshold": alert.threshold,
            "quantile": alert.quantile,
            "over": alert.over,
            "summary": alert.summary,
        },
    }


def _use(use: Use) -> dict[str, Any]:
    return {**_field(use.field), "key": use.key, "required": use.required}


def _field(field: FieldSpec) -> dict[str, Any]:
    return {
        "key": field.key,
        "type": field.type,
        "unit": field.unit,
        "brief": field.brief,
        "attribute": field.attribute,
        "high": field.high_cardinality,
        "sensitive": field.sensitive,
        "values": plain(field.values, _LIMITS),
        "examples": plain(field.examples, _LIMITS),
        "note": field.note,
    }
