# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from heliograph.catalog.lint import RULES
from heliograph.catalog.scan import SCAN_RULES
from heliograph.cli.exits import MEANINGS, ExitCode
from heliograph.cli.root import root


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> str:
    return (request.config.rootpath / "docs" / "reference" / "cli.md").read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [row.split(" | ") for row in table[2:]]


def commands(group: click.Group, path: str) -> Iterator[str]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_the_reference_has_every_exit_code(reference: str) -> None:
    expected = [[str(int(code)), code.name, MEANINGS[code]] for code in ExitCode]

    assert rows(reference, "Exit codes") == expected


def test_the_reference_has_every_rule_of_check(reference: str) -> None:
    expected = [[f"`{rule.name}`", rule.level, rule.brief] for rule in RULES.values()]

    assert rows(reference, "What check looks for") == expected


def test_the_reference_has_every_rule_of_scan(reference: str) -> None:
    expected = [[f"`{name}`", level, brief] for name, (level, brief) in SCAN_RULES.items()]

    assert rows(reference, "What scan looks for") == expected


def test_the_reference_has_every_command(reference: str) -> None:
    named = re.findall(r"^\| `(heliograph [a-z ]+)` \|", reference, re.MULTILINE)

    assert sorted(named) == sorted(commands(root, "heliograph"))


def documented(reference: str, head: str) -> dict[str, list[str]]:
    """The keys that a table of the section on JSON has for each command or element."""
    table = reference.split(f"| {head} | keys |\n", 1)[1].split("\n\n", 1)[0]
    found: dict[str, list[str]] = {}
    for row in table.splitlines()[1:]:
        what, keys = row.strip("| ").split(" | ")
        for each in re.findall(r"`([^`]+)`", what):
            found[each.removeprefix("catalog ")] = re.findall(r"`([a-z_]+)`", keys)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["new", "store"],
        ["list", "shop.yaml"],
        ["show", "shop.payment", "shop.yaml"],
        ["check", "shop.yaml"],
        ["diff", "shop.yaml", "shop.yaml"],
        ["scan", "."],
        ["python", "shop.yaml"],
        ["schema"],
    ],
)
def test_the_reference_has_every_key_of_json(
    reference: str, call_json: Callable[..., Any], arguments: list[str]
) -> None:
    document = call_json("catalog", *arguments)

    assert list(document) == ["version", "command", *documented(reference, "command")[arguments[0]]]


def test_every_command_has_json() -> None:
    for path in commands(root, ""):
        help_page = CliRunner().invoke(root, [*path.split(), "--help"], prog_name="heliograph")
        assert "  --json" in help_page.output, path


def test_the_reference_has_every_key_of_a_completion_script(
    reference: str, call_json: Callable[..., Any]
) -> None:
    document = call_json("completion", "bash")

    keys = documented(reference, "command")["completion"]
    assert list(document) == ["version", "command", *keys]
    assert "_HELIOGRAPH_COMPLETE=bash_complete" in document["script"]


def test_the_reference_has_every_key_of_the_elements(
    reference: str, call_json: Callable[..., Any], folder: Path
) -> None:
    keys = documented(reference, "element of")
    (folder / "bad.yaml").write_text("[]")
    (folder / "new.yaml").write_text(
        (folder / "shop.yaml").read_text().replace("shop.order.id", "server.x")
    )
    (folder / "main.py").write_text("import heliograph\nheliograph.execute('shop.x', {})\n")

    listed = call_json("catalog", "list", "shop.yaml")
    shown = call_json("catalog", "show", "shop.order.placed", "shop.yaml")
    checked = call_json("catalog", "check", "new.yaml", "bad.yaml", code=3)
    compared = call_json("catalog", "diff", "shop.yaml", "new.yaml", code=1)
    scanned = call_json("catalog", "scan", ".", code=1)

    assert list(listed["catalogs"][0]) == keys["catalogs"]
    assert list(listed["events"][0]) == keys["events"]
    assert list(listed["events"][0]["measurements"][0]) == keys["measurements"]
    assert list(listed["events"][0]["metadata"][0]) == keys["metadata"]
    assert list(shown["metrics"][0]) == keys["metrics"]
    assert list(shown["examples"]) == keys["examples"]
    assert list(call_json("catalog", "show", "shop.payment", "shop.yaml")["span"]) == keys["span"]
    assert sorted(checked["faults"][0]) == sorted(keys["faults"])
    assert list(checked["findings"][0]) == keys["findings"]
    assert list(compared["changes"][0]) == keys["changes"]
    assert list(scanned["executions"][0]) == keys["executions"]
    assert list(scanned["findings"][0]) == keys["findings"]


def test_every_page_of_help_is_short_and_ends_in_examples() -> None:
    for path in commands(root, ""):
        result = CliRunner().invoke(root, [*path.split(), "--help"], prog_name="heliograph")

        assert result.exit_code == 0, path
        assert len(result.output.splitlines()) <= 30, path
        assert "\n  Examples:\n    heliograph " in result.output, path
        assert "\\b" not in result.output, path
