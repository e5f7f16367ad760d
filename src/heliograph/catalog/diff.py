# SPDX-License-Identifier: Apache-2.0
"""What changed between two versions of a catalog, and what that asks of its version number.

A change is judged from the side of those who rely on the catalog: handlers that read an event's
keys, dashboards and alerts that read metrics. It is *breaking* if one of them could stop working,
*additive* if they can do more than before, and a *patch* if only descriptions changed.

Histogram bounds, new tags and new members of a closed set are additive, as in OpenTelemetry's rules
for telemetry stability.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.catalog.model import (
        Alert,
        Condition,
        Deprecation,
        Document,
        EventSpec,
        FieldSpec,
        MetricSpec,
        SpanSpec,
        Stability,
        Use,
    )

__all__ = ["IMPACTS", "Change", "Diff", "Impact", "diff"]

Impact: TypeAlias = Literal["breaking", "additive", "patch"]

IMPACTS: Final[tuple[Impact, ...]] = ("breaking", "additive", "patch")
"""Gravest first."""

_STABILITIES: Final = ("development", "alpha", "beta", "release_candidate", "stable")

# Types that are part of another type: who can read that one can read these.
_WIDER: Final = MappingProxyType({"int": "number", "float": "number"})

_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different."""

    impact: Impact
    path: str
    """Where in the catalog, such as `events.shop.order.placed.metadata.order_id`."""
    reason: str
    """What changed, and what it means for those who rely on it."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed between two versions of one catalog."""

    old_version: str
    new_version: str
    changes: tuple[Change, ...]
    """Gravest first, then by path."""

    @property
    def impact(self) -> Impact | None:
        """The gravest impact, or None if nothing changed."""
        return self.changes[0].impact if self.changes else None

    @property
    def suggested_version(self) -> str:
        """The lowest version that announces the changes.

        By Semantic Versioning; before 1.0.0, where everything may change at any time, by its usual
        reading: the second number for what breaks, the third for all else.
        """
        if self.impact is None:
            return self.old_version
        major, minor, patch = _release(self.old_version)
        if self.impact == "breaking":
            return f"{major + 1}.0.0" if major else f"0.{minor + 1}.0"
        if self.impact == "additive" and major:
            return f"{major}.{minor + 1}.0"
        return f"{major}.{minor}.{patch + 1}"

    @property
    def version_fits(self) -> bool:
        """Whether the new catalog's version announces at least what changed."""
        if self.impact is None:
            return _release(self.new_version) >= _release(self.old_version)
        new = _release(self.new_version)
        if new >= _release(self.suggested_version):
            return True
        # 1.0.0-rc.1 may be followed by 1.0.0-rc.2 and 1.0.0, whatever changed.
        return (
            new == _release(self.old_version)
            and self.new_version != self.old_version
            and (_is_prerelease(self.old_version))
        )


def _release(version: str) -> tuple[int, int, int]:
    match = _RELEASE.match(version)
    if match is None:
        msg = f"{version!r} is not a version such as 1.2.3"
        raise ValueError(msg)
    return int(match[1]), int(match[2]), int(match[3])


def _is_prerelease(version: str) -> bool:
    match = _RELEASE.match(version)
    return match is not None and match[4] is not None


def diff(old: Document, new: Document) -> Diff:
    """What changed from one version of a catalog to another.

    Args:
        old: The version that users rely on.
        new: The version that is to replace it.

    Returns:
        The changes, with their impact and the version they ask for.

    Raises:
        ValueError: One of the versions does not begin with three numbers.
    """
    found = (
        *_diff_document(old, new),
        *_diff_fields(old, new),
        *_diff_events(old, new),
        *_diff_spans(old, new),
        *_diff_metrics(old, new),
    )
    result = Diff(old.version, new.version, tuple(sorted(found, key=_rank)))
    _ = result.version_fits  # a version that cannot be read is refused here, not when it is printed
    return result


def _rank(change: Change) -> tuple[int, str, str]:
    return IMPACTS.index(change.impact), change.path, change.reason


def _diff_document(old: Document, new: Document) -> Iterator[Change]:
    if old.name != new.name:
        reason = f"the catalog {old.name!r} is now {new.name!r}: nobody finds it by the old name"
        yield Change("breaking", "catalog", reason)
    if old.brief != new.brief:
        yield Change("patch", "brief", "reworded")
    if old.schema_url != new.schema_url:
        yield Change("patch", "schema_url", f"{old.schema_url} is now {new.schema_url}")
    if _STABILITIES.index(new.stability) > _STABILITIES.index(old.stability):
        yield Change("additive", "stability", f"{old.stability} is now {new.stability}")
    elif old.stability != new.stability:
        yield Change("breaking", "stability", f"{old.stability} is now only {new.stability}")


# --- fields ---


