# SPDX-License-Identifier: Apache-2.0
"""A catalog's metrics as definitions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from heliograph.catalog.exported import attribute_type, value_type
from heliograph.catalog.units import conversion
from heliograph.metrics.definitions import DEFAULT_BUCKETS, Definition, Scope, Tag, Test

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.catalog import Catalog
    from heliograph.catalog.model import Condition, Document, EventSpec, FieldSpec, MetricSpec
    from heliograph.metrics.definitions import TagType

__all__ = ["from_catalog"]


def from_catalog(catalog: Catalog, *, exponential: bool = False) -> tuple[Definition, ...]:
    """The metrics that a catalog declares, in its order.

    Args:
        catalog: What `heliograph.catalog.load` returned.
        exponential: Whether every histogram gets base-2 exponential buckets, whatever bounds its
            catalog gives it; that is OpenTelemetry's meaning of the default aggregation
            `base2_exponential_bucket_histogram`.
    """
    found = [
        _definition(metric, document)
        for document in catalog.documents
        for metric in document.metrics.values()
    ]
    if exponential:
        found = [
            replace(each, exponential=True) if each.instrument == "histogram" else each
            for each in found
        ]
    return tuple(found)


def _definition(metric: MetricSpec, document: Document) -> Definition:
    measurement = metric.measurement
    events = [document.events[name] for name in metric.events]
    factor = Fraction(1)
    if measurement is not None and metric.instrument != "counter":
        factor = conversion(measurement.unit or "1", metric.unit) or factor
    return Definition(
        name=metric.name,
        instrument=metric.instrument,
        events=metric.events,
        measurement=None if measurement is None else measurement.key,
        unit=metric.unit,
        factor=factor,
        whole=measurement is not None and measurement.type == "int",
        double=value_type(metric) == "double",
        description=metric.brief,
        tags=tuple(_tags(metric.tags, events)),
        errors={event.name: _failures(event) for event in events} if metric.error_type else {},
        keep=_tests(metric.keep or metric.drop),
        inverted=bool(metric.drop),
        buckets=() if metric.instrument == "summary" else metric.buckets or DEFAULT_BUCKETS,
        exponential=metric.exponential,
        monotonic=metric.monotonic and metric.instrument != "last_value",
        cardinality_limit=metric.cardinality_limit,
        ended_by=metric.ended_by,
        scope=Scope(document.name, document.version, document.schema_url),
    )


def _tags(fields: Iterable[FieldSpec], events: Iterable[EventSpec]) -> Iterable[Tag]:
    for field in fields:
        if field.attribute is None or attribute_type(field) is None or field.high_cardinality:
            continue
        always = all(
            any(use.field == field and use.required for use in event.metadata) for event in events
        )
        # The loader lets only these types be tags.
        kind: TagType = field.type  # type: ignore[assignment]
        yield Tag(field.key, field.attribute, kind, always)


def _failures(event: EventSpec) -> tuple[tuple[str, bool], ...]:
    return tuple(
        (use.key, use.field.sensitive)
        for use in event.metadata
        if use.field.type in {"result", "exception"}
    )


def _tests(conditions: Iterable[Condition]) -> tuple[Test, ...]:
    return tuple(Test(each.field.key, each.values) for each in conditions)
