# SPDX-License-Identifier: Apache-2.0
"""Whatever events hold: nothing raises, and the generated function agrees with the careful way."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph import Error, Ok, Telemetry, metrics
from heliograph.catalog import Catalog, load
from heliograph.metrics import Aggregate, Definition, from_catalog
from heliograph.testing.reporters import reported

EVENT = "a.b"


class Hostile:
    __hash__ = None  # type: ignore[assignment]  # to be unhashable is the point

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-2, max_value=2),
        st.just(10**400),
        st.floats(),
        st.text(max_size=5),
        st.characters(categories=["Cs"]),
        st.sampled_from(["a", "b", "1", "x" * 5000, Text("a")]),
        st.binary(max_size=3),
        st.builds(Hostile),
        st.sampled_from([ValueError("x"), KeyError(), Ok(1), Error("busy"), Error(OSError())]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
        st.builds(Error, inner),
    ),
    max_leaves=3,
)
NUMBERS = st.one_of(st.integers(0, 9), st.floats(0, 9), st.just(1), ANYTHING)
TAGS = st.one_of(st.sampled_from(["a", "b", 1, True, 1.0]), ANYTHING)


def definitions(**options: Any) -> list[Definition]:
    tags = {"tags": ["x", "y"], **options}
    return [
        metrics.counter("m.counter", event=EVENT, **tags),
        metrics.counter("m.measured", event=EVENT, measurement="m", **tags),
        metrics.sum("m.sum", event=EVENT, measurement="m", **tags),
        metrics.sum("m.updown", event=EVENT, measurement="n", monotonic=False, **tags),
        metrics.last_value("m.last", event=EVENT, measurement="n", **tags),
        metrics.histogram("m.hist", event=EVENT, measurement="m", buckets=[1, 2, 5], **tags),
        metrics.histogram("m.unit", event=EVENT, measurement="m", unit="ms",
                          measurement_unit="s", buckets=[1, 2000], **tags),
        metrics.histogram("m.exp", event=EVENT, measurement="m", buckets="exponential", **tags),
        metrics.summary("m.summary", event=EVENT, measurement="m", **tags),
        metrics.counter("m.error", event=EVENT, tags=["x", "error.type"],
                        tag_values=options.get("tag_values")),
        metrics.counter("m.few", event=EVENT, tags=["x"], cardinality_limit=2,
                        tag_values=options.get("tag_values")),
        metrics.sum("m.kept", event=EVENT, measurement="m", keep={"x": ["a", "b"]}, **tags),
        metrics.sum("m.dropped", event=EVENT, measurement="m", drop={"x": 1}, **tags),
    ]  # fmt: skip


def normal(aggregate: Aggregate) -> Any:
    said = reported(aggregate.collect())
    return {
        name: sorted(
            [(sorted((k, type(v).__name__, v) for k, v in t.items()), repr(v)) for t, v in series],
            key=repr,
        )
        for name, series in said.items()
    }


@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries({}, optional={"m": NUMBERS, "n": NUMBERS}),
            st.fixed_dictionaries({}, optional={"x": TAGS, "y": TAGS, "result": ANYTHING}),
        ),
        max_size=8,
    )
)
@settings(max_examples=100)
def test_the_generated_function_agrees_with_the_careful_way(events: Any) -> None:
    telemetry = Telemetry()
    quick = Aggregate(definitions(), telemetry=telemetry, exemplar=lambda: (1, 2))
    # A function keeps a definition out of what is generated.
    careful = Aggregate(definitions(tag_values=lambda metadata: metadata), telemetry=telemetry)
    quick.attach()
    careful.attach()
    for measurements, metadata in events:
        telemetry.execute(EVENT, measurements, metadata)
    assert normal(quick) == normal(careful)
    assert quick.skipped == careful.skipped
    assert all(info.failures == 0 for info in telemetry.list_handlers())
    for metric in quick.collect("delta"):
        for point in metric.points:
            for value in point.attributes.values():
                assert type(value) in {str, int, float, bool}
                if isinstance(value, str):
                    assert len(value) <= 1024
                    value.encode()  # or it cannot be exported


@cache
def installed() -> Catalog:
    return load()


@cache
def keys() -> tuple[list[str], list[str]]:
    events = installed().events.values()
    measurements = {use.key for event in events for use in event.measurements}
    metadata = {use.key for event in events for use in event.metadata}
    return sorted(measurements), sorted(metadata)


@given(data=st.data())
@settings(max_examples=60)
def test_no_event_of_any_catalog_makes_its_metrics_raise(data: Any) -> None:
    telemetry = Telemetry()
    measured, told = keys()
    with Aggregate(from_catalog(installed()), telemetry=telemetry) as aggregate:
        for event in data.draw(st.lists(st.sampled_from(sorted(aggregate.handlers)), max_size=5)):
            spec = installed().events[event]
            one = {use.key: NUMBERS for use in spec.measurements}
            two = {use.key: TAGS for use in spec.metadata}
            measurements = data.draw(
                st.one_of(st.fixed_dictionaries({}, optional=one), ANYTHING,
                          st.dictionaries(st.sampled_from(measured), NUMBERS, max_size=3))
            )  # fmt: skip
            metadata = data.draw(
                st.one_of(st.fixed_dictionaries({}, optional=two), ANYTHING,
                          st.dictionaries(st.sampled_from(told), TAGS, max_size=3))
            )  # fmt: skip
            telemetry.execute(event, measurements, metadata)
        assert all(info.failures == 0 for info in telemetry.list_handlers())
        aggregate.collect("delta")
