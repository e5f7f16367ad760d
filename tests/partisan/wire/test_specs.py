# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from heliograph.partisan.wire import Atom, ChannelSpec, ListenAddr, NodeSpec, Term, same

IP, PORT = Atom("ip"), Atom("port")
PARALLELISM, MONOTONIC, COMPRESSION = Atom("parallelism"), Atom("monotonic"), Atom("compression")


def spec_term(**changes: Term) -> Term:
    channels = {Atom("data"): {PARALLELISM: 4, COMPRESSION: 9, Atom("colour"): Atom("red")}}
    term: dict[Term, Term] = {
        Atom("channels"): channels,
        Atom("listen_addrs"): [{IP: (127, 0, 0, 1), PORT: 10200}],
        Atom("name"): Atom("n1@127.0.0.1"),
    }
    return term | {Atom(key): value for key, value in changes.items()}


def test_a_specification_is_kept_as_it_came() -> None:
    term = spec_term(weight=[1])

    spec = NodeSpec.parse(term)

    assert spec.name == "n1@127.0.0.1"
    assert spec.listen_addrs == (ListenAddr("127.0.0.1", 10200),)
    data = ChannelSpec(Atom("data"), 4, None, 9, ((Atom("colour"), Atom("red")),))
    assert spec.channels == (data,)
    assert spec.channel("data") is spec.channels[0]
    assert spec.channel("bulk") is None
    assert spec.extra == ((Atom("weight"), [1]),)
    assert same(spec.term(), term)


def test_specifications_are_equal_if_they_are_the_same_term() -> None:
    one = NodeSpec.parse(spec_term())

    assert one == NodeSpec.parse(spec_term())
    assert hash(one) == hash(NodeSpec.parse(spec_term()))
    assert one != NodeSpec.parse(spec_term(weight=1))
    assert one != one.term()
    channels = [
        {Atom("data"): {COMPRESSION: compression}} for compression in (True, 1)
    ]  # equal in Python
    assert NodeSpec.parse(spec_term(channels=channels[0])) != NodeSpec.parse(
        spec_term(channels=channels[1])
    )


def test_channels_are_in_the_order_of_their_names() -> None:
    names = [Atom("undefined"), Atom("bulk"), Atom("data")]
    spec = NodeSpec(Atom("n"), (), tuple(map(ChannelSpec, names)))

    assert [each.name for each in spec.channels] == ["bulk", "data", "undefined"]


def test_a_channel_says_only_what_is_given() -> None:
    assert ChannelSpec(Atom("a")).term() == {
        PARALLELISM: 1, MONOTONIC: False, COMPRESSION: False,
    }  # fmt: skip
    bare = ChannelSpec(Atom("a"), None, None, None)
    assert bare.term() == {}
    assert ChannelSpec.parse(Atom("a"), {}) == bare


def test_addresses_are_of_either_kind() -> None:
    six = ListenAddr("0:0::1", 10200)

    assert str(six) == "[::1]:10200"
    assert six.term() == {IP: (0, 0, 0, 0, 0, 0, 0, 1), PORT: 10200}
    assert ListenAddr.parse(six.term()) == six
    assert str(ListenAddr("127.0.0.1", 10200)) == "127.0.0.1:10200"


@pytest.mark.parametrize(
    "term",
    [
        1,
        {},
        {IP: (127, 0, 0, 1)},
        {IP: (127, 0, 0, 1), PORT: 1, Atom("more"): 1},
        {IP: (127, 0, 0), PORT: 1},
        {IP: (127, 0, 0, 256), PORT: 1},
        {IP: (127, 0, 0, -1), PORT: 1},
        {IP: (127, 0, 0, True), PORT: 1},
        {IP: (0, 0, 0, 0, 0, 0, 0, 65536), PORT: 1},
        {IP: (127, 0, 0, 1), PORT: 0},
        {IP: (127, 0, 0, 1), PORT: 65536},
        {IP: (127, 0, 0, 1), PORT: True},
        {IP: [127, 0, 0, 1], PORT: 1},
    ],
    ids=str,
)
def test_what_is_no_address_is_refused(term: Term) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        ListenAddr.parse(term)
    with pytest.raises(ValueError, match=r"address|port"):
        NodeSpec.parse(spec_term(listen_addrs=[term]))


@pytest.mark.parametrize(
    "options",
    [
        [],
        {PARALLELISM: 0},
        {PARALLELISM: True},
        {PARALLELISM: Atom("many")},
        {MONOTONIC: 1},
        {COMPRESSION: Atom("high")},
        {COMPRESSION: 1.5},
    ],
    ids=str,
)
def test_what_is_no_channel_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="channel"):
        NodeSpec.parse(spec_term(channels={Atom("data"): options}))


def test_a_channel_is_named_by_an_atom() -> None:
    with pytest.raises(ValueError, match="a channel is no atom"):
        NodeSpec.parse(spec_term(channels={b"data": {}}))


@pytest.mark.parametrize(
    "term",
    [
        1,
        {},
        spec_term(name=b"n1"),
        spec_term(name=True),
        spec_term(listen_addrs={}),
        spec_term(channels=[]),
    ],
    ids=map(str, range(6)),
)
def test_what_is_no_specification_is_refused(term: Term) -> None:
    with pytest.raises(ValueError, match="no map of name, addresses, channels"):
        NodeSpec.parse(term)
