# SPDX-License-Identifier: Apache-2.0
"""The example of a user's own overlay does what it says, and stays short."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from heliograph.partisan.protocol.overlay import interface as on
from heliograph.partisan.protocol.overlay.interface import Custom
from heliograph.partisan.wire import Atom, Term, decode, encode
from heliograph.partisan.wire.messages import parse
from tests.partisan.protocol.overlay.pool import Pool, spec

RING = Path(__file__).parents[4] / "examples" / "cluster" / "ring.py"


@pytest.fixture(scope="module")
def ring() -> ModuleType:
    found = importlib.util.spec_from_file_location("ring", RING)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_it_is_short() -> None:
    assert len(RING.read_text(encoding="utf-8").splitlines()) < 150


def test_the_program_prints_a_ring() -> None:
    done = subprocess.run([sys.executable, RING], capture_output=True, text=True, check=True)

    lines = [line.split(" is followed by ") for line in done.stdout.splitlines()]
    follows = {name: followers.split(", ")[0] for name, followers in lines}
    walked = [lines[0][0]]
    while follows[walked[-1]] not in walked:
        walked.append(follows[walked[-1]])
    assert len(walked) == len(follows) == 5


@pytest.mark.parametrize("seed", range(3))
def test_every_node_is_connected_to_the_two_that_follow_it(ring: ModuleType, seed: int) -> None:
    pool = Pool(lambda mine, chance: ring.Ring(mine), seed)
    specs = [pool.add(number) for number in range(20)]
    for each in specs[1:]:
        pool.do(each.name, on.Join(specs[0]))
    for each in random.Random(seed).sample(specs, 5):
        pool.kill(each.name)
    pool.fire("tell")

    order = sorted(pool.views(), key=ring.place)
    for at, name in enumerate(order):
        after = [order[(at + step) % len(order)] for step in (1, 2)]
        assert list(pool.nodes[name].neighbors) == after


def test_its_messages_go_over_the_wire_and_nonsense_does_no_harm(ring: ModuleType) -> None:
    node = ring.Ring(spec(0))
    (sent, *_) = node.handle(on.Join(spec(1)), 0)

    over_the_wire = parse(decode(encode(sent.message.term())))
    assert ring.Ring(spec(1)).handle(on.Received(spec(0).name, over_the_wire), 0)
    nonsense: list[Term] = [7, (Atom("known"), [7]), (Atom("known"), [{}] * 1_001)]
    for content in nonsense:
        assert node.handle(on.Received(spec(1).name, Custom(content)), 0) == []
    assert node.state()[0] == "ring"
    assert node.handle(on.Start(), 0)
    assert node.handle(on.Leave(), 0) == []
