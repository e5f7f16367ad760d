# SPDX-License-Identifier: Apache-2.0
"""Eight threads at once: no call is lost or doubled, and what is left is what must be left."""

from __future__ import annotations

import collections
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph import HandlerExistsError, HandlerNotFoundError, Telemetry

THREADS = 8


class Yielding(str):
    """A name that lets another thread go on whenever it is looked up."""

    __slots__ = ()

    def __hash__(self) -> int:
        time.sleep(0)
        return super().__hash__()

    __eq__ = str.__eq__


NAMES = [Yielding("a"), Yielding("a.b"), Yielding("b")]


@pytest.fixture(autouse=True, scope="module")
def hasty() -> Iterator[None]:
    """Threads take turns after next to nothing, so that every interleaving has its chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*works: Callable[[], object]) -> None:
    """Run each in a thread of its own, all at once; raise what one of them raised."""
    barrier = threading.Barrier(len(works), timeout=30)
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised below
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def check(telemetry: Telemetry, called: list[Any]) -> None:
    """Table, handles and list agree."""
    listed = telemetry.list_handlers()
    for name in NAMES:
        expected = sorted(str(info.handler_id) for info in listed if info.event == name)
        for execute in (telemetry.event(name).execute, lambda m, n=name: telemetry.execute(n, m)):
            called.clear()
            execute({})
            assert sorted(str(each) for each, _ in called) == expected
        assert len(telemetry.event(name).handlers) == len(expected)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("toggle"), st.integers(0, 2), st.sampled_from(NAMES)),
        st.tuples(st.just("toggle all"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("execute"), st.just(0), st.sampled_from(NAMES)),
        st.tuples(st.just("execute by handle"), st.just(0), st.sampled_from(NAMES)),
        st.tuples(st.just("observe"), st.just(0), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=st.lists(OPERATIONS, min_size=THREADS, max_size=THREADS))
def test_any_scripts_of_eight_threads(scripts: list[list[tuple[str, int, str]]]) -> None:
    telemetry = Telemetry()
    called: list[tuple[Any, Any]] = []

    def handler(_event: str, measurements: Any, _metadata: Any, config: Any) -> None:
        called.append((config, measurements.get("execution")))

    telemetry.attach_many("always", NAMES, handler, "always")
    executed: list[tuple[int, int]] = []
    left: list[set[tuple[int, int]]] = []

    def worker(thread: int, script: list[tuple[str, int, str]]) -> None:
        mine: set[tuple[int, int]] = set()
        for step, (operation, number, name) in enumerate(script):
            handler_id = (thread, number)
            execution = (thread, step)
            if operation.startswith("toggle"):
                if handler_id in mine:
                    mine.remove(handler_id)
                    telemetry.detach(handler_id)
                else:
                    names = [name] if name else NAMES
                    telemetry.attach_many(handler_id, names, handler, handler_id)
                    mine.add(handler_id)
            elif operation == "observe":
                with telemetry.observe(lambda *_: None):
                    pass
            else:
                executed.append(execution)
                # Every thread's own handlers are those it attached: it sees its own writes at once.
                if operation == "execute":
                    telemetry.execute(name, {"execution": execution})
                else:
                    telemetry.event(name).execute({"execution": execution})
        left.append(mine)

    together(*(lambda t=t, s=s: worker(t, s) for t, s in enumerate(scripts)))

    always = [execution for handler_id, execution in called if handler_id == "always"]
    assert sorted(always) == sorted(executed)
    assert max(collections.Counter(called).values(), default=1) == 1
    attached = {info.handler_id for info in telemetry.list_handlers()}
    assert attached == {"always"}.union(*left)
    check(telemetry, called)


def test_who_is_attached_throughout_gets_every_event_once_while_others_come_and_go(
    telemetry: Telemetry,
) -> None:
    called: list[tuple[Any, Any]] = []

    def handler(_event: str, measurements: Any, _metadata: Any, config: Any) -> None:
        called.append((config, measurements.get("execution")))

    telemetry.attach("always", NAMES[1], handler, "always")
    handle = telemetry.event("a.b")

    def execute(thread: int) -> None:
        for number in range(500):
            execution = {"execution": (thread, number)}
            if number % 2:
                handle.execute(execution)
            else:
                telemetry.execute(NAMES[1], execution)

    def churn(thread: int) -> None:
        for number in range(100):
            telemetry.attach_many((thread, number), NAMES, handler, "churned")
            with telemetry.observe(lambda *_: None):
                telemetry.detach((thread, number))

    together(
        *(lambda t=t: execute(t) for t in range(THREADS // 2)),
        *(lambda t=t: churn(t) for t in range(THREADS // 2)),
    )

    always = [execution for config, execution in called if config == "always"]
    assert sorted(always) == [(t, n) for t in range(THREADS // 2) for n in range(500)]
    assert [info.handler_id for info in telemetry.list_handlers()] == ["always"]
    check(telemetry, called)


def test_a_detached_handler_is_not_called_by_what_begins_afterwards(telemetry: Telemetry) -> None:
    detached: set[tuple[int, int]] = set()
    late: list[object] = []

    def handler(_event: str, measurements: Any, _metadata: Any, config: Any) -> None:
        if config in measurements["detached"]:
            late.append(config)

    def work(thread: int) -> None:
        for number in range(100):
            telemetry.attach((thread, number), NAMES[1], handler, (thread, number))
            telemetry.execute("a.b", {"detached": frozenset(detached)})
            telemetry.detach((thread, number))
            detached.add((thread, number))
            telemetry.execute("a.b", {"detached": frozenset(detached)})

    together(*(lambda t=t: work(t) for t in range(THREADS)))

    assert late == []
    assert not telemetry.event("a.b").handlers


def test_one_of_those_that_attach_one_id_wins(telemetry: Telemetry) -> None:
    for number in range(50):
        outcomes: list[str] = []

        def attach(number: int = number, outcomes: list[str] = outcomes) -> None:
            try:
                telemetry.attach(number, NAMES[1], lambda *_: None)
                outcomes.append("attached")
            except HandlerExistsError:
                outcomes.append("refused")

        together(*[attach] * THREADS)
        assert sorted(outcomes) == ["attached"] + ["refused"] * (THREADS - 1)

    assert len(telemetry.event("a.b").handlers) == 50


def test_one_of_those_that_detach_one_id_wins(telemetry: Telemetry) -> None:
    for number in range(50):
        telemetry.attach(number, "a.b", lambda *_: None)
        outcomes: list[str] = []

        def detach(number: int = number, outcomes: list[str] = outcomes) -> None:
            try:
                telemetry.detach(number)
                outcomes.append("detached")
            except HandlerNotFoundError:
                outcomes.append("refused")

        together(*[detach] * THREADS)
        assert sorted(outcomes) == ["detached"] + ["refused"] * (THREADS - 1)

    assert telemetry.event("a.b").handlers == ()


def test_a_handler_that_fails_in_several_threads_is_reported_once(
    telemetry: Telemetry, failures: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    barrier = threading.Barrier(THREADS, timeout=30)

    def fail(*_: object) -> None:
        barrier.wait()
        raise RuntimeError

    telemetry.attach("h", "a.b", fail)
    together(*[lambda: telemetry.execute("a.b", {})] * THREADS)

    assert [data["handler_id"] for _, data in failures] == ["h"]
    assert len(caplog.records) == 1


def test_a_kept_handler_that_fails_in_several_threads_is_logged_once(
    telemetry: Telemetry, failures: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    barrier = threading.Barrier(THREADS, timeout=30)

    def fail(*_: object) -> None:
        barrier.wait()
        raise RuntimeError

    telemetry.attach("h", "a.b", fail, on_failure="keep")
    together(*[lambda: telemetry.execute("a.b", {})] * THREADS)

    assert len(failures) == THREADS
    assert len(caplog.records) == 1
    assert {info.failures for info in telemetry.list_handlers("a.b")} == {THREADS}


def test_one_name_is_one_handle_in_every_thread(telemetry: Telemetry) -> None:
    for number in range(50):
        made: list[object] = []
        prefix = f"a.n{number}"

        def make(prefix: str = prefix, made: list[object] = made) -> None:
            with telemetry.span(prefix):
                made += [telemetry.event(prefix), telemetry.spanning(prefix)]

        together(*[make] * THREADS)
        assert len(set(map(id, made))) == 2