def _used_fields(document: Document) -> dict[str, FieldSpec]:
    """The fields that reach somebody, by name."""
    used: dict[str, FieldSpec] = {}
    for event in document.events.values():
        for use in (*event.measurements, *event.metadata):
            used[use.field.name] = use.field
    return used


def _diff_fields(old: Document, new: Document) -> Iterator[Change]:
    before, after = _used_fields(old), _used_fields(new)
    for name, field in before.items():
        if name in after:
            yield from _diff_field(f"fields.{name}", field, after[name])


def _diff_field(path: str, old: FieldSpec, new: FieldSpec) -> Iterator[Change]:
    if old.type != new.type:
        narrower = old.type in {"any", _WIDER.get(new.type)}
        reason = f"type {old.type} is now {new.type}"
        yield Change("additive" if narrower else "breaking", path, reason)
    if old.unit != new.unit:
        reason = f"unit {old.unit} is now {new.unit}: the same number means something else"
        yield Change("breaking" if old.unit is not None else "additive", path, reason)
    if old.attribute != new.attribute:
        reason = f"attribute {old.attribute} is now {new.attribute}"
        yield Change("breaking" if old.attribute is not None else "additive", path, reason)
    if old.sensitive != new.sensitive:
        reason = "is sensitive now and no longer exported" if new.sensitive else "may be exported"
        yield Change("breaking" if new.sensitive else "additive", path, reason)
    if old.high_cardinality != new.high_cardinality:
        word = "high" if new.high_cardinality else "low"
        yield Change("additive", path, f"is of {word} cardinality now")
    yield from _diff_values(path, old, new)
    yield from _diff_words(path, old, new)


def _diff_values(path: str, old: FieldSpec, new: FieldSpec) -> Iterator[Change]:
    if not old.values and new.values:
        yield Change("additive", path, "its values are a closed set now")
    elif old.values and not new.values:
        yield Change("breaking", path, "its values are no longer a closed set")
    else:
        gone = [value for value in old.values if value not in new.values]
        if gone:
            yield Change("breaking", path, f"no longer has the values {_listed(gone)}")
        come = [value for value in new.values if value not in old.values]
        if come:
            yield Change("additive", path, f"may have the values {_listed(come)} too")


def _listed(values: list[str | int | float | bool]) -> str:
    return ", ".join(repr(value) for value in values)


def _diff_words(
    path: str,
    old: FieldSpec | EventSpec | SpanSpec | MetricSpec,
    new: FieldSpec | EventSpec | SpanSpec | MetricSpec,
) -> Iterator[Change]:
    """What every kind of entry has: description, stability, deprecation."""
    if old.brief != new.brief or old.note != new.note:
        yield Change("patch", path, "reworded")
    yield from _diff_stability(path, old.stability, new.stability)
    yield from _diff_deprecation(path, old.deprecated, new.deprecated)


def _diff_stability(path: str, old: Stability, new: Stability) -> Iterator[Change]:
    if _STABILITIES.index(new) < _STABILITIES.index(old):
        yield Change("breaking", path, f"promised {old}, promises only {new}")
    elif old != new:
        yield Change("additive", path, f"promised {old}, promises {new}")


def _diff_deprecation(
    path: str, old: Deprecation | None, new: Deprecation | None
) -> Iterator[Change]:
    if old == new:
        return
    if new is None:
        yield Change("additive", path, "is no longer deprecated")
        return
    heir = f" in favour of {new.renamed_to}" if new.renamed_to else ""
    if old is None:
        yield Change("additive", path, f"is deprecated{heir}")
    else:
        yield Change("patch", path, f"its deprecation is worded anew{heir}")


# --- events and spans ---


def _diff_events(old: Document, new: Document) -> Iterator[Change]:
    for name, event in old.events.items():
        if event.span in old.spans and event.span not in new.spans and name not in new.events:
            continue  # told once, of the span
        if name not in new.events:
            yield Change("breaking", f"events.{name}", "removed: its handlers are never called")
            continue
        other = new.events[name]
        if event.alias_of is not None and event.alias_of == other.alias_of:
            # What it carries is its target's, and told there.
            yield from _diff_words(f"events.{name}", event, other)
        else:
            yield from _diff_event(f"events.{name}", event, other)
    for name, event in new.events.items():
        if name not in old.events and (event.span is None or event.span in old.spans):
            yield Change("additive", f"events.{name}", "added")


