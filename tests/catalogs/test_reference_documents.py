# SPDX-License-Identifier: Apache-2.0
"""The catalogs say what the reference documents say, and name what those leave open.

The documents are written for people, each in its own way, and stay as they are; hence a parser for
each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heliograph.catalog import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.catalog.model import EventSpec, Use

REFERENCE = Path(__file__).parents[1] / "data" / "reference"

# How the last line of the Partisan document spells what its sources spell otherwise.
MISSPELT = {"plumbtree_broadcast": "plumtree_broadcast", "oustanding": "outstanding"}


@dataclass(frozen=True)
class Documented:
    """What a document says one event carries; a list at its end says names only."""

    name: str
    measurements: frozenset[str] = frozenset()
    metadata: frozenset[str] = frozenset()


def partisan() -> dict[str, Documented]:
    """The events of the Partisan document: its sections, its list and its last line."""
    text = (REFERENCE / "partisan-telemetry-events.md").read_text("utf-8")
    documented = {}
    for name in re.findall(r"^\* `\[([a-z_, ]+)\]`", text, re.MULTILINE):
        documented[_dotted(name)] = Documented(_dotted(name))
    *_, last_line = text.splitlines()
    group, *names = re.findall(r"[a-z_]+", last_line.partition("(")[0])
    for name in names:
        full = f"partisan.{MISSPELT.get(group, group)}.{MISSPELT.get(name, name)}"
        documented[full] = Documented(full)
    for section in re.split(r"^###? ", text, flags=re.MULTILINE):
        head = re.match(r"\[([a-z_, ]+)\]\n", section)
        if head is not None:
            measurements, metadata = re.findall(r"```erlang\n(.*?)```", section, re.DOTALL)
            name = _dotted(head[1])
            documented[name] = Documented(name, _erlang_keys(measurements), _erlang_keys(metadata))
    return documented


def modboss() -> dict[str, Documented]:
    """The events of the ModBoss document."""
    text = (REFERENCE / "modboss-telemetry-events.md").read_text("utf-8")
    events = re.findall(
        r"# Event\n +\[([a-z_:, ]+)\]\n"
        r"\s+# Measurements\n +%\{(.*?)\}\n"
        r"\s+# Metadata:?\n +%\{(.*?)\}\n",
        text,
        re.DOTALL,
    )
    documented = {}
    for name, measurements, metadata in events:
        event = _dotted(name.replace(":", ""))
        documented[event] = Documented(event, _elixir_keys(measurements), _elixir_keys(metadata))
    return documented


def _dotted(atoms: str) -> str:
    return ".".join(atom.strip() for atom in atoms.split(","))


def _erlang_keys(term: str) -> frozenset[str]:
    """The keys of the outermost map; those of the maps within it are values."""
    keys = set()
    depth = 0
    for bracket, key in re.findall(r"([{}\[\]])|(\w+) =>", term):
        if bracket:
            depth += 1 if bracket in "{[" else -1
        elif depth == 1:
            keys.add(key)
    return frozenset(keys)


def _elixir_keys(body: str) -> frozenset[str]:
    return frozenset(re.findall(r"^ *(\w+): ", body, re.MULTILINE))


PARTISAN = partisan()
MODBOSS = modboss()

HEARTBEATS = ("partisan.connection.client.heartbeat", "partisan.connection.server.heartbeat")


def keys(uses: Iterable[Use]) -> frozenset[str]:
    return frozenset(use.key for use in uses)


def required(uses: Iterable[Use]) -> frozenset[str]:
    return frozenset(use.key for use in uses if use.required)


@pytest.fixture(scope="module")
def partisan_events() -> dict[str, EventSpec]:
    return dict(load("partisan").events)


@pytest.fixture(scope="module")
def modboss_events() -> dict[str, EventSpec]:
    return dict(load("modboss").events)


class TestTheParsers:
    def test_find_the_thirty_events_of_partisan(self) -> None:
        assert len(PARTISAN) == 30
        assert "partisan.queue.undelivered.bytes" in PARTISAN
        assert "partisan.plumtree_broadcast.outstanding" in PARTISAN
        assert "partisan.plumtree_broadcast.all_members" in PARTISAN

    def test_find_the_twelve_events_of_modboss(self) -> None:
        assert len(MODBOSS) == 12
        assert {name.rpartition(".")[2] for name in MODBOSS} == {"start", "stop", "exception"}

    def test_find_the_outermost_keys_only(self) -> None:
        assert PARTISAN["partisan.channel.configured"] == Documented(
            "partisan.channel.configured", frozenset({"count"}), frozenset({"name", "config"})
        )

    def test_find_the_counts_of_a_read(self) -> None:
        assert MODBOSS["modboss.read.stop"].measurements == {
            "duration",
            "monotonic_time",
            "batches",
            "total_attempts",
            "objects_requested",
            "addresses_read",
            "gap_addresses_read",
            "largest_gap",
        }


# What nodes count of themselves as a whole, beside `connections`, of each peer and channel.
POLLED = ("monitors", "new", "outstanding", "owners")


class TestPartisan:
    def test_every_documented_event_is_catalogued(
        self, partisan_events: dict[str, EventSpec]
    ) -> None:
        assert PARTISAN.keys() <= partisan_events.keys()

    @pytest.mark.parametrize("documented", PARTISAN.values(), ids=PARTISAN)
    def test_an_event_always_carries_what_is_documented(
        self, documented: Documented, partisan_events: dict[str, EventSpec]
    ) -> None:
        event = partisan_events[documented.name]

        assert documented.measurements <= required(event.measurements)
        assert documented.metadata <= required(event.metadata)

    @pytest.mark.parametrize("name", PARTISAN)
    def test_an_event_measures_something_where_the_document_is_silent(
        self, name: str, partisan_events: dict[str, EventSpec]
    ) -> None:
        assert required(partisan_events[name].measurements)

    def test_every_event_says_whose_it_is(self, partisan_events: dict[str, EventSpec]) -> None:
        without = [n for n, e in partisan_events.items() if "node" not in required(e.metadata)]

        assert without == []

    @pytest.mark.parametrize("name", [*PARTISAN, *HEARTBEATS])
    def test_an_entry_says_how_the_running_system_differs(
        self, name: str, partisan_events: dict[str, EventSpec]
    ) -> None:
        note = partisan_events[name].note

        assert note is not None
        assert "\n" not in note
        assert "original" in note

    @pytest.mark.parametrize("name", HEARTBEATS)
    def test_a_heartbeat_measures_latency_in_nanoseconds(
        self, name: str, partisan_events: dict[str, EventSpec]
    ) -> None:
        units = {use.key: use.field.unit for use in partisan_events[name].measurements}

        assert units == {"latency": "ns"}

    @pytest.mark.parametrize("name", HEARTBEATS)
    def test_a_misspelt_heartbeat_stands_for_the_right_one(self, name: str) -> None:
        catalog = load("partisan")
        misspelt = name.replace("heartbeat", "hearbeat")

        assert catalog.events[misspelt].alias_of == name
        assert list(catalog.select(misspelt)) == [name]
        assert keys(catalog.events[misspelt].metadata) == keys(catalog.events[name].metadata)

    @pytest.mark.parametrize(
        ("name", "measurements", "metadata"),
        [
            ("membership.peer.channel.down", {"count", "sockets"}, {"peer", "channel", "reason"}),
            ("socket.open", {"count"}, {"listen_addr"}),
            ("socket.connect", {"count", "duration"}, {"peer", "channel", "result"}),
            ("socket.recv", {"count", "bytes"}, {"peer", "channel"}),
            ("socket.send", {"count", "bytes"}, {"peer", "channel"}),
            ("socket.close", {"count", "duration"}, {"side", "reason", "peer", "channel"}),
            ("socket.tag_msg", {"count", "bytes"}, {"tag", "direction", "peer", "channel"}),
            ("connection.client.heartbeat", {"latency"}, {"peer", "channel"}),
            ("connection.server.heartbeat", {"latency"}, {"peer", "channel"}),
            ("connection.connections", {"count"}, {"peer", "channel"}),
            *((f"connection.{what}", {"count"}, set()) for what in POLLED),
            *(
                (f"queue.{queue}.{what}", {what}, {"peer", "channel"})
                for queue in ("unacknowledged", "retransmitted", "undelivered", "delivered")
                for what in ("count", "bytes")
            ),
            ("plumtree_broadcast.outstanding", {"count"}, set()),
            ("plumtree_broadcast.neweagers", {"count"}, {"root"}),
            ("plumtree_broadcast.lazy_sets", {"count"}, {"root"}),
            ("plumtree_broadcast.all_members", {"count"}, set()),
        ],
    )
    def test_what_the_document_leaves_open_is_settled(
        self,
        name: str,
        measurements: set[str],
        metadata: set[str],
        partisan_events: dict[str, EventSpec],
    ) -> None:
        event = partisan_events[f"partisan.{name}"]

        assert keys(event.measurements) == measurements
        assert keys(event.metadata) >= {"node", *metadata}

    def test_frames_never_become_log_events(self, partisan_events: dict[str, EventSpec]) -> None:
        frames = [f"partisan.socket.{name}" for name in ("recv", "send", "tag_msg")]

        assert [partisan_events[name].log for name in frames] == [False, False, False]


class TestModboss:
    def test_every_documented_event_is_catalogued(
        self, modboss_events: dict[str, EventSpec]
    ) -> None:
        assert MODBOSS.keys() <= modboss_events.keys()

    @pytest.mark.parametrize("documented", MODBOSS.values(), ids=MODBOSS)
    def test_an_event_always_carries_exactly_what_is_documented(
        self, documented: Documented, modboss_events: dict[str, EventSpec]
    ) -> None:
        event = modboss_events[documented.name]

        assert required(event.measurements) == documented.measurements
        # The document leaves out what the telemetry library adds to every span by itself.
        assert required(event.metadata) - {"telemetry_span_context"} == documented.metadata

    def test_operations_and_callbacks_are_client_spans(self) -> None:
        spans = load("modboss").spans

        kinds = {spans[name.removesuffix(".start")].kind for name in MODBOSS if "start" in name}
        assert kinds == {"client"}

    def test_the_positive_count_that_can_be_zero_has_a_note(
        self, modboss_events: dict[str, EventSpec]
    ) -> None:
        [attempts] = [
            use.field
            for use in modboss_events["modboss.read.stop"].measurements
            if use.key == "total_attempts"
        ]

        assert attempts.note is not None
        assert "0 for an empty request" in attempts.note

    @pytest.mark.parametrize("key", ["context", "result"])
    def test_what_belongs_to_the_caller_is_no_attribute(
        self, key: str, modboss_events: dict[str, EventSpec]
    ) -> None:
        event = modboss_events["modboss.read.stop"]

        assert [use.field.attribute for use in event.metadata if use.key == key] == [None]
