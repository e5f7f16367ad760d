# SPDX-License-Identifier: Apache-2.0
"""What was seen of a run compared with what was recorded, as far as the scenario demands it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.modboss.golden.running import Failed, Happened, Left, Ran
from tests.modboss.golden.tagged import Raised, differences, from_json

__all__ = ["compare"]

OPERATIONS = ("modboss.read.", "modboss.write.")


def compare(scenario: dict[str, Any], ran: Ran, *, heard: bool = True) -> list[str]:
    """List where a run differs from its recording; nothing if it is as demanded.

    Of a run that nobody listened to everything but the events is compared.
    """
    if not heard:
        scenario = _unheard(scenario)
    demand = scenario["demand"]
    if demand == "no":
        return []
    recorded = scenario
    if demand == "fix":
        recorded = _mended(scenario)
    elif demand not in {"strict", "unordered", "outcome_order"}:
        return [f"demand: {demand!r} is unknown"]
    found = _compare_one(recorded, scenario["unordered"], ran)
    if demand == "outcome_order":
        for alternative in scenario["alts"]:
            if found:
                other = {**scenario, **alternative}
                found = _compare_one(other, scenario["unordered"], ran) and found
    return found


def _unheard(scenario: dict[str, Any]) -> dict[str, Any]:
    def without_events(recorded: dict[str, Any]) -> dict[str, Any]:
        timeline = [entry for entry in recorded["timeline"] if not entry.startswith("E")]
        return {**recorded, "events": [], "timeline": timeline}

    alternatives = [without_events(each) for each in scenario.get("alts", [])]
    return {**without_events(scenario), "alts": alternatives}


def _mended(scenario: dict[str, Any]) -> dict[str, Any]:
    """Put the result that would be right in the place of the recorded one, in both its places."""
    result = scenario["result_if_fixed"]
    events = list(scenario["events"])
    for last in events[-1:]:
        events[-1] = {**last, "metadata": {**last["metadata"], "result": result}}
    return {**scenario, "result": result, "events": events}


def _compare_one(recorded: dict[str, Any], unordered: Sequence[str], ran: Ran) -> list[str]:
    expected, found = _trace(recorded)
    actual = list(ran.trace)
    expected_result, actual_result = recorded["result"], ran.result
    if "names" in unordered:
        expected, actual = _without_order_of_names(expected), _without_order_of_names(actual)
        expected_result = _with_sorted_names(expected_result)
        if isinstance(actual_result, Failed):
            actual_result = Failed(_with_sorted_names(actual_result.reason))
    if "type_groups" in unordered:
        expected, actual = _by_type(expected), _by_type(actual)
    found += _result(expected_result, actual_result, "result")
    found += _order(expected, actual)
    for letter, what, differs in (
        ("C", "callbacks", _value),
        ("K", "codec_calls", _value),
        ("E", "events", _event),
    ):
        found += _listed(letter, what, differs, expected, actual)
    found += _spans(expected, actual)
    if recorded["warnings"] != ran.warnings:
        found.append(f"warnings: {ran.warnings} where {recorded['warnings']} were recorded")
    return found


def _trace(recorded: dict[str, Any]) -> tuple[list[Happened], list[str]]:
    """Put a recording's lists together by its timeline."""
    lists = {"E": recorded["events"], "C": recorded["callbacks"], "K": recorded["codec_calls"]}
    trace: list[Happened] = []
    found: list[str] = []
    used: set[tuple[str, int]] = set()
    for entry in recorded["timeline"]:
        letter, at = entry[0], int(entry[1:])
        if (letter, at) in used or letter not in lists or at >= len(lists[letter]):
            found.append(f"timeline: {entry} was recorded twice, or is of nothing")
            continue
        used.add((letter, at))
        trace.append(Happened(letter, lists[letter][at]))
    recorded_at = {(letter, at) for letter, each in lists.items() for at in range(len(each))}
    for letter, at in sorted(recorded_at - used):
        found += [f"timeline: {letter}{at} was recorded, but not when"]
    return trace, found


# -- Freedom of order -----------------------------------------------------------------------------


