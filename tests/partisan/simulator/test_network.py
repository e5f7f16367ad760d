# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.partisan.protocol import NodeCore, OrSet, inputs
from heliograph.partisan.protocol.delivery import Delivery
from heliograph.partisan.protocol.streams import OutgoingStream, Verdict
from heliograph.partisan.simulator import Network, Weather, run_schedule
from heliograph.partisan.wire import Atom
from tests.partisan.protocol.playing import N1, N2, N3, S1, S2, S3, SECOND, SINK, spec


def cluster(weather: Weather | None = None) -> Network:
    network = Network(1, weather)
    for each in (S1, S2, S3):
        network.start(each)
    for name in (N2, N3):
        network.tell(name, inputs.Join(N1, S1.listen_addrs))
    network.run(5 * SECOND)
    return network


def send(network: Network, sender: Atom, receiver: Atom, message: object) -> bool:
    return network.tell(sender, inputs.Send(receiver, SINK, message, ack=True))


def contents(network: Network, name: Atom) -> list[object]:
    return [content for _, _, content in network.nodes[name].received]


class TestClusters:
    def test_nodes_that_join_one_know_each_other(self) -> None:
        network = cluster()

        assert [network.nodes[name].members for name in (N1, N2, N3)] == [[N1, N2, N3]] * 3

    def test_how_many_states_are_remembered_makes_no_difference(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("heliograph.partisan.simulator.network._STATES", 1)

        assert [cluster().nodes[name].members for name in (N1, N2, N3)] == [[N1, N2, N3]] * 3

    def test_messages_wait_for_a_node_that_crashed(self) -> None:
        network = cluster()
        network.crash(N2)
        assert send(network, N1, N2, "early")
        network.run(SECOND)
        network.start(S2)
        network.run(20 * SECOND)

        assert network.nodes[N2].received == [(2, N1, "early")]

    def test_they_wait_for_one_whose_end_nobody_noticed_too(self) -> None:
        network = cluster(Weather(half_open=1.0))
        network.crash(N2)
        assert send(network, N1, N2, "early")
        network.run(200 * SECOND)
        network.start(S2)
        network.run(20 * SECOND)

        assert contents(network, N2) == ["early"]

    def test_they_wait_for_the_end_of_a_partition(self) -> None:
        network = cluster()
        network.partition([N1], [N2, N3])
        assert send(network, N1, N2, "held back")
        assert send(network, N3, N2, "near")
        network.run(30 * SECOND)
        assert contents(network, N2) == ["near"]

        network.heal()
        network.run(20 * SECOND)
        assert contents(network, N2) == ["near", "held back"]

    def test_what_is_on_its_way_when_a_partition_comes_arrives_after_it(self) -> None:
        network = cluster()
        assert send(network, N1, N2, "on its way")
        network.partition([N1], [N2, N3])
        network.run(SECOND // 2)
        assert contents(network, N2) == []

        network.heal()
        network.run(SECOND // 4)
        assert contents(network, N2) == ["on its way"]

    def test_a_stopped_node_is_a_member_still(self) -> None:
        network = cluster()
        network.stop(N3)
        network.run(5 * SECOND)

        assert network.nodes[N1].members == [N1, N2, N3]
        assert not network.tell(N3, inputs.Leave())
        network.cut(0)
        network.run(30 * SECOND)
        assert network.nodes[N1].members == [N1, N2, N3]

    def test_a_node_without_memory_starts_alone(self) -> None:
        network = cluster()
        network.crash(N3)
        network.start(spec("n3", 10_099), remember=False)

        assert network.nodes[N3].members == [N3]

    def test_who_removes_another_while_cut_off_is_believed_later(self) -> None:
        network = cluster()
        network.partition([N3], [N1, N2])
        network.tell(N1, inputs.Leave(N3))
        network.run(20 * SECOND)
        assert network.nodes[N3].members == [N1, N2, N3]

        network.heal()
        network.run(200 * SECOND)
        assert network.nodes[N3].members == [N3]
        assert network.nodes[N3].left == 1

    def test_nothing_is_cut_where_nothing_is(self) -> None:
        network = Network(1)
        network.cut(5)
        network.run(SECOND)

        assert network.now == SECOND

    def test_a_node_refuses_what_cannot_be(self) -> None:
        network = Network(1)
        network.start(S1)

        assert not send(network, N1, N2, "to a stranger")


class TestTheChecks:
    """A broken protocol is found out."""

    def violations(self) -> str:
        return "\n".join(each for seed in range(15) for each in run_schedule(seed).violations)

    def test_of_duplicates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Delivery, "accept", lambda *_: Verdict.DELIVER)

        assert " twice" in self.violations()

    def test_of_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resend = OutgoingStream.resend

        def backwards(stream: OutgoingStream[object], now: int) -> list[tuple[int, object]]:
            return resend(stream, now)[::-1]

        monkeypatch.setattr(OutgoingStream, "resend", backwards)
        monkeypatch.setattr(Delivery, "accept", lambda *_: Verdict.DELIVER)

        assert " after number " in self.violations()

    def test_of_losses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        accept = Delivery.accept

        def lossy(delivery: Delivery[object], *message: object) -> Verdict:
            verdict = accept(delivery, *message)  # type: ignore[arg-type]
            return Verdict.DUPLICATE if verdict is Verdict.DELIVER else verdict

        monkeypatch.setattr(Delivery, "accept", lossy)

        assert "was acknowledged and never delivered" in self.violations()

    def test_of_messages_that_wait_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Delivery, "acknowledgements", lambda _: [])

        assert "messages from n" in self.violations()

    def test_of_members(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(NodeCore, "_gossip", lambda *_: [])

        assert " at 10001, n2@127.0.0.1 " in self.violations()

    def test_of_joins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(NodeCore, "_join", lambda *_: [])

        assert " at 10001 only" in self.violations()

    def test_of_former_selves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(OrSet, "remove", lambda members, _: members)

        assert "sees somebody twice" in self.violations()
