# SPDX-License-Identifier: Apache-2.0
"""What waits to be exported: bounded, in portions, and never lost on the way."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from heliograph import Telemetry, metrics
from heliograph.otel.configuration import Queueing
from heliograph.otel.pipeline import Ticker
from heliograph.otel.sources import Numbers, Queue
from heliograph.otel.worker import Backoff


def numbers(
    batch: int, temporality: Any = "cumulative", names: int = 4
) -> tuple[Telemetry, Numbers]:
    telemetry = Telemetry()
    aggregate = metrics.Aggregate(
        [metrics.counter(f"m{n}.count", event="shop.order", tags=["k"]) for n in range(names)],
        telemetry=telemetry,
    )
    aggregate.attach()
    return telemetry, Numbers(aggregate, Resource({}), temporality, batch, lambda: None)


def points(data: Any) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


class TestQueue:
    @given(st.lists(st.sampled_from(["put", "release", "look"]), max_size=60))
    def test_items_come_out_in_order_and_add_up(self, steps: list[str]) -> None:
        queue = Queue(Queueing(size=10, batch=4, delay=1.0), lambda: None)
        put, out = 0, list[int]()
        for step in steps:
            if step == "put":
                queue.put(put)
                put += 1
            elif (batch := queue.batch(4)) is not None:
                items, count = batch
                assert (len(items), count <= 4) == (count, True)
                if step == "release":
                    queue.release(count)
                    out += items
        assert out == sorted(out)
        assert queue.released() == len(out)
        assert len(out) + queue.queued() + queue.dropped().get("queue_full", 0) == put
        assert queue.queued() <= 10

    def test_it_nudges_when_a_batch_is_complete(self) -> None:
        nudges: list[None] = []
        queue = Queue(Queueing(size=10, batch=3, delay=1.0), lambda: nudges.append(None))

        for _ in range(2):
            queue.put(object())
        assert nudges == []
        queue.put(object())
        assert nudges == [None]

    def test_closing_drops_what_waits_and_what_comes(self) -> None:
        queue = Queue(Queueing(size=10, batch=3, delay=1.0), lambda: None)
        queue.put(1)
        queue.put(2)

        assert queue.close() == 2

        queue.put(3)
        queue.release(2)  # the attempt that was under way
        assert queue.dropped() == {"shutdown": 3}
        assert queue.queued() == 0

    def test_threads_lose_nothing(self) -> None:
        queue = Queue(Queueing(size=1000, batch=100, delay=1.0), lambda: None)

        def put() -> None:
            for number in range(500):
                queue.put(number)

        threads = [threading.Thread(target=put) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert queue.queued() + queue.dropped()["queue_full"] == 4000
        assert 1000 <= queue.queued() <= 1008


class TestNumbers:
    def test_points_are_sent_in_portions(self) -> None:
        telemetry, source = numbers(batch=5)
        for key in "abc":
            telemetry.execute("shop.order", {}, {"k": key})
        source.gather()

        sizes = []
        while (batch := source.batch(5)) is not None:
            data, count = batch
            assert points(data) == count
            sizes.append(count)
            source.release(count)

        assert sizes == [3, 3, 3, 3]
        assert source.released() == source.mark() == 12

    def test_a_portion_that_is_too_large_is_halved_down_to_one_metric(self) -> None:
        telemetry, source = numbers(batch=100)
        for key in "abc":
            telemetry.execute("shop.order", {}, {"k": key})
        source.gather()

        assert source.batch(100)[1] == 12  # type: ignore[index]  # there is one
        assert source.batch(6)[1] == 6  # type: ignore[index]  # as above
        assert source.batch(2)[1] == 3  # type: ignore[index]  # as above: one metric is as small as it gets
        assert source.queued() == 12

    def test_differences_that_wait_are_not_overtaken(self) -> None:
        telemetry, source = numbers(batch=100, temporality="delta", names=1)
        telemetry.execute("shop.order", {}, {"k": "a"})
        source.gather()
        telemetry.execute("shop.order", {}, {"k": "a"})
        source.gather()
        first, count = source.batch(100) or (None, 0)
        source.release(count)
        source.gather()
        second, _ = source.batch(100) or (None, 0)

        assert [
            data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value
            for data in (first, second)
            if data is not None
        ] == [1, 1]

    def test_closing_drops_what_waits(self) -> None:
        telemetry, source = numbers(batch=100)
        telemetry.execute("shop.order", {}, {"k": "a"})
        source.gather()

        assert source.close() == 4
        source.release(4)
        assert source.dropped() == {"shutdown": 4}
        assert source.batch(10) is None


@pytest.mark.parametrize("failures", [1, 2, 10, 10_000])
def test_the_pause_between_attempts_grows_up_to_a_bound(failures: int) -> None:
    pause = Backoff(1.0, 8.0).after(failures)
    expected = 2.0 ** min(failures - 1, 3)
    assert 0.8 * expected <= pause <= 1.2 * expected


def test_a_ticker_ticks_until_it_is_stopped() -> None:
    ticked = threading.Event()
    ticker = Ticker(0.001, ticked.set)
    ticker.start()
    assert ticked.wait(30)
    ticker.stop()
    ticker._thread.join(30)
    assert not ticker._thread.is_alive()
