# SPDX-License-Identifier: Apache-2.0
"""The five kinds of metric, to be defined in code.

The kinds, the names and what a definition may say follow Erlang's `telemetry_metrics` 1.1
(beam-telemetry/telemetry_metrics); the units, limits and buckets are OpenTelemetry's.

One deviation: a counter counts events, whatever they carry, unless it names a measurement. In the
original the last segment of its name must be a measurement that the event has, which makes many a
counter stand still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from heliograph.catalog.units import is_count
from heliograph.metrics.definitions import CARDINALITY_LIMIT, DEFAULT_BUCKETS
from heliograph.metrics.making import Making

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heliograph.metrics.definitions import Chosen, Definition, Measure, Tagging

__all__ = ["counter", "histogram", "last_value", "sum", "summary"]


def counter(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str = "{event}",
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """How many events there were.

    Args:
        name: The metric's name, dotted.
        event: The event's name, or several; the metric's name without its last segment if None.
        measurement: If given, only events that carry this number are counted.
        unit: What is counted, as a UCUM annotation such as `{request}`, or `1`.
        tags: Keys of the metadata by which to split; as a mapping, with the names under which they
            are exported; or a function of the metadata that returns the tags. `error.type` is
            derived, from `Error(reason)` in `result` or from the exception in `reason`. Text,
            numbers, true and false are tags; what is absent or None is left out.
        tag_values: A function that turns the metadata into what the keys are looked up in.
        keep: Which events count: `{key: value or [values]}`, all of which must hold of the
            metadata, or a function of the metadata, or of the metadata and the measurements.
        drop: Which events do not count, in the same forms; only one of the two may be given.
        cardinality_limit: How many series there may be; what goes beyond them is kept in one more,
            which has the single attribute `otel.metric.overflow=true`.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = Making(name, "counter", event)
    if not is_count(making.text(unit, "unit")):
        making.fail(
            f"unit {unit!r} on a counter",
            'a counter counts events: write 1, or say of what, as in "{request}"',
        )
    return making.definition(
        measurement=making.measurement(measurement),
        unit=unit,
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def sum(  # noqa: A001 - the field's name for it; it is used as metrics.sum
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    monotonic: bool = True,
    description: str = "",
) -> Definition:
    """The sum of a measurement.

    Args:
        name: The metric's name, dotted.
        event: As for `counter`.
        measurement: Key of the measurement, or a function of the measurements, or of the
            measurements and the metadata; the last segment of the metric's name if None.
        unit: UCUM code of the exported values; `measurement_unit` if None.
        measurement_unit: UCUM code of the measurement; `unit` if None, and `1` if both are. Time
            and amounts of data are converted from one to the other.
        tags: As for `counter`.
        tag_values: As for `counter`.
        keep: As for `counter`.
        drop: As for `counter`.
        cardinality_limit: As for `counter`.
        monotonic: Whether it can only grow; negative measurements are then skipped and counted.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = Making(name, "sum", event)
    return making.definition(
        measurement=making.measurement(measurement),
        monotonic=making.flag(monotonic, "monotonic"),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def last_value(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    ended_by: str | Iterable[str] | None = None,
    description: str = "",
) -> Definition:
    """The latest value of a measurement; the arguments are those of `sum`, and one more.

    Args:
        name: As for `sum`.
        event: As for `sum`.
        measurement: As for `sum`.
        unit: As for `sum`.
        measurement_unit: As for `sum`.
        tags: As for `sum`.
        tag_values: As for `sum`.
        keep: As for `sum`.
        drop: As for `sum`.
        cardinality_limit: As for `sum`.
        ended_by: Events that end series, lest a value be reported for ever of what is gone: those
            whose tags have the values that the event carries under the same keys. An event that
            carries none of the tags ends nothing. A series that has ended begins anew with the
            next value.
        description: As for `sum`.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = Making(name, "last_value", event)
    return making.definition(
        ended_by=making.ended_by(ended_by, tags, tag_values),
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        monotonic=False,
        cardinality_limit=making.limit(cardinality_limit),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def histogram(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    buckets: Sequence[float] | Literal["exponential"] = DEFAULT_BUCKETS,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """How a measurement is distributed: its count, sum, least, greatest, and buckets.

    Args:
        name: The metric's name, dotted.
        event: As for `sum`.
        measurement: As for `sum`. It must not be negative: such a point is skipped and counted.
        unit: As for `sum`.
        measurement_unit: As for `sum`.
        buckets: Upper bounds, inclusive, in `unit`, growing; or `"exponential"` for base-2
            exponential buckets, which find their bounds themselves.
        tags: As for `counter`.
        tag_values: As for `counter`.
        keep: As for `counter`.
        drop: As for `counter`.
        cardinality_limit: As for `counter`.
        description: What it means, in a line.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = Making(name, "histogram", event)
    return making.definition(
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        **making.buckets(buckets),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )


def summary(
    name: str,
    *,
    event: str | Iterable[str] | None = None,
    measurement: str | Measure | None = None,
    unit: str | None = None,
    measurement_unit: str | None = None,
    tags: Iterable[str] | Mapping[str, str] | Tagging = (),
    tag_values: Tagging | None = None,
    keep: Chosen | None = None,
    drop: Chosen | None = None,
    cardinality_limit: int = CARDINALITY_LIMIT,
    description: str = "",
) -> Definition:
    """A measurement's count, sum, least and greatest; the arguments are those of `sum`.

    It is exported as a histogram without bounds. A measurement must not be negative.

    Raises:
        DefinitionError: It is wrong in any way.
    """
    making = Making(name, "summary", event)
    return making.definition(
        measurement=making.measurement(measurement),
        description=making.text(description, "description"),
        cardinality_limit=making.limit(cardinality_limit),
        buckets=(),
        **making.units(unit, measurement_unit),
        **making.tags(tags, tag_values),
        **making.conditions(keep, drop),
    )
