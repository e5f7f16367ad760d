# SPDX-License-Identifier: Apache-2.0
"""Telling nodes that are down from nodes that are slow, oneself among them.

Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection"
(arXiv 1707.00788), on top of the keep-alive pings that there are. Two of its parts, each a state
machine of its own:

*   `LocalHealth`: a node that does its own work late, or whose pings fail, trusts its judgement
    less: all its waits are that many times longer.
*   `Suspicion`: a peer that misses a ping is suspected, not down yet. The others of our kind are
    told. The time until it is declared down shrinks as more of them say that they suspect it too,
    from the longest, which leaves a slow node time to notice that it is slow, to the shortest.

The paper's probes go to random members through others; here whoever is told of a suspicion looks at
its own connections: it pings the suspect, and confirms the suspicion once it shares it, or says
that it has heard the suspect. The latter is the paper's nack, in that it tells the suspecting node
of its own trouble. The suspect itself is told as well, and answers.

In a full mesh all have connections to the suspect. In a partial view few have, and they need not be
connected to who suspects it (see `heliograph.partisan.protocol.witnesses`): there a suspicion is a
question. It says who asks, so that the answer finds its way, and who has no connection to the
suspect answers that, and is not waited for. Only those who were asked count.

| message                   | from                        | what follows            |
| ------------------------- | --------------------------- | ----------------------- |
| `{suspect, Node}`         | who suspects it, too        | it is confirmed         |
| `{suspect, Node, Asking}` | the same, in a partial view | the same, and an answer |
| `{alive, Node}`           | who has heard it since      | the longest time again  |
| `{stranger, Node}`        | who has no connection to it | one less to wait for    |

`Detector` puts both together for one node. Messages go to a name that only nodes of our kind have,
and only to those; an Erlang node notices nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log10
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from heliograph.partisan.wire import Atom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliograph.partisan.wire import Term

__all__ = [
    "DETECTOR",
    "Action",
    "DetectionConfig",
    "Detector",
    "Judge",
    "LocalHealth",
    "Outcome",
    "Probe",
    "Suspect",
    "Suspicion",
    "Tell",
]

DETECTOR: Final = Atom("heliograph_detector")
"""The name that messages about suspects go to."""
_SUSPECT: Final = Atom("suspect")
_ALIVE: Final = Atom("alive")
_STRANGER: Final = Atom("stranger")
_SECOND: Final = 1_000_000_000
_LATELY: Final = 2
"""Longest suspicions for which a node that was declared down is remembered: others may have begun
to suspect it as much later; our choice."""
_RUMOURS: Final = 1_024
"""Nodes that others suspect and this one doesn't, with who does, and nodes that were declared down;
our choice, the oldest goes."""


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How suspects are treated. Times are in nanoseconds.

    Raises:
        ValueError: A value is out of range.
    """

    suspicion: int = 4 * _SECOND
    """The shortest suspicion, in a cluster of up to ten nodes; it grows with the logarithm of their
    number, as in the paper. memberlist's: its multiplier 4 times its interval of 1 s."""
    longest: int = 6
    """How many times that the longest is; the paper's beta, and memberlist's."""
    confirmations: int = 3
    """Confirmations that bring it down to the shortest; the paper's K."""
    witnesses: int = 6
    """Nodes that are asked in a partial view, and neighbors that a neighbor is told of; our choice:
    twice the confirmations, for some may be gone. With 0 nobody is asked: a suspicion is then the
    shortest."""
    health: int = 8
    """Local health is from 0 to one below this; the paper's S, and memberlist's `awareness`."""
    late: float = 0.5
    """Part of a ping's timeout by which a timer may be late before the node counts as slow; our
    choice."""

    def __post_init__(self) -> None:
        for name, lowest in (
            ("suspicion", 1),
            ("longest", 1),
            ("confirmations", 0),
            ("witnesses", 0),
            ("health", 1),
        ):
            if getattr(self, name) < lowest:
                value = getattr(self, name)
                raise ValueError(f"{name} of detection is {value}; it must be at least {lowest}")
        if not self.late > 0:
            raise ValueError(f"late of detection is {self.late}; it must be above 0")


class LocalHealth:
    """How little a node trusts itself: 0 if all is well.

    Args:
        limit: One more than the worst.

    Attributes:
        score: The paper's local health multiplier, less one.
    """

    __slots__ = ("_limit", "score")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score: int = 0

    def worse(self) -> None:
        """A ping failed, work was late, or others say that it is our fault."""
        self.score = min(self.score + 1, self._limit - 1)

    def better(self) -> None:
        """A ping was answered, or work was in time."""
        self.score = max(self.score - 1, 0)

    def scaled(self, time: int) -> int:
        """Return how long to wait instead of a time."""
        return time * (self.score + 1)


