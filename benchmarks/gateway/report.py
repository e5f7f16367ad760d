# SPDX-License-Identifier: Apache-2.0
"""The report of a soak, as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.gateway.outcome import Outcome
from benchmarks.gateway.watching import Sample, processor, slope
from benchmarks.harness import machine
from benchmarks.others import percent

__all__ = ["growth", "markdown"]

DISTRIBUTIONS = ("pymodbus", "uvloop", "opentelemetry-sdk")
# MiB in ten minutes, of a process that is never killed, after its warm-up; in less time than this
# many seconds growth cannot be told from noise.
GROWTH = 1.0
LONG = 900.0
# A share of all readings that may be missed without a fault.
UNEXPLAINED = 0.001
# The bar of a failover: so many periods, or so many seconds if that is longer.
FAILOVER = (3, 5.0)
# Connections that just open or close; and samples of quiet times that are enough to see past them.
FLAT = 3
ENOUGH = 30

_Verdict = tuple[str, str, str, bool | None]


def growth(samples: Sequence[Sample]) -> float:
    """MiB in ten minutes, without the first sixth of the time."""
    first, last = samples[0].at, samples[-1].at
    warm = first + (last - first) / 6
    return 600 * slope([(each.at, each.memory) for each in samples if each.at >= warm])


def _flat(numbers: Sequence[int]) -> tuple[float, float]:
    """The medians of the first third and of the last one."""
    third = max(1, len(numbers) // 3)
    return median(numbers[:third]), median(numbers[-third:])


def _verdicts(outcome: Outcome, spared: str) -> Iterator[_Verdict]:
    yield ("processes that crashed", f"{len(outcome.crashes)}", "0", not outcome.crashes)
    told = outcome.messages
    yield (
        "acknowledged messages lost",
        f"{told.lost} of {told.sent}",
        "0",
        not told.lost and told.sent > 0,
    )
    yield ("messages that came twice to one process", f"{told.twice}", "0", not told.twice)
    due, heard = outcome.alarms
    yield ("alarms that other gateways heard of", f"{heard} of {due}", "all", heard == due > 0)
    emitted, missing = outcome.emitted.total(), outcome.undelivered.total()
    yield (
        "spans and log events that did not arrive",
        f"{missing} of {emitted}",
        "0",
        not missing and emitted > 0,
    )
    yield ("items that were dropped", f"{outcome.dropped}", "0", not outcome.dropped)
    values = outcome.values
    unexplained = values.missed["unexplained"]
    yield (
        "readings missed without a fault",
        f"{unexplained} of {values.due}",
        f"{100 * UNEXPLAINED:g} %",
        unexplained <= UNEXPLAINED * values.due and values.read > 0,
    )
    bar = max(FAILOVER[0] * outcome.period, FAILOVER[1])
    slowest = max(values.failovers, default=None)
    yield (
        "from a kill to the first reading by another gateway, longest",
        "none" if slowest is None else f"{slowest:.2f} s",
        f"{bar:g} s",
        None if slowest is None else slowest <= bar,
    )
    yield (
        "two gateways that read one device, longest",
        f"{values.doubled:.2f} s",
        f"{outcome.period:g} s",
        # Periods are of the clock, and clocks have their grain.
        values.doubled <= 1.05 * outcome.period,
    )
    samples = _samples_of(outcome, spared)
    long = samples[-1].at - samples[0].at >= LONG
    grown = growth(samples)
    yield (
        "memory, growth in ten minutes",
        f"{grown:.2f} MiB",
        f"{GROWTH:g} MiB",
        grown < GROWTH if long else None,
    )
    if outcome.calm:
        descriptors = [files for _, files, _ in outcome.calm]
        tasks = [tasks for _, _, tasks in outcome.calm]
        for what, numbers in (("descriptors", descriptors), ("tasks", tasks)):
            first, last = _flat(numbers)
            met = abs(last - first) <= FLAT if len(outcome.calm) >= ENOUGH else None
            yield (f"{what}, at the beginning and at the end", f"{first:g}, {last:g}", "flat", met)


def _samples_of(outcome: Outcome, name: str) -> list[Sample]:
    [run] = [each.run for each in outcome.runs if each.name == name]
    return outcome.samples[run]


def markdown(outcome: Outcome, spared: str) -> tuple[str, bool]:
    """The report, and whether all bars were met."""
    verdicts = list(_verdicts(outcome, spared))
    kept = all(met is not False for *_, met in verdicts)
    return "\n".join(_lines(outcome, spared, verdicts)) + "\n", kept


def _lines(outcome: Outcome, spared: str, verdicts: Sequence[_Verdict]) -> Iterator[str]:
    facts = ", ".join(f"{name} {text}" for name, text in machine(*DISTRIBUTIONS).items())
    yield "# Soak"
    yield ""
    yield (
        f"What `make soak` came to: {outcome.seconds / 60:g} minutes, seed {outcome.seed}. On "
        f"{facts}. Of the processors, other programs had {percent(outcome.others)} meanwhile; a "
        f"thread that only slept was woken up to {1000 * outcome.stall:.0f} ms late."
    )
    yield ""
    yield "| what | measured | bar | |"
    yield "| --- | --- | --- | --- |"
    words = {True: "met", False: "**missed**", None: "too short to tell"}
    for what, measured, bar, met in verdicts:
        yield f"| {what} | {measured} | {bar} | {words[met]} |"
    yield ""
    yield "## What was done"
    yield ""
    kinds = Counter(each.kind for each in outcome.faults)
    names = {"kill": "kills", "outage": "outages of the collector", "device": "faults of devices"}
    said = ", ".join(f"{kinds[kind]} {name}" for kind, name in names.items())
    yield (
        f"{len(outcome.faults)} faults: {said}. A gateway is killed by a signal that it cannot "
        "hear, together with its courier, a node that sends numbered messages to the other "
        "couriers; both are started again. A device is busy, broken, silent, slow, speaks "
        "nonsense, or closes its connections."
    )
    yield ""
    yield from _details(outcome)
    yield ""
    yield "## Processes"
    yield ""
    yield "| process | lived | of a core | memory, first and last | in ten minutes | descriptors |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for run in outcome.runs:
        samples = outcome.samples.get(run.run, [])
        lived = samples[-1].at - samples[0].at if len(samples) > 1 else 0.0
        if lived < outcome.seconds / 6:
            continue  # most are killed too early to say much
        first, last = samples[len(samples) // 6], samples[-1]
        yield (
            f"| {run.name} | {lived / 60:.1f} min | {100 * processor(samples):.1f} % | "
            f"{first.memory:.1f}, {last.memory:.1f} MiB | {growth(samples):+.2f} MiB | "
            f"{first.files}, {last.files} |"
        )
    yield ""
    yield (
        f"Processes that lived for a sixth of the time or longer. {spared} and its courier are "
        "never killed: theirs is the memory that the bar is for. The first sixth of each is its "
        "warm-up, and left out of its growth."
    )
    if outcome.crashes:
        yield ""
        yield "## Crashes"
        yield ""
        yield from (f"- {each}" for each in outcome.crashes)


def _details(outcome: Outcome) -> Iterator[str]:
    told, values = outcome.messages, outcome.values
    yield (
        f"- Of {told.sent} acknowledged messages {told.received} were received. "
        f"{told.with_a_killed} were with a process that was killed within the second, as a message "
        f"nobody had read or that its sender still kept; {told.lost} were lost otherwise."
    )
    missed = ", ".join(f"{count} ({kind})" for kind, count in sorted(values.missed.items()))
    yield (
        f"- Of {values.due} readings that were due {values.read} gave values, {values.late} of "
        "them more than half a period late. The others are missed, by what explains it: "
        f"{missed or 'none'}. A fault of a device explains what that device misses; a kill only "
        "what devices miss that change from one gateway to another."
    )
    if values.unexplained:
        failed = sum(each.failed for each in values.unexplained)
        yield (
            f"- Of the unexplained {failed} were tried and failed; the others were left out, since "
            f"the reading before was still under way. {outcome.stalled} fell into times at which "
            "the sleeping thread, too, was late by more than half a period."
        )
    emitted = outcome.emitted
    yield (
        f"- Gateways executed {outcome.events.total()} events. Of the runs that were not killed "
        f"{emitted['spans']} spans and {emitted['log events']} log events were to be delivered; "
        f"{outcome.undelivered.total()} did not arrive."
    )
    lost = outcome.with_a_killed
    yield (
        f"- With killed gateways went {lost['spans']} spans and {lost['log events']} log events "
        "that had not been exported yet."
    )
    if outcome.undelivered:
        most = ", ".join(f"{name} {count}" for name, count in outcome.undelivered.most_common(10))
        yield f"- What did not arrive: {most}."
