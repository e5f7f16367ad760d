# SPDX-License-Identifier: Apache-2.0
"""What a catalog's metrics are called in Prometheus.

The translation of the OpenTelemetry specification ("Prometheus and OpenMetrics Compatibility"), as
Prometheus and the collector do it with suffixes on and UTF-8 names off, their default:

*   whatever is no letter, digit or colon parts the name into words, which underscores join;
*   the unit is added as words, unless the name has them already: `s` gives `seconds`, `By/s` gives
    `bytes_per_second`; units in braces are annotations and give nothing;
*   a monotonic counter ends in `_total`, a gauge of unit `1` in `_ratio`;
*   a histogram has three series: `_bucket`, `_sum` and `_count`. One with exponential buckets is a
    native histogram, a single series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from heliograph.catalog.exported import metric_attributes, otel_instrument

if TYPE_CHECKING:
    from heliograph.catalog.exported import OtelInstrument
    from heliograph.catalog.model import Document, MetricSpec

__all__ = ["Family", "FamilyKind", "family", "label_name", "labels", "metric_name", "series"]

FamilyKind: TypeAlias = Literal["counter", "gauge", "histogram", "native_histogram"]

# The abbreviations of Prometheus' translator; what is not among them is taken as it stands.
_UNITS: Final = MappingProxyType(
    {
        "d": "days",
        "h": "hours",
        "min": "minutes",
        "s": "seconds",
        "ms": "milliseconds",
        "us": "microseconds",
        "ns": "nanoseconds",
        "By": "bytes",
        "KiBy": "kibibytes",
        "MiBy": "mebibytes",
        "GiBy": "gibibytes",
        "TiBy": "tibibytes",
        "KBy": "kilobytes",
        "MBy": "megabytes",
        "GBy": "gigabytes",
        "TBy": "terabytes",
        "m": "meters",
        "V": "volts",
        "A": "amperes",
        "J": "joules",
        "W": "watts",
        "g": "grams",
        "Cel": "celsius",
        "Hz": "hertz",
        "1": "",
        "%": "percent",
    }
)
_PER: Final = MappingProxyType(
    {
        "s": "second",
        "m": "minute",
        "h": "hour",
        "d": "day",
        "w": "week",
        "mo": "month",
        "y": "year",
    }
)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as Prometheus keeps it."""

    name: str
    """The family's name, suffixes of its series not included, `_total` included."""
    kind: FamilyKind

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are stored, and which a query may use."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


def metric_name(name: str, unit: str, instrument: OtelInstrument) -> str:
    """A metric's name in Prometheus.

    Args:
        name: Its OpenTelemetry name, such as `modboss.read.duration`.
        unit: Its UCUM unit, such as `s` or `{request}`; may be empty.
        instrument: What it is in OpenTelemetry.

    Returns:
        A name of letters, digits, underscores and colons that begins with no digit.
    """
    words = re.findall(r"[A-Za-z0-9:]+", name)
    main, per = _unit_words(unit)
    if main and main not in words:
        words.append(main)
    if per and per not in words:
        words += ["per", per]
    if instrument == "counter":
        words = [word for word in words if word != "total"] + ["total"]
    if instrument == "gauge" and unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    joined = "_".join(words)
    return f"_{joined}" if not joined or joined[0].isdigit() else joined


def _unit_words(unit: str) -> tuple[str, str]:
    """The words for a unit and for what it is per; empty for an annotation in braces."""
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    words = []
    for part, table in ((main, _UNITS), (per, _PER)):
        word = "" if set("{}") & set(part) else table.get(part, part)
        words.append("_".join(re.findall(r"[A-Za-z0-9:]+", word)))
    return words[0], words[1]


def label_name(attribute: str) -> str:
    """An attribute's name as a Prometheus label: all but letters, digits and `_` become `_`."""
    label = re.sub(r"[^A-Za-z0-9_]", "_", attribute)
    return f"key_{label}" if not label or label[0].isdigit() else label


def family(metric: MetricSpec) -> Family:
    """What a metric becomes in Prometheus."""
    instrument = otel_instrument(metric)
    name = metric_name(metric.name, metric.unit, instrument)
    if instrument == "counter":
        return Family(name, "counter")
    if instrument == "histogram":
        return Family(name, "native_histogram" if metric.exponential else "histogram")
    return Family(name, "gauge")


def labels(metric: MetricSpec, document: Document) -> tuple[str, ...]:
    """The labels that a metric's tags become, in the catalog's order."""
    return tuple(label_name(each.name) for each in metric_attributes(metric, document))


def series(document: Document) -> frozenset[str]:
    """Every name under which a catalog's metrics can be queried."""
    return frozenset(name for metric in document.metrics.values() for name in family(metric).series)
