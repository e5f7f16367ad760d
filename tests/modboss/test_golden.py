# SPDX-License-Identifier: Apache-2.0
"""Recorded scenarios pass, and would not if anything of them were otherwise."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modboss.golden.__main__ import main
from tests.modboss.golden.checking import check, check_file
from tests.modboss.golden.comparing import compare
from tests.modboss.golden.running import Ran, run
from tests.modboss.golden.tagged import Atom, Tuple, differences, from_json

FILE = Path(__file__).parents[1] / "data" / "modboss" / "golden.jsonl"
SCENARIOS: list[dict[str, Any]] = [
    json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()
]
DEMANDED = [scenario for scenario in SCENARIOS if scenario["demand"] != "no"]


def test_all_scenarios_pass_as_their_demand_asks() -> None:
    verdicts = list(check_file(FILE))

    assert {each.scenario: each.differences for each in verdicts if each.differences} == {}
    assert Counter(each.demanded for each in verdicts) == {True: 327, False: 33}


# -- What the recording says is changed -----------------------------------------------------------

Change = Callable[[dict[str, Any]], bool]
"""Changes something of a recording; False if it has nothing of the kind."""


def result(recorded: dict[str, Any]) -> bool:
    kind = next(iter(recorded["result"]))
    recorded["result"] = {"error": "another"} if kind == "ok" else {"ok": "another"}
    return True


def result_value(recorded: dict[str, Any]) -> bool:
    about = recorded["result"]
    if "ok" in about:
        about["ok"] = [about["ok"]]
    elif "error" in about:
        about["error"] = {"is": about["error"]}
    elif "message" in about["raise"]:
        about["raise"]["message"] += "!"
    elif "value" in about["raise"]:
        about["raise"]["value"] = "another"
    else:
        about["raise"]["kind"] = "exit"
        about["raise"]["value"] = 1
    return True


def callback_count(recorded: dict[str, Any]) -> bool:
    for callback in recorded["callbacks"][-1:]:
        callback[2] = [callback[2], "more"]
    return bool(recorded["callbacks"])


def callback_address(recorded: dict[str, Any]) -> bool:
    for callback in recorded["callbacks"][:1]:
        callback[1] += 1
    return bool(recorded["callbacks"])


def callback_missing(recorded: dict[str, Any]) -> bool:
    return _drop(recorded, "callbacks", "C")


def codec_value(recorded: dict[str, Any]) -> bool:
    for call in recorded["codec_calls"][:1]:
        call[2] = [call[2]]
    return bool(recorded["codec_calls"])


def codec_metadata(recorded: dict[str, Any]) -> bool:
    for call in recorded["codec_calls"][-1:]:
        call[3] = {"name": "another"}
    return bool(recorded["codec_calls"])


def codec_call_missing(recorded: dict[str, Any]) -> bool:
    return _drop(recorded, "codec_calls", "K")


def event_name(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][-1:]:
        event["event"][1] = "another"
    return bool(recorded["events"])


def event_missing(recorded: dict[str, Any]) -> bool:
    return _drop(recorded, "events", "E")


def event_measurement(recorded: dict[str, Any]) -> bool:
    measured = [event["measurements"] for event in recorded["events"] if event["measurements"]]
    for measurements in measured[-1:]:
        first = next(iter(measurements))
        measurements[first] += 1
    return bool(measured)


def event_measurement_keys(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][:1]:
        event["measurement_keys"].append("another")
    return bool(recorded["events"])


def event_metadata(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][:1]:
        event["metadata"]["context"] = {"another": 1}
    return bool(recorded["events"])


def event_names(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][-1:]:
        event["metadata"]["names"] = [*event["metadata"]["names"], "another"]
    return bool(recorded["events"])


def event_result(recorded: dict[str, Any]) -> bool:
    with_result = [each for each in recorded["events"] if "result" in each["metadata"]]
    for event in with_result[:1]:
        event["metadata"]["result"] = {"ok": "another"}
    # The operation's own is replaced where the demand is to mend it.
    return bool(with_result) and not (recorded["demand"] == "fix" and len(with_result) == 1)


def event_metadata_keys(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][-1:]:
        event["metadata_keys"].remove("schema")
    return bool(recorded["events"])


def event_span(recorded: dict[str, Any]) -> bool:
    for event in recorded["events"][-1:]:
        event["span"] = 1000
    return bool(recorded["events"])


def event_kind(recorded: dict[str, Any]) -> bool:
    left = [each["metadata"] for each in recorded["events"] if "kind" in each["metadata"]]
    for metadata in left[-1:]:
        metadata["kind"] = "cancelled"
    return bool(left)


def event_reason(recorded: dict[str, Any]) -> bool:
    left = [each["metadata"] for each in recorded["events"] if "kind" in each["metadata"]]
    for metadata in left[-1:]:
        metadata["reason"] = {"$exception": {"type": "RuntimeError", "message": "another"}}
    return bool(left)


def timeline_order(recorded: dict[str, Any]) -> bool:
    timeline: list[str] = recorded["timeline"]
    if len(timeline) < 2:
        return False
    timeline[0], timeline[1] = timeline[1], timeline[0]
    return timeline[0][0] != "K" or timeline[1][0] != "K"


def timeline_missing(recorded: dict[str, Any]) -> bool:
    timeline: list[str] = recorded["timeline"]
    return bool(timeline) and bool(timeline.pop())


def warnings(recorded: dict[str, Any]) -> bool:
    recorded["warnings"] += 1
    return True


def _drop(recorded: dict[str, Any], what: str, letter: str) -> bool:
    if not recorded[what]:
        return False
    recorded[what].pop()
    recorded["timeline"].remove(f"{letter}{len(recorded[what])}")
    return True


CHANGES: list[Change] = [
    result,
    result_value,
    callback_count,
    callback_address,
    callback_missing,
    codec_value,
    codec_metadata,
    codec_call_missing,
    event_name,
    event_missing,
    event_measurement,
    event_measurement_keys,
    event_metadata,
    event_names,
    event_result,
    event_metadata_keys,
    event_span,
    event_kind,
    event_reason,
    timeline_order,
    timeline_missing,
    warnings,
]


def changed(scenario: dict[str, Any], change: Change) -> dict[str, Any] | None:
    """The scenario with the change made in all its outcomes; None if there is nothing to change."""
    other = copy.deepcopy(scenario)
    if "result_if_fixed" in other:
        other["result"] = other["result_if_fixed"]
    alternatives = [{**other, **each} for each in other.get("alts", [])]
    made = [change(each) for each in (other, *alternatives)]
    if not all(made):
        return None
    if "result_if_fixed" in other:
        other["result_if_fixed"] = other["result"]
    if alternatives:
        other["alts"] = alternatives
    return other


@pytest.fixture(scope="module")
def runs() -> list[tuple[dict[str, Any], Ran]]:
    return [(scenario, run(scenario, "sync")) for scenario in DEMANDED]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_scenario_fails_when_its_recording_is_changed(
    runs: list[tuple[dict[str, Any], Ran]], change: Change
) -> None:
    passed = []
    tried = 0
    for scenario, ran in runs:
        other = changed(scenario, change)
        if other is not None:
            tried += 1
            if not compare(other, ran):
                passed.append(scenario["id"])

    assert passed == []
    assert tried


# -- What happens is changed ----------------------------------------------------------------------


def otherwise(ran: Ran) -> Iterator[tuple[str, Ran]]:
    """Give a run with each of its parts left out, or come twice."""
    yield "result", Ran(object(), ran.trace, ran.warnings)
    yield "warnings", Ran(ran.result, ran.trace, ran.warnings + 1)
    for at, each in enumerate(ran.trace):
        without = [*ran.trace[:at], *ran.trace[at + 1 :]]
        yield f"without {each}", Ran(ran.result, without, ran.warnings)
        twice = [*ran.trace[: at + 1], *ran.trace[at:]]
        yield f"twice {each}", Ran(ran.result, twice, ran.warnings)


def test_a_scenario_fails_when_something_else_happens(
    runs: list[tuple[dict[str, Any], Ran]],
) -> None:
    for scenario, ran in runs:
        for what, other in otherwise(ran):
            assert compare(scenario, other), f"{scenario['id']}: {what}"


def test_a_batch_of_one_type_may_not_come_in_another_order() -> None:
    scenario = next(each for each in DEMANDED if each["id"] == "gap.four_types_zero")
    ran = run(scenario, "sync")
    calls = [at for at, each in enumerate(ran.trace) if each.letter == "C"]
    first, second = (slice(at - 1, at + 2) for at in calls[:2])
    trace = list(ran.trace)
    trace[first], trace[second] = ran.trace[second], ran.trace[first]

    assert compare(scenario, ran) == []
    assert compare(scenario, Ran(ran.result, trace, ran.warnings))


def test_what_cannot_be_run_has_failed() -> None:
    scenario = copy.deepcopy(DEMANDED[0])
    scenario["schema"]["mappings"][0]["mode"] = "x"
    assert "cannot be run" in check(scenario).differences[0]

    unknown = {**DEMANDED[0], "demand": "perhaps"}
    assert "unknown" in check(unknown).differences[0]


# -- The command ----------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], str]:
    def write(name: str, scenarios: list[dict[str, Any]]) -> str:
        file = tmp_path / name
        file.write_text("\n".join(map(json.dumps, scenarios)), encoding="utf-8")
        return str(file)

    return write


def test_the_command_counts_scenarios(
    written: Callable[[str, list[dict[str, Any]]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = [*DEMANDED[:7], *(each for each in SCENARIOS if each["demand"] == "no")]

    assert main([written("few.jsonl", few), written("one.jsonl", DEMANDED[:1])]) == 0
    assert capsys.readouterr().out == "41 scenarios: 8 passed, 0 failed, 33 not demanded\n"


def test_the_command_shows_the_first_differences(
    written: Callable[[str, list[dict[str, Any]]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [{**each, "warnings": 7, "callbacks": []} for each in DEMANDED[:12]]

    assert main([written("broken.jsonl", broken), written("one.jsonl", DEMANDED[:1])]) == 1
    out = capsys.readouterr().out
    assert "FAILED read.single.holding_register\n    sync: timeline" in out
    assert "and 2 more failed" in out
    assert out.endswith("13 scenarios: 1 passed, 12 failed, 0 not demanded\n")


def test_the_command_runs_by_its_name_and_refuses_nothing_at_all(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.modboss.golden", str(empty)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (
        1,
        "0 scenarios: 0 passed, 0 failed, 0 not demanded\n",
    )


# -- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "value"),
    [
        ({"$atom": "nil"}, None),
        ({"$atom": "on"}, Atom("on")),
        ({"$tuple": [{"$atom": "ok"}, 1]}, Tuple((Atom("ok"), 1))),
        ({"$map": [[{"$atom": "a"}, 1], [2, 3]]}, {"a": 1, 2: 3}),
        ({"$keyword": [["a", 1]]}, [("a", 1)]),
        ({"$string": "text"}, "text"),
        ({"$bytes": "00ff"}, b"\x00\xff"),
        ({"$range": [1, 3]}, range(1, 4)),
        ({"$repeat": [0, 3]}, [0, 0, 0]),
        ({"a": {"$atom": "b"}}, {"a": Atom("b")}),
        ([1.5, True, None], [1.5, True, None]),
    ],
)
def test_tags_stand_for_values(recorded: Any, value: Any) -> None:
    assert from_json(recorded) == value
    assert differences(from_json(recorded), value) == []


def test_an_unknown_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        from_json({"$colour": "red"})


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        ("on", Atom("on")),
        (Atom("on"), Atom("off")),
        ([1], [1, 2]),
        ([1, 2], [1, 3]),
        (Tuple((1,)), [1]),
        (Tuple((1,)), Tuple((2,))),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 2}),
        (None, 0),
    ],
)
def test_values_that_are_not_the_same_differ(expected: Any, actual: Any) -> None:
    assert differences(expected, actual)


def test_a_constant_may_be_a_string_here() -> None:
    assert differences(Atom("coil"), "coil") == []
