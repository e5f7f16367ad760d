# SPDX-License-Identifier: Apache-2.0
"""Several catalogs as one: selection, registration and conformance by what is written down."""

from __future__ import annotations

import os
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from heliograph import telemetry as core
from heliograph.catalog.conformance import Conformance, enforce
from heliograph.catalog.errors import (
    CatalogError,
    Fault,
    Faults,
    PatternError,
    UnknownCatalogError,
    did_you_mean,
    listing,
)
from heliograph.catalog.find import installed
from heliograph.catalog.loader import load_document
from heliograph.catalog.patterns import compile_pattern, is_glob, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from heliograph.catalog.conformance import Mode
    from heliograph.catalog.errors import Violation
    from heliograph.catalog.find import Installed
    from heliograph.catalog.model import Document, EventSpec, MetricSpec, SpanSpec
    from heliograph.stream import Stream
    from heliograph.typing import Handler, OnFailure

    _Handler = TypeVar("_Handler", bound=Handler)

__all__ = ["Catalog", "is_path", "load"]


class Catalog:
    """What a set of catalog files declares, in the order they were given.

    Attributes:
        documents: the files.
        events: every event by its full name; the spans' and old names (aliases) included.
        spans: every span by its name; old names included.
        metrics: every metric by its name.
        aliases: for each event's old name, its present one.

    Raises:
        CatalogError: two documents declare the same catalog, event, span or metric.
    """

    documents: tuple[Document, ...]
    events: Mapping[str, EventSpec]
    spans: Mapping[str, SpanSpec]
    metrics: Mapping[str, MetricSpec]
    aliases: Mapping[str, str]

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = tuple(documents)
        if faults := list(islice(_contradictions(self.documents), Faults.LIMIT)):
            raise CatalogError(faults)
        self.events = MappingProxyType(
            {name: event for each in self.documents for name, event in each.events.items()}
        )
        self.spans = MappingProxyType(
            {name: span for each in self.documents for name, span in each.spans.items()}
        )
        self.metrics = MappingProxyType(
            {name: metric for each in self.documents for name, metric in each.metrics.items()}
        )
        self.aliases = MappingProxyType(
            {
                name: event.alias_of
                for name, event in self.events.items()
                if event.alias_of is not None
            }
        )
        self._names: Final = tuple(name for name in self.events if name not in self.aliases)

    def __repr__(self) -> str:
        names = ", ".join(document.name for document in self.documents)
        return f"<catalog of {names or 'nothing'}: {len(self._names)} events>"

    def select(self, *patterns: str) -> tuple[str, ...]:
        """The names of the events that any of the patterns matches, in catalog order, each once.

        `*` stands for a segment or a part of one, `**` for any number of segments. An event's old
        name gives its present one; patterns with `*` leave old names out.

        Raises:
            PatternError: a pattern matches no event; the error suggests some.
            TypeError: a pattern is no string.
            ValueError: there is no pattern.
        """
        if not patterns:
            raise ValueError("no pattern is given; '**' means every event")
        chosen: set[str] = set()
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise TypeError(f"pattern {pattern!r} is not a string")
            if is_glob(pattern):
                matches = compile_pattern(pattern).fullmatch
                found = {name for name in self._names if matches(f"{name}.")}
            else:
                found = {self.aliases.get(pattern, pattern)} & self.events.keys()
            if not found:
                raise PatternError(pattern, self._suggest(pattern))
            chosen |= found
        return tuple(name for name in self._names if name in chosen)

    def _suggest(self, pattern: str) -> str:
        matches = compile_pattern(pattern).fullmatch
        present = [new for old, new in self.aliases.items() if matches(f"{old}.")]
        if present:
            listed = listing(dict.fromkeys(present))
            return f"it matches old names only; the present ones are {listed}"
        return suggest(pattern, self._names)

    def attach(
        self,
        handler_id: Hashable,
        patterns: str | Iterable[str],
        handler: Handler,
        config: Any = None,
        *,
        on_failure: OnFailure = "detach",
        telemetry: core.Telemetry | None = None,
    ) -> tuple[str, ...]:
        """Attach one handler to every event that the patterns select, and say which these are.

        Args:
            handler_id: any hashable, unique in the dispatcher.
            patterns: one pattern or several, as for `select`.
            handler: called as `handler(event, measurements, metadata, config)`.
            config: handed to the handler as it is.
            on_failure: see `heliograph.attach`.
            telemetry: the dispatcher; the default one if None.

        Raises:
            PatternError: a pattern matches no event.
            HandlerExistsError: the id is taken.
            TypeError: the id is not hashable, or the handler not callable.
            ValueError: there is no pattern, or `on_failure` is none of its values.
        """
        names = self.select(*_several(patterns))
        _dispatcher(telemetry).attach_many(
            handler_id, names, handler, config, on_failure=on_failure
        )
        return names

    def on(
        self,
        *patterns: str,
        id: Hashable = None,  # noqa: A002 - what `attach` calls handler_id; short in a decorator
        config: Any = None,
        on_failure: OnFailure = "detach",
        telemetry: core.Telemetry | None = None,
    ) -> Callable[[_Handler], _Handler]:
        """Attach the decorated function to every event that the patterns select.

        Its id is `id`, or `package.module.name` of the function if None. The rest is as for
        `attach`, errors included; they are raised where the function is decorated.
        """

        def attach(handler: _Handler) -> _Handler:
            handler_id = f"{handler.__module__}.{handler.__qualname__}" if id is None else id
            self.attach(
                handler_id, patterns, handler, config, on_failure=on_failure, telemetry=telemetry
            )
            return handler

        return attach

    def stream(
        self,
        *patterns: str,
        capacity: int = 1024,
        name: str | None = None,
        telemetry: core.Telemetry | None = None,
    ) -> Stream:
        """Snapshots of the events that the patterns select, as an asynchronous iterator.

        The arguments are those of `heliograph.stream.events`.

        Raises:
            PatternError: a pattern matches no event.
            ValueError: there is no pattern, or the capacity is less than 1.
        """
        from heliograph.stream import events

        return events(*self.select(*patterns), capacity=capacity, name=name, telemetry=telemetry)

    def check(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any] = core.EMPTY
    ) -> list[Violation]:
        """How an executed event differs from what is declared; empty if it conforms.

        Looked at are required keys, undeclared keys, types (an int passes for a float, a bool never
        for an int), closed sets of values, and the first 100 elements of arrays. An unknown event
        is a violation, and so is an old name.
        """
        return self._conformance.check(event, measurements, metadata)

    def enforce(
        self,
        mode: Mode = "raise",
        *,
        rate: float = 0.01,
        telemetry: core.Telemetry | None = None,
    ) -> core.Observation:
        """Check every event that is executed, until the returned observation is closed.

            with catalog.enforce():
                run_the_tests()

        Args:
            mode: `"raise"` raises a `ConformanceError` at the emitter, for tests. `"report"`
                executes `heliograph.catalog.violation` and logs a warning once for each event's
                name. `"sample"` reports too, but looks at a part of the events only.
            rate: the part that `"sample"` looks at: of each event the first and then one in
                `1 / rate`.
            telemetry: the dispatcher; the default one if None.

        Raises:
            ValueError: `mode` is none of these, or `rate` is not above 0 and at most 1.
        """
        return enforce(self._conformance, mode, rate, _dispatcher(telemetry), self._catalog_of)

    @cached_property
    def _conformance(self) -> Conformance:
        spans = {name: span.events for name, span in self.spans.items()}
        return Conformance(self.events, spans)

    def _catalog_of(self, event: str) -> str | None:
        spec = self.events.get(event)
        return spec.catalog if spec is not None else None