class Suspicion:
    """One suspect.

    Args:
        began: When it was first suspected, in nanoseconds.
        shortest: Nanoseconds until it is declared down, once enough have confirmed.
        longest: The same if nobody has.
        needed: How many have to, or all who can if they are fewer.
        asked: Who can.

    Attributes:
        began: See above.
        asked: See above; without those who turned out not to know the suspect.
        confirmed: Who else suspects it.
        heard_by: Who hears it.
    """

    __slots__ = ("_longest", "_needed", "_shortest", "asked", "began", "confirmed", "heard_by")

    def __init__(
        self, began: int, shortest: int, longest: int, needed: int, asked: Iterable[Atom]
    ) -> None:
        self.began: int = began
        self.asked: set[Atom] = set(asked)
        self.confirmed: set[Atom] = set()
        self.heard_by: set[Atom] = set()
        self._shortest = shortest
        self._longest = longest
        self._needed = needed

    def confirm(self, by: Atom) -> None:
        """Note that somebody suspects it too; of more than are needed nobody is remembered."""
        self.heard_by.discard(by)
        if by in self.asked and len(self.confirmed) < self._needed:
            self.confirmed.add(by)

    def vouch(self, by: Atom) -> bool:
        """Note that somebody hears it: then it is more likely our trouble than the suspect's.

        Returns:
            Whether that is news.
        """
        self.confirmed.discard(by)
        if by not in self.asked or by in self.heard_by:
            return False
        self.heard_by.add(by)
        return True

    def release(self, by: Atom) -> None:
        """Wait no more for somebody who does not know the suspect."""
        for each in (self.asked, self.confirmed, self.heard_by):
            each.discard(by)

    def timeout(self) -> int:
        """Return how long after it began the suspect is declared down, in nanoseconds.

        The paper's: the longest, less a part that grows with the logarithm of the confirmations.
        As long as somebody hears the suspect, it is the longest.
        """
        if self.heard_by:
            return self._longest
        needed = min(self._needed, len(self.asked))
        if not needed:
            return self._shortest
        part = log(len(self.confirmed) + 1) / log(needed + 1)
        return max(self._shortest, self._longest - round((self._longest - self._shortest) * part))


class Tell(NamedTuple):
    """Send a message to a peer's detector."""

    peer: Atom
    message: Term


class Probe(NamedTuple):
    """Ping a peer at once."""

    peer: Atom


class Suspect(NamedTuple):
    """A peer is suspected from now on."""

    peer: Atom
    timeout: int
    """Nanoseconds until it is declared down if nobody confirms it."""


class Judge(NamedTuple):
    """A peer is suspected no more."""

    peer: Atom
    outcome: Outcome
    """`alive`: it was heard; `down`: hang up on it; `gone`: it is gone for other reasons."""
    duration: int
    """How long it was suspected, in nanoseconds."""
    confirmations: int


Outcome: TypeAlias = Literal["alive", "down", "gone"]
Action: TypeAlias = Tell | Probe | Suspect | Judge


