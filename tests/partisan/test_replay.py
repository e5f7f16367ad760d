# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.partisan import replay
from tests.partisan.recorded import Record

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


# Of nodes of the original, whose views are as it leaves them: nobody keeps a subscription; some do,
# and then have a node twice; applications call and broadcast; a node is killed and starts again;
# one leaves; all are told to join at once.
SCAMP = [
    "scamp_v2",
    "scamp_v2_kept",
    "scamp_v2_calls",
    "scamp_v2_restarted",
    "scamp_v2_left",
    "scamp_v2_four",
    "scamp_v1_left",
]


@pytest.mark.parametrize("name", [*FULL_MESH, *OVERLAYS, *SCAMP, "hyparview"])
def test_our_node_sends_what_was_recorded_in_the_place_of_each_node(name: str) -> None:
    outcomes = replay.replay(replay.load(DATA / f"{name}.jsonl"))

    assert outcomes
    assert [each for each in outcomes if each.wrong is not None] == []


@pytest.mark.parametrize("name", [*FULL_MESH[:9], *OVERLAYS, *SCAMP[:3]])
def test_no_broken_conversation_passes(name: str) -> None:
    count, passed = replay.self_test(DATA / f"{name}.jsonl")

    assert count > 0
    assert passed == []


def test_nor_does_a_broken_one_of_partial_views() -> None:
    # Each of some hundred frames is broken in three ways; a few of them, so that it does not last.
    count, passed = replay.self_test(DATA / "hyparview.jsonl", every=23)

    assert count > 30
    assert passed == []


@pytest.mark.parametrize("name", SCAMP[3:])
def test_nor_does_a_broken_one_of_views_that_change(name: str) -> None:
    count, passed = replay.self_test(DATA / f"{name}.jsonl", every=7)

    assert count > 30
    assert passed == []


def test_what_the_original_sends_by_its_faults_is_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # It has a node twice in its view, and pings it twice.
    assert replay.main([str(DATA / "scamp_v2_kept.jsonl")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("as n1@127.0.0.1: 22 frames, and 12 by faults of the original")
    assert printed[1].endswith("as n2@127.0.0.1: 14 frames")


def _of(line: int, *others: Record) -> list[Record]:
    """Return a conversation with a line replaced."""
    records = replay.load(DATA / "scamp_v2_kept.jsonl")
    return [each for record in records for each in ([record] if record.line != line else others)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (14, "nothing has come yet"),  # a subscription is kept, and nobody told
        (25, "nothing has come yet"),  # another's is passed on twice
        (31, "pinged all only now"),
        (34, "pinged all only now"),  # a node that is twice in a view is pinged thrice
    ],
)
def test_a_frame_too_many_or_too_few_is_noticed(line: int, why: str) -> None:
    [record] = [each for each in _of(0) if each.line == line]
    changed = _of(line) if line == 14 else _of(line, record, record)

    assert why in " ".join(each.wrong or "" for each in replay.replay(changed))


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
