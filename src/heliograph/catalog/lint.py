# SPDX-License-Identifier: Apache-2.0
"""What is questionable about a catalog that loads without a fault.

The loader refuses what cannot work. This module reports what works and will be regretted: names
that break OpenTelemetry's rules or clash with its semantic conventions, units in metric names,
fields nobody uses. Every finding names its rule, so that a deliberate exception can be stated:
`lint(document, ignore=["attribute-namespace:server.rack"])`.

Source of the naming rules: OpenTelemetry specification 1.60, "Naming" and "Metrics semantic
conventions"; the names taken are in `heliograph.catalog.semconv`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from heliograph.catalog import semconv
from heliograph.catalog.errors import did_you_mean
from heliograph.catalog.exported import attribute_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from heliograph.catalog.model import Document, EventSpec, FieldSpec, MetricSpec, Use, Where

__all__ = ["LEVELS", "RULES", "Finding", "Level", "Rule", "lint", "refuse_unknown_rules"]

Level: TypeAlias = Literal["error", "warning", "info"]

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "info")
"""Gravest first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for."""

    name: str
    level: Level
    brief: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a catalog breaks a rule."""

    level: Level
    rule: str
    """The rule's name, as in `RULES`."""
    subject: str
    """The attribute, field, event or metric concerned; `rule:subject` ignores this finding."""
    message: str
    """What is wrong, and the mend."""
    where: Where | None = None


def _rules(*rules: Rule) -> Mapping[str, Rule]:
    return MappingProxyType({rule.name: rule for rule in rules})


RULES: Final = _rules(
    Rule("attribute-name", "error", "An attribute's name breaks OpenTelemetry's naming rules"),
    Rule("attribute-reserved", "error", "An attribute is in the reserved namespace otel.*"),
    Rule("attribute-collision", "error", "One attribute name stands for several things"),
    Rule("attribute-type", "error", "A semantic convention's attribute has another type there"),
    Rule(
        "attribute-namespace",
        "warning",
        "An attribute that the semantic conventions do not know is in one of their namespaces",
    ),
    Rule("attribute-deprecated", "warning", "The semantic conventions deprecated the attribute"),
    Rule("attribute-unqualified", "warning", "An attribute has no namespace"),
    Rule("attribute-foreign", "info", "An attribute is outside the catalog's own namespace"),
    Rule("event-pair", "warning", "Two events named .start and .stop that are not a span"),
    Rule("field-cardinality", "warning", "A field with few values is declared of high cardinality"),
    Rule("field-example", "info", "A string field has neither examples nor values"),
    Rule("field-unused", "warning", "A field is declared and never used"),
    Rule("measurement-unit", "info", "A numeric measurement has no unit"),
    Rule("metric-name", "error", "A metric's name breaks OpenTelemetry's naming rules"),
    Rule("metric-collision", "error", "Two metric names differ only in their delimiters"),
    Rule("metric-tag", "warning", "A metric is split by a fraction, which has endless values"),
    Rule("metric-deprecated", "warning", "A metric is deprecated elsewhere, or about what is"),
    Rule("metric-duration", "warning", "A duration is not a histogram in seconds"),
    Rule(
        "metric-namespace",
        "warning",
        "A metric that the semantic conventions do not know is in one of their namespaces",
    ),
    Rule("metric-plural", "warning", "An up-and-down count has a plural name"),
    Rule("metric-total", "warning", "A metric's name says total"),
    Rule("metric-unit", "warning", "A metric's unit is no base unit, or a plural in braces"),
    Rule("metric-unit-in-name", "warning", "A metric's name repeats its unit"),
    Rule("stability", "warning", "An entry promises more than what it is made of"),
)
"""Every rule by its name."""

_Raw: TypeAlias = "tuple[str, str, str, Where | None]"
"""Rule, subject, message, place."""

# Lower case, a letter first, letters or digits last, no doubled delimiters.
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[._][a-z0-9]+)*")
_METRIC_NAME_LIMIT: Final = 255  # OpenTelemetry API, instrument name syntax

