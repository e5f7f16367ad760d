# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Literal

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Custom, Overlay
from heliograph.partisan.protocol.overlay.star import ClientServer, Static
from heliograph.partisan.wire import Atom, TermMap, decode, encode
from heliograph.partisan.wire.messages import Message, Ping
from tests.partisan.protocol.overlay.pool import SECOND, sent, spec, told

ME = spec(0)
CLIENT, SERVER = Atom("client"), Atom("server")


def star(tag: Literal["client", "server"], *, introduce: bool = True) -> ClientServer:
    return ClientServer(ME, tag, introduce=introduce)


def test_a_list_is_connected_to_from_the_start_and_tried_again() -> None:
    static = Static(ME, [ME, spec(1), spec(2)])

    started = static.handle(on.Start(), 0)
    met = static.handle(on.Met(spec(1).name), 0)
    again = static.handle(on.Fired("retry"), SECOND)

    assert started == [on.SetTimer("retry", 10 * SECOND), on.Connect((spec(1), spec(2)))]
    assert told(met) == [(spec(1).name, "up")]
    assert static.handle(on.Met(spec(1).name), 0) == []
    assert again == [on.SetTimer("retry", 11 * SECOND), on.Connect((spec(2),))]


def test_a_neighbor_that_is_lost_is_wanted_still() -> None:
    static = Static(ME, [spec(1)])
    static.handle(on.Met(spec(1).name), 0)

    assert told(static.handle(on.Lost(spec(1).name, "closed"), 0)) == [(spec(1).name, "closed")]
    assert static.handle(on.Lost(spec(1).name, "closed"), 0) == []
    assert static.handle(on.Fired("retry"), 0)[1:] == [on.Connect((spec(1),))]


def test_strangers_are_no_neighbors() -> None:
    static = Static(ME, [spec(1)])

    assert static.handle(on.Met(spec(9).name), 0) == []
    assert static.handle(on.Received(spec(9).name, Ping(Atom("n"), 1, 2)), 0) == []
    assert static.handle(on.Fired("other"), 0) == []


@pytest.mark.parametrize(
    "overlay", [Static(ME), ClientServer(ME, "server")], ids=["static", "star"]
)
def test_the_list_can_be_changed(overlay: Overlay) -> None:
    assert overlay.handle(on.Join(ME), 0) == []
    assert overlay.handle(on.Join(spec(1)), 0) == [on.Connect((spec(1),))]
    overlay.handle(on.Met(spec(1).name, SERVER), 0)
    assert overlay.handle(on.Start(), 0) == [on.SetTimer("retry", 10 * SECOND)]

    effects = overlay.handle(on.Leave(spec(1)), 0)

    assert told(effects) == [(spec(1).name, "leave")]
    assert on.Hangup(spec(1).name, "leave") in effects
    assert overlay.handle(on.Leave(), 0) == [on.CancelTimer("retry"), on.Left()]


def test_who_leaves_hangs_up_on_all() -> None:
    static = Static(ME, [spec(1), spec(2)])
    static.handle(on.Met(spec(1).name), 0)

    effects = static.handle(on.Leave(ME), 0)

    assert told(effects) == [(spec(1).name, "leave")]
    assert [e.peer for e in effects if isinstance(e, on.Hangup)] == [spec(1).name, spec(2).name]


def test_a_client_has_its_server_for_a_neighbor_and_tells_it_who_it_is() -> None:
    client = star("client")
    client.handle(on.Join(spec(1)), 0)

    effects = client.handle(on.Met(spec(1).name, SERVER), 0)

    assert told(effects) == [(spec(1).name, "up")]
    assert effects[-1] == on.Send((spec(1),), Custom((CLIENT, ME.term())))
    assert client.handle(on.Met(spec(1).name, SERVER), 0) == []


def test_a_client_need_not_tell() -> None:
    client = star("client", introduce=False)
    client.handle(on.Join(spec(1)), 0)

    assert sent(client.handle(on.Met(spec(1).name, SERVER), 0)) == []


def test_clients_have_nothing_to_say_to_each_other() -> None:
    client = star("client")
    client.handle(on.Join(spec(1)), 0)

    effects = client.handle(on.Met(spec(1).name, CLIENT), 0)

    assert effects == [on.Hangup(spec(1).name, "leave")]
    assert client.handle(on.Met(spec(1).name, CLIENT), 0) == []


def test_a_server_dials_back_the_client_that_told_it_who_it_is() -> None:
    server = star("server")

    dialled = server.handle(on.Received(spec(1).name, Custom((CLIENT, spec(1).term()))), 0)
    met = server.handle(on.Met(spec(1).name, CLIENT), 0)

    assert dialled == [on.Connect((spec(1),))]
    assert told(met) == [(spec(1).name, "up")]
    assert sent(met) == []


@pytest.mark.parametrize(
    ("tag", "sender", "message"),
    [
        ("client", 1, Custom((CLIENT, spec(1).term()))),
        ("server", 2, Custom((CLIENT, spec(1).term()))),
        ("server", None, Custom((CLIENT, spec(1).term()))),
        ("server", 1, Custom((CLIENT, 7))),
        ("server", 1, Custom(7)),
        ("server", 1, Ping(Atom("n"), 1, 2)),
    ],
    ids=["to a client", "forged", "unknown", "no spec", "no tuple", "no custom"],
)
def test_other_messages_make_no_neighbor(
    tag: Literal["client", "server"], sender: int | None, message: Message
) -> None:
    peer = None if sender is None else spec(sender).name

    assert star(tag).handle(on.Received(peer, message), 0) == []


def test_a_server_that_loses_a_client_or_a_timer_does_as_others() -> None:
    server = star("server")
    server.handle(on.Join(spec(1)), 0)
    server.handle(on.Met(spec(1).name, CLIENT), 0)

    assert told(server.handle(on.Lost(spec(1).name), 0)) == [(spec(1).name, "failure")]
    assert server.handle(on.Fired("other"), 0) == []
    assert server.handle(on.Fired("retry"), 0)[1:] == [on.Connect((spec(1),))]


def test_the_state_is_what_the_original_tells() -> None:
    client = star("client")
    client.handle(on.Join(spec(1)), 0)
    client.handle(on.Met(spec(1).name, SERVER), 0)

    state = decode(encode(client.state()))

    assert isinstance(state, TermMap)
    assert [*state] == [ME.term(), spec(1).term()]
    assert client.tag == "client"
