# SPDX-License-Identifier: Apache-2.0
"""Where Python source and catalogs disagree: events that no catalog knows, and events nobody emits.

`executions` finds what the source executes; here it is held against catalogs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heliograph.catalog import sources as _sources
from heliograph.catalog.errors import did_you_mean
from heliograph.catalog.executions import executions
from heliograph.catalog.lint import LEVELS, Finding, refuse_unknown_rules
from heliograph.catalog.model import Where

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from heliograph.catalog.executions import Execution
    from heliograph.catalog.lint import Level
    from heliograph.catalog.model import Deprecation, Document

__all__ = ["SCAN_RULES", "Scan", "scan"]

SCAN_RULES: Final[dict[str, tuple[Level, str]]] = {
    "unreadable-source": ("error", "A file is not Python, or not readable"),
    "unknown-event": ("error", "An event is executed that no catalog declares"),
    "unknown-span": ("error", "A span is opened that no catalog declares"),
    "deprecated-event": ("warning", "An event or span is executed that its catalog deprecates"),
    "unexecuted-event": ("warning", "A catalogued event or span that nothing executes"),
    "dynamic-event": ("info", "A name is only known when the program runs"),
}
"""Level and meaning of each rule of a scan."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was read, and where it and the catalogs disagree."""

    files: tuple[str, ...]
    executions: tuple[Execution, ...]
    findings: tuple[Finding, ...]
    """Gravest first, then by place."""


def scan(
    sources: Iterable[str | Path],
    documents: Iterable[Document],
    complete: Collection[str] | None = None,
    ignore: Iterable[str] = (),
) -> Scan:
    """Where Python source and catalogs disagree. The source is read, never run.

    Args:
        sources: Files and folders, those with generated event modules among them.
        documents: Every catalog whose events the source may execute.
        complete: Names of the catalogs whose every event the source should execute; None means
            those of which it executes at least one.
        ignore: Deliberate exceptions: a rule's name, or `rule:subject`.

    Raises:
        FileNotFoundError: A path in `sources` does not exist.
        ValueError: `ignore` names a rule that does not exist.
    """
    ignored = frozenset(ignore)
    refuse_unknown_rules(ignored, SCAN_RULES)
    modules, unreadable = _sources.read(sources)
    found = tuple(executions(modules))
    known = _Known(documents)
    findings = [
        _finding("unreadable-source", each.file, f"{each.file}: {each.reason}", _at(each))
        for each in unreadable
    ]
    for execution in found:
        findings.extend(known.judge(execution))
    findings.extend(known.unexecuted(found, complete))
    kept = [
        each for each in findings if ignored.isdisjoint((each.rule, f"{each.rule}:{each.subject}"))
    ]
    return Scan(
        files=tuple(module.file for module in modules),
        executions=found,
        findings=tuple(sorted(kept, key=_rank)),
    )


def _at(place: Execution | _sources.Unreadable) -> Where:
    return Where(place.file, place.line, place.column, "")


def _finding(rule: str, subject: str, message: str, where: Where | None) -> Finding:
    return Finding(SCAN_RULES[rule][0], rule, subject, message, where)


def _rank(finding: Finding) -> tuple[int, str, int, int, str]:
    where = finding.where or Where("", 0, 0, "")
    return (LEVELS.index(finding.level), where.file, where.line, where.column, finding.subject)


class _Known:
    """What the catalogs declare, by name."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = list(documents)
        self._events = {
            name: event for each in self._documents for name, event in each.events.items()
        }
        self._spans = {name: span for each in self._documents for name, span in each.spans.items()}

    def judge(self, execution: Execution) -> Iterator[Finding]:
        """What is wrong with one execution."""
        name = execution.name
        what = execution.kind
        declared = self._events if what == "event" else self._spans
        if execution.dynamic:
            if not execution.used:
                return
            if any(_matcher(name).fullmatch(each) for each in declared):
                message = f"the {what} {name!r} is only known when the program runs"
                yield _finding("dynamic-event", name, message, _at(execution))
                return
        entry = declared.get(name)
        if entry is None:
            if not execution.certain:
                return
            yield _finding(f"unknown-{what}", name, self._unknown(execution), _at(execution))
        elif entry.deprecated is not None:
            message = f"the {what} {name!r} is deprecated{_mend(entry.deprecated)}"
            yield _finding("deprecated-event", name, message, _at(execution))

    def _unknown(self, execution: Execution) -> str:
        name, what = execution.name, execution.kind
        verb = "matches nothing in any" if execution.dynamic else "is in no"
        if what == "event" and name in self._spans:
            mend = "a span has that name: open it, or execute its start, stop or exception"
        elif what == "span" and name in self._events:
            mend = "a point event has that name: execute it, or declare it under 'spans'"
        else:
            names = self._events if what == "event" else self._spans
            mend = did_you_mean(name, names, otherwise="declare it, or name the catalog that does")
        return f"the {what} {name!r} {verb} catalog; {mend}"

    def unexecuted(
        self, found: Iterable[Execution], complete: Collection[str] | None
    ) -> Iterator[Finding]:
        """The entries that nothing executes, spans as one each."""
        used = [execution for execution in found if execution.used]
        executed = set(self._executed(used))
        for document in self._documents:
            expected = set(document.events)
            if complete is None:
                asked = not expected.isdisjoint(executed)
            else:
                asked = document.name in complete
            if not asked:
                continue
            for span in document.spans.values():
                names = {event.name for event in span.events}
                expected -= names
                if names.isdisjoint(executed) and span.deprecated is None:
                    message = f"nothing opens the span {span.name!r}"
                    yield _finding("unexecuted-event", span.name, message, span.where)
            for name in expected - executed:
                event = document.events[name]
                if event.deprecated is None:
                    message = f"nothing executes the event {name!r}"
                    yield _finding("unexecuted-event", name, message, event.where)

    def _executed(self, used: Iterable[Execution]) -> Iterator[str]:
        for execution in used:
            if execution.kind == "event":
                names = [execution.name]
            else:
                names = [f"{execution.name}.{last}" for last in ("start", "stop", "exception")]
            if execution.dynamic:
                # Whatever it may be might be executed here.
                known = bool(execution.name.strip("*."))
                matchers = [_matcher(name) for name in names if known]
                yield from (
                    name
                    for name in self._events
                    if any(matcher.fullmatch(name) for matcher in matchers)
                )
            else:
                yield from names


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


def _mend(deprecated: Deprecation) -> str:
    return f"; use {deprecated.renamed_to!r}" if deprecated.renamed_to else f": {deprecated.note}"