_UNIT_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        ns us ms sec secs second seconds minute minutes hour hours day days
        millis millisecond milliseconds micros microsecond microseconds
        nanos nanosecond nanoseconds byte bytes bit bits kb kib mb mib gb gib
        kilobytes megabytes gigabytes percent percentage hertz hz celsius kelvin
        volt volts ampere amperes watt watts joule joules meter meters metre metres gram grams
        """,
    )
)

_BASE_UNITS: Final = MappingProxyType(
    {
        **dict.fromkeys(("ns", "us", "ms", "min", "h", "d", "wk", "mo", "a"), "s"),
        **dict.fromkeys(("kBy", "MBy", "GBy", "TBy", "KiBy", "MiBy", "GiBy", "TiBy"), "By"),
        **dict.fromkeys(("B", "b", "byte", "bytes"), "By"),
        **dict.fromkeys(("sec", "S", "seconds"), "s"),
        **dict.fromkeys(("%", "percent"), "1"),
        **dict.fromkeys(("C", "celsius", "degC"), "Cel"),
        **dict.fromkeys(("mV", "kV"), "V"),
        **dict.fromkeys(("mA", "kA"), "A"),
        **dict.fromkeys(("mW", "kW"), "W"),
    }
)
"""What a unit should be converted to: exported values are in base units."""

_STABILITIES: Final = ("development", "alpha", "beta", "release_candidate", "stable")
"""Weakest promise first."""


def lint(document: Document, ignore: Iterable[str] = ()) -> tuple[Finding, ...]:
    """What is questionable about a catalog.

    Args:
        document: The catalog, as loaded.
        ignore: Deliberate exceptions: a rule's name, or `rule:subject`.

    Returns:
        The findings, in the order of the file.

    Raises:
        ValueError: `ignore` names a rule that does not exist.
    """
    ignored = frozenset(ignore)
    refuse_unknown_rules(ignored, RULES)
    raw = (
        *_lint_attributes(document),
        *_lint_fields(document),
        *_lint_events(document),
        *_lint_metrics(document),
    )
    findings = [
        Finding(RULES[rule].level, rule, subject, message, where)
        for rule, subject, message, where in raw
        if ignored.isdisjoint((rule, f"{rule}:{subject}"))
    ]
    return tuple(sorted(findings, key=_place))


def _place(finding: Finding) -> tuple[int, int, str, str]:
    where = finding.where
    line, column = (where.line, where.column) if where is not None else (0, 0)
    return (line, column, finding.rule, finding.subject)


def refuse_unknown_rules(ignored: Iterable[str], rules: Collection[str]) -> None:
    """Refuse an exception, `rule` or `rule:subject`, from a rule that does not exist.

    Raises:
        ValueError: There is such an exception.
    """
    for entry in sorted(ignored):
        name = entry.split(":", 1)[0]
        if name not in rules:
            mend = did_you_mean(name, rules, otherwise=f"the rules are {', '.join(rules)}")
            msg = f"cannot ignore {entry!r}: there is no rule {name!r}; {mend}"
            raise ValueError(msg)


def _uses(document: Document) -> Iterator[tuple[EventSpec, Use]]:
    for event in document.events.values():
        for use in (*event.measurements, *event.metadata):
            yield event, use


# --- attributes ---


def _lint_attributes(document: Document) -> Iterator[_Raw]:
    for field in document.fields.values():
        if field.attribute is not None and attribute_type(field) is not None:
            yield from _lint_attribute(document, field, field.attribute)
    yield from _attribute_collisions(document)


def _lint_attribute(document: Document, field: FieldSpec, name: str) -> Iterator[_Raw]:
    conventions = semconv.load()
    where = field.where
    namespace, dot, _ = name.partition(".")
    known = conventions.attribute_type(name)
    if not _NAME.fullmatch(name):
        yield "attribute-name", name, _name_problem("attribute", name), where
    elif known is not None:
        replacement = conventions.deprecated_attributes.get(name)
        if replacement is not None:
            mend = f"use {replacement}" if replacement else "nothing replaces it"
            message = f"the semantic conventions deprecated the attribute {name!r}; {mend}"
            yield "attribute-deprecated", name, message, where
        exported = attribute_type(field)
        if known not in {"any", exported}:
            message = (
                f"{name!r} is of type {known} in the semantic conventions and field "
                f"{field.name!r} would be exported as {exported}; change the field's type, or "
                f"name the attribute '{document.name}.{field.key}'"
            )
            yield "attribute-type", name, message, where
    elif namespace == "otel":
        message = (
            f"attribute {name!r}: otel.* is reserved for OpenTelemetry itself; "
            f"name it '{document.name}.{field.key}'"
        )
        yield "attribute-reserved", name, message, where
    elif not dot:
        message = (
            f"attribute {name!r} has no namespace, so that any other library's {name!r} is the "
            f"same attribute; name it '{document.name}.{name}'"
        )
        yield "attribute-unqualified", name, message, where
    elif namespace in conventions.namespaces:
        message = (
            f"attribute {name!r} extends the namespace {namespace}.* of the semantic conventions, "
            f"which do not define it; name it '{document.name}.{field.key}'"
        )
        yield "attribute-namespace", name, message, where
    elif namespace != document.name:
        message = f"attribute {name!r} is outside the catalog's own namespace {document.name}.*"
        yield "attribute-foreign", name, message, where


def _name_problem(what: str, name: str) -> str:
    mended = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    mended = re.sub(r"[^a-z0-9._]+", "_", mended)
    mended = re.sub(r"[._]*\.[._]*", ".", mended)
    mended = re.sub(r"_+", "_", mended).strip("._").lstrip("0123456789._")
    mend = f"; {mended!r} would do" if mended and _NAME.fullmatch(mended) else ""
    return (
        f"{what} name {name!r} breaks OpenTelemetry's naming rules: lower-case words joined by "
        f"single dots or underscores, a letter first, a letter or digit last{mend}"
    )


def _attribute_collisions(document: Document) -> Iterator[_Raw]:
    """Attribute names that other attributes hide.

    Four ways: fields of different types under one name; two keys of one event under one name; a
    name that is also a namespace; two names that are one as soon as a backend replaces dots by
    underscores.
    """
    names: dict[str, FieldSpec] = {}
    for field in document.fields.values():
        if field.attribute is None or attribute_type(field) is None:
            continue
        first = names.setdefault(field.attribute, field)
        if first.type != field.type:
            message = (
                f"attribute {field.attribute!r} is of type {first.type} in field {first.name!r} "
                f"and of type {field.type} in field {field.name!r}; rename one of them"
            )
            yield "attribute-collision", field.attribute, message, field.where
    namespaces = {prefix: name for name in sorted(names) for prefix in _prefixes(name)}
    flat: dict[str, str] = {}
    for name, field in sorted(names.items()):
        inner = namespaces.get(name)
        if inner is not None:
            message = f"attribute {name!r} is also the namespace of {inner!r}; rename one of them"
            yield "attribute-collision", name, message, field.where
        other = flat.setdefault(name.replace(".", "_"), name)
        if other != name:
            message = f"attributes {other!r} and {name!r} differ only in their delimiters"
            yield "attribute-collision", name, message, field.where
    for event in document.events.values():
        if event.alias_of is None:
            yield from _hidden_in_event(event)


def _prefixes(name: str) -> Iterator[str]:
    segments = name.split(".")
    for length in range(1, len(segments)):
        yield ".".join(segments[:length])


def _hidden_in_event(event: EventSpec) -> Iterator[_Raw]:
    carriers: dict[str, Use] = {}
    for use in (*event.metadata, *event.measurements):
        name = use.field.attribute
        if name is None or attribute_type(use.field) is None:
            continue
        first = carriers.setdefault(name, use)
        if first is not use:
            message = (
                f"{event.name}: {first.key!r} and {use.key!r} are both exported as {name!r}, so "
                f"that one hides the other; give one of them an attribute of its own"
            )
            yield "attribute-collision", name, message, event.where


# --- fields ---


def _lint_fields(document: Document) -> Iterator[_Raw]:
    used = {use.field.name for _, use in _uses(document)}
    for metric in document.metrics.values():
        used.update(tag.name for tag in metric.tags)
        used.update(condition.field.name for condition in (*metric.keep, *metric.drop))
    measured = {use.field.name for event in document.events.values() for use in event.measurements}
    for name, field in document.fields.items():
        if name not in used:
            message = f"field {name!r} is used by no event; remove it, or list it where it occurs"
            yield "field-unused", name, message, field.where
        if field.high_cardinality and (field.type == "bool" or field.values):
            message = (
                f"field {name!r} has {len(field.values) or 2} values and is declared of high "
                f"cardinality, which keeps it out of every metric; remove 'cardinality: high'"
            )
            yield "field-cardinality", name, message, field.where
        if field.type in {"string", "string[]"} and not field.examples and not field.values:
            message = f"field {name!r} has neither examples nor values; readers learn most by one"
            yield "field-example", name, message, field.where
        if name in measured and field.unit is None and field.type in {"int", "float", "number"}:
            message = f"measurement {name!r} has no unit; counts use '{{thing}}', ratios use '1'"
            yield "measurement-unit", name, message, field.where


# --- events ---


def _lint_events(document: Document) -> Iterator[_Raw]:
    for name, event in document.events.items():
        prefix, _, last = name.rpartition(".")
        stop = document.events.get(f"{prefix}.stop")
        if last == "start" and event.kind == "point" and stop is not None:
            message = (
                f"events {name!r} and {stop.name!r} are an operation with a duration; "
                f"declare it once, as {prefix!r} under 'spans'"
            )
            yield "event-pair", name, message, event.where
    for event, use in _uses(document):
        if event.alias_of is None and _promises_more(event.stability, use.field):
            message = (
                f"event {event.name!r} is {event.stability}, but its field {use.field.name!r} is "
                f"{use.field.stability}; raise the field's stability or lower the event's"
            )
            yield "stability", event.name, message, event.where


def _promises_more(stability: str, field: FieldSpec) -> bool:
    return _STABILITIES.index(stability) > _STABILITIES.index(field.stability)


# --- metrics ---


def _lint_metrics(document: Document) -> Iterator[_Raw]:
    flat: dict[str, str] = {}
    for name, metric in document.metrics.items():
        other = flat.setdefault(name.replace(".", "_"), name)
        if other != name:
            message = (
                f"metrics {other!r} and {name!r} differ only in their delimiters; "
                f"Prometheus gives both one name"
            )
            yield "metric-collision", name, message, metric.where
        yield from _lint_metric_name(document, metric)
        yield from _lint_metric_unit(metric)
        yield from _lint_metric_parts(document, metric)


def _lint_metric_name(document: Document, metric: MetricSpec) -> Iterator[_Raw]:
    conventions = semconv.load()
    name, where = metric.name, metric.where
    if not _NAME.fullmatch(name):
        yield "metric-name", name, _name_problem("metric", name), where
        return
    if len(name) > _METRIC_NAME_LIMIT:
        message = f"a metric's name has at most {_METRIC_NAME_LIMIT} characters, not {len(name)}"
        yield "metric-name", name, message, where
    if name in conventions.metrics:
        replacement = conventions.deprecated_metrics.get(name)
        if replacement is not None:
            mend = f"use {replacement}" if replacement else "nothing replaces it"
            message = f"the semantic conventions deprecated the metric {name!r}; {mend}"
            yield "metric-deprecated", name, message, where
        # A name taken from the conventions is theirs to justify.
        return
    namespace = name.split(".", 1)[0]
    if namespace in conventions.namespaces and namespace != document.name:
        message = (
            f"metric {name!r} extends the namespace {namespace}.* of the semantic conventions, "
            f"which do not define it; begin its name with '{document.name}.'"
        )
        yield "metric-namespace", name, message, where
    words = re.split(r"[._]", name)
    if "total" in words:
        message = (
            f"metric {name!r} says total, which exporters add where they want it; leave it out"
        )
        yield "metric-total", name, message, where
    repeated = sorted(_UNIT_WORDS.intersection(words[1:]))
    if repeated:
        message = (
            f"metric {name!r} has a unit in its name ({', '.join(repeated)}); "
            f"the unit is {metric.unit!r} and stands in 'unit' alone"
        )
        yield "metric-unit-in-name", name, message, where
    if metric.instrument == "sum" and not metric.monotonic and _is_plural(words[-1]):
        message = (
            f"metric {name!r} goes up and down, so its name is not a plural; "
            f"'{name.removesuffix('s')}.count' would do"
        )
        yield "metric-plural", name, message, where


def _is_plural(word: str) -> bool:
    singular = ("ss", "us", "is", "os", "as")  # access, status, basis, chaos, alias
    return word.endswith("s") and not word.endswith(singular) and word != "series"


def _lint_metric_unit(metric: MetricSpec) -> Iterator[_Raw]:
    name, unit, where = metric.name, metric.unit, metric.where
    base = _BASE_UNITS.get(unit)
    if base is not None:
        message = f"metric {name!r} is exported in {unit!r}; 'unit: {base}' is what backends expect"
        yield "metric-unit", name, message, where
    annotation = re.fullmatch(r"\{([^{}]+)\}", unit)
    if annotation is not None and _is_plural(annotation[1]):
        singular = annotation[1].removesuffix("s")
        message = f"metric {name!r}: units in braces are singular; 'unit: \"{{{singular}}}\"'"
        yield "metric-unit", name, message, where
    if name.endswith(".duration") and (metric.instrument != "histogram" or unit != "s"):
        message = (
            f"metric {name!r} is a {metric.instrument} in {unit!r}; durations are histograms in "
            f"seconds: 'instrument: histogram', 'unit: s'"
        )
        yield "metric-duration", name, message, where


def _lint_metric_parts(document: Document, metric: MetricSpec) -> Iterator[_Raw]:
    name, where = metric.name, metric.where
    for tag in metric.tags:
        if tag.type in {"float", "number"} and not tag.values:
            message = (
                f"metric {name!r}: tag {tag.name!r} is of type {tag.type}, which makes a series of "
                f"each of its values; list its values, or tag with something coarser"
            )
            yield "metric-tag", name, message, where
    if metric.deprecated is None:
        for event_name in metric.events:
            if document.events[event_name].deprecated is not None:
                message = f"metric {name!r} is about {event_name!r}, which is deprecated"
                yield "metric-deprecated", name, message, where
    parts = (*metric.tags, *((metric.measurement,) if metric.measurement is not None else ()))
    for part in parts:
        if _promises_more(metric.stability, part):
            message = (
                f"metric {name!r} is {metric.stability}, but its field {part.name!r} is "
                f"{part.stability}; raise the field's stability or lower the metric's"
            )
            yield "stability", name, message, where
