# SPDX-License-Identifier: Apache-2.0
"""Scenarios: files in TOML that say what is simulated.

`load` reads one and says, of anything that is not right, where it is and what would be. Every key
has a default but `kind`, so a scenario is as long as what is special about it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

__all__ = ["KINDS", "Overlay", "Scenario", "ScenarioError", "Tree", "load", "parse"]

KINDS: Final = {
    "broadcast": "broadcasts without failures, and what they cost",
    "degree": "views after joining, by several seeds",
    "failures": "how many of the living broadcasts reach after many nodes fail at once",
    "healing": "how many membership cycles it takes until they reach all again",
    "graph": "clustering, path lengths and in-degree of the overlay",
    "links": "how long links are while far neighbors are swapped for nearer ones",
}
"""What can be simulated."""

_LARGEST_SEED: Final = 2**63 - 1


class ScenarioError(ValueError):
    """A scenario is not what it should be.

    Attributes:
        key: Where, as `overlay.active`; empty for the file as a whole.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Overlay:
    """Settings of HyParView; the paper's by default."""

    kind: str = "hyparview"
    """`hyparview`, `scamp_v1` or `scamp_v2`; the latter for `failures`, with their own settings."""
    active: int = 5
    passive: int = 30
    active_walk: int = 6
    passive_walk: int = 3
    shuffle_active: int = 3
    shuffle_passive: int = 4
    attempts: int = 5
    check: bool = True
    """Whether nodes that are asked for room check if their neighbors live."""
    look_over: bool = True
    """Whether nodes that have lost most of their neighbors tell their replacements that they live,
    and forget those that do not."""
    acquaintances: int = 128
    """Nodes that have given way to others in the views, which a node remembers."""
    probes: bool = True
    """Whether nodes try, in every third membership cycle, to reach whom they have lost."""
    xbot: bool = False
    """Whether nodes, which lie scattered in a square, swap far neighbors for nearer ones by X-BOT,
    in every third membership cycle."""
    unbiased: int = 1
    """Neighbors that each node keeps however far they are."""
    contacts: int = 0
    """The first so many nodes never fail, and all know them, as those behind a name in DNS."""


@dataclass(frozen=True, slots=True)
class Tree:
    """How messages are broadcast."""

    kind: str = "plumtree"
    """`plumtree` or `flood`."""
    shared: bool = True
    """One tree for all roots, as in the paper, or one for each, as in the original."""
    threshold: int = 7
    """Hops by which another way must be shorter; 0 never changes the tree for that."""
    exchanged: int = 2
    """Latest messages that a new neighbor is told of."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated."""

    kind: str
    """One of `KINDS`."""
    name: str = ""
    """What the report is called."""
    nodes: int = 1_000
    seed: int = 1
    seeds: int = 1
    """For `degree`: how many seeds, from `seed` on."""
    settle: int = 50
    """Membership cycles after joining; the paper's."""
    warm_up: int = 5
    """Broadcasts before anything is measured or fails."""
    broadcasts: int = 100
    """Broadcasts measured, at each level."""
    senders: str = "random"
    """`random` nodes, or `one` and the same."""
    levels: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
    """For `failures` and `healing`: percent of the nodes that fail."""
    cycles: int = 2
    """Membership cycles after which is measured once more; for `healing`, the most that are run;
    for `links`, all of them, in ten parts."""
    interval: int = 2_500
    """Milliseconds between two broadcasts."""
    latency: tuple[int, int] = (10, 10)
    """Milliseconds that a message takes, the least and the most."""
    detection: str = "send"
    """`send` if a failed node is noticed by what is sent to it, `reset` if at once."""
    keep_alive: int = 20_000
    """Milliseconds between two pings of an idle connection; 0 for none."""
    sources: int = 30
    """For `graph`: nodes that path lengths are measured from."""
    overlay: Overlay = field(default_factory=Overlay)
    tree: Tree = field(default_factory=Tree)