def _name(happened: Happened) -> str:
    """Return the name of an event, of a recording or of ours."""
    content = happened.content
    return ".".join(content["event"]) if isinstance(content, dict) else str(content[0])


def _is_of_operation(happened: Happened) -> bool:
    return happened.letter == "E" and _name(happened).startswith(OPERATIONS)


def _without_order_of_names(trace: list[Happened]) -> list[Happened]:
    """Sort the operation's names, the names inside its errors, and the calls of codecs."""
    codec_calls = [each.content for each in trace if each.letter == "K"]
    in_order = iter(sorted(codec_calls, key=lambda call: json.dumps(call, default=repr)))
    made: list[Happened] = []
    for each in trace:
        if each.letter == "K":
            made.append(Happened("K", next(in_order)))
        elif _is_of_operation(each):
            made.append(Happened("E", _with_sorted_metadata(each.content)))
        else:
            made.append(each)
    return made


def _with_sorted_metadata(event: Any) -> Any:
    def sort(metadata: dict[str, Any]) -> dict[str, Any]:
        metadata = {**metadata, "names": sorted(metadata["names"])}
        if "result" in metadata:
            metadata["result"] = _with_sorted_names(metadata["result"])
        return metadata

    if isinstance(event, dict):
        return {**event, "metadata": sort(event["metadata"])}
    name, measurements, metadata = event
    return name, measurements, sort(metadata)


def _with_sorted_names(result: Any) -> Any:
    if isinstance(result, Failed):
        return Failed(_with_sorted_names(result.reason))
    if isinstance(result, dict) and "error" in result:
        return {**result, "error": _with_sorted_names(result["error"])}
    if isinstance(result, dict) and "code" in result and isinstance(result.get("names"), list):
        return {**result, "names": sorted(result["names"])}
    return result


def _by_type(trace: list[Happened]) -> list[Happened]:
    """Sort the batches by object type, and leave each type's in their order."""
    begins = [at for at, each in enumerate(trace) if _begins_batch(each, trace)]
    if not begins:
        return trace
    ends = [at + 1 for at, each in enumerate(trace) if _ends_callback(each)]
    first, last = begins[0], max([*ends, begins[-1] + 1])
    blocks = [trace[begin:end] for begin, end in zip(begins, [*begins[1:], last], strict=True)]
    blocks.sort(key=_type_of)
    return [*trace[:first], *(each for block in blocks for each in block), *trace[last:]]


def _begins_batch(happened: Happened, trace: list[Happened]) -> bool:
    if any(each.letter == "E" for each in trace):
        return happened.letter == "E" and _name(happened).endswith("_callback.start")
    return happened.letter == "C"


def _ends_callback(happened: Happened) -> bool:
    return happened.letter == "E" and _name(happened).endswith(
        ("_callback.stop", "_callback.exception")
    )


def _type_of(block: list[Happened]) -> str:
    content = block[0].content
    if block[0].letter == "C":
        return str(content[0])
    metadata = content["metadata"] if isinstance(content, dict) else content[2]
    return str(metadata["object_type"])


# -- Comparisons ----------------------------------------------------------------------------------

Differs = Callable[[Any, Any, str], list[str]]


def _order(expected: list[Happened], actual: list[Happened]) -> list[str]:
    left, right = ("".join(each.letter for each in trace) for trace in (expected, actual))
    return [] if left == right else [f"timeline: {right} where {left} was recorded"]


def _listed(
    letter: str, what: str, differs: Differs, expected: list[Happened], actual: list[Happened]
) -> list[str]:
    left, right = (
        [each.content for each in trace if each.letter == letter] for trace in (expected, actual)
    )
    if len(left) != len(right):
        return [f"{what}: {len(right)} where {len(left)} were recorded"]
    found: list[str] = []
    for at, (one, other) in enumerate(zip(left, right, strict=True)):
        found += differs(one, other, f"{what}[{at}]")
    return found


def _value(expected: Any, actual: Any, where: str) -> list[str]:
    return differences(from_json(expected), actual, where)