def load(*names_or_paths: str | os.PathLike[str]) -> Catalog:
    """The catalogs of these names and in these files as one; all that are installed if none.

    A path is whatever is no string, has a path separator, or ends in .yaml or .yml; anything else
    is the name of an installed catalog. Of one file given twice, the second is skipped.

    Raises:
        CatalogError: a catalog is faulty, or two contradict each other; every fault is named, and
            nothing is loaded.
        UnknownCatalogError: no installed catalog has that name (if nothing else is wrong).
        ImportError: PyYAML is not installed.
    """
    known = installed() if not names_or_paths or not all(map(is_path, names_or_paths)) else {}
    faults: list[Fault] = []
    unknown: list[Fault] = []
    wanted: dict[Path, tuple[str | os.PathLike[str], Installed | None]] = {}
    for given in names_or_paths or known:
        if is_path(given):
            wanted.setdefault(Path(given).absolute(), (given, None))
        elif (found := known.get(str(given))) is None:
            unknown.append(_unknown(str(given), known))
        elif found.path is None:
            faults += [found.fault] if found.fault is not None else []
        else:
            wanted.setdefault(found.path.absolute(), (found.path, found))
    documents = []
    for path, found in wanted.values():
        try:
            document = load_document(path)
        except CatalogError as failure:
            faults += failure.faults
            continue
        if found is not None and document.name != found.name:
            message = (
                f"{found.path}: the catalog calls itself {document.name!r}, but {found.origin}"
            )
            message = f"{message} registers it as {found.name!r}"
            faults.append(Fault(message, mend="let the two names agree"))
        documents.append(document)
    if faults:
        raise CatalogError([*unknown, *faults])
    if unknown:
        raise UnknownCatalogError(unknown)
    return Catalog(documents)


def is_path(given: str | os.PathLike[str]) -> bool:
    """Whether `load` takes it for a path rather than for a catalog's name."""
    if not isinstance(given, str):
        return True
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return given.endswith((".yaml", ".yml")) or any(each in given for each in separators)


def _unknown(name: str, known: Mapping[str, Installed]) -> Fault:
    listed = f"installed are {', '.join(known)}" if known else "none is installed"
    mend = did_you_mean(name, known, f"{listed}; a file's name must end in .yaml or have a slash")
    return Fault(f"no catalog {name!r} is installed", mend=mend)


def _several(patterns: str | Iterable[str]) -> Sequence[str]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _dispatcher(telemetry: core.Telemetry | None) -> core.Telemetry:
    return core.default() if telemetry is None else telemetry


def _contradictions(documents: Sequence[Document]) -> Iterable[Fault]:
    """A fault for each name that two documents claim."""
    named: dict[str, Document] = {}
    for document in documents:
        first = named.setdefault(document.name, document)
        if first is not document:
            message = f"{document.file}: catalog {document.name!r} is in {first.file} already"
            yield Fault(message, mend="load one of them, or rename one")
    for noun, section in (("event", "events"), ("metric", "metrics")):
        claimed: dict[str, Any] = {}
        for document in documents:
            for name, entry in getattr(document, section).items():
                first_entry = claimed.setdefault(name, entry)
                if first_entry is not entry:
                    message = f"{noun} {name!r} is declared at {first_entry.where} already"
                    yield Fault(message, entry.where, "let one catalog declare it")
