# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: events and a frozen clock as fixtures, tests held to the catalogs.

It is there as soon as heliograph is installed, and does nothing until it is asked:

*   The fixture `telemetry_events` holds every event executed during the test, `telemetry_clock`
    freezes the clocks.
*   `--telemetry-strict` fails a test that emitted an event which no catalog knows or which does not
    conform to its catalog.
*   `--telemetry-coverage` lists at the end which catalogued events no test emitted; strict does so
    too. `--telemetry-coverage-json FILE` writes it down, `--telemetry-fail-under PERCENT` fails
    the run.
*   `telemetry_catalogs` in pytest's configuration names the catalogs: installed ones by name, files
    by paths relative to the root folder. Without it all installed catalogs are known.
*   `@pytest.mark.telemetry_lenient(*patterns, reason=...)` lets a test emit what it likes, or what
    the patterns match.

Observed is the default dispatcher, in every thread. An event counts for the test that runs when it
is emitted, fixtures included; what is emitted while none runs, as at an import, fails the run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.telemetry import default
from heliograph.testing.capture import capture
from heliograph.testing.clock import frozen_clock
from heliograph.testing.matching import matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from heliograph.catalog import Catalog
    from heliograph.testing.capture import Captured
    from heliograph.testing.clock import FrozenClock
    from heliograph.testing.coverage import Coverage

__all__: list[str] = []  # pytest finds what it needs; nothing here is for importing

_OUTPUT = "heliograph"
"""The key under which a worker of pytest-xdist hands its part to the controller."""


@pytest.fixture
def telemetry_events() -> Iterator[Captured]:
    """Every event executed during this test, with assertions; see `heliograph.testing.Captured`."""
    with capture() as events:
        yield events


@pytest.fixture
def telemetry_clock() -> Iterator[FrozenClock]:
    """Time that passes only when told, and span contexts from 1; see `heliograph.testing`."""
    with frozen_clock() as clock:
        yield clock


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError  # argparse makes its message of it
    return value


_percent.__name__ = "percentage from 0 to 100"  # the word in that message


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("telemetry", "telemetry (heliograph)")
    group.addoption(
        "--telemetry-strict",
        action="store_true",
        help="fail a test that emits an event which is unknown or breaks its catalog's promise; "
        "implies --telemetry-coverage",
    )
    group.addoption(
        "--telemetry-coverage",
        action="store_true",
        help="list at the end which catalogued events no test emitted",
    )
    group.addoption(
        "--telemetry-coverage-json",
        metavar="FILE",
        help="write that list to a file; implies --telemetry-coverage",
    )
    group.addoption(
        "--telemetry-fail-under",
        metavar="PERCENT",
        type=_percent,
        help="fail if fewer of the catalogued events were emitted; implies --telemetry-coverage",
    )
    parser.addini(
        "telemetry_catalogs",
        "catalogs by name or path from the root folder; all installed ones by default",
        type="args",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "telemetry_lenient(*patterns, reason=None): let the test emit events that match one of "
        "the patterns, or any event, against --telemetry-strict",
    )
    asked = ("strict", "coverage", "coverage_json", "fail_under")
    if any(config.getoption(f"telemetry_{option}") not in (False, None) for option in asked):
        config.pluginmanager.register(_Run(config), "heliograph-run")


