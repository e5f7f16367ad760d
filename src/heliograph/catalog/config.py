# SPDX-License-Identifier: Apache-2.0
"""Handlers attached as a file says.

catalogs: [modboss, shop.yaml]      # names, or paths from this file; all installed if absent
handlers:
- id: slow-reads
events: modboss.read.stop           # a pattern, or a list of them
handler: "shop.watch:warn_when_slow"
config: {limit_ns: 50000000}
on_failure: quarantine
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from heliograph import telemetry as core
from heliograph.catalog.catalog import Catalog, is_path, load
from heliograph.catalog.errors import (
    CatalogError,
    ConfigError,
    Fault,
    Faults,
    PatternError,
    StopReadingError,
    did_you_mean,
    shorten,
)
from heliograph.catalog.shapes import (
    Anything,
    Cell,
    Choice,
    Either,
    Key,
    ListOf,
    Record,
    Text,
    check_file,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from heliograph.catalog.model import Where
    from heliograph.catalog.shapes import Entry
    from heliograph.typing import Handler, OnFailure

__all__ = [
    "HANDLER",
    "HANDLERS",
    "Attachment",
    "Handlers",
    "attach_from_config",
    "plan_handlers",
]

_DOTTED: Final = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
_PATTERN: Final = Text("a pattern of event names", r"[a-z0-9_.*]+", "shop.order.*")

HANDLER: Final = Record(
    "handler",
    "A function attached to events",
    (
        Key("id", Text(), "Its id, unique in the dispatcher", required=True),
        Key(
            "events",
            Either(_PATTERN, ListOf(_PATTERN, least=1)),
            "The patterns of the events it is attached to",
            required=True,
        ),
        Key(
            "handler",
            Text("a path to a function", f"{_DOTTED}:{_DOTTED}", '"package.module:function"'),
            "The function",
            required=True,
        ),
        Key("config", Anything(), "What it is given as its fourth argument", default="nothing"),
        Key(
            "on_failure",
            Choice("policy", ("detach", "keep", "quarantine")),
            "What follows when it raises",
            default="detach",
        ),
    ),
)
"""What a file says of one handler."""

HANDLERS: Final = Record(
    "file of handlers",
    "Which functions are attached to which events",
    (
        Key(
            "catalogs",
            ListOf(Text("the name or path of a catalog"), least=1),
            "The catalogs whose events are meant, by name or by path from this file",
            default="all installed",
        ),
        Key("handlers", ListOf(HANDLER), "The functions", required=True),
    ),
)
"""What a file of handlers may hold."""


class Attachment:
    """The handlers that a file attached. Closing it detaches them; also a context manager.

    Attributes:
        events: for each handler's id, the events that it was attached to.
    """

    events: Mapping[str, tuple[str, ...]]

    def __init__(self, events: Mapping[str, tuple[str, ...]], telemetry: core.Telemetry) -> None:
        self.events = events
        self._telemetry = telemetry
        self._closed = False

    @property
    def handler_ids(self) -> tuple[str, ...]:
        """The handlers' ids, in the order of the file."""
        return tuple(self.events)

    def close(self) -> None:
        """Detach those that are still attached; closing twice is closing once."""
        if not self._closed:
            self._closed = True
            for handler_id in self.events:
                with suppress(core.HandlerNotFoundError):  # it failed, or somebody detached it
                    self._telemetry.detach(handler_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def attach_from_config(
    path: str | os.PathLike[str],
    *,
    catalog: Catalog | None = None,
    telemetry: core.Telemetry | None = None,
) -> Attachment:
    """Attach what a file of handlers says, all of it or nothing.

    Args:
        path: the file. The modules it names are imported, so it must be as trusted as code.
        catalog: used in place of the catalogs that the file names.
        telemetry: the dispatcher; the default one if None.

    Returns:
        What to close in order to detach them.

    Raises:
        ConfigError: the file cannot be read, is malformed, or names what does not exist; all its
            faults are named.
        ImportError: PyYAML is not installed.
    """
    faults = Faults()
    planned = Handlers(())
    with suppress(StopReadingError):
        top = check_file(path, HANDLERS, faults)
        if top is not None:
            planned = plan_handlers(top, Path(path).parent, faults, catalog=catalog)
    if faults:
        raise ConfigError(faults)
    return planned.attach(telemetry)


def plan_handlers(
    section: Entry,
    folder: Path,
    faults: Faults,
    *,
    catalog: Catalog | None = None,
) -> Handlers:
    """The handlers that a part of a larger file names, found and ready to be attached.

    Args:
        section: what the keys of `HANDLERS` were checked to, be they all of the mapping or not.
        folder: where the paths of catalogs begin.
        faults: where to put what is wrong.
        catalog: used in place of the catalogs that the section names.
    """
    if catalog is None:
        catalog = _load_catalogs(section, folder, faults)
    return Handlers(tuple(_plans(section, catalog, faults)))


class Handlers:
    """Handlers that a file names, found and ready to be attached, as often as you like."""

    def __init__(self, plans: tuple[_Plan, ...]) -> None:
        self._plans = plans

    def __repr__(self) -> str:
        return f"<{len(self._plans)} handlers of a file>"

    def attach(self, telemetry: core.Telemetry | None = None) -> Attachment:
        """Attach all of them or none.

        Args:
            telemetry: the dispatcher; the default one if None.

        Raises:
            ConfigError: an id is taken, or a handler is a coroutine function.
        """
        dispatcher = core.default() if telemetry is None else telemetry
        attached: dict[str, tuple[str, ...]] = {}
        try:
            for plan in self._plans:
                plan.attach(dispatcher)
                attached[plan.handler_id] = plan.events
        except BaseException:
            Attachment(attached, dispatcher).close()
            raise
        return Attachment(MappingProxyType(attached), dispatcher)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One handler, found and ready to be attached."""

    handler_id: str
    events: tuple[str, ...]
    handler: Handler
    config: Any
    on_failure: OnFailure
    where: Where

    def attach(self, telemetry: core.Telemetry) -> None:
        try:
            telemetry.attach_many(
                self.handler_id,
                self.events,
                self.handler,
                self.config,
                on_failure=self.on_failure,
            )
        except (TypeError, ValueError) as failure:  # the id is taken, or it is a coroutine function
            raise ConfigError([Fault(str(failure), self.where)]) from failure


def _load_catalogs(top: Entry, folder: Path, faults: Faults) -> Catalog:
    """The catalogs that the file names, or an empty one after noting what is wrong with them."""
    given: list[str | os.PathLike[str]] = [
        folder / cell.value if is_path(cell.value) else cell.value for cell in top.items("catalogs")
    ]
    try:
        return load(*given)
    except CatalogError as failure:
        for fault in failure.faults:
            # That no catalog has such a name lies in no file but this one.
            faults.add(fault.message, fault.where or top.where_of("catalogs"), fault.mend)
    return Catalog(())


def _plans(top: Entry, catalog: Catalog, faults: Faults) -> list[_Plan]:
    plans: dict[str, _Plan] = {}
    for cell in top.items("handlers"):
        entry: Entry = cell.value
        events = _events(entry, catalog, faults)
        handler = _handler(entry, faults)
        handler_id = entry.get("id")
        if handler_id in plans:
            message = f"handler id {handler_id!r} stands twice"
            faults.add(message, entry.where_of("id"), "rename one of them")
        elif handler_id is not None and handler is not None:
            plans[handler_id] = _Plan(
                handler_id,
                events,
                handler,
                entry.get("config"),
                entry.get("on_failure", "detach"),
                cell.where,
            )
    return list(plans.values())


def _events(entry: Entry, catalog: Catalog, faults: Faults) -> tuple[str, ...]:
    given = entry.get("events", ())
    cells = given if isinstance(given, tuple) else (Cell(given, entry.where_of("events")),)
    names: list[str] = []
    for cell in cells:
        # Without a catalog nothing matches, and why there is none has been said.
        if catalog.documents:
            try:
                names += catalog.select(cell.value)
            except PatternError as failure:
                message = f"no event matches {failure.pattern!r}"
                faults.add(message, cell.where, failure.suggestions)
    return tuple(dict.fromkeys(names))


def _handler(entry: Entry, faults: Faults) -> Handler | None:
    """The function that an entry names, or None after noting why there is none."""
    path: str | None = entry.get("handler")
    if path is None:
        return None
    where = entry.where_of("handler")
    module_name, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as failure:  # noqa: BLE001 - a module may raise anything when it is imported
        missing = failure.name if isinstance(failure, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            mend = "correct its name, or make it importable"
            faults.add(f"there is no module {missing!r}", where, mend)
        else:
            reason = f"{type(failure).__name__}: {shorten(str(failure), 200)}"
            faults.add(f"importing {module_name!r} fails: {reason}", where, "mend that module")
        return None
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            name = getattr(found, "__name__", type(found).__name__)
            mend = did_you_mean(attribute, dir(found), "correct its name, or define it")
            faults.add(f"{name!r} has no {attribute!r}", where, mend)
            return None
        found = getattr(found, attribute)
    if not callable(found):
        faults.add(f"{path!r} is of type {type(found).__name__}", where, "name something callable")
        return None
    handler: Handler = found
    return handler
