# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from heliograph.partisan.errors import NotConnectedError
from heliograph.partisan.protocol import ProtocolConfig, inputs
from heliograph.partisan.protocol.effects import CallRequested, Deliver, Monitored
from heliograph.partisan.wire import Atom, Term
from heliograph.partisan.wire.messages import (
    UNDEFINED,
    Demonitor,
    Down,
    Forward,
    Message,
    Monitor,
    Reply,
    RpcCall,
    RpcResponse,
)
from heliograph.partisan.wire.refs import RefFormat, RemoteRef
from tests.partisan.protocol.playing import DATA, N1, N2, S1, S2, Play, members, of, written

BOTH = members(S1, S2)
HERE = RemoteRef(N1, "pid", "0.9.0")
THERE = RemoteRef(N2, "pid", "0.8.0")
TAG = RemoteRef(N2, "ref", "0.1.2.3", alias=True).term()
FROM = (THERE.term(), TAG)
KILLED = Atom("killed")


def play(config: ProtocolConfig | None = None) -> Play:
    node = Play(known=BOTH, config=config)
    node.connect_all(N2)
    node.core.remote.processes.add("0.9.0")
    return node


def replies(node: Play, message: Message) -> list[Any]:
    """Return what a node answers to a call of the process there."""
    effects = node.hear(node.accept(N2), message)
    answers = []
    for each in written(effects):
        if isinstance(each, Forward):
            assert each.to == THERE.target.term()
            assert isinstance(each.message, tuple)
            tag, answer = each.message
            assert tag == TAG
            answers.append(answer)
    return answers


class TestMonitorsOfOthers:
    def test_the_end_of_a_process_is_told_where_the_monitor_asked_for(self) -> None:
        node = play()
        options: list[Term] = [Atom("odd"), (Atom("channel"), DATA)]

        ((ok, reference),) = replies(node, Monitor(FROM, HERE.term(), options))
        assert ok == "ok"
        assert len(node.core.remote) == 1
        effects = node.do(inputs.EndProcess("0.9.0", KILLED))

        down = Down(reference, Atom("process"), HERE.term(), KILLED)
        assert written(effects, node.core.route(N2, DATA)[0]) == [down]
        assert node.do(inputs.EndProcess("0.9.0", KILLED)) == []

    def test_a_monitor_can_be_ended(self) -> None:
        node = play()
        ((_, reference),) = replies(node, Monitor(FROM, HERE.term(), []))

        assert replies(node, Demonitor(FROM, reference, [])) == [(Atom("ok"), True)]
        assert node.do(inputs.EndProcess("0.9.0", KILLED)) == []

    @pytest.mark.parametrize("form", ["improper_list", "tuple", "uri"])
    def test_names_are_monitored_too_in_any_format(self, form: RefFormat) -> None:
        node = play(ProtocolConfig(reference_format=form))
        node.core.remote.processes.add("sink")
        target = RemoteRef(N1, "name", "sink").term(form)

        ((ok, reference),) = replies(node, Monitor(FROM, target, []))

        assert ok == "ok"
        assert RemoteRef.parse(reference).term(form) == reference

    @pytest.mark.parametrize(
        "target",
        [
            RemoteRef(N1, "name", "nobody").term(),
            RemoteRef(N2, "pid", "0.9.0").term(),
            Atom("sink"),
        ],
    )
    def test_what_is_no_process_here_is_a_bad_argument(self, target: Term) -> None:
        assert replies(play(), Monitor(FROM, target, [])) == [(Atom("error"), Atom("badarg"))]

    def test_a_process_that_has_ended_is_told_at_once(self) -> None:
        node = play()
        target = RemoteRef(N1, "pid", "0.7.0").term()

        effects = node.hear(node.accept(N2), Monitor(FROM, target, []))

        answer, down = written(effects)
        assert isinstance(answer, Forward)
        assert isinstance(down, Down)
        assert answer.message == Reply(TAG, (Atom("ok"), down.reference)).term()
        assert down.reason == "noproc"

    def test_there_is_a_limit(self) -> None:
        node = play(ProtocolConfig(monitors=1))
        replies(node, Monitor(FROM, HERE.term(), []))

        limit = (Atom("error"), Atom("system_limit"))
        assert replies(node, Monitor(FROM, HERE.term(), [])) == [limit]

    def test_they_end_with_the_connection(self) -> None:
        node = play()
        replies(node, Monitor(FROM, HERE.term(), []))
        for numbers in list(node.core.routes.values()):
            for number in numbers:
                node.do(inputs.Disconnected(number, "failure"))

        assert len(node.core.remote) == 0

    @pytest.mark.parametrize(
        "message",
        [
            Monitor(Atom("nobody"), HERE.term(), []),
            Monitor((Atom("nobody"), TAG), HERE.term(), []),
            Demonitor((Atom("nobody"), TAG), TAG, []),
            RpcCall(Atom("m"), Atom("f"), [], 5_000, Atom("nobody")),
            RpcCall(Atom("m"), Atom("f"), [], 5_000, (Atom("origin"), Atom("nobody"))),
            Down(TAG, Atom("process"), HERE.term(), KILLED),
        ],
    )
    def test_who_says_not_who_asks_gets_no_answer(self, message: Message) -> None:
        node = play()

        assert node.hear(node.accept(N2), message) == []


