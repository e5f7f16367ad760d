# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from heliograph.partisan.wire import Atom, NodeSpec, Term, decode, messages, same
from heliograph.partisan.wire.messages import Message, Unknown
from heliograph.partisan.wire.shapes import _SHAPES
from heliograph.partisan.wire.text import parse_term

DATA = Path(__file__).parents[2] / "data" / "partisan"
SPEC = "#{name => n, listen_addrs => [], channels => #{}}"


def recorded() -> list[Term]:
    return [
        decode(bytes.fromhex(entry["hex"]))
        for path in sorted(DATA.glob("*.jsonl"))
        if path.stem != "etf_vectors"
        for line in path.read_text(encoding="utf-8").splitlines()
        if "hex" in (entry := json.loads(line))
    ]


def test_every_recorded_message_is_known_and_is_itself_again() -> None:
    counts: Counter[str] = Counter()
    for term in recorded():
        message = messages.parse(term)
        counts[type(message).__name__] += 1
        assert same(message.term(), term)

    assert "Unknown" not in counts
    assert counts["Gossip"] == 11
    assert counts["Ack"] == 6
    assert len(counts) == 33


def manager(text: str) -> str:
    return f"{{forward_message,partisan_pluggable_peer_service_manager,{text}}}"


def strategy(text: str) -> str:
    return manager(f"{{membership_strategy,{text}}}")


def broadcast(text: str) -> str:
    return f"{{forward_message,partisan_plumtree_broadcast,{{'$gen_cast',{text}}}}}"


# A term for each class, so that none is left out.
EXAMPLES: dict[str, str] = {
    "Hello": "{hello,n}",
    "ClientHello": "{hello,n,undefined}",
    "State": "{state,undefined,{full_v1,<<1>>,{state_orset,[]}}}",
    "Ping": "{ping,n,['n@h'|<<\"#Ref<0.1.2.3>\">>],1795344187071}",
    "Pong": "{pong,n,1,2}",
    "Forward": "{forward_message,sink,hello}",
    "AckedForward": "{forward_message,n,{undefined,[{n,6}]},{encoded_name,\"sink\"},{acked,1}}",
    "Ack": manager("{ack,{lbl,[{n,3},{m,1}]}}"),
    "Relay": manager("{relay_message,n,hello,4}"),
    "RawRelay": "{relay_message,n,hello,4}",
    "DistancePing": manager(f"{{ping,{SPEC},n,1}}"),
    "DistancePong": manager(f"{{pong,{SPEC},n,1}}"),
    "RpcCall": "{forward_message,partisan_rpc_backend,{call,erlang,abs,[-5],5000,{origin,p}}}",
    "Monitor": "{forward_message,partisan_monitor,{'$gen_call',{p,t},{monitor,r,[]}}}",
    "Demonitor": "{forward_message,partisan_monitor,{'$gen_call',{p,t},{demonitor,r,[flush]}}}",
    "Down": "{forward_message,partisan_monitor,{'$gen_cast',{'DOWN',r,process,p,killed}}}",
    "Broadcast": broadcast("{broadcast,k,v,m,0,a,b}"),
    "Prune": broadcast("{prune,a,b}"),
    "IHave": broadcast("{i_have,k,m,1,a,b}"),
    "IgnoredIHave": broadcast("{ignored_i_have,k,m,1,a,b}"),
    "Graft": broadcast("{graft,k,m,1,a,b}"),
    "ForwardSubscription": strategy(f"{{forward_subscription,{SPEC}}}"),
    "ScampPing": strategy(f"{{ping,{SPEC}}}"),
    "RemoveSubscription": strategy(f"{{remove_subscription,{SPEC}}}"),
    "BootstrapRemoveSubscription": strategy(f"{{bootstrap_remove_subscription,{SPEC}}}"),
    "ReplaceSubscription": strategy(f"{{replace_subscription,{SPEC},{SPEC}}}"),
    "KeepSubscription": strategy(f"{{keep_subscription,{SPEC}}}"),
    "Join": f"{{join,{SPEC},undefined,1}}",
    "ForwardJoin": f"{{forward_join,{SPEC},undefined,1,6,{SPEC}}}",
    "Neighbor": f"{{neighbor,{SPEC},undefined,{{1,0}},{SPEC}}}",
    "Disconnect": f"{{disconnect,{SPEC},{{1,2}}}}",
    "NeighborRequest": f"{{neighbor_request,{SPEC},high,undefined,{{1,0}},[{SPEC}]}}",
    "NeighborAccepted": f"{{neighbor_accepted,{SPEC},undefined,{{1,0}},[{SPEC}]}}",
    "NeighborRejected": f"{{neighbor_rejected,{SPEC},[]}}",
    "NeighborRejectedPlainly": f"{{neighbor_rejected,{SPEC}}}",
    "Optimization": f"{{optimization,undefined,{SPEC},{SPEC},{SPEC},undefined}}",
    "OptimizationReply": f"{{optimization_reply,true,{SPEC},{SPEC},{SPEC},{SPEC}}}",
    "Replace": f"{{replace,undefined,{SPEC},{SPEC},{SPEC},{SPEC}}}",
    "ReplaceReply": f"{{replace_reply,false,{SPEC},{SPEC},{SPEC},{SPEC}}}",
    "Switch": f"{{switch,undefined,{SPEC},{SPEC},{SPEC},{SPEC}}}",
    "SwitchReply": f"{{switch_reply,true,{SPEC},{SPEC},{SPEC},{SPEC}}}",
    "Shuffle": f"{{shuffle,[{SPEC}],5,{SPEC}}}",
    "ShuffleReply": f"{{shuffle_reply,[],{SPEC}}}",
    # None of these has a tag that the table goes by.
    "HelloRefused": "{hello,{error,pang}}",
    "Gossip": strategy(f"{{{SPEC},{{full_v1,a,b}}}}"),
}  # fmt: skip
PAYLOADS: dict[str, str] = {
    "Causal": "{causal,lbl,n,sink,[{n,[{m,1}]}],[{m,2}],hello}",
    "Padded": "{'$partisan_padded',<<\"pad\">>,x}",
    "Run": "{'$heliograph_run',[a,<<2>>]}",
    "Cast": "{'$gen_cast',x}",
    "Call": "{'$gen_call',{p,[alias|r]},x}",
    "RpcResponse": "{rpc_response,5}",
}


