# SPDX-License-Identifier: Apache-2.0
"""One connection: its handshake and its keep-alive pings, in both roles.

A connection carries data one way, from the side that dialled. The handshake:

| phase      | side     | what happens             | answer                      | next phase |
| ---------- | -------- | ------------------------ | --------------------------- | ---------- |
| `DIALLING` | dialled  | the dial succeeds        |                             | `GREETING` |
| `GREETING` | dialled  | `{hello, Peer}`          | `{hello, Self, Channel}`    | `JOINING`  |
| `JOINING`  | dialled  | `{state, Tag, State}`    |                             | `READY`    |
|            | accepted | the peer has dialled     | `{hello, Self}`             | `HEARING`  |
| `HEARING`  | accepted | `{hello, Peer, Channel}` | `{state, undefined, State}` | `READY`    |
| `HEARING`  | accepted | data                     |                             | `HEARING`  |

Data before the hello is taken, since the original sends it so. What is in no row ends the
connection. A peer that was silent for a while is pinged: by the side that dialled after
`idle_timeout`, by the other a quarter later. The original closes a connection when a pong comes
after the next ping was sent, so of several pings read at once only the last is answered. A late
pong from a peer is welcome here, for it shows that the peer lives.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from heliograph.partisan.protocol.effects import CancelTimer, Hangup, Heartbeat, SetTimer, Write
from heliograph.partisan.protocol.inputs import TimerKey
from heliograph.partisan.wire import exact
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    ClientHello,
    Hello,
    HelloRefused,
    Ping,
    Pong,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from heliograph.partisan.protocol.config import ProtocolConfig
    from heliograph.partisan.protocol.effects import Effect
    from heliograph.partisan.wire import Atom, Term
    from heliograph.partisan.wire.messages import Message

__all__ = ["Connection", "Phase"]

_HANDSHAKE: Final = (Hello, ClientHello, HelloRefused, State)


class Phase(Enum):
    """Where a connection is in its life; see the table."""

    DIALLING = "dialling"
    GREETING = "greeting"
    JOINING = "joining"
    HEARING = "hearing"
    READY = "ready"
    CLOSED = "closed"


class Connection:
    """One connection's protocol.

    Args:
        number: The connection's number.
        own: This node's name.
        config: Times.
        reference: Makes a reference never used before, as a ping's name.
        peer: Whom we dial; None if we were dialled.
        channel: The channel we dial for.
        tag: What kind of node this is, in the original's sense.

    Attributes:
        dialled: Whether we dialled.
        peer: The other end's name; None until a dialling peer has said it.
        channel: The channel's name; None until then too.
        phase: Where it is in its life.
        state: The peer's membership state, once a connection that we dialled is ready.
        peer_tag: The peer's tag, from then on.
        early: What a peer that dialled has sent before it said who it is.
        began: When the connection was there, in nanoseconds.
        reason: Why it was closed, once it is.
        touched: When something came of it last, in nanoseconds.
        due: When the keep-alive timer is to fire.
    """

    __slots__ = (
        "_attempts",
        "_config",
        "_own",
        "_pinged",
        "_pings",
        "_reference",
        "_tag",
        "began",
        "channel",
        "dialled",
        "due",
        "early",
        "number",
        "peer",
        "peer_tag",
        "phase",
        "reason",
        "state",
        "touched",
    )

    def __init__(
        self,
        number: int,
        own: Atom,
        config: ProtocolConfig,
        reference: Callable[[], Term],
        peer: Atom | None = None,
        channel: Atom | None = None,
        tag: Atom = UNDEFINED,
    ) -> None:
        self.number: int = number
        self.peer = peer
        self.channel = channel
        self.dialled: bool = peer is not None
        self.phase: Phase = Phase.DIALLING if self.dialled else Phase.HEARING
        self.state: Term = None
        self.peer_tag: Atom = UNDEFINED
        self.early: list[Message] = []
        self.reason: str = ""
        self.touched: int = 0
        self.began: int = 0
        self.due: int = 0
        self._own = own
        self._config = config
        self._reference = reference
        self._tag = tag
        self._pings: dict[Hashable, int] = {}  # unanswered, with when each was sent
        self._pinged = 0  # when the last was
        self._attempts = 0

    def __repr__(self) -> str:
        side = "to" if self.dialled else "from"
        return f"<Connection {self.number} {side} {self.peer}, {self.channel}: {self.phase.value}>"

    def opened(self, now: int) -> list[Effect]:
        """The dial has succeeded, or we were dialled."""
        self.touched = now
        self.began = now
        deadline = SetTimer(self._timer("handshake"), now + self._config.handshake_timeout)
        if self.dialled:
            self.phase = Phase.GREETING
            return [deadline]
        return [Write(self.number, Hello(self._own)), deadline]

    def received(
        self, messages: Sequence[Message], now: int, state: Callable[[], Term]
    ) -> tuple[list[Effect], list[Message]]:
        """Take what was read at once.

        Args:
            messages: The frames, in order.
            now: Nanoseconds.
            state: Gives this node's membership state, for a peer that says hello.

        Returns:
            What is to be done, and the messages that are not the connection's own.
        """
        self.touched = now
        effects: list[Effect] = []
        others: list[Message] = []
        last_ping: Ping | None = None
        for message in messages:
            if isinstance(message, Ping):
                last_ping = message
            elif isinstance(message, Pong):
                effects += self._answered(message, now)
            elif isinstance(message, Hello) and self.phase is Phase.GREETING:
                effects += self._greeted(message)
            elif isinstance(message, State) and self.phase is Phase.JOINING:
                self.state = message.state
                self.peer_tag = message.tag
                effects += self._ready(now)
            elif isinstance(message, ClientHello) and self.phase is Phase.HEARING:
                effects += self._heard(message, now, state)
            elif self.dialled or isinstance(message, _HANDSHAKE):
                effects += self.hangup("protocol_error")
            else:
                others.append(message)
            if self.phase is Phase.CLOSED:
                break
        else:
            if last_ping is not None and self.phase is Phase.READY and last_ping.node == self.peer:
                pong = Pong(self._own, last_ping.id, last_ping.timestamp)
                effects.append(Write(self.number, pong))
        return effects, others

    @property
    def missed(self) -> bool:
        """Whether a ping was not answered in time, and nothing else has come since."""
        return self._attempts > 1

    def fired(
        self,
        kind: str,
        now: int,
        timestamp: int,
        *,
        wait: int | None = None,
        patient: bool = False,
    ) -> list[Effect]:
        """A timer's time has come.

        Args:
            kind: Which: `handshake` or `keep_alive`.
            now: Nanoseconds.
            timestamp: The time of day for a ping, in milliseconds.
            wait: How long its pong may take; as configured if None.
            patient: Whether to go on pinging, however many pings have gone unanswered.
        """
        if kind == "handshake":
            return self.hangup("timeout")
        if self.touched >= self._pinged or not self._attempts:
            self._attempts = 0
            if now - self.touched < self._idle:
                return [self._wait_idle()]
        if self._attempts >= self._config.ping_attempts and not patient:
            return self.hangup("timeout")
        self._attempts += 1
        return self._ping(now, timestamp, self._config.ping_timeout if wait is None else wait)

    def check(self, now: int, timestamp: int) -> list[Effect]:
        """Ping at once, and take it for an answer if nothing comes for a while.

        Args:
            now: Nanoseconds.
            timestamp: The time of day for the ping, in milliseconds.
        """
        if self.phase is not Phase.READY:
            return []
        self._attempts = self._config.ping_attempts
        return self._ping(now, timestamp, self._config.check_timeout)

    def probe(self, now: int, timestamp: int, wait: int) -> list[Effect]:
        """Ping now rather than after a silence, unless a ping is under way.

        Args:
            now: Nanoseconds.
            timestamp: The time of day for the ping, in milliseconds.
            wait: How long its pong may take.
        """
        if self.phase is not Phase.READY or (self._attempts and self.touched < self._pinged):
            return []
        self._attempts = 1
        return self._ping(now, timestamp, wait)

    def excuse(self) -> None:
        """Take back the last ping's failure: whoever waited for it was late itself."""
        self._attempts = max(self._attempts - 1, 0)

    def _ping(self, now: int, timestamp: int, wait: int) -> list[Effect]:
        self._pinged = now
        reference = self._reference()
        if len(self._pings) >= self._config.ping_attempts:
            del self._pings[next(iter(self._pings))]
        self._pings[exact(reference)] = now
        return [
            Write(self.number, Ping(self._own, reference, timestamp)),
            self._keep_alive(now + wait),
        ]

    def hangup(self, reason: str) -> list[Effect]:
        """End the connection from our side."""
        return [*self.closed(reason), Hangup(self.number, reason)]

    def closed(self, reason: str) -> list[Effect]:
        """The connection is gone."""
        was, self.phase, self.reason = self.phase, Phase.CLOSED, reason
        if was is Phase.DIALLING:
            return []
        kind = "keep_alive" if was is Phase.READY else "handshake"
        return [CancelTimer(self._timer(kind))]

    # --- handshake ---

    def _greeted(self, hello: Hello) -> list[Effect]:
        if hello.node != self.peer:
            return self.hangup("protocol_error")  # another node listens where this peer should
        self.phase = Phase.JOINING
        return [Write(self.number, ClientHello(self._own, self.channel or UNDEFINED))]

    def _heard(self, hello: ClientHello, now: int, state: Callable[[], Term]) -> list[Effect]:
        if hello.node == self._own:
            return self.hangup("refused")  # we dialled ourselves, or two nodes have one name
        self.peer = hello.node
        self.channel = hello.channel
        return [Write(self.number, State(self._tag, state())), *self._ready(now)]

    def _ready(self, now: int) -> list[Effect]:
        self.phase = Phase.READY
        self.touched = now
        return [CancelTimer(self._timer("handshake")), self._wait_idle()]

    # --- keep-alive ---

    @property
    def _idle(self) -> int:
        # The side that was dialled waits longer, so that the two do not ping at the same time.
        idle = self._config.idle_timeout
        return idle if self.dialled else idle + idle // 4

    def _wait_idle(self) -> SetTimer:
        return self._keep_alive(self.touched + self._idle)

    def _keep_alive(self, at: int) -> SetTimer:
        self.due = at
        return SetTimer(self._timer("keep_alive"), at)

    def _answered(self, pong: Pong, now: int) -> list[Effect]:
        if pong.node != self.peer:
            return []
        sent = self._pings.pop(exact(pong.id), None)
        if sent is None:
            return []
        return [Heartbeat(self.number, now - sent)]

    def _timer(self, kind: str) -> TimerKey:
        return TimerKey(kind, self.number)
