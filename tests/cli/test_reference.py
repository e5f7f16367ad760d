# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Iterator

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


def test_every_page_of_help_is_short_and_ends_in_examples() -> None:
    for path in commands(root, ""):
        result = CliRunner().invoke(root, [*path.split(), "--help"], prog_name="heliograph")

        assert result.exit_code == 0, path
        assert len(result.output.splitlines()) <= 30, path
        assert "\n  Examples:\n    heliograph " in result.output, path