_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "nodes": (2, 99_999),
    "seed": (0, _LARGEST_SEED),
    "seeds": (1, 10_000),
    "settle": (0, 10_000),
    "warm_up": (0, 10_000),
    "broadcasts": (1, 100_000),
    "levels": (0, 99),
    "cycles": (0, 1_000),
    "interval": (1, 3_600_000),
    "latency": (1, 1_000),
    "keep_alive": (0, 3_600_000),
    "sources": (1, 99_999),
    "overlay.active": (1, 1_000),
    "overlay.passive": (1, 10_000),
    "overlay.active_walk": (0, 64),
    "overlay.passive_walk": (0, 64),
    "overlay.shuffle_active": (0, 32),
    "overlay.shuffle_passive": (0, 32),
    "overlay.attempts": (1, 10_000),
    "overlay.acquaintances": (0, 10_000),
    "overlay.unbiased": (0, 1_000),
    "overlay.contacts": (0, 1_000),
    "tree.threshold": (0, 1_000),
    "tree.exchanged": (0, 1_000),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": tuple(KINDS),
    "senders": ("random", "one"),
    "detection": ("send", "reset"),
    "overlay.kind": ("hyparview", "scamp_v1", "scamp_v2"),
    "tree.kind": ("plumtree", "flood"),
}


def load(path: Path, changes: Sequence[str] = ()) -> Scenario:
    """Read a scenario.

    Args:
        path: Its file.
        changes: What to change of it, as `nodes=1000` or `tree.kind="flood"`. A text needs no
            quotes.

    Raises:
        OSError: The file cannot be read.
        ScenarioError: It is no scenario, or will be none.
    """
    try:
        given = {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError("", f"no TOML: {error}") from error
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ScenarioError(key, "is no KEY=VALUE")
        table, _, name = key.strip().rpartition(".")
        if table:
            inner = given.get(table, {})
            given[table] = {**(inner if isinstance(inner, dict) else {}), name: _changed(text)}
        else:
            given[name] = _changed(text)
    return parse(given)


def _changed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def parse(given: Mapping[str, Any]) -> Scenario:
    """Make a scenario of what a file says.

    Raises:
        ScenarioError: It is no scenario.
    """
    values = dict(given)
    for key, kind in (("overlay", Overlay), ("tree", Tree)):
        table = values.get(key, {})
        if not isinstance(table, dict):
            raise ScenarioError(key, "is a table, begin it with " + f"[{key}]")
        values[key] = kind(**_checked(table, kind, f"{key}."))
    if "kind" not in values:
        raise ScenarioError("kind", f"is missing; one of {', '.join(KINDS)}")
    scenario = Scenario(**_checked(values, Scenario, ""))
    if scenario.overlay.kind != "hyparview" and scenario.kind != "failures":
        raise ScenarioError("overlay.kind", f"is hyparview where {scenario.kind} is simulated")
    if scenario.overlay.contacts >= scenario.nodes:
        least = f"is less than nodes, which are {scenario.nodes}, not {scenario.overlay.contacts}"
        raise ScenarioError("overlay.contacts", least)
    if "sources" in given and scenario.sources > scenario.nodes:
        most = f"is no more than nodes, which are {scenario.nodes}, not {scenario.sources}"
        raise ScenarioError("sources", most)
    if scenario.latency[0] > scenario.latency[1]:
        raise ScenarioError("latency", f"the least is more than the most: {[*scenario.latency]}")
    return scenario


def _checked(table: Mapping[str, Any], kind: type, prefix: str) -> dict[str, Any]:
    known = {each.name: each.type for each in fields(kind)}
    checked = {}
    for key, value in table.items():
        where = prefix + key
        if key not in known:
            raise ScenarioError(where, f"is unknown; known are {', '.join(known)}")
        checked[key] = _value(where, value, known[key])
    return checked


def _value(where: str, value: Any, kind: Any) -> Any:
    match kind:
        case "int":
            return _number(where, value)
        case "bool":
            if not isinstance(value, bool):
                raise ScenarioError(where, f"is true or false, not {value!r}")
        case "str":
            choices = _CHOICES.get(where)
            if not isinstance(value, str) or (choices is not None and value not in choices):
                wanted = "a text" if choices is None else f"one of {', '.join(choices)}"
                raise ScenarioError(where, f"is {wanted}, not {value!r}")
        case "tuple[int, ...]" | "tuple[int, int]":
            if not isinstance(value, list) or not value:
                raise ScenarioError(where, f"is a list of numbers, not {value!r}")
            if kind == "tuple[int, int]" and len(value) != 2:
                raise ScenarioError(where, f"is a list of two numbers, not {value!r}")
            return tuple([_number(where, each) for each in value])
        case _:
            pass  # a table, checked already
    return value


def _number(where: str, value: Any) -> int:
    lowest, highest = _RANGES[where]
    if type(value) is not int or not lowest <= value <= highest:
        raise ScenarioError(where, f"is a number from {lowest} to {highest}, not {value!r}")
    return value
