# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.partisan import replay

DATA = Path(__file__).parents[1] / "data" / "partisan"
FULL_MESH = [
    "compressed_channel",
    "forward_acked",
    "forward_plain",
    "forward_retransmit",
    "gossip_periodic",
    "join2",
    "leave_other",
    "leave_self",
    "rpc_monitor",
    # Three nodes, their terms as text in our own form.
    "full_mesh/forward_mixed",
    "full_mesh/join_again",
    "full_mesh/join_through_second",
    "full_mesh/leave_two",
    "full_mesh/leave_with_gossip",
]
OVERLAYS = ["causal", "client_server", "monotonic", "plumtree", "scamp_v1", "transitive_relay"]


# Of three nodes of the original, whose views are as it leaves them: in the first, nobody keeps a
# subscription; in the second, some do, and then have a node twice.
SCAMP_V2 = ["scamp_v2", "scamp_v2_kept"]


@pytest.mark.parametrize("name", [*FULL_MESH, *OVERLAYS, *SCAMP_V2, "hyparview"])
def test_our_node_sends_what_was_recorded_in_the_place_of_each_node(name: str) -> None:
    outcomes = replay.replay(replay.load(DATA / f"{name}.jsonl"))

    assert outcomes
    assert [each for each in outcomes if each.wrong is not None] == []


@pytest.mark.parametrize("name", [*FULL_MESH[:9], *OVERLAYS, "scamp_v2"])
def test_no_broken_conversation_passes(name: str) -> None:
    count, passed = replay.self_test(DATA / f"{name}.jsonl")

    assert count > 0
    assert passed == []


def test_nor_does_a_broken_one_of_partial_views() -> None:
    # Each of some hundred frames is broken in three ways; a few of them, so that it does not last.
    count, passed = replay.self_test(DATA / "hyparview.jsonl", every=23)

    assert count > 30
    assert passed == []


def test_keep_alive_pings_are_sent_and_answered_as_recorded(tmp_path: Path) -> None:
    lines = (DATA / "plumtree.jsonl").read_text().splitlines()
    pings = [line for line in lines if json.loads(line)["term"].startswith(("{ping,", "{pong,"))]
    conversation = tmp_path / "pings.jsonl"
    conversation.write_text("\n".join(pings))

    outcomes = replay.replay(replay.load(conversation))

    assert [each.wrong for each in outcomes] == [None, None, None]
    assert sum(each.frames for each in outcomes) == len(pings)


def test_the_program_counts_what_passed_and_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = DATA / "forward_acked.jsonl"
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(good.read_text().splitlines()[1:2]))  # an answer to nothing
    none = tmp_path / "none.jsonl"
    none.write_text("nothing")

    assert replay.main([str(good)]) == 0
    assert capsys.readouterr().out.endswith("1 conversations passed, 0 failed\n")
    assert replay.main([str(good), str(bad), str(none)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: line 1: nothing has come yet that this would answer" in printed
    assert printed.endswith("1 conversations passed, 2 failed\n")
    assert replay.main(["--self-test", str(good)]) == 0