class Detector:
    """One node's suspicions.

    Args:
        node: The node's name.
        config: Settings.
        ping_timeout: Nanoseconds a pong may take.

    Attributes:
        health: The node's own.
        suspects: By name.
        introduction: How the node introduces itself to those it asks; None in a full mesh, where
            everybody knows it.
    """

    def __init__(self, node: Atom, config: DetectionConfig, ping_timeout: int) -> None:
        self.node = node
        self.config = config
        self.health: LocalHealth = LocalHealth(config.health)
        self.suspects: dict[Atom, Suspicion] = {}
        self.introduction: Term = None
        self._rumours: dict[Atom, dict[Atom, int]] = {}  # who suspects whom that we don't
        self._judged: dict[Atom, int] = {}  # whom this node has declared down, and when
        self._ping_timeout = ping_timeout

    # --- the node's own work ---

    def waits(self) -> int:
        """Return how long a pong may take now, in nanoseconds."""
        return self.health.scaled(self._ping_timeout)

    def was_late(self, due: int, now: int) -> bool:
        """Tell whether a timer has come so late that what it says means nothing, and learn of it.

        What others have sent meanwhile may not be read yet.
        """
        if now - due > self.config.late * self._ping_timeout:
            self.health.worse()
            return True
        return False

    # --- peers ---

    def bounds(self, others: int) -> tuple[int, int]:
        """Return the shortest and the longest suspicion among so many peers, in nanoseconds."""
        shortest = round(self.config.suspicion * max(1.0, log10(others + 2)))
        return shortest, shortest * self.config.longest

    def missed(
        self, peer: Atom, others: Sequence[Atom], now: int, *, among: int | None = None
    ) -> list[Action]:
        """A peer has not answered a ping in time.

        Args:
            peer: Which.
            others: All peers of our kind, or those who may know more; it may be among them.
            now: Nanoseconds.
            among: How many peers there are; as many as `others` if None.
        """
        if peer in self.suspects:
            return []
        self.health.worse()
        asked = [each for each in others if each != peer and each not in self.suspects]
        shortest, longest = self.bounds(len(others) if among is None else among)
        suspicion = Suspicion(now, shortest, longest, self.config.confirmations, asked)
        self.suspects[peer] = suspicion
        for by, at in self._rumours.pop(peer, {}).items():
            if now - at < longest:
                suspicion.confirm(by)
        message: Term = (_SUSPECT, peer)
        if self.introduction is not None:
            message = (_SUSPECT, peer, self.introduction)
        told: list[Action] = [Tell(each, message) for each in (peer, *asked)]
        return [Suspect(peer, suspicion.timeout()), *told]

    def answered(self) -> None:
        """A ping was answered."""
        self.health.better()

    def heard(self, peer: Atom, now: int) -> list[Action]:
        """Something has come of a peer. Those who suspect it are told."""
        self._judged.pop(peer, None)
        suspecting = self._rumours.pop(peer, ())
        told: list[Action] = [Tell(each, (_ALIVE, peer)) for each in suspecting]
        return [*self._end(peer, "alive", now), *told]

    def gone(self, peer: Atom, now: int) -> list[Action]:
        """A peer is gone for other reasons."""
        self._rumours.pop(peer, None)
        return self._end(peer, "gone", now)

    def suspecting(self, peer: Atom) -> list[Atom]:
        """Return who suspects a peer that this node does not, the latest last."""
        return [*self._rumours.get(peer, ())]

    def told(self, by: Atom, message: Term, now: int, *, knows: bool = True) -> list[Action]:
        """Take a message of another node's detector.

        Args:
            by: Who has sent it.
            message: What it says.
            now: Nanoseconds.
            knows: Whether there is a connection to the node that it is about.
        """
        match message:
            case ("suspect", Atom(peer)):
                return self._suspected(by, peer, now, asks=False, knows=knows)
            case ("suspect", Atom(peer), _):
                return self._suspected(by, peer, now, asks=True, knows=knows)
            case ("alive", Atom(peer)):
                suspicion = self.suspects.get(peer)
                if suspicion is not None and suspicion.vouch(by):
                    self.health.worse()
                return []
            case ("stranger", Atom(peer)):
                suspicion = self.suspects.get(peer)
                if suspicion is not None:
                    suspicion.release(by)
                return []
            case _:
                return []

    def _suspected(
        self, by: Atom, peer: Atom, now: int, *, asks: bool, knows: bool
    ) -> list[Action]:
        if peer == self.node:
            self.health.worse()  # we have not answered in time
            return [Probe(by)]  # which shows that we live
        suspicion = self.suspects.get(peer)
        if suspicion is not None:
            suspicion.confirm(by)
            # Whom we have asked knows that we suspect it.
            return [Tell(by, (_SUSPECT, peer))] if asks and by not in suspicion.asked else []
        judged = self._judged.get(peer)
        if asks and judged is not None and now - judged < _LATELY * self.bounds(0)[1]:
            return [Tell(by, (_SUSPECT, peer))]
        if asks and not knows:
            return [Tell(by, (_STRANGER, peer))]
        self._rumoured(peer, by, now)
        return [Probe(peer)]

    def deadline(self, peer: Atom) -> int:
        """Return when a suspect is to be declared down, in nanoseconds."""
        suspicion = self.suspects[peer]
        return suspicion.began + self.health.scaled(suspicion.timeout())

    def judge(self, peer: Atom, now: int) -> list[Action]:
        """Declare a suspect down if its time has come."""
        if peer not in self.suspects or now < self.deadline(peer):
            return []
        return self._end(peer, "down", now)

    def _end(self, peer: Atom, outcome: Outcome, now: int) -> list[Action]:
        suspicion = self.suspects.pop(peer, None)
        if suspicion is None:
            return []
        if outcome == "down":
            self._judged.pop(peer, None)
            self._judged[peer] = now
            if len(self._judged) > _RUMOURS:
                del self._judged[next(iter(self._judged))]
        return [Judge(peer, outcome, now - suspicion.began, len(suspicion.confirmed))]

    def _rumoured(self, peer: Atom, by: Atom, now: int) -> None:
        rumours = self._rumours.setdefault(peer, {})
        rumours.pop(by, None)
        rumours[by] = now
        if len(rumours) > max(self.config.confirmations, 1):
            del rumours[next(iter(rumours))]
        if len(self._rumours) > _RUMOURS:
            del self._rumours[next(iter(self._rumours))]