def _diff_event(path: str, old: EventSpec, new: EventSpec) -> Iterator[Change]:
    if old.kind != new.kind:
        reason = f"was a {old.kind} event, is a {new.kind} event"
        yield Change("breaking", path, reason)
    yield from _diff_uses(f"{path}.measurements", old.measurements, new.measurements)
    yield from _diff_uses(f"{path}.metadata", old.metadata, new.metadata)
    if old.severity != new.severity:
        reason = f"severity {old.severity} is now {new.severity}: filters on it see other events"
        yield Change("breaking", path, reason)
    if old.log != new.log:
        reason = "becomes a log event" if new.log else "no longer becomes a log event"
        yield Change("additive" if new.log else "breaking", path, reason)
    if old.kind == "point" or new.kind == "point":
        # A span's words are told once, of the span.
        yield from _diff_words(path, old, new)


def _diff_uses(path: str, old: tuple[Use, ...], new: tuple[Use, ...]) -> Iterator[Change]:
    before = {use.key: use for use in old}
    after = {use.key: use for use in new}
    for key, use in before.items():
        other = after.get(key)
        if other is None:
            yield Change("breaking", f"{path}.{key}", "removed: who reads it finds no such key")
            continue
        if use.required and not other.required:
            yield Change("breaking", f"{path}.{key}", "may be absent now")
        elif other.required and not use.required:
            yield Change("additive", f"{path}.{key}", "is always there now")
        if use.field.name != other.field.name:
            yield from _diff_field(f"{path}.{key}", use.field, other.field)
    for key in after:
        if key not in before:
            yield Change("additive", f"{path}.{key}", "added")


def _diff_spans(old: Document, new: Document) -> Iterator[Change]:
    for name, span in old.spans.items():
        path = f"spans.{name}"
        other = new.spans.get(name)
        if other is None:
            yield Change("breaking", path, "removed: its three events are never executed")
            continue
        if span.kind != other.kind:
            yield Change("breaking", path, f"kind {span.kind} is now {other.kind}")
        if (span.span_name or name) != (other.span_name or name):
            reason = (
                f"is exported as {other.span_name or name!r}, no longer {span.span_name or name!r}"
            )
            yield Change("breaking", path, reason)
        yield from _diff_words(path, span, other)
    for name in new.spans:
        if name not in old.spans:
            yield Change("additive", f"spans.{name}", "added")


# --- metrics ---


def _diff_metrics(old: Document, new: Document) -> Iterator[Change]:
    for name, metric in old.metrics.items():
        path = f"metrics.{name}"
        other = new.metrics.get(name)
        if other is None:
            yield Change("breaking", path, "removed: dashboards and alerts on it see nothing")
            continue
        yield from _diff_metric(path, metric, other)
        yield from _diff_words(path, metric, other)
    for name in new.metrics:
        if name not in old.metrics:
            yield Change("additive", f"metrics.{name}", "added")


def _diff_metric(path: str, old: MetricSpec, new: MetricSpec) -> Iterator[Change]:
    measured = (old.measurement and old.measurement.key, new.measurement and new.measurement.key)
    for what, before, after in (
        ("instrument", old.instrument, new.instrument),
        ("unit", old.unit, new.unit),
        ("measurement", *measured),
        ("monotonic", old.monotonic, new.monotonic),
        ("exponential", old.exponential, new.exponential),
        ("keep", _conditions(old.keep), _conditions(new.keep)),
        ("drop", _conditions(old.drop), _conditions(new.drop)),
    ):
        if before != after:
            yield Change("breaking", path, f"{what} {before} is now {after}")
    yield from _diff_members(path, "event", old.events, new.events)
    yield from _diff_members(path, "tag", _tags(old), _tags(new))
    if old.buckets != new.buckets:
        yield Change("additive", path, "has other buckets")
    if old.cardinality_limit != new.cardinality_limit:
        reason = f"at most {new.cardinality_limit} series, {old.cardinality_limit} before"
        yield Change("patch", path, reason)
    if old.ended_by != new.ended_by:
        yield Change("additive", path, "other events end its series")
    yield from _diff_alert(f"{path}.alert", old.alert, new.alert)


def _conditions(conditions: tuple[Condition, ...]) -> str | None:
    return (
        ", ".join(
            f"{condition.field.key} in {sorted(map(str, condition.values))}"
            for condition in sorted(conditions, key=lambda condition: condition.field.key)
        )
        or None
    )


def _tags(metric: MetricSpec) -> tuple[str, ...]:
    return (*(tag.key for tag in metric.tags), *(("error.type",) if metric.error_type else ()))


def _diff_members(
    path: str, what: str, old: tuple[str, ...], new: tuple[str, ...]
) -> Iterator[Change]:
    for name in old:
        if name not in new:
            yield Change("breaking", path, f"{what} {name!r} removed")
    for name in new:
        if name not in old:
            yield Change("additive", path, f"{what} {name!r} added")


def _diff_alert(path: str, old: Alert | None, new: Alert | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None:
        yield Change("additive", path, "added")
    elif new is None:
        yield Change("breaking", path, "removed: nobody is called any more")
    else:
        yield Change("additive", path, "fires under other conditions")
