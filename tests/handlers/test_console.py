# SPDX-License-Identifier: Apache-2.0
"""The console: what a line looks like, when it is coloured, and that nothing is raised."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Error, Ok, Telemetry
from heliograph.handlers import Console, console_line
from heliograph.handlers.console import duration
from heliograph.spans import set_sources


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks that stand still, in UTC, and an environment that says nothing of colours."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    contexts = iter(range(1, 1000))
    before = set_sources(lambda: 0, lambda: 1_767_323_045_006_000_000, lambda: next(contexts))
    yield
    set_sources(*before)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(
    measurements: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, **options: Any
) -> str:
    """Return what is printed of one event, without its time and name."""
    output = io.StringIO()
    Console(output, **options)("shop.order.placed", measurements, metadata or {})
    _, _, rest = output.getvalue().partition("shop.order.placed")
    return rest.strip()


class TestALine:
    def test_has_the_time_the_name_and_what_the_event_carries(self) -> None:
        output = io.StringIO()
        Console(output)("shop.order.placed", {"count": 1}, {"order_id": "A-17"})
        (line,) = output.getvalue().splitlines()
        assert re.fullmatch(
            r"\d\d:\d\d:05\.006  shop\.order\.placed {19}  count=1  order_id=A-17", line
        )

    def test_has_the_events_own_time_if_it_carries_one(self) -> None:
        output = io.StringIO()
        console = Console(output)
        console("a.b", {"system_time": 1_500_000_000_123_456_789}, {})
        console("a.b", {"system_time": "noon"}, {})
        assert re.findall(r"\d\d\.\d{3}", output.getvalue()) == ["00.123", "05.006"]

    def test_is_aligned_behind_the_name(self) -> None:
        output = io.StringIO()
        console = Console(output, width=10)
        for name in ("a.b", "a.longer", "a.much.longer.name"):
            console(name, {"n": 1}, {})
        columns = [line.index("n=1") for line in output.getvalue().splitlines()]
        assert columns == [26, 26, 34]

    @pytest.mark.parametrize(
        ("measurements", "metadata", "expected"),
        [
            ({"duration": 7_204_000}, {}, "duration=7.20 ms"),
            ({"duration": 1.5}, {}, "duration=1.5"),
            ({"duration": True}, {}, "duration=true"),
            ({"monotonic_time": 1, "system_time": 1, "n": 2}, {}, "n=2"),
            ({}, {"telemetry_span_context": 1, "stacktrace": [], "k": 1}, "k=1"),
            ({}, {"result": Ok(7)}, "result=Ok(7)"),
            ({}, {"result": Error("no stock")}, 'result=Error("no stock")'),
            ({}, {"result": Error(ValueError("x"))}, 'result=Error("ValueError: x")'),
            ({}, {"reason": KeyError("k")}, "reason=\"KeyError: 'k'\""),
            ({}, {"text": "two words", "none": None}, 'text="two words"  none=null'),
            ({}, {"list": [1, 2]}, "list=[1,2]"),
            ({}, {"long": "x" * 1000}, f'long="{"x" * 120}… (1000 characters)"'),
        ],
    )
    def test_has_values_as_people_write_them(
        self, measurements: dict[str, Any], metadata: dict[str, Any], expected: str
    ) -> None:
        assert shown(measurements, metadata) == expected

    def test_knows_from_the_catalog_which_are_durations_and_which_are_sensitive(
        self, shop: Path
    ) -> None:
        carried = ({"count": 1, "wait": 2500, "margin": 0.5}, {"order_id": "x", "card": "4111"})
        assert shown(*carried, catalog=shop) == "count=1  wait=2.50 µs  order_id=x"

    @given(st.text(st.characters()), st.text(st.characters()))
    def test_has_no_control_characters_whatever_the_event_carries(
        self, key: str, text: str
    ) -> None:
        output = io.StringIO()
        Console(output)(text, {key: 1}, {key: text, text: [key]})
        line = output.getvalue()
        assert line.endswith("\n")
        assert line[:-1].isprintable()


class TestDurations:
    @pytest.mark.parametrize(
        ("nanoseconds", "expected"),
        [
            (0, "0 ns"),
            (1, "1 ns"),
            (999, "999 ns"),
            (1000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_996, "10.0 µs"),
            (99_960, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (7_204_000, "7.20 ms"),
            (999_500_000, "1.00 s"),
            (59_940_000_000, "59.9 s"),
            (59_960_000_000, "1 min 00 s"),
            (123_000_000_000, "2 min 03 s"),
            (3_599_600_000_000, "1 h 00 min"),
            (3_600_000_000_000 * 30, "30 h 00 min"),
            (-7_204_000, "-7.20 ms"),
        ],
    )
    def test_are_in_a_unit_that_fits(self, nanoseconds: int, expected: str) -> None:
        assert duration(nanoseconds) == expected

    @given(st.integers(1000, 59_949_999_999))
    def test_have_three_digits(self, nanoseconds: int) -> None:
        number, unit = duration(nanoseconds).split(" ")
        assert len(number.replace(".", "")) == 3
        size = {"µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
        assert float(number) * size == pytest.approx(nanoseconds, rel=0.0051)


def indents(output: io.StringIO) -> list[tuple[int, str]]:
    """Return indentation and name of each line."""
    found = [re.match(r"\S+  ( *)(\S+)", line) for line in output.getvalue().splitlines()]
    return [(len(match[1]) // 2, match[2]) for match in found if match]


class TestSpans:
    @pytest.fixture
    def output(self, telemetry: Telemetry) -> io.StringIO:
        output = io.StringIO()
        telemetry.observe(Console(output))
        return output

    def test_indent_what_happens_in_them(self, telemetry: Telemetry, output: io.StringIO) -> None:
        def operate() -> None:
            with telemetry.span("outer"):
                telemetry.execute("a.point", {})
                with telemetry.span("inner"):
                    telemetry.execute("a.point", {})
                raise ValueError("x")

        with pytest.raises(ValueError, match="x"):
            operate()
        telemetry.execute("a.point", {})
        assert indents(output) == [
            (0, "outer.start"),
            (1, "a.point"),
            (1, "inner.start"),
            (2, "a.point"),
            (1, "inner.stop"),
            (0, "outer.exception"),
            (0, "a.point"),
        ]

    def test_of_tasks_side_by_side_do_not_indent_each_other(
        self, telemetry: Telemetry, output: io.StringIO
    ) -> None:
        async def work(turn: asyncio.Event) -> None:
            with telemetry.span("work"):
                await turn.wait()
                telemetry.execute("a.point", {})

        async def main() -> None:
            turn = asyncio.Event()
            with telemetry.span("main"):
                tasks = [asyncio.ensure_future(work(turn)) for _ in range(2)]
                await asyncio.sleep(0)
                turn.set()
                await asyncio.gather(*tasks)

        asyncio.run(main())
        assert sorted(set(indents(output))) == [
            (0, "main.start"),
            (0, "main.stop"),
            (1, "work.start"),
            (1, "work.stop"),
            (2, "a.point"),
        ]

    def test_of_two_consoles_are_kept_apart(self, telemetry: Telemetry) -> None:
        everything, outer = io.StringIO(), io.StringIO()
        telemetry.attach_many(
            "everything", ["o.start", "i.start", "i.stop", "o.stop"], Console(everything)
        )
        telemetry.attach_many("outer", ["i.start", "i.stop"], Console(outer))
        with telemetry.span("o"), telemetry.span("i"):
            pass
        assert indents(everything) == [(0, "o.start"), (1, "i.start"), (1, "i.stop"), (0, "o.stop")]
        assert indents(outer) == [(0, "i.start"), (0, "i.stop")]

    def test_that_never_end_here_indent_only_so_far(
        self, telemetry: Telemetry, output: io.StringIO
    ) -> None:
        for number in range(200):
            telemetry.execute("a.start", {}, {"telemetry_span_context": number})
        assert max(indents(output)) == (8, "a.start")

    def test_that_are_begun_twice_or_ended_unbegun_are_no_trouble(
        self, telemetry: Telemetry, output: io.StringIO
    ) -> None:
        same = {"telemetry_span_context": "same"}
        for event in ("a.start", "a.start", "a.stop", "a.stop"):
            telemetry.execute(event, {}, same)
        telemetry.execute("a.start", {})
        assert indents(output)[2:] == [(0, "a.stop"), (0, "a.stop"), (0, "a.start")]


class TestColours:
    @pytest.mark.parametrize(
        ("environment", "terminal", "coloured"),
        [
            ({}, True, True),
            ({}, False, False),
            ({"TERM": "dumb"}, True, False),
            ({"NO_COLOR": "1"}, True, False),
            ({"NO_COLOR": ""}, True, True),
            ({"FORCE_COLOR": "1"}, False, True),
            ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
            ({"FORCE_COLOR": ""}, False, False),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ],
    )
    def test_are_used_as_the_environment_and_the_terminal_say(
        self,
        monkeypatch: pytest.MonkeyPatch,
        environment: dict[str, str],
        terminal: bool,
        coloured: bool,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        output = Terminal() if terminal else io.StringIO()
        console = Console(output)
        for _ in range(2):
            console("a.b", {"n": 1}, {})
        assert ("\x1b[" in output.getvalue()) == coloured

    @pytest.mark.parametrize("color", [True, False])
    def test_can_be_decided_by_the_caller(
        self, monkeypatch: pytest.MonkeyPatch, color: bool
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        output = io.StringIO()
        Console(output, color=color)("a.b", {}, {})
        assert ("\x1b[" in output.getvalue()) == color

    @pytest.mark.parametrize(
        ("event", "metadata", "colour"),
        [
            ("shop.checkout.start", {}, 36),
            ("shop.checkout.stop", {}, 32),
            ("shop.checkout.stop", {"result": Ok(1)}, 32),
            ("shop.checkout.stop", {"result": Error(1)}, 31),
            ("shop.checkout.exception", {}, 31),
            ("shop.order.placed", {}, 33),
            ("shop.order.seen", {}, 2),
            ("other.event", {}, 34),
        ],
    )
    def test_say_how_it_went(
        self, shop: Path, event: str, metadata: dict[str, Any], colour: int
    ) -> None:
        output = io.StringIO()
        Console(output, color=True, catalog=shop)(event, {"n": 1}, metadata)
        assert f"\x1b[{colour}m{event}" in output.getvalue()

    def test_do_not_change_the_text(self) -> None:
        carried = ("a.b", {"n": 1, "duration": 5}, {"k": "v"})
        plain, coloured = io.StringIO(), io.StringIO()
        Console(plain)(*carried)
        Console(coloured, color=True)(*carried)
        assert re.sub(r"\x1b\[\d+m", "", coloured.getvalue()) == plain.getvalue()


class TestTheOutput:
    def test_is_standard_error_as_it_is_at_each_event(
        self, capsys: pytest.CaptureFixture[str], telemetry: Telemetry
    ) -> None:
        telemetry.attach("console", "a.b", console_line)
        telemetry.execute("a.b", {"n": 1})
        assert capsys.readouterr().err.endswith("n=1\n")

    def test_may_be_configured(self, telemetry: Telemetry) -> None:
        output = io.StringIO()
        config = {"output": output, "color": True, "width": 5}
        telemetry.attach("console", "a.b", console_line, config)
        telemetry.execute("a.b", {"n": 1})
        assert "\x1b[34ma.b  \x1b[0m" in output.getvalue()

    def test_that_knows_few_characters_gets_escapes(self) -> None:
        raw = io.BytesIO()
        output = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
        Console(output)("a.b", {"duration": 1500}, {"name": "größe"})
        assert raw.getvalue().endswith(b"duration=1.50 \\xb5s  name=gr\\xf6\\xdfe\n")

    def test_that_is_closed_or_broken_or_absent_is_no_trouble(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        closed = io.StringIO()
        closed.close()
        for output in (closed, Broken()):
            Console(output)("a.b", {}, {})
        monkeypatch.setattr(sys, "stderr", None)
        Console()("a.b", {}, {})