class _Run:
    """One run of tests that is watched."""

    def __init__(self, config: pytest.Config) -> None:
        from heliograph.testing.strict import Findings, Watch

        self._config = config
        self._catalogs: Sequence[str] = config.getini("telemetry_catalogs")
        self._catalog = _load(config, self._catalogs)
        strict = bool(config.getoption("telemetry_strict"))
        self._watch = Watch(self._catalog, strict=strict, root=config.rootpath)
        self._new_findings: Callable[[], Findings] = Findings
        self._outside: list[str] = []
        self._faults: list[str] = []
        self._coverage: Coverage | None = None
        self._observation = default().observe(self._watch.see)

    def pytest_unconfigure(self) -> None:
        self._observation.close()

    # -- Tests ------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        findings = self._watch.current = self._new_findings()
        try:
            return (yield)
        finally:
            self._watch.current = None
            # Between its last phase and now another thread may have gone on emitting.
            self._tell_outside(findings.take())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        # What was found in setting up fails the call, so that the test itself is still run.
        try:
            yield
        except BaseException:
            self._add_section(item, "setup")
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        yield from self._phase(item, "call")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        yield from self._phase(item, "teardown")

    def _phase(self, item: pytest.Item, when: str) -> Generator[None, None, None]:
        try:
            yield
        except BaseException:
            self._add_section(item, when)
            raise
        if text := self._take(item):
            pytest.fail(
                f"{text}\n"
                "mend what emits it or the catalog; a test that does so on purpose is marked "
                "@pytest.mark.telemetry_lenient",
                pytrace=False,
            )

    def _add_section(self, item: pytest.Item, when: str) -> None:
        """Add to a failure that has another reason."""
        if text := self._take(item):
            item.add_report_section(when, "telemetry", text)

    def _take(self, item: pytest.Item) -> str:
        assert self._watch.current is not None  # a phase is part of a protocol
        try:
            lenient = _lenient(item)
        except (TypeError, ValueError) as failure:
            return f"telemetry_lenient: {failure}"
        return self._watch.current.take(lenient)

    def _tell_outside(self, text: str) -> None:
        if text:
            self._outside.append(text)

    # -- The end ----------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist has seen."""
        # A worker that crashed has left nothing.
        part = getattr(node, "workeroutput", {}).get(_OUTPUT, {"emitted": [], "outside": []})
        self._watch.emitted.update(part["emitted"])
        self._outside += part["outside"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._tell_outside(self._watch.outside.take())
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = {"emitted": sorted(self._watch.emitted), "outside": self._outside}
            return
        if self._config.getoption("collectonly"):
            return
        self._coverage = self._measure()
        if (path := self._config.getoption("telemetry_coverage_json")) is not None:
            self._write(self._config.invocation_params.dir / path, self._coverage.to_json())
        wanted = self._config.getoption("telemetry_fail_under")
        if wanted is not None and self._coverage.percent < wanted:
            got = f"{self._coverage.percent:.2f} %"
            self._faults.append(f"telemetry coverage is {got}, less than the {wanted:g} % wanted")
        if (self._faults or self._outside) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _measure(self) -> Coverage:
        from heliograph.testing.coverage import Coverage

        # The toolkit's own events are always known, but to be covered only where it is tested.
        ours = any(Path(each).stem == "heliograph" for each in self._catalogs)
        documents = [each for each in self._catalog.documents if ours or each.name != "heliograph"]
        return Coverage(documents, self._watch.emitted, untouched_count=bool(self._catalogs))

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as failure:
            self._faults.append(f"telemetry coverage could not be written: {failure}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._outside:
            terminalreporter.write_sep("=", "telemetry outside of tests", red=True)
            for text in self._outside:
                terminalreporter.write_line(text)
        if self._coverage is not None:
            terminalreporter.write_sep("=", "telemetry coverage")
            for line in self._coverage.lines(self._watch.shorten):
                terminalreporter.write_line(line)
        for fault in self._faults:
            terminalreporter.write_line(fault, red=True)


def _load(config: pytest.Config, catalogs: Sequence[str]) -> Catalog:
    from heliograph.catalog import CatalogError, load

    def place(each: str) -> str | Path:
        is_path = each.endswith((".yaml", ".yml")) or "/" in each or os.sep in each
        return config.rootpath / each if is_path else each

    try:
        # Whatever is tested may make the toolkit itself emit.
        return load(*map(place, catalogs), "heliograph") if catalogs else load()
    except (CatalogError, ImportError) as failure:
        raise pytest.UsageError(f"telemetry_catalogs: {failure}") from failure


def _lenient(item: pytest.Item) -> list[Callable[[str], bool]]:
    """Tell which events a test may emit as it likes.

    Raises:
        TypeError: A pattern is no string, or an argument unknown.
        ValueError: A pattern is malformed.
    """
    allowed: list[Callable[[str], bool]] = []
    for mark in item.iter_markers("telemetry_lenient"):
        if unknown := mark.kwargs.keys() - {"reason"}:
            raise TypeError(f"unknown argument {min(unknown)!r}; there are patterns and reason=")
        allowed += map(matcher, mark.args) if mark.args else [lambda _: True]
    return allowed
