# SPDX-License-Identifier: Apache-2.0
"""Forking, also in the middle of writes: the child goes on as if it had always been alone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import heliograph
from heliograph import Telemetry

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # That threads are about is the case under test.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


def in_child(check: Callable[[], None]) -> int:
    """Fork; run `check` in the child; return 0 if it went well."""
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's coverage isn't collected
        finish(check)
    return outcome(child)


def finish(check: Callable[[], None]) -> None:  # pragma: no cover - as above
    status = 1
    try:
        signal.alarm(20)  # a deadlock ends here, and badly
        check()
        status = 0
    finally:
        os._exit(status)


def outcome(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def use(telemetry: Telemetry) -> None:
    """Everything still works."""
    heard: list[str] = []
    telemetry.attach_many("child", ["a.b", "c.d"], lambda event, *_: heard.append(event))
    with telemetry.observe(lambda *_: None), telemetry.span("c"):
        telemetry.execute("a.b", {})
        telemetry.event("c.d").execute({})
    assert heard == ["a.b", "c.d"]
    telemetry.detach("child")
    telemetry.execute("a.b", {})
    assert len(heard) == 2
    for name in ("a.b", "c.d"):
        listed = [info for info in telemetry.list_handlers() if info.event == name]
        assert len(telemetry.event(name).handlers) == len(listed)


@contextmanager
def writers(telemetry: Telemetry) -> Iterator[None]:
    """Four threads that attach and detach without a pause."""
    stop = threading.Event()
    ready = threading.Barrier(5, timeout=30)

    def write(number: int) -> None:
        # Whoever measures coverage takes a lock of its own, which no child would ever get again.
        sys.settrace(None)
        ready.wait()
        while not stop.is_set():
            telemetry.attach_many(("writer", number), ["a.b", "c.d"], lambda *_: None)
            telemetry.detach(("writer", number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_child_can_do_everything_while_threads_of_its_parent_write(telemetry: Telemetry) -> None:
    with writers(telemetry):
        outcomes = [in_child(lambda: use(telemetry)) for _ in range(20)]

    assert outcomes == [0] * 20
    use(telemetry)


def test_a_child_inherits_what_was_attached(telemetry: Telemetry) -> None:
    heard: list[str] = []
    telemetry.attach("h", "a.b", lambda event, *_: heard.append(event))

    def check() -> None:
        telemetry.execute("a.b", {})
        assert heard == ["a.b"]
        telemetry.detach("h")

    assert in_child(check) == 0
    assert heard == []
    assert len(telemetry.list_handlers()) == 1


def test_what_a_child_does_stays_with_it(telemetry: Telemetry) -> None:
    assert in_child(lambda: telemetry.attach("h", "a.b", lambda *_: None)) == 0

    assert telemetry.list_handlers() == []


def test_the_default_dispatcher_too() -> None:
    assert in_child(lambda: use(heliograph.default())) == 0


@pytest.mark.parametrize("call", [2, 3])
def test_a_write_can_be_forked_in_its_middle_and_ends_well_on_both_sides(
    telemetry: Telemetry, call: int
) -> None:
    children: list[int] = []

    class ForkingId:
        calls = 0

        def __hash__(self) -> int:
            self.calls += 1
            # The first call asks whether the id is hashable; later ones come while writing.
            if self.calls == call:
                children.append(os.fork())
            return 1

    handler_id = ForkingId()
    telemetry.attach(handler_id, "a.b", lambda *_: None)
    if call == 3:
        telemetry.detach(handler_id)
    (child,) = children

    def check() -> None:
        assert len(telemetry.list_handlers()) == (0 if call == 3 else 1)
        use(telemetry)

    if child == 0:  # pragma: no cover - the child's coverage isn't collected
        finish(check)
    assert outcome(child) == 0
    check()
