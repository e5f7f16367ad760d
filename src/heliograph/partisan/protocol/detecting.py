# SPDX-License-Identifier: Apache-2.0
"""Failure detection in a node's protocol: what the `Detector` wants done, and what it must know.

The pings of connections go on as ever. With a detector, one that is not answered makes its peer a
suspect, unless something has come by another connection meanwhile. Its connections then stay until
the suspicion has run out; one that is silent while another is not stays for the longest suspicion.

In a partial view the detector's questions and answers may go to nodes that are no neighbors: those
are dialled for a moment. Before anything is sent it is known that they are of our kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.connection import Phase
from heliograph.partisan.protocol.detection import (
    DETECTOR,
    Detector,
    Probe,
    Suspect,
    Tell,
)
from heliograph.partisan.protocol.effects import (
    CancelTimer,
    Heartbeat,
    Judged,
    SetTimer,
    Suspected,
    Write,
)
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.protocol.witnesses import Witnesses
from heliograph.partisan.wire import Atom
from heliograph.partisan.wire.messages import UNDEFINED, Forward

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliograph.partisan.protocol.connection import Connection
    from heliograph.partisan.protocol.detection import Action, DetectionConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.protocol.mesh import Mesh
    from heliograph.partisan.wire import NodeSpec, Term

__all__ = ["Detecting"]

_HEALTH: Final = TimerKey("health")
_ACQUAINT: Final = TimerKey("acquaint")


class Detecting:
    """The detector of one node, and its timers.

    Args:
        mesh: The node's protocol.
        config: Settings.

    Attributes:
        detector: See `heliograph.partisan.protocol.detection`.
        witnesses: Who may know more of a suspect; None in a full mesh, where all do.
    """

    def __init__(self, mesh: Mesh, config: DetectionConfig) -> None:
        self.detector: Detector = Detector(mesh.name, config, mesh.config.ping_timeout)
        self.witnesses: Witnesses | None = None
        if not mesh.whole:
            self.witnesses = Witnesses(config.witnesses, mesh.random)
            self.detector.introduction = mesh.spec.term()
        self._mesh = mesh
        self._period = mesh.config.idle_timeout
        self._due: dict[TimerKey, int] = {}

    def start(self, now: int) -> list[Effect]:
        """Begin to watch over the node's own work."""
        return [self._set(_HEALTH, now + self._period)]

    def stop(self) -> list[Effect]:
        """End it."""
        due, self._due = self._due, {}
        return [CancelTimer(key) for key in due]

    def met(self, peer: Atom, now: int) -> list[Effect]:
        """A connection to a peer can be written to now, in a partial view."""
        if self.witnesses is None or not self._is_ours(peer):
            return []
        effects: list[Effect] = []
        for message in self.witnesses.owed(peer, now):
            effects += self._tell(peer, message, now)
        if _ACQUAINT not in self._due:
            # The connections of a new neighbor come one after the other, and so do neighbors.
            effects.append(self._set(_ACQUAINT, now + self._mesh.config.connection_interval))
        return effects

    def keep_alive(self, connection: Connection, now: int, timestamp: int) -> list[Effect]:
        """The keep-alive timer of a connection has fired."""
        detector, peer = self.detector, connection.peer
        late = detector.was_late(connection.due, now)
        if late:
            connection.excuse()
        # One of several connections that is stuck is not the peer's end, and may be but slow.
        longest = detector.health.scaled(detector.bounds(len(self._mesh.peers))[1])
        stuck = now - connection.touched > self._mesh.config.idle_timeout + longest
        effects = connection.fired(
            "keep_alive",
            now,
            timestamp,
            wait=detector.waits(),
            patient=late or peer in detector.suspects or not stuck,
        )
        if (
            connection.missed
            and not late
            and peer is not None
            and peer not in detector.suspects
            and connection.phase is Phase.READY
            and now - self._last_heard(peer) >= detector.waits()
        ):
            among = len(self._mesh.peers)
            asked = self._asked(peer)
            if self._mesh.whole:
                among = len(asked)
            missed = detector.missed(peer, asked, now, among=among)
            effects += self._act(missed, now, timestamp)
        return effects

    def _asked(self, suspect: Atom) -> list[Atom]:
        """Return who may know more of a suspect."""
        if self.witnesses is None:
            return [each for each in self._mesh.peers if self._is_ours(each)]
        if not self._mesh.is_member(suspect):
            return []  # nobody else needs to know, and nothing depends on it
        return self.witnesses.of(
            suspect,
            self.detector.suspecting(suspect),
            self._neighbors(),
            dialling=self._mesh.reaches_all,
        )

    def _neighbors(self) -> dict[Atom, NodeSpec]:
        """Return the neighbors of our kind that can be written to."""
        return {
            spec.name: spec
            for spec in self._mesh.specs()
            if self._is_ours(spec.name) and self._mesh.route(spec.name, UNDEFINED)
        }

    def fired(self, key: TimerKey, now: int, timestamp: int) -> list[Effect]:
        """A timer of the detector's has fired."""
        detector = self.detector
        late = detector.was_late(self._due.pop(key, now), now)
        if key == _HEALTH:
            if not late:
                detector.health.better()
            again = self._set(_HEALTH, now + self._period)
            return [again, *self._sooner(now), *self._acquaint(now)]
        if key == _ACQUAINT:
            return self._acquaint(now)
        peer = next((each for each in detector.suspects if each == key.of), None)
        if peer is None:
            return []
        if not self._connections(peer):
            return self._act(detector.gone(peer, now), now, timestamp)
        if self._last_heard(peer) > detector.suspects[peer].began:
            return self._act(detector.heard(peer, now), now, timestamp)
        if late:  # what the suspect has sent meanwhile is read first
            return [self._set(key, now + detector.waits())]
        judged = detector.judge(peer, now)
        if not judged:
            return [self._set(key, detector.deadline(peer))]
        return self._act(judged, now, timestamp)

    def received(self, connection: Connection, effects: Sequence[Effect], now: int) -> list[Effect]:
        """Something has come of a connection, with these effects."""
        if any(isinstance(each, Heartbeat) for each in effects):
            self.detector.answered()
        if connection.peer is None:
            return []
        return self._act(self.detector.heard(connection.peer, now), now, 0)

    def message(self, by: Atom | None, content: Term, now: int, timestamp: int) -> list[Effect]:
        """Take a message of another node's detector."""
        if by is None or not self._heeds(by, content):
            return []
        match content:
            case (_, about, *_) if isinstance(about, Atom):
                knows = self._mesh.whole or bool(self._connections(about))
            case _:
                return []
        actions = self.detector.told(by, content, now, knows=knows)
        effects = self._act(actions, now, timestamp)
        if about in self.detector.suspects:
            key = TimerKey("suspect", about)
            effects.append(self._set(key, max(now, self.detector.deadline(about))))
        return effects

    def _heeds(self, by: Atom, content: Term) -> bool:
        """Tell whether a message is one for the detector, and may come from who sends it."""
        if self.witnesses is None:
            return by in self._mesh.peers
        match content:
            case ("neighbors", list(terms)):
                if self._mesh.is_member(by):
                    self.witnesses.listed(by, terms)
                return False
            case (_, _, introduction):
                return self.witnesses.asked(by, introduction)
            case _:
                return True

    # --- what is to be done ---

    def _act(self, actions: Iterable[Action], now: int, timestamp: int) -> list[Effect]:
        effects: list[Effect] = []
        for action in actions:
            match action:
                case Tell(peer, message):
                    effects += self._tell(peer, message, now)
                case Probe(peer):
                    for connection in self._connections(peer):
                        effects += connection.probe(now, timestamp, self.detector.waits())
                case Suspect(peer, timeout):
                    effects.append(Suspected(peer, timeout))
                    key = TimerKey("suspect", str(peer))
                    effects.append(self._set(key, self.detector.deadline(peer)))
                case _:
                    peer, outcome, duration, confirmations = action
                    key = TimerKey("suspect", str(peer))
                    if self._due.pop(key, None) is not None:
                        effects.append(CancelTimer(key))
                    effects.append(Judged(peer, outcome, duration, confirmations))
                    if outcome == "down":
                        effects += self._mesh.hang_up(self._connections(peer), "timeout", now)
        return effects

    def _tell(self, peer: Atom, message: Term, now: int) -> list[Effect]:
        connections = self._mesh.route(peer, UNDEFINED)
        if connections:
            if not self._is_ours(peer):
                return []
            return [Write(connections[0], Forward(DETECTOR, message))]
        spec = None if self.witnesses is None else self.witnesses.find(peer)
        if self.witnesses is None or spec is None:
            return []
        self.witnesses.owe(peer, message, now)
        return self._mesh.reach_out(spec, now)

    def _acquaint(self, now: int) -> list[Effect]:
        """Tell neighbors of other neighbors."""
        if self.witnesses is None:
            return []
        news = self.witnesses.news(self._neighbors())
        return [effect for peer, each in news for effect in self._tell(peer, each, now)]

    def _sooner(self, now: int) -> list[Effect]:
        """Bring forward the judgements of a node that trusts itself again."""
        effects: list[Effect] = []
        for peer in self.detector.suspects:
            key = TimerKey("suspect", str(peer))
            at = max(now, self.detector.deadline(peer))
            if at < self._due.get(key, at):
                effects.append(self._set(key, at))
        return effects

    def _set(self, key: TimerKey, at: int) -> SetTimer:
        self._due[key] = at
        return SetTimer(key, at)

    # --- what is known ---

    def _connections(self, peer: Atom) -> list[Connection]:
        return [each for each in self._mesh.connections.values() if each.peer == peer]

    def _last_heard(self, peer: Atom) -> int:
        # That a host takes a connection says nothing of the process: it may be stopped.
        ready = (each for each in self._connections(peer) if each.phase is Phase.READY)
        return max((each.touched for each in ready), default=0)

    def _is_ours(self, peer: Atom) -> bool:
        return self._mesh.delivery.run(peer) is not None
