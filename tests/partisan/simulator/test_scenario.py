# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.partisan.simulator.scenario import Scenario, ScenarioError, load, parse

EXAMPLES = Path(__file__).parents[3] / "examples" / "cluster" / "simulations"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_scenarios(path: Path) -> None:
    assert load(path).name == path.stem


def test_all_has_defaults_but_the_kind() -> None:
    assert parse({"kind": "graph"}) == Scenario("graph")


def test_a_file_may_be_changed_on_reading(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('kind = "graph"\n[tree]\nthreshold = 3\n', encoding="utf-8")

    changes = ("nodes=7", "kind=broadcast", "tree.shared=false", "overlay.active = 4", "name=x")
    scenario = load(path, changes)

    assert (scenario.nodes, scenario.kind, scenario.overlay.active) == (7, "broadcast", 4)
    assert (scenario.tree.shared, scenario.tree.threshold, scenario.name) == (False, 3, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind", "no TOML: "),
        ("nodes = 5", "kind: is missing; one of broadcast, degree"),
        (
            'kind = "walk"',
            "kind: is one of broadcast, degree, failures, healing, graph, links, not 'walk'",
        ),
        ('kind = "graph"\nnode = 5', "node: is unknown; known are kind, name, nodes"),
        ('kind = "graph"\nnodes = 1', "nodes: is a number from 2 to 99999, not 1"),
        ('kind = "graph"\nnodes = true', "nodes: is a number from 2 to 99999, not True"),
        ('kind = "graph"\nseed = -1', "seed: is a number from 0 to 9223372036854775807, not -1"),
        (
            f'kind = "graph"\nseed = {2**63}',
            "seed: is a number from 0 to 9223372036854775807, not 9223372036854775808",
        ),
        ('kind = "graph"\n[overlay]\ncontacts = 1001', "overlay.contacts: is a number from 0 to"),
        ('kind = "graph"\nname = 3', "name: is a text, not 3"),
        ('kind = "graph"\nlevels = 3', "levels: is a list of numbers, not 3"),
        ('kind = "graph"\nlevels = [10, 100]', "levels: is a number from 0 to 99, not 100"),
        ('kind = "graph"\nlatency = [1]', "latency: is a list of two numbers, not [1]"),
        (
            'kind = "graph"\nnodes = 20\nsources = 21',
            "sources: is no more than nodes, which are 20, not 21",
        ),
        (
            'kind = "graph"\nnodes = 20\noverlay.contacts = 20',
            "overlay.contacts: is less than nodes, which are 20, not 20",
        ),
        ('kind = "graph"\nlatency = [9, 1]', "latency: the least is more than the most: [9, 1]"),
        ('kind = "graph"\ntree = 3', "tree: is a table, begin it with [tree]"),
        ('kind = "graph"\n[tree]\nshared = 1', "tree.shared: is true or false, not 1"),
        ('kind = "graph"\n[tree]\nleaf = 1', "tree.leaf: is unknown; known are kind, shared"),
        (
            'kind = "graph"\n[overlay]\nkind = "scamp_v1"',
            "overlay.kind: is hyparview where graph is simulated",
        ),
        ('kind = "graph"\n[overlay]\nactive = 0', "overlay.active: is a number from 1 to 1000"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ScenarioError) as raised:
        load(path)

    assert str(raised.value).startswith(message)


def test_a_change_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text('kind = "graph"\ntree = 3', encoding="utf-8")

    with pytest.raises(ScenarioError, match="nodes: is no KEY=VALUE"):
        load(path, ["nodes"])
    assert load(path, ["tree.shared=true"]).tree.shared


def test_a_file_that_is_no_text_is_no_scenario(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ScenarioError, match="no TOML"):
        load(path)
    with pytest.raises(OSError, match="No such file"):
        load(tmp_path / "none.toml")
