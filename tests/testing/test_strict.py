# SPDX-License-Identifier: Apache-2.0
"""The watch: what it finds, for whom, and where it says an event was emitted."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator, Mapping
from inspect import currentframe
from pathlib import Path
from typing import Any

import pytest

from heliograph import Telemetry
from heliograph.catalog import Catalog, load_text
from heliograph.testing import capture
from heliograph.testing.matching import matcher
from heliograph.testing.strict import MAX_FINDINGS, MAX_LISTED, Findings, Watch

HERE = Path(__file__)
SHOP = """\
catalog: shop
version: 1.0.0
brief: A shop
fields:
  amount: {type: int, brief: Pieces}
  order_id: {type: string, brief: Id}
events:
  shop.order.placed: {brief: Placed, measurements: [amount], metadata: ["order_id?"]}
  shop.order.lost: {brief: Lost}
  shop.order.losst: {brief: Old name, deprecated: {renamed_to: shop.order.lost}}
"""
CATALOG = Catalog([load_text(SHOP, file=str(HERE.parent / "shop.yaml"))])


def line() -> int:
    """The line that calls this."""
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def watching(telemetry: Telemetry, *, strict: bool = True) -> Watch:
    watch = Watch(CATALOG, strict=strict, root=HERE.parent)
    telemetry.observe(watch.see)
    return watch


@pytest.fixture
def watch(telemetry: Telemetry) -> Watch:
    return watching(telemetry)


def found(watch: Watch) -> list[str]:
    return watch.outside.take().splitlines()


class TestWatch:
    def test_what_conforms_is_no_finding(self, telemetry: Telemetry, watch: Watch) -> None:
        telemetry.execute("shop.order.placed", {"amount": 1}, {"order_id": "A"})

        assert found(watch) == []

    def test_a_finding_names_event_place_problem_and_declaration(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        telemetry.execute("shop.order.placed", {}, {"order": "A"})
        emitted = line() - 1

        assert found(watch) == [
            "emitted, but not as catalogued:",
            f"shop.order.placed, emitted at test_strict.py:{emitted}",
            "  measurements.amount: missing",
            "  metadata.order: undeclared; did you mean 'order_id'?",
            "  declared at shop.yaml:8",
        ]

    def test_an_unknown_event_is_a_finding_with_a_suggestion(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        telemetry.execute("shop.order.place", {})

        (problem,) = found(watch)[2:]
        assert problem.startswith("  no catalog declares it; did you mean 'shop.order.placed'")

    def test_an_old_name_is_a_finding(self, telemetry: Telemetry, watch: Watch) -> None:
        telemetry.execute("shop.order.losst", {})

        assert found(watch)[2] == "  an old name; it is shop.order.lost now"

    def test_what_cannot_be_checked_is_a_finding(self, telemetry: Telemetry, watch: Watch) -> None:
        class Unreadable(Mapping[str, Any]):
            def __getitem__(self, key: str) -> Any:
                raise KeyError(key)

            def __len__(self) -> int:
                return 1

            def __iter__(self) -> Iterator[str]:
                raise OSError("gone")

        telemetry.execute("shop.order.placed", Unreadable())

        assert found(watch)[2] == "  can't be checked: OSError: gone"

    def test_the_names_of_catalogued_events_are_noted(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        telemetry.execute("shop.order.lost", {"undeclared": 1})
        telemetry.execute("a.b", {})

        assert watch.emitted == {"shop.order.lost"}

    def test_when_it_is_not_strict_only_names_are_noted(self, telemetry: Telemetry) -> None:
        watch = watching(telemetry, strict=False)
        telemetry.execute("shop.order.lost", {"undeclared": 1})

        assert watch.emitted == {"shop.order.lost"}
        assert found(watch) == []

    def test_findings_go_to_the_test_that_runs(self, telemetry: Telemetry, watch: Watch) -> None:
        watch.current = Findings()
        telemetry.execute("a.b", {})

        assert found(watch) == []
        assert "a.b, emitted at" in watch.current.take()


class TestPlaces:
    def test_a_handle_is_not_the_emitter(self, telemetry: Telemetry, watch: Watch) -> None:
        telemetry.event("a.b").execute({})
        emitted = line() - 1

        assert found(watch)[1] == f"a.b, emitted at test_strict.py:{emitted}"

    def test_a_span_is_emitted_by_its_with_statement(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        with telemetry.span("a.b"):
            opened = line() - 1

        assert [each for each in found(watch) if "emitted at" in each] == [
            f"a.b.start, emitted at test_strict.py:{opened}",
            f"a.b.stop, emitted at test_strict.py:{opened}",
        ]

    def test_a_decorated_function_is_emitted_by_its_caller(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        @telemetry.traced("a.b")
        def work() -> None: ...

        work()
        called = line() - 1

        assert found(watch)[1] == f"a.b.start, emitted at test_strict.py:{called}"

    def test_a_capture_around_it_is_not_the_emitter(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        with capture(telemetry=telemetry):
            telemetry.execute("a.b", {})
            emitted = line() - 1

        assert found(watch)[1] == f"a.b, emitted at test_strict.py:{emitted}"

    def test_a_file_beyond_the_root_keeps_its_whole_path(self, telemetry: Telemetry) -> None:
        watch = Watch(CATALOG, strict=True, root=HERE.parent / "elsewhere")
        telemetry.observe(watch.see)
        telemetry.execute("a.b", {})

        assert f"emitted at {HERE}:" in found(watch)[1]

    def test_without_any_python_function_above_it_the_place_is_unknown(
        self, telemetry: Telemetry, watch: Watch
    ) -> None:
        done = threading.Event()
        telemetry.observe(lambda *_: done.set())
        _thread.start_new_thread(telemetry.execute, ("a.b", {}))
        done.wait(10)

        assert found(watch)[1] == "a.b, emitted at an unknown place"


class TestFindings:
    def test_the_same_is_said_once_with_how_often_it_was(self) -> None:
        findings = Findings()
        for _ in range(3):
            findings.add("a.b", ["wrong"], "x.py:1")
        findings.add("a.b", ["wrong"], "x.py:2")

        assert findings.take().splitlines() == [
            "emitted, but not as catalogued:",
            "a.b, emitted at x.py:1 (3 times)",
            "  wrong",
            "a.b, emitted at x.py:2",
            "  wrong",
        ]

    def test_what_was_taken_is_forgotten(self) -> None:
        findings = Findings()
        findings.add("a.b", ["wrong"], "x.py:1")

        assert findings.take()
        assert findings.take() == ""

    def test_what_leniency_allows_is_left_out(self) -> None:
        findings = Findings()
        findings.add("a.b", ["wrong"], "x.py:1")
        findings.add("c.d", ["wrong"], "x.py:2")

        assert "a.b" not in findings.take([matcher("a.*"), matcher("x")])

    def test_their_number_is_bounded_and_a_part_is_listed(self) -> None:
        findings = Findings()
        for number in range(MAX_FINDINGS + 5):
            findings.add("a.b", ["wrong"], f"x.py:{number}")

        lines = findings.take().splitlines()
        assert len(lines) == 1 + 2 * MAX_LISTED + 1
        assert lines[-1] == f"and {MAX_FINDINGS - MAX_LISTED} more"
