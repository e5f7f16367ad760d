# SPDX-License-Identifier: Apache-2.0
"""A scene of SCAMP, of which our node plays one part: connections, time, and what was compared."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.scamp import ScampConfig, ScampV1, ScampV2
from heliograph.partisan.wire import Atom, NodeSpec, Term, decode, encode, same
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    ForwardSubscription,
    Hello,
    Message,
    Ping,
    Pong,
    ScampPing,
    State,
)
from tests.partisan.overlay_player import MOMENT, Player
from tests.partisan.recorded import Failure, Record
from tests.partisan.scamp_original import BLOCKED, NEVER, Original, RecordedChance
from tests.partisan.tree_replay import TREE, TreePlayer

__all__ = ["HALF", "ScampScene"]

HALF = 0.5
"""Seconds within which all frames of a period, or of one decision, are recorded."""
_HANDSHAKE = (Hello, ClientHello, State, Ping, Pong)
_TRIES = 64
"""How many explanations of a scene are tried."""
_SILENCE = 99_800_000
"""Nanoseconds after which the original takes itself for alone, less what times are rounded by."""
_MANY = 1_000_000
_FOREVER = float("inf")


@dataclass
class _Due:
    """A frame that our node has sent and that was not compared."""

    term: Term
    time: float
    required: bool
    """Whether the original is connected, so that it must have been recorded."""


class _Known(NamedTuple):
    """What our node, and the original, know from some time on."""

    view: Counter[Atom]
    ours: frozenset[Atom]
    in_view: frozenset[Atom]
    heard: bool


class ScampScene(Player):
    """Our node in a scene.

    Attributes:
        original: What the original knows there.
        due: What our node has sent to each and was not compared.
        sent_to: What the recorded node says to each, in the scene.
        following: The next that it says over the same connection, by the line.
        renewed: Whether it has begun anew, so that the timer from before goes on.
    """

    kind: type[ScampV1 | ScampV2]
    views: tuple[int, ...]
    """Where the views are in a state."""

    def make(self) -> ScampV1 | ScampV2:
        self.specs = {**self.specs, **{each.name: each for each in self._specified()}}
        self.original = Original([self.name])
        self.due: dict[Atom, deque[_Due]] = defaultdict(deque)
        self.owed: list[Term] = []  # acknowledgements
        self.answers = 0  # to calls
        self.over: dict[int, tuple[float, bool]] = {}  # when connections ended, and if by us
        self.lost: set[Atom] = set()
        self.known: list[tuple[float, _Known]] = []
        self.renewed = False
        self.tree: TreePlayer | None = None
        machine = self.new()
        for name, times in self._before().items():
            machine.neighbors[name] = self.specs[name]
            self.original.view = [name] * times + self.original.view
        return machine

    def new(self) -> ScampV1 | ScampV2:
        config = ScampConfig(as_original=True, silence=_SILENCE, passes=_MANY)
        return self.kind(self.specs[self.name], random=RecordedChance(), config=config)

    def _specified(self) -> Iterator[NodeSpec]:
        """Yield nodes as this one specifies them, which counts where it tells of them."""
        for record in self.records:
            if not record.ended and record.sender == self.name:
                message = record.message()
                if isinstance(message, ForwardSubscription | ScampPing):
                    yield message.spec

    def _before(self) -> dict[Atom, int]:
        """Return whom the node had in its view before the recording began, and how often."""
        frames = [each for each in self.records if not each.ended]
        opened = {each.connection for each in frames if isinstance(each.message(), Hello)}
        pings = [
            each
            for each in frames
            if each.sender == self.name and isinstance(each.message(), ScampPing)
        ]
        times: Counter[Atom] = Counter()
        for each in pings:
            if each.connection not in opened:
                to = [other.time for other in pings if other.server == each.server]
                near = sum(0 <= time - each.time < HALF for time in to)
                times[each.server] = max(times[each.server], near)
        return times

    # --- a scene ---

    def scene(self, records: Sequence[Record]) -> int:
        for record in records:
            sent = not record.ended and record.sender == self.name
            if sent and not record.from_client and not isinstance(record.message(), _HANDSHAKE):
                raise Failure(
                    f"line {record.line}: our node says {record.shown:.150} to nobody who has"
                    " dialled it, but over connections of its own"
                )
        trees = [each for each in records if not each.ended and isinstance(each.message(), TREE)]
        others = [each for each in records if each.ended or not isinstance(each.message(), TREE)]
        self._prepare(others)
        return self._explained(others) + self._broadcasts(trees)

    def _broadcasts(self, records: Sequence[Record]) -> int:
        if not records:
            return 0
        if self.tree is None:
            self.tree = TreePlayer(self.name, self.names, self.specs, self.records)
        tree = self.tree.current.machine
        for each in self.names:
            tree.neighbor_down(each)
        for each in sorted({*self.dialled.values()}):
            tree.neighbor_up(each, 0)
        return self.tree.scene(records)

    def _explained(self, records: Sequence[Record]) -> int:
        """Play a scene; where a frame has several explanations, find those that all agree with."""
        parts = "current", "connections", "written", "pings", "original", "due", "owed", "answers"
        start = {name: getattr(self, name) for name in (*parts, "over", "lost", "known", "renewed")}
        failure: Failure | None = None
        self.decisions: list[int] = []
        for _ in range(_TRIES):
            vars(self).update(deepcopy(start))
            self.options: list[tuple[int, int]] = []
            try:
                return self._play(records)
            except Failure as found:
                failure = failure or found
            while self.options and self.options[-1][0] == self.options[-1][1] - 1:
                self.options.pop()
            if not self.options:
                break
            self.decisions = [chosen for chosen, _ in self.options]
            self.decisions[-1] += 1
        assert failure is not None
        raise failure

    def choose(self, count: int) -> int:
        """Choose one of several explanations, the likeliest first."""
        if count == 1:
            return 0
        at = len(self.options)
        chosen = self.decisions[at] if at < len(self.decisions) else 0
        self.options.append((chosen, count))
        return chosen

    def _prepare(self, records: Sequence[Record]) -> None:
        self.last = records[-1].time if records else 0.0
        self.dialled = {each.connection: each.server for each in records if self._is_client(each)}
        self.opened: dict[int, float] = {}
        self.closed: dict[int, float] = {}
        self.following: dict[int, Record] = {}
        self.sent_to: dict[Atom, list[Record]] = defaultdict(list)
        fresh = {
            each.connection
            for each in records
            if not each.ended and isinstance(each.message(), Hello)
        }
        before: dict[int, Record] = {}
        for record in filter(self._is_client, records):
            number = record.connection
            self.opened.setdefault(number, record.time if number in fresh else NEVER)
            if record.ended:
                self.closed.setdefault(number, record.time)
            elif record.from_client and not isinstance(record.message(), _HANDSHAKE):
                if number in before:
                    self.following[before[number].line] = record
                self.sent_to[record.server].append(record)
                before[number] = record

    def _is_client(self, record: Record) -> bool:
        return record.client == self.name

    def _play(self, records: Sequence[Record]) -> int:
        self.compared = self.faults = 0
        self.said: list[tuple[Record, Any]] = []
        self.original.begin_again()
        for name, opened in ((self.dialled[each], at) for each, at in self.opened.items()):
            if opened == NEVER:
                self.original.met[name] = records[0].time
        self.known.clear()
        self.note(records[0].time)
        for record in records:
            self.at = record.line
            self.current.now = round(record.time * 1e9)
            self.heed(record.time - MOMENT)
            if record.ended:
                self.ended(record)
                continue
            message = record.message()
            if isinstance(message, _HANDSHAKE):
                self.dials(record)
                self._connection(record, message)
            elif record.sender == self.name:
                self._check_due(record.time - HALF, record)
                self.say(record, message)
            elif not record.dropped:
                self.listen(record, message)
            self.note(record.time)
        self.heed(_FOREVER)
        if records:
            self._check_due(_FOREVER, records[-1])
        self._check_said()
        return self.compared

    # --- what players differ in ---

    @abstractmethod
    def listen(self, record: Record, message: Message) -> None:
        """Hear what another said."""

    @abstractmethod
    def say(self, record: Record, message: Message) -> None:
        """Do what must have happened that the node says something now."""

    @abstractmethod
    def dials(self, record: Record) -> None:
        """Infer something from a connection."""

    # --- connections ---

    def told(self, record: Record, state: State) -> None:
        self.original.met[record.server] = record.time

    def connected(self, peer: Atom, time: float) -> bool:
        """Tell whether the node has a connection to another, that lasts for a moment."""
        return any(
            server == peer
            and self.opened[number] <= time
            and self.closed.get(number, _FOREVER) > time + HALF
            for number, server in self.dialled.items()
        )

    def ended(self, record: Record) -> None:
        """A connection is gone; it counts if our node has dialled it, as in the original."""
        number = record.connection
        if not self._is_client(record) or number in self.over:
            return
        self.over[number] = (record.time, record.sender == self.name)
        still = [
            self.dialled[each]
            for each, opened in self.opened.items()
            if opened <= record.time and each not in self.over
        ]
        if not still:
            lately = [own for at, own in self.over.values() if 0 <= record.time - at < BLOCKED / 2]
            # By its own doing, or, if the recorder saw that late, nevertheless.
            if self.choose(2) != all(lately):
                self._anew(record)
                return
        if record.server not in still:
            self.do_(on.Lost(record.server, "closed"))
            self.lost.add(record.server)
            if record.server in self.original.view:
                self.original.contacts.add(record.server)
        self.note(record.time)

    def _anew(self, record: Record) -> None:
        self._check_due(record.time, record)
        self.due.clear()
        self.current.machine = self.new()
        self.original = Original([self.name])
        self.renewed = True
        self.note(record.time)

    # --- what our node does ---

    def do_(self, happened: on.Input) -> list[tuple[Atom, Term]]:
        """Give something to our node; return what it sends, by way of bytes, to whom."""
        sent = []
        for effect in self.current.machine.handle(happened, self.current.now):
            if isinstance(effect, on.Send):
                term = decode(encode(effect.message.term()))
                sent += [(to.name, term) for to in effect.to]
        return sent

    def chance(self) -> RecordedChance:
        return cast("RecordedChance", self.current.machine._random)

    def has(self, peer: Atom) -> bool:
        """Tell whether our node has another in its view."""
        return peer in self.current.machine.neighbors

    def heed(self, until: float) -> None:
        """Give our node the pings that came before a time."""
        heard = self.original.heard
        while heard and heard[0].time < until:
            record = heard.popleft()
            happened = on.Received(record.sender, record.message())
            self.current.machine.handle(happened, round(record.time * 1e9))
            self.note(record.time)

    def owe(self, record: Record, sent: Sequence[tuple[Atom, Term]], *, sure: bool = True) -> None:
        """Expect that what our node sends now was recorded.

        Args:
            record: The line at hand.
            sent: What it sends, and to whom.
            sure: Whether it must have been, as far as there is a connection.
        """
        for to, term in sent:
            required = sure and self.connected(to, record.time)
            self.due[to].append(_Due(term, record.time, required))

    def paid(self, record: Record) -> bool:
        """Compare a frame with what our node has sent there, in its order."""
        due = self.due[record.server]
        for at, each in enumerate(due):
            if same(record.term(), each.term):
                for _ in range(at + 1):
                    due.popleft()
                self.compared += 1
                return True
            if each.required:
                return False
        return False

    def _check_due(self, until: float, record: Record) -> None:
        """See that what our node has sent before was recorded, if the recording goes on."""
        until = min(until, self.last - MOMENT)
        for to, due in self.due.items():
            for each in due:
                if each.required and each.time <= until:
                    raise Failure(
                        f"line {record.line}: our node has also told {to} {each.term!r:.200}"
                    )

    def nothing(self, record: Record) -> Failure:
        """Nothing explains a frame."""
        due = [each.term for each in self.due[record.server]]
        return Failure(
            f"line {record.line}: nothing has come yet that this would answer:"
            f" {record.shown:.200}, ours {due!r:.300}"
        )

    # --- what it says it knows ---

    def state(self) -> Term:
        return cast("Term", self.current.machine.state())

    def as_written(self, record: Record, recorded: Term, ours: Term) -> bool:
        match recorded, ours:
            case ("state", tag, (kind, *_) as known), ("state", own_tag, (own_kind, *_) as own):
                self.said.append((record, known))
                return tag == own_tag and kind == own_kind and len(known) == len(own)
            case _:
                return same(recorded, ours)

    def note(self, time: float) -> None:
        """Note what is known from now on."""
        machine = self.current.machine
        known = _Known(
            Counter(self.original.view),
            frozenset({self.name, *machine.neighbors}),
            frozenset(getattr(machine, "in_view", ())),
            machine._heard is not None,
        )
        if not self.known or self.known[-1][1] != known:
            self.known.append((time, known))

    def _check_said(self) -> None:
        """See that what the node said it knows was known about then.

        It heeds what comes by several connections in an order of its own, so that each part of it
        may be of another moment; and what it has decided shows later.
        """
        until = [time for time, _ in self.known[1:]] + [_FOREVER]
        for record, state in self.said:
            then = [
                known
                for (time, known), end in zip(self.known, until, strict=True)
                if end > record.time - MOMENT and time < record.time + BLOCKED
            ]
            view, *in_view = ([*map(_name, [*state[at]])] for at in self.views)
            agrees = (
                any(
                    Counter(view) == each.view and not ({*view} ^ each.ours) - self.lost
                    for each in then
                )
                and all(
                    any(not ({*names} ^ each.in_view) - self.lost for each in then)
                    for names in in_view
                )
                and any((state[-1] != UNDEFINED) is each.heard for each in then)
            )
            if not agrees:
                raise Failure(f"line {record.line}: our node has no such view: {view} {in_view}")


def _name(spec: Any) -> Atom:
    return NodeSpec.parse(spec).name