def _result(expected: Any, actual: Any, where: str) -> list[str]:
    """Compare a result: `{"ok": v}`, `{"error": r}` or `{"raise": about}`."""
    match expected:
        case {"ok": value}:
            if isinstance(actual, Failed | Left):
                return [f"{where}: {actual!r} where a value was recorded"]
            return _value(value, actual, where)
        case {"error": reason}:
            if not isinstance(actual, Failed):
                return [f"{where}: {actual!r} where an error was recorded"]
            return _reason(reason, actual.reason, where)
        case {"raise": about}:
            if not isinstance(actual, Left) or actual.kind != about["kind"]:
                return [f"{where}: {actual!r} where {about['kind']} was recorded"]
            if about["kind"] == "error":
                return _text(about.get("message"), actual, where)
            return _value(about["value"], actual.value, where)
    return [f"{where}: {expected!r} is no result"]


def _reason(expected: Any, actual: Any, where: str) -> list[str]:
    """Compare an error: a codec's is described by more here than in a recording."""
    if not (isinstance(expected, dict) and isinstance(expected.get("detail"), dict)):
        return _value(expected, actual, where)
    detail = actual.get("detail") if isinstance(actual, dict) else None
    if not isinstance(detail, dict):
        return [f"{where}: {actual!r} where {expected!r} was recorded"]
    # How the original prints a value is compared for integers, which are printed here so too.
    wanted = {
        key: value
        for key, value in expected["detail"].items()
        if key != "value_text" or key in detail
    }
    known = {key: value for key, value in detail.items() if key in wanted}
    return _value({**expected, "detail": wanted}, {**actual, "detail": known}, where)


def _text(message: str | None, actual: Left, where: str) -> list[str]:
    """Compare the text of an exception, if the scenario has supplied it."""
    if message is None or message == actual.value:
        return []
    return [f"{where}: {actual.value!r} where {message!r} was recorded"]


def _event(expected: dict[str, Any], actual: tuple[Any, ...], where: str) -> list[str]:
    name, measurements, metadata = actual
    found = differences(".".join(expected["event"]), name, f"{where}.event")
    if found:
        return found
    found += _keys(expected["measurement_keys"], measurements, f"{where}.measurements")
    found += _keys(expected["metadata_keys"], metadata, f"{where}.metadata")
    for key, value in expected["measurements"].items():
        found += _value(value, measurements.get(key), f"{where}.measurements.{key}")
    for key, value in expected["metadata"].items():
        here, given = f"{where}.metadata.{key}", metadata.get(key)
        if key == "result":
            found += _result(value, given, here)
        elif key == "kind":
            # What the original throws is an exception here, hence an error.
            kind = from_json(value)
            kind = getattr(kind, "name", kind)
            found += differences("error" if kind == "throw" else kind, given, here)
        elif key == "reason":
            found += _left(value, expected["metadata"].get("kind"), given, here)
        else:
            found += _value(value, given, here)
    return found


def _keys(expected: list[str], actual: dict[str, Any], where: str) -> list[str]:
    return differences(sorted(expected), sorted(actual), f"{where} has keys")


def _left(expected: Any, kind: Any, actual: Any, where: str) -> list[str]:
    """Compare the reason of an exception event."""
    kind = getattr(from_json(kind), "name", kind)
    if not isinstance(actual, Left) or actual.kind != kind:
        return [f"{where}: {actual!r} where {kind} was recorded"]
    reason = from_json(expected)
    if kind != "error":
        return differences(reason, actual.value, where)
    return _text(reason.message if isinstance(reason, Raised) else None, actual, where)


def _spans(expected: list[Happened], actual: list[Happened]) -> list[str]:
    """Compare which start goes with which end."""
    recorded = [each.content["span"] for each in expected if each.letter == "E"]
    seen = [each.content[2].get("telemetry_span_context") for each in actual if each.letter == "E"]
    left, right = _numbered(recorded), _numbered(seen)
    return [] if left == right else [f"spans: {right} where {left} were recorded"]


def _numbered(keys: list[Any]) -> list[int]:
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
