# SPDX-License-Identifier: Apache-2.0
"""Our node in the place of one whose partial view, SCAMP's of either version, was recorded.

What a node decides by chance, it decides as was recorded: a subscription that came is kept or
passed on when the frame that says so is due, and each does so once. A timer fires, an application
joins or has a node leave when that shows. All this ours must then send, and nothing else.

What the original sends, does not send or forgets by its faults is received, not reproduced. Beside
our node, the view of the original is kept as it has it, for what they let it send, and no more:

*   It is in its own view, and chosen, too: what it tells itself, and what it tells whom it is not
    connected to, is lost. Chance then chooses nobody here.
*   A node whose subscription it has kept, or that was gone and is connected again, it takes for a
    contact: it subscribes there, tells all of its view of that node, and (version 2) has the node
    once more in its view. Whom it has twice, it pings twice, and tells twice who leaves.
*   Who is gone stays in its view, and is written to once it is connected again.
*   It subscribes again a tenth of a second after the last ping, since it takes milliseconds for
    microseconds: that is a setting of ours, so ours does so, too.
*   Version 2: who leaves, or is to leave, begins anew before those that have it are told, or at an
    error. Version 1: so does who is told that a node of its view has left, and tells nobody.

A node that ends all its own connections has begun anew: it left, was killed, or broke. Frames of
different connections may have passed the recorder in another order than they were sent or heeded,
if that was within a moment. Where a frame has several explanations, one must fit all that follows.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.scamp import ScampV1, ScampV2
from heliograph.partisan.wire import Atom, Term, decode, encode, same
from heliograph.partisan.wire.messages import (
    Ack,
    AckedForward,
    BootstrapRemoveSubscription,
    Forward,
    ForwardSubscription,
    KeepSubscription,
    Message,
    RemoveSubscription,
    ReplaceSubscription,
    RpcCall,
    RpcResponse,
    ScampPing,
    parse,
    parse_payload,
)
from tests.partisan.overlay_player import MOMENT
from tests.partisan.recorded import Failure, Record
from tests.partisan.scamp_original import BLOCKED, NEVER
from tests.partisan.scamp_scene import HALF, ScampScene

__all__ = ["SCAMP", "ScampV1Player", "ScampV2Player"]

SCAMP = (
    ForwardSubscription,
    KeepSubscription,
    RemoveSubscription,
    ReplaceSubscription,
    BootstrapRemoveSubscription,
    ScampPing,
)
_Removal = RemoveSubscription | BootstrapRemoveSubscription | ReplaceSubscription


class ScampV1Player(ScampScene):
    """Our node in the place of one that was recorded."""

    kind: type[ScampV1 | ScampV2] = ScampV1
    views: tuple[int, ...] = (2,)
    copies = 5
    """Of whom it knows so many, it tells all twice of a contact."""
    silent = True
    """Whether a subscription is kept without a word."""

    # --- what it hears ---

    def listen(self, record: Record, message: Message) -> None:
        match message:
            case ForwardSubscription(spec):
                self.original.came[spec.name].append((record, message))
            case ScampPing():
                self.original.heard.append(record)
            case KeepSubscription():
                self.owe(record, self.do_(on.Received(record.sender, message)))
            case message if isinstance(message, _Removal):
                self.original.removal(message)
                sent = self.do_(on.Received(record.sender, message))
                self.owe(record, sent, sure=False)  # the original begins anew instead
            case AckedForward(_, clock):
                self.owed.append(decode(encode(Ack(clock).term())))
            case RpcCall():
                self.answers += 1
            case _:
                pass  # an application's

    def dials(self, record: Record) -> None:
        """Infer from a connection that the node has kept whom it connects to."""
        peer = record.server
        self.hand = record
        new = record.client == self.name and record.connection not in self.connections
        unknown = peer not in self.original.view and self.original.first(peer) is not None
        if new and unknown and self.silent and not self.choose(2):
            self._knows(peer)

    # --- why it says something ---

    def say(self, record: Record, message: Message) -> None:
        original = self.original
        self.hand = record
        if self.paid(record):
            if isinstance(message, ScampPing):
                original.pinged[record.server] += 1
            elif isinstance(message, _Removal):
                original.expelled[record.server] += 1
            return
        match message:
            case ForwardSubscription(spec) if spec.name == self.name:
                self._own(record, message)
            case ForwardSubscription():
                self._another(record, message)
            case KeepSubscription():
                self._keep(record)
            case ScampPing() if message.spec == self.specs[self.name]:
                self._ping(record)
            case RemoveSubscription() | BootstrapRemoveSubscription():
                self._expel(record, message)
            case Ack():
                self._acknowledge(record)
            case Forward() | AckedForward() | RpcCall():
                self._application(record, message)
            case _:
                raise self.nothing(record)

    def _acknowledge(self, record: Record) -> None:
        for at, each in enumerate(self.owed):
            if same(record.term(), each):
                del self.owed[at]
                self.compared += 1
                return
        raise self.nothing(record)

    def _application(self, record: Record, message: Message) -> None:
        """Send what an application does, or the answer to its call."""
        if isinstance(message, Forward) and isinstance(parse_payload(message.message), RpcResponse):
            if not self.answers:
                raise self.nothing(record)
            self.answers -= 1
        if not same(record.term(), decode(encode(message.term()))):
            raise Failure(f"line {record.line}: our node would say it otherwise")
        self.compared += 1

    def _by_fault(self, record: Record, of: Atom) -> None:
        """Let the original tell of somebody by a fault, as often as that lets it."""
        told = ForwardSubscription(self.specs[of]).term()
        allowed = self.original.may_tell(of, record.server, record.time)
        if not allowed or not same(record.term(), told):
            raise self.nothing(record)
        self.original.more[of, record.server] -= 1
        self.faults += 1

    # --- subscriptions of others ---

    def _another(self, record: Record, message: ForwardSubscription) -> None:
        """Pass a subscription on that came, or tell what the original tells of a contact."""
        original, name, peer = self.original, message.spec.name, record.server
        by_fault = original.may_tell(name, peer, record.time)
        if by_fault and record.time - original.more_since < MOMENT:
            self._by_fault(record, name)
            return
        came = original.undecided(record, message)
        opening = self._opening(record, name)
        ways: list[Any] = []
        if came and (peer in original.view or self._may_keep(peer)):
            ways.append(self._pass)
        elif by_fault:
            ways.append(lambda *_: self._by_fault(record, name))
        if opening is not None:
            ways.append(lambda *_: self._overtaken(record, opening))
        if not ways:
            raise self.nothing(record)
        ways[self.choose(len(ways))](record, message)

    def _overtaken(self, record: Record, opening: Record) -> None:
        """Tell of a contact before it is told: that goes over another connection."""
        message = cast("ForwardSubscription", opening.message())
        self._own(opening, message, early=True)
        if not self.paid(record):
            self._by_fault(record, opening.server)

    def _opening(self, record: Record, contact: Atom) -> Record | None:
        """Find where the node subscribes at a contact, over another connection."""
        for each in self._soon(record, contact):
            message = each.message()
            if isinstance(message, ForwardSubscription) and message.spec.name == self.name:
                return each
        return None

    def _soon(self, record: Record, peer: Atom) -> list[Record]:
        """Return what the node says to another in a moment, over other connections."""
        return [
            each
            for each in self.sent_to[peer]
            if each.line > record.line
            and each.connection != record.connection
            and each.time < record.time + MOMENT
        ]

    def _then(self, record: Record) -> Message | None:
        """Return what the node says next over the same connection, in a moment."""
        follows = self.following.get(record.line)
        if follows is None or follows.time > record.time + MOMENT:
            return None
        return follows.message()

    def _pass(self, record: Record, message: ForwardSubscription) -> None:
        self._knows(record.server)
        self.chance().falls(to=record.server)
        sent = self._decide(record, message)
        if sent:
            self._is(record, sent)
        elif self.has(record.server):
            raise self.nothing(record)
        else:
            self.faults += 1  # who is gone is told

    def _decide(self, by: Record | None, message: ForwardSubscription) -> list[tuple[Atom, Term]]:
        """Let our node hear a subscription that has come, now that shows what becomes of it."""
        ways = self.original.undecided(by, message)
        record = ways[self.choose(len(ways))]
        self.original.decide(by, record, message)
        return self.do_(on.Received(record.sender, message))

    def _is(self, record: Record, sent: list[tuple[Atom, Term]]) -> None:
        """Compare a frame with the only one that our node sends now."""
        if [to for to, _ in sent] != [record.server] or not same(record.term(), sent[0][1]):
            raise self.nothing(record)
        self.compared += 1

    # --- who is kept ---

    def _keep(self, record: Record) -> None:
        peer = record.server
        came = self.original.first(peer)
        if peer in self.original.view or came is None:
            raise self.nothing(record)
        if not self.original.undecided(record, came[1]):
            raise self.nothing(record)
        self.chance().falls(keep=True)
        self._is(record, self._decide(record, came[1]))
        self.original.enter(peer)

    def _knows(self, peer: Atom) -> bool:
        """Tell whether the original has a node in its view; it may have kept it silently."""
        if peer in self.original.view:
            return True
        came = self.original.first(peer)
        if came is None or not self._may_keep(peer):
            return False
        self.chance().falls(keep=True)
        self.owe(self.hand, self._decide(None, came[1]), sure=False)
        self.original.enter(peer)
        return True

    def _may_keep(self, peer: Atom) -> bool:
        """Tell whether a subscription may have been kept and nobody has heard of it yet.

        In version 2 it is said, but over another connection, or to whom there is none.
        """
        came = self.original.first(peer)
        if came is None or self.silent:
            return came is not None
        if any(
            isinstance(each.message(), KeepSubscription) for each in self._soon(self.hand, peer)
        ):
            return True
        time = came[0].time
        return not self.connected(peer, time) and not any(
            server == peer and time - MOMENT < self.opened[number] < time + BLOCKED
            for number, server in self.dialled.items()
        )

    # --- subscriptions of its own ---

    def _own(self, record: Record, message: ForwardSubscription, *, early: bool = False) -> None:
        """Subscribe with a contact, or again after a silence; or pass it on as any other.

        Args:
            record: The frame.
            message: What it says.
            early: It is not its turn; but ours has a contact now.
        """
        original, peer = self.original, record.server
        if not early and original.may_tell(self.name, peer, record.time):
            self._by_fault(record, self.name)
            return
        then = self._then(record)
        met = record.time < original.met.get(peer, NEVER) + BLOCKED
        known = peer in original.view
        knowable = known or self._may_keep(peer)
        ways: list[Any] = []
        if known and isinstance(then, ScampPing) and not early:
            ways.append(self._after_silence)
        if (
            met
            and knowable
            and (peer in original.contacts or not known)
            and isinstance(then, ForwardSubscription)
            and then.spec.name == peer
        ):
            ways.append(self._contact_again)
        if met and not known:
            ways.append(self._contact)
        if knowable and original.undecided(record, message) and not early:
            ways.append(self._pass)
        if known and then is None and record.time > self.last - MOMENT and not early:
            ways.append(self._after_silence)
        if not ways:
            raise self.nothing(record)
        way = ways[self.choose(len(ways))]
        way(record, message)
        if not early and way != self._pass and not self.paid(record):
            self._by_fault(record, self.name)

    def _after_silence(self, record: Record, message: ForwardSubscription) -> None:
        self._period(record, record.server)
        if not self.has(record.server):
            self.original.more[self.name, record.server] += 1  # who is gone
            self.original.more_since = record.time

    def _contact(self, record: Record, message: ForwardSubscription) -> None:
        """Let the application join a contact, of whom our node tells its neighbors."""
        original, peer = self.original, record.server
        allowed = original.told_of(peer, self.name, self.copies)
        self.chance().falls(everybody=True)
        first, *others = self.do_(on.Join(self.specs[peer]))
        # Some are told again, and of a large view, chance decides who.
        all_ = len(original.view) <= self.copies
        sure = len(others) if all_ else len({to for to, _ in others})
        self.owe(record, [first, *others[:sure]])
        self.owe(record, others[sure:], sure=False)
        allowed.subtract((peer, to) for to, _ in others)
        original.more += +allowed
        original.joined(peer, record.time, twice=not self.silent)

    def _contact_again(self, record: Record, message: ForwardSubscription) -> None:
        """Take a node of the view for a contact, as the original does."""
        original, peer = self.original, record.server
        self._knows(peer)
        if not self.has(peer):
            self._contact(record, message)
            return
        original.more += original.told_of(peer, self.name, self.copies)
        original.more[self.name, peer] += 1
        original.joined(peer, record.time, twice=not self.silent)

    # --- periods and leaving ---

    def _period(self, record: Record, to: Atom | None) -> None:
        """Let the timer fire.

        Args:
            record: What shows it.
            to: Where our node subscribes again, since it has long heard nothing.
        """
        if record.time < self.original.fired + MOMENT and not self.renewed:
            raise Failure(f"line {record.line}: our node has pinged all only now")
        self.heed(record.time - MOMENT if to is not None else float("inf"))
        self.chance().falls(to=to)
        self.owe(record, self.do_(on.Fired("periodic")))
        self.original.period = self.original.fired = record.time
        self.original.pinged.clear()

    def _ping(self, record: Record) -> None:
        original, peer = self.original, record.server
        if not self._knows(peer):
            raise self.nothing(record)
        more = original.pinged[peer] < original.view.count(peer)
        now = record.time < original.period + HALF
        if now and more and (original.pinged[peer] or not self.has(peer)):
            self.faults += 1  # who is there twice, or is gone
        elif self.has(peer):
            before = self._subscribed(record)
            self._period(record, None if before is None or self.choose(2) else before)
            if not self.paid(record):
                raise self.nothing(record)
        else:
            original.period = record.time
            original.pinged.clear()
            self.faults += 1
        original.pinged[peer] += 1

    def _subscribed(self, record: Record) -> Atom | None:
        """Find where the node has subscribed again if a ping has overtaken that."""
        for peer in self.sent_to:
            for each in self._soon(record, peer):
                message = each.message()
                if (
                    isinstance(message, ForwardSubscription)
                    and message.spec.name == self.name
                    and isinstance(self._then(each), ScampPing)
                ):
                    return peer
        return None

    def _expel(self, record: Record, message: Any) -> None:
        original, peer, name = self.original, record.server, message.spec.name
        what = (type(message), name)
        if what == original.leaving and record.time < original.left + HALF:
            if not 0 < original.expelled[peer] < original.view.count(peer):
                raise self.nothing(record)
            self.faults += 1  # who is there twice
        else:
            for to, term in self.do_(on.Leave(message.spec)):
                # What ours says to those that have the leaver, the original does not come to.
                self.owe(record, [(to, term)], sure=isinstance(parse(term), type(message)))
            original.leaving, original.left = what, record.time
            original.expelled = Counter()
            if not self.paid(record):
                raise self.nothing(record)
            if isinstance(message, RemoveSubscription) and name != self.name:
                original.view[:] = [each for each in original.view if each != name]
        original.expelled[peer] += 1


class ScampV2Player(ScampV1Player):
    kind = ScampV2
    views = (3, 4)
    copies = 4
    silent = False
