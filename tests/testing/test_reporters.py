# SPDX-License-Identifier: Apache-2.0
"""The suite for reporters finds what breaks the contract."""

from __future__ import annotations

import pytest

# Here, so that runs inside of a test find them imported and leave them so.
from heliograph import Telemetry, metrics
from heliograph.testing.reporters import Distribution, reported

REPORTER = """
from heliograph import metrics
from heliograph.testing.reporters import ReporterConformance, reported

class Reporter:
    def __init__(self, definitions, telemetry):
        self.aggregate = metrics.Aggregate(definitions, telemetry=telemetry)
        self.aggregate.attach()

    def read(self):
        return {read}

    def close(self):
        {close}

class TestReporter(ReporterConformance):
    def make_reporter(self, definitions, telemetry):
        return Reporter(definitions, telemetry)
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> dict[str, int]:
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess("-p", "no:randomly", "-q", *options).parseoutcomes()


def reporter(read: str = "reported(self.aggregate.collect())", close: str = "") -> str:
    return REPORTER.format(read=read, close=close or "self.aggregate.detach()")


def test_a_sound_reporter_passes(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, reporter())
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] > 100


@pytest.mark.parametrize(
    ("read", "close"),
    [
        ("{}", ""),
        ("reported(self.aggregate.collect('delta'))", ""),
        ("reported(self.aggregate.collect())", "pass"),
    ],
    ids=["it reports nothing", "it forgets", "it leaves handlers behind"],
)
def test_a_faulty_reporter_does_not(pytester: pytest.Pytester, read: str, close: str) -> None:
    assert run(pytester, reporter(read, close))["failed"] > 0


def test_a_suite_without_a_reporter_says_what_is_missing(pytester: pytest.Pytester) -> None:
    source = """
        from heliograph.testing.reporters import ReporterConformance

        class TestNothing(ReporterConformance):
            pass
    """
    outcomes = run(pytester, source, "-k", "a_sum_adds_up")
    assert outcomes["failed"] == 1


def test_exponential_points_are_compared_by_what_all_histograms_have() -> None:
    telemetry = Telemetry()
    definition = metrics.histogram("a.b", buckets="exponential")
    with metrics.Aggregate([definition], telemetry=telemetry) as aggregate:
        telemetry.execute("a", {"b": 2})
    assert reported(aggregate.collect()) == {"a.b": [({}, Distribution(1, 2, 2, 2))]}