class TestOwnMonitors:
    def ask(self, node: Play, channel: Atom | None = None) -> Term:
        """Ask for a monitor and return the tag that the answer needs."""
        (asked,) = written(node.do(inputs.Monitor(N2, HERE.term(), THERE.term(), channel)))
        assert isinstance(asked, Monitor)
        assert asked.target == THERE.term()
        assert asked.options == ([] if channel is None else [(Atom("channel"), channel)])
        assert isinstance(asked.caller, tuple)
        caller, tag = asked.caller
        assert caller == HERE.term()
        return tag

    def answer(self, node: Play, tag: Term, answer: Term) -> list[Monitored]:
        reply = Forward(HERE.target.term(), Reply(tag, answer).term())
        return of(Monitored, node.hear(node.accept(N2), reply))

    def test_the_end_of_the_process_is_told(self) -> None:
        node = play()
        tag = self.ask(node, DATA)

        held = Monitored(N2, HERE.term(), THERE.term(), TAG)
        assert self.answer(node, tag, (Atom("ok"), TAG)) == [held]
        effects = node.hear(node.accept(N2), Down(TAG, Atom("process"), THERE.term(), KILLED))

        notice = (Atom("DOWN"), TAG, Atom("process"), THERE.term(), KILLED)
        assert effects == [Deliver(HERE.term(), notice, N2)]
        assert len(node.core.remote) == 0

    def test_there_may_be_no_such_process(self) -> None:
        node = play()

        answered = self.answer(node, self.ask(node), (Atom("error"), Atom("badarg")))

        assert answered == [Monitored(N2, HERE.term(), THERE.term(), None)]

    def test_a_monitor_can_be_ended(self) -> None:
        node = play()
        self.answer(node, self.ask(node), (Atom("ok"), TAG))

        (asked,) = written(node.do(inputs.Demonitor(N2, HERE.term(), TAG)))

        assert isinstance(asked, Demonitor)
        assert (asked.reference, asked.options) == (TAG, [Atom("flush")])
        assert len(node.core.remote) == 0

    def test_with_the_last_connection_all_end(self) -> None:
        node = play()
        self.answer(node, self.ask(node), (Atom("ok"), TAG))
        self.ask(node)
        effects = []
        for numbers in list(node.core.routes.values()):
            for number in numbers:
                effects += node.do(inputs.Disconnected(number, "failure"))

        notice = (Atom("DOWN"), TAG, Atom("process"), THERE.term(), Atom("noconnection"))
        assert of(Deliver, effects) == [Deliver(HERE.term(), notice, N2)]
        assert of(Monitored, effects) == [Monitored(N2, HERE.term(), THERE.term(), None)]

    def test_another_message_of_two_elements_is_for_its_process(self) -> None:
        node = play()
        self.ask(node)

        effects = node.hear(node.accept(N2), Forward(HERE.target.term(), (1, 2)))

        assert effects == [Deliver(HERE.target.term(), (1, 2), N2)]


class TestCalls:
    def test_a_call_says_whom_to_answer(self) -> None:
        node = play()
        call = inputs.Call(N2, HERE.term(), Atom("erlang"), Atom("abs"), [-5], 1_000)

        (asked,) = written(node.do(call))

        origin = (Atom("origin"), HERE.term())
        assert asked == RpcCall(Atom("erlang"), Atom("abs"), [-5], 1_000, origin)
        response = RpcResponse(5).term()
        effects = node.hear(node.accept(N2), Forward(HERE.target.term(), response))
        assert effects == [Deliver(HERE.target.term(), response, N2)]

    def test_a_call_of_another_is_answered_by_the_application(self) -> None:
        node = play()
        call = RpcCall(Atom("m"), Atom("f"), [1], 5_000, (Atom("origin"), THERE.term()))

        (asked,) = of(CallRequested, node.hear(node.accept(N2), call))
        assert (asked.peer, asked.module, asked.function) == (N2, "m", "f")
        assert (asked.arguments, asked.timeout_ms, asked.channel) == ([1], 5_000, UNDEFINED)
        effects = node.do(inputs.AnswerCall(asked.peer, asked.caller, 2, asked.channel))

        assert written(effects) == [Forward(THERE.target.term(), RpcResponse(2).term())]

    def test_nobody_is_asked_without_a_connection(self) -> None:
        node = Play(known=BOTH)

        with pytest.raises(NotConnectedError):
            node.do(inputs.Call(N2, HERE.term(), Atom("m"), Atom("f"), []))
        with pytest.raises(NotConnectedError):
            node.do(inputs.Monitor(N2, HERE.term(), THERE.term()))


def test_no_reference_is_made_twice() -> None:
    node = play()
    made = [RemoteRef.parse(node.core.reference()).id for _ in range(100)]

    assert len(set(made)) == 100
