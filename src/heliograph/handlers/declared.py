# SPDX-License-Identifier: Apache-2.0
"""What a catalog says that matters to a handler: what to leave out, how severe, which unit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.catalog.catalog import Catalog
    from heliograph.catalog.model import Document, EventSpec, Severity, Use
    from heliograph.typing import Handler

__all__ = ["CatalogLike", "Declared", "Made", "Traits"]

_Name: TypeAlias = "str | os.PathLike[str]"
CatalogLike: TypeAlias = "Catalog | Document | _Name | Iterable[_Name]"
"""A catalog, or what `heliograph.catalog.load` takes: a name, a path, or several."""

# Our choice: so many configurations are remembered by a handler function; others are made again.
_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Traits:
    """What is declared of one event, or assumed of one that no catalog declares.

    Attributes:
        severity: Its severity; `"error"` for a span's exception. None if it is not declared.
        kind: Whether it is a span's, and which; by its last segment if it is not declared.
        hidden_measurements: Keys of sensitive measurements.
        hidden_metadata: Keys of sensitive metadata.
        nanoseconds: Keys of measurements in nanoseconds, the two clocks excepted.
    """

    severity: Severity | None
    kind: Literal["point", "start", "stop", "exception"]
    hidden_measurements: frozenset[str] = frozenset()
    hidden_metadata: frozenset[str] = frozenset()
    nanoseconds: frozenset[str] = frozenset({"duration"})


_UNDECLARED: Final = Traits(None, "point")
_UNDECLARED_OF_SPANS: Final = {
    "start": Traits(None, "start"),
    "stop": Traits(None, "stop"),
    "exception": Traits("error", "exception"),
}
_CLOCKS: Final = frozenset({"monotonic_time", "system_time"})


class Declared:
    """The traits of every event in a catalog; without one, what can be told from a name.

    Args:
        catalog: A catalog, or names and paths of some to load.

    Raises:
        CatalogError: A catalog to be loaded is broken or unknown.
        ImportError: One is to be loaded, and PyYAML is not installed.
    """

    __slots__ = ("_specs", "_traits")

    def __init__(self, catalog: CatalogLike | None = None) -> None:
        self._specs: Mapping[str, EventSpec] = {} if catalog is None else _loaded(catalog).events
        self._traits: dict[str, Traits] = {}

    def of(self, event: str) -> Traits:
        """Return the traits of an event; an unknown one hides nothing."""
        traits = self._traits.get(event)
        if traits is None:
            spec = self._specs.get(event)
            if spec is None:
                # Not remembered: there may be any number of unknown names.
                return _UNDECLARED_OF_SPANS.get(event.rpartition(".")[2], _UNDECLARED)
            traits = self._traits[event] = _traits(spec)
        return traits


def _traits(spec: EventSpec) -> Traits:
    return Traits(
        severity="error" if spec.kind == "exception" else spec.severity,
        kind=spec.kind,
        hidden_measurements=_sensitive(spec.measurements),
        hidden_metadata=_sensitive(spec.metadata),
        nanoseconds=frozenset(use.key for use in spec.measurements if use.field.unit == "ns")
        - _CLOCKS,
    )


def _sensitive(uses: Iterable[Use]) -> frozenset[str]:
    return frozenset(use.key for use in uses if use.field.sensitive)


def _loaded(catalog: CatalogLike) -> Catalog | Document:
    if isinstance(catalog, (str, os.PathLike)):
        from heliograph.catalog.catalog import load

        return load(catalog)
    if isinstance(catalog, Iterable):
        from heliograph.catalog.catalog import load

        return load(*catalog)
    return catalog


class Made:
    """Handlers made from configurations, each once, so that a file can name a plain function.

    A configuration is told by its identity: a changed one is not made again.

    Args:
        make: Makes a handler from keyword arguments.
        options: The keywords that a configuration may have.
        required: Those that it must have.
    """

    __slots__ = ("_made", "_make", "_options", "_required")

    def __init__(
        self, make: Callable[..., Handler], options: Iterable[str], required: Iterable[str] = ()
    ) -> None:
        self._make = make
        self._options = frozenset(options)
        self._required = frozenset(required)
        self._made: dict[int, tuple[Any, Handler]] = {}

    def by(self, config: object) -> Handler:
        """Return the handler that a configuration describes; None describes the default one.

        Raises:
            TypeError: The configuration is no mapping, or a value has the wrong type.
            ValueError: A key is unknown or missing, or a value is out of its range.
        """
        # The configuration is kept beside the handler, so that no other object gets its identity.
        known = self._made.get(id(config))
        if known is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            known = self._made.setdefault(id(config), (config, self._from(config)))
        return known[1]

    def _from(self, config: object) -> Handler:
        options: dict[str, Any] = {}
        if config is not None:
            try:
                options = dict(config)  # type: ignore[call-overload]  # refused if it can't be
            except (TypeError, ValueError):
                raise TypeError(
                    f"the configuration is {type(config).__name__}, not a mapping; "
                    f"its keys may be {self._listed()}"
                ) from None
        for key in options:
            if key not in self._options:
                raise ValueError(f"unknown option {key!r}; there are {self._listed()}")
        for key in sorted(self._required - options.keys()):
            raise ValueError(f"the option {key!r} is missing; there are {self._listed()}")
        return self._make(**options)

    def _listed(self) -> str:
        return ", ".join(sorted(self._options))
