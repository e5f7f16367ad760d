# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, in runs of pytest of its own: fixtures, strictness, coverage."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from heliograph.telemetry import default

pytestmark = pytest.mark.telemetry_lenient(reason="emits events of its own making")

SHOP = """\
catalog: shop
version: 1.0.0
brief: A shop
fields:
  amount: {type: int, brief: Pieces}
events:
  shop.order.placed: {brief: Placed, measurements: [amount]}
  shop.order.lost: {brief: Lost}
"""
EMIT_WELL = """\
    import heliograph
    def test_placed():
        heliograph.execute("shop.order.placed", {"amount": 1})
"""
EMIT_BADLY = """\
    import heliograph
    def test_placed():
        heliograph.execute("shop.order.placed", {"amount": "1"})
"""


@pytest.fixture
def shop(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a catalog of two events, configured."""
    pytester.makefile(".yaml", shop=SHOP)
    pytester.makefile(".toml", pyproject='[tool.pytest]\ntelemetry_catalogs = ["shop.yaml"]')
    return pytester


def lines(result: pytest.RunResult) -> list[str]:
    return [line.rstrip() for line in result.outlines]


def section(result: pytest.RunResult, title: str) -> list[str]:
    """The lines of one section of the summary."""
    all_of_them = lines(result)
    begins = [number for number, line in enumerate(all_of_them) if f" {title} " in line]
    rest = all_of_them[begins[-1] + 1 :] if begins else []
    end = next((n for n, line in enumerate(rest) if line.startswith("=")), len(rest))
    return rest[:end]


class TestFixtures:
    def test_telemetry_events_holds_what_the_test_executed(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import heliograph

            def test_events(telemetry_events):
                heliograph.execute("a.b", {"n": 1})
                telemetry_events.assert_event("a.*", {"n": 1})

            def test_the_next_test_begins_with_nothing(telemetry_events):
                telemetry_events.assert_none()
            """
        )

        pytester.runpytest().assert_outcomes(passed=2)

    def test_telemetry_clock_stands_still(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import heliograph

            def test_clock(telemetry_clock, telemetry_events):
                with heliograph.span("a.b"):
                    telemetry_clock.advance(0.25)
                assert telemetry_events.spans()[0].duration == 250_000_000
                assert telemetry_events.spans()[0].context == 1
            """
        )

        pytester.runpytest().assert_outcomes(passed=1)

    def test_they_are_listed_with_what_they_are(self, pytester: pytest.Pytester) -> None:
        pytester.runpytest("--fixtures").stdout.fnmatch_lines(
            ["telemetry_events -- *", "*Every event executed during this test*"]
        )


class TestUnasked:
    def test_nobody_observes_and_nothing_is_printed(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            f"""
            from heliograph import Event

            def test_unobserved():
                assert len(Event("a.b").handlers) == {len(default()._observers)}
            """
        )
        result = pytester.runpytest("--strict-markers")

        result.assert_outcomes(passed=1)
        assert "telemetry" not in "\n".join(lines(result))

    def test_no_catalog_is_looked_at(self, pytester: pytest.Pytester) -> None:
        pytester.makefile(".toml", pyproject='[tool.pytest]\ntelemetry_catalogs = ["none.yaml"]')
        pytester.makepyfile("def test(): ...")

        pytester.runpytest().assert_outcomes(passed=1)

    def test_the_plugin_does_not_import_the_catalog(self) -> None:
        program = (
            "import sys, heliograph.testing.plugin; print('heliograph.catalog' in sys.modules)"
        )
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )

        assert result.stdout == "False\n"

    def test_the_marker_is_known(self, pytester: pytest.Pytester) -> None:
        pytester.runpytest("--markers").stdout.fnmatch_lines(
            ["@pytest.mark.telemetry_lenient(*patterns, reason=None): *"]
        )


class TestStrict:
    def test_a_test_that_emits_as_catalogued_passes(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(EMIT_WELL)

        shop.runpytest("--telemetry-strict").assert_outcomes(passed=1)

    def test_one_that_does_not_fails_with_event_place_fault_and_mend(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makepyfile(test_shop=EMIT_BADLY)
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(failed=1)
        assert section(result, "FAILURES")[1:] == [
            "emitted, but not as catalogued:",
            "shop.order.placed, emitted at test_shop.py:3",
            "  measurements.amount: expected int, got str",
            "  declared at shop.yaml:7",
            (
                "mend what emits it or the catalog; a test that does so on purpose is marked "
                "@pytest.mark.telemetry_lenient"
            ),
        ]

    def test_an_unknown_event_fails_its_test(self, shop: pytest.Pytester) -> None:
        shop.makepyfile("import heliograph\ndef test(): heliograph.execute('shop.order.place', {})")
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*no catalog declares it; did you mean 'shop.order.placed'*"])

    def test_the_toolkits_own_events_are_always_known(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(
            """
            import heliograph

            def fail(*_): raise KeyError

            def test_failing_handler():
                heliograph.attach("fails", "shop.order.lost", fail)
                heliograph.execute("shop.order.lost", {})
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(passed=1)
        assert "heliograph" not in "\n".join(section(result, "telemetry coverage"))

    def test_what_a_thread_emits_counts_for_the_test_that_runs(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(
            """
            import threading
            import heliograph

            def test_thread():
                thread = threading.Thread(target=lambda: heliograph.execute("a.b", {}))
                thread.start()
                thread.join()

            def test_other(): ...
            """
        )
        result = shop.runpytest("--telemetry-strict", "-p", "no:randomly")

        result.assert_outcomes(failed=1, passed=1)
        result.stdout.fnmatch_lines(["a.b, emitted at test_*.py:5"])

    def test_what_a_fixture_emits_in_setting_up_fails_the_test_after_it_ran(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makepyfile(
            """
            import heliograph
            import pytest

            @pytest.fixture
            def fixture(): heliograph.execute("a.b", {})

            def test(fixture): print("it ran")
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["a.b, emitted at *", "*it ran*"])

    def test_what_a_fixture_emits_in_tearing_down_is_an_error_of_the_test(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makepyfile(
            """
            import heliograph
            import pytest

            @pytest.fixture
            def fixture():
                yield
                heliograph.execute("a.b", {})

            def test(fixture): ...
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["*ERROR at teardown of test*", "a.b, emitted at *"])

    @pytest.mark.parametrize(
        ("body", "outcome"),
        [
            ("def test(): emit(); assert 1 == 2", {"failed": 1}),
            ("def test(failing): ...", {"errors": 1}),
        ],
    )
    def test_a_test_that_fails_anyway_keeps_its_reason_and_tells_the_findings_beside_it(
        self, shop: pytest.Pytester, body: str, outcome: dict[str, int]
    ) -> None:
        shop.makepyfile(
            f"""
            import heliograph
            import pytest

            def emit(): heliograph.execute("a.b", {{}})

            @pytest.fixture
            def failing():
                emit()
                assert 1 == 2

            {body}
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(**outcome)
        result.stdout.fnmatch_lines(
            ["E*assert 1 == 2", "*- Captured telemetry *", "a.b, emitted at *"]
        )

    def test_one_that_fails_and_emits_well_tells_nothing_more(self, shop: pytest.Pytester) -> None:
        shop.makepyfile("def test(): assert 1 == 2")

        shop.runpytest("--telemetry-strict").stdout.no_fnmatch_line("*Captured telemetry*")

    def test_a_skipped_test_stays_skipped(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(
            """
            import heliograph
            import pytest

            def test():
                heliograph.execute("a.b", {})
                pytest.skip()
            """
        )

        shop.runpytest("--telemetry-strict").assert_outcomes(skipped=1)

    def test_what_is_emitted_while_no_test_runs_fails_the_run(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(
            test_shop="""
            import heliograph
            heliograph.execute("a.b", {})
            def test(): ...
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.assert_outcomes(passed=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert section(result, "telemetry outside of tests") == [
            "emitted, but not as catalogued:",
            "a.b, emitted at test_shop.py:2",
            "  no catalog declares it; catalogue it, or correct the name",
        ]

    def test_what_is_emitted_after_a_tests_last_phase_is_not_lost(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makeconftest(
            """
            import heliograph
            def pytest_runtest_logfinish(): heliograph.execute("a.b", {})
            """
        )
        shop.makepyfile("def test(): ...")
        result = shop.runpytest("--telemetry-strict")

        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert "a.b, emitted at conftest.py:2" in section(result, "telemetry outside of tests")

    def test_afterwards_nobody_observes(self, shop: pytest.Pytester) -> None:
        before = default()._observers
        shop.makepyfile(EMIT_BADLY)
        shop.runpytest("--telemetry-strict")

        assert default()._observers == before


class TestLenient:
    @pytest.mark.parametrize(
        ("arguments", "failed"),
        [
            ("", 0),
            ("reason='on purpose'", 0),
            ("'a.*', reason='on purpose'", 0),
            ("'c', 'a.b'", 0),
            ("'a.c'", 1),
        ],
    )
    def test_a_marked_test_may_emit_anything_or_what_matches(
        self, shop: pytest.Pytester, arguments: str, failed: int
    ) -> None:
        shop.makepyfile(
            f"""
            import heliograph
            import pytest

            @pytest.mark.telemetry_lenient({arguments})
            def test(): heliograph.execute("a.b", {{}})
            """
        )

        shop.runpytest("--telemetry-strict", "--strict-markers").assert_outcomes(
            passed=1 - failed, failed=failed
        )

    def test_classes_and_modules_and_running_tests_can_be_marked(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makepyfile(
            test_module="""
            import heliograph
            import pytest
            pytestmark = pytest.mark.telemetry_lenient("a.b")

            def test_module(): heliograph.execute("a.b", {})

            @pytest.mark.telemetry_lenient("a.c")
            class TestClass:
                def test(self):
                    heliograph.execute("a.b", {})
                    heliograph.execute("a.c", {})

            def test_running(request):
                request.applymarker(pytest.mark.telemetry_lenient("a.d"))
                heliograph.execute("a.d", {})
            """
        )

        shop.runpytest("--telemetry-strict").assert_outcomes(passed=3)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("'on purpose'", "telemetry_lenient: pattern 'on purpose' can match no event*"),
            ("7", "telemetry_lenient: pattern 7 is not a string*"),
            (
                "because='x'",
                "telemetry_lenient: unknown argument 'because'; there are patterns and reason=",
            ),
        ],
    )
    def test_a_malformed_mark_fails_its_test(
        self, shop: pytest.Pytester, arguments: str, message: str
    ) -> None:
        shop.makepyfile(
            f"""
            import pytest
            @pytest.mark.telemetry_lenient({arguments})
            def test(): ...
            """
        )
        result = shop.runpytest("--telemetry-strict")

        result.stdout.fnmatch_lines([message])
        assert result.ret == pytest.ExitCode.TESTS_FAILED


class TestCoverage:
    @pytest.mark.parametrize("option", ["--telemetry-coverage", "--telemetry-strict"])
    def test_the_summary_lists_what_no_test_emitted(
        self, shop: pytest.Pytester, option: str
    ) -> None:
        shop.makepyfile(EMIT_WELL)

        assert section(shop.runpytest(option), "telemetry coverage") == [
            "catalog  events  emitted  cover",
            "shop          2        1    50%",
            "",
            "no test emitted",
            "  shop.order.lost  shop.yaml:8",
        ]

    def test_coverage_alone_is_not_strict(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(EMIT_BADLY)

        shop.runpytest("--telemetry-coverage").assert_outcomes(passed=1)

    def test_it_can_be_written_to_a_file(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(EMIT_WELL)
        shop.runpytest("--telemetry-coverage-json", "reports/telemetry.json")

        report = json.loads((shop.path / "reports" / "telemetry.json").read_text(encoding="utf-8"))
        assert report["catalogs"]["shop"]["emitted"] == ["shop.order.placed"]

    def test_a_file_that_cannot_be_written_fails_the_run(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(EMIT_WELL)
        result = shop.runpytest("--telemetry-coverage-json", "shop.yaml/telemetry.json")

        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["telemetry coverage could not be written: *shop.yaml*"])

    @pytest.mark.parametrize(("percent", "ret"), [("50", 0), ("50.1", 1)])
    def test_too_little_of_it_fails_the_run_if_wanted(
        self, shop: pytest.Pytester, percent: str, ret: int
    ) -> None:
        shop.makepyfile(EMIT_WELL)
        result = shop.runpytest("--telemetry-fail-under", percent)

        assert result.ret == ret
        message = "telemetry coverage is 50.00 %, less than the 50.1 % wanted"
        assert (message in lines(result)) == bool(ret)

    @pytest.mark.parametrize("percent", ["101", "-1", "half", "nan"])
    def test_what_is_no_percentage_is_refused(self, shop: pytest.Pytester, percent: str) -> None:
        result = shop.runpytest(f"--telemetry-fail-under={percent}")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*invalid percentage from 0 to 100 value: '{percent}'*"])

    def test_a_run_that_fails_otherwise_keeps_its_exit_status(self, shop: pytest.Pytester) -> None:
        result = shop.runpytest("--telemetry-fail-under", "50")

        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED

    def test_collecting_alone_covers_nothing(self, shop: pytest.Pytester) -> None:
        shop.makepyfile(EMIT_WELL)
        result = shop.runpytest("--collect-only", "--telemetry-fail-under", "50")

        assert result.ret == pytest.ExitCode.OK
        assert "telemetry coverage" not in "\n".join(lines(result))


class TestCatalogs:
    def test_without_configuration_all_installed_ones_are_known_and_those_in_use_count(
        self, pytester: pytest.Pytester
    ) -> None:
        pytester.makepyfile(
            """
            import heliograph

            def test():
                with heliograph.span("modboss.write", {"schema": "s", "names": ["n"]}):
                    pass
            """
        )
        result = pytester.runpytest("--telemetry-strict")

        result.stdout.fnmatch_lines(["modboss.write.start, emitted at *"])
        table = section(result, "telemetry coverage")
        assert table[1].split() == ["modboss", "19", "2", "10%"]
        assert any(line.startswith("not counted") and "partisan" in line for line in table)

    def test_they_may_be_named_and_the_toolkits_own_counts_if_it_is(
        self, pytester: pytest.Pytester
    ) -> None:
        pytester.makeini("[pytest]\ntelemetry_catalogs = modboss heliograph")
        pytester.makepyfile("def test(): ...")
        table = section(pytester.runpytest("--telemetry-coverage"), "telemetry coverage")

        assert [line.split()[0] for line in table[1:4]] == ["modboss", "heliograph", "total"]

    @pytest.mark.parametrize(
        ("catalogs", "message"),
        [
            ("none.yaml", "ERROR: telemetry_catalogs: *none.yaml*"),
            ("modbos", "ERROR: telemetry_catalogs: *modbos*did you mean*modboss*"),
        ],
    )
    def test_one_that_cannot_be_loaded_ends_the_run(
        self, pytester: pytest.Pytester, catalogs: str, message: str
    ) -> None:
        pytester.makeini(f"[pytest]\ntelemetry_catalogs = {catalogs}")
        result = pytester.runpytest("--telemetry-strict")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])


class TestWorkers:
    """With pytest-xdist the tests run in worker processes, which hand over what they have seen."""

    def test_findings_and_coverage_of_all_workers_come_together(
        self, shop: pytest.Pytester
    ) -> None:
        shop.makepyfile(
            test_a="""
            import heliograph
            heliograph.execute("a.b", {})

            def test_placed(): heliograph.execute("shop.order.placed", {"amount": 1})
            def test_lost(): heliograph.execute("shop.order.lost", {})
            def test_bad(): heliograph.execute("c.d", {})
            """
        )
        result = shop.runpytest("--telemetry-strict", "-n2")

        result.assert_outcomes(passed=2, failed=1)
        result.stdout.fnmatch_lines(["c.d, emitted at test_a.py:*"])
        assert section(result, "telemetry coverage")[1].split() == ["shop", "2", "2", "100%"]
        assert (
            section(result, "telemetry outside of tests").count("emitted, but not as catalogued:")
            == 2
        )

    def test_a_worker_hands_over_and_prints_nothing(self, shop: pytest.Pytester) -> None:
        shop.makeconftest(
            """
            import heliograph

            def pytest_configure(config):
                config.workeroutput = {}

            def pytest_unconfigure(config):
                print("output:", config.workeroutput)
            """
        )
        shop.makepyfile(
            test_a="import heliograph\nheliograph.execute('a.b', {})\n"
            "def test(): heliograph.execute('shop.order.lost', {})"
        )
        result = shop.runpytest("--telemetry-strict", "-s")

        result.stdout.fnmatch_lines(
            ["output: {'heliograph': {'emitted': ?'shop.order.lost'?, 'outside': *a.b, emitted*"]
        )
        assert section(result, "telemetry coverage") == []

    def test_a_worker_that_crashed_hands_over_nothing(self, shop: pytest.Pytester) -> None:
        shop.makepyfile("import os\ndef test(): os._exit(1)")
        result = shop.runpytest("--telemetry-coverage", "-n1", "--max-worker-restart=0")

        assert section(result, "telemetry coverage")[1].split() == ["shop", "2", "0", "0%"]