def test_there_is_an_example_of_every_message() -> None:
    known = {kind.__name__ for kind in _SHAPES.values()}

    assert known | {"HelloRefused", "Gossip"} == {*EXAMPLES, *PAYLOADS}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_is_what_its_term_is(name: str) -> None:
    term = parse_term(EXAMPLES[name])

    message = messages.parse(term)

    assert type(message).__name__ == name
    assert same(message.term(), term)
    assert messages.parse(message.term()) == message


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_what_its_term_is(name: str) -> None:
    term = parse_term(PAYLOADS[name])

    message = messages.parse_payload(term)

    assert type(message).__name__ == name
    assert same(message.term(), term)


def test_fields_are_what_they_stand_for() -> None:
    acked = messages.parse(parse_term(EXAMPLES["AckedForward"]))
    assert acked == messages.AckedForward(
        source=Atom("n"),
        clock=messages.Clock(messages.UNDEFINED, ((Atom("n"), 6),)),
        to=(Atom("encoded_name"), [*b"sink"]),
        message=(Atom("acked"), 1),
    )
    spec = NodeSpec(Atom("n"), (), ())
    assert messages.parse(parse_term(EXAMPLES["Neighbor"])) == messages.Neighbor(
        spec, messages.UNDEFINED, messages.Disconnection(1, 0), spec
    )


def test_an_acknowledgement_that_nothing_wraps_is_taken_too() -> None:
    clock = messages.Clock(messages.UNDEFINED, ((Atom("n"), 6),))

    bare = messages.parse(parse_term("{ack,{undefined,[{n,6}]}}"))
    assert bare == messages.Ack(clock)
    assert messages.parse(bare.term()) == bare


def test_a_reply_repeats_the_tag_of_its_call() -> None:
    assert messages.Reply(Atom("tag"), 5).term() == (Atom("tag"), 5)


def test_messages_to_others_are_for_them_to_understand() -> None:
    for to in ("sink", "partisan_monitor", "partisan_rpc_backend", "partisan_plumtree_broadcast"):
        assert messages.parse_forward(Atom(to), (Atom("hello"), 1)) == messages.Forward(
            Atom(to), (Atom("hello"), 1)
        )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "no tuple that begins with an atom"),
        ("{}", "no tuple that begins with an atom"),
        ("{1,2}", "no tuple that begins with an atom"),
        ("{gossip,1}", "no message gossip of 2 elements is known here"),
        ("{hello,1}", "Hello: node: Atom expected"),
        ("{hello,true}", "Hello: node: Atom expected"),
        ("{pong,n,1,1.5}", "Pong: timestamp: int expected"),
        ("{ack,undefined}", "Ack: clock: "),
        ("{ack,{undefined,[1]}}", "Ack: clock: "),
        ("{ack,{undefined,[{n,1,2}]}}", "Ack: clock: "),
        ("{ack,{undefined,{n,1}}}", "Ack: clock: list expected"),
        (f"{{disconnect,{SPEC},{{1,2,3}}}}", "Disconnect: disconnection: "),
        ("{disconnect,n,{1,2}}", "Disconnect: spec: "),
        ("{shuffle,[n],1,n}", "Shuffle: exchange: "),
        (manager("{hello,n}"), "no message hello of 2 elements"),
        (
            strategy("{#{},s}"),
            "Gossip: sender: a specification of a node is no map",
        ),
        (strategy("x"), "no tuple"),
    ],
)
def test_what_is_no_message_is_kept_with_the_reason(text: str, reason: str) -> None:
    term = parse_term(text)

    message = messages.parse(term)

    assert isinstance(message, Unknown)
    assert reason in message.reason
    assert same(message.term(), term)


def test_messages_are_small_and_may_be_keys() -> None:
    for kind in _SHAPES.values():
        assert issubclass(kind, Message)
        assert not hasattr(kind, "__dict__") or "__dict__" not in kind.__slots__
    assert len({messages.Hello(Atom("n")), messages.Hello(Atom("n"))}) == 1
