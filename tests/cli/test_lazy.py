# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from heliograph.catalog.errors import CatalogError, Fault
from heliograph.catalog.model import Where
from heliograph.cli.lazy import LazyCommand, LazyGroup, RootGroup
from heliograph.cli.project import ProjectError

PLACE = "heliograph_tests_of_lazy"


@pytest.fixture
def group() -> Iterator[Callable[[BaseException | None], RootGroup]]:
    """Makes a group whose command `fail` raises."""

    def make(error: BaseException | None) -> RootGroup:
        @click.command()
        def fail() -> None:
            if error is not None:
                raise error

        module = ModuleType(PLACE)
        module.fail = fail  # type: ignore[attr-defined]  # the command to be found there
        sys.modules[PLACE] = module
        return RootGroup(
            "tool",
            lazy={
                "fail": LazyCommand(f"{PLACE}:fail", "Fails"),
                "never": LazyCommand("heliograph_no_such_module:never", "Cannot be imported"),
            },
        )

    yield make
    sys.modules.pop(PLACE, None)


Make = Callable[[BaseException | None], RootGroup]


@pytest.mark.parametrize(
    ("error", "code", "talk"),
    [
        (None, 0, ""),
        (
            CatalogError(
                [Fault("bad", Where("a.yaml", 3, 7, "events"), "mend it"), Fault("worse")]
            ),
            3,
            "heliograph: a.yaml:3:7: bad in events; mend it\nheliograph: worse\n",
        ),
        (
            ProjectError("pyproject.toml: bad\npyproject.toml: worse"),
            3,
            "heliograph: pyproject.toml: bad\nheliograph: pyproject.toml: worse\n",
        ),
        (ModuleNotFoundError("no", name="rich"), 3, 'needs rich: pip install "heliograph[cli]"\n'),
        (ImportError("no", name="yaml"), 3, 'needs PyYAML: pip install "heliograph[cli]"\n'),
        (FileNotFoundError(2, "No such file", "a.yaml"), 4, "heliograph: No such file: a.yaml\n"),
        (OSError("weird"), 4, "heliograph: weird\n"),
        (ConnectionRefusedError(111, "Refused"), 4, "heliograph: Refused\n"),
        (TimeoutError("no answer in 3 s"), 5, "heliograph: no answer in 3 s\n"),
        (TimeoutError(), 5, "heliograph: timed out\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.UsageError("wrong"), 2, "Error: wrong\n"),
        (click.exceptions.Exit(1), 1, ""),
    ],
)
def test_every_error_of_the_users_has_its_code_and_one_line(
    group: Make, error: BaseException | None, code: int, talk: str
) -> None:
    result = CliRunner().invoke(group(error), ["fail"])

    assert result.exit_code == code
    assert result.stderr.endswith(talk)
    assert result.stdout == ""


@pytest.mark.parametrize("error", [RuntimeError("ours"), ImportError("ours"), ValueError("ours")])
def test_our_own_mistakes_are_not_hidden(group: Make, error: Exception) -> None:
    result = CliRunner().invoke(group(error), ["fail"])

    assert result.exception is error


def test_help_imports_no_command(group: Make) -> None:
    result = CliRunner().invoke(group(None), ["--help"])

    assert result.exit_code == 0
    assert "never  Cannot be imported" in result.output


@pytest.mark.parametrize(
    ("name", "words"),
    [("fial", "no command 'fial'; did you mean 'fail'?"), ("xyz", "there are fail, never")],
)
def test_an_unknown_command_names_the_nearest(group: Make, name: str, words: str) -> None:
    result = CliRunner().invoke(group(None), [name])

    assert result.exit_code == 2
    assert words in result.stderr


def test_an_unknown_option_is_not_taken_for_a_command(group: Make) -> None:
    result = CliRunner().invoke(group(None), ["--fial"])

    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_an_unknown_command_is_none() -> None:
    empty = LazyGroup("tool", lazy={})

    assert empty.get_command(click.Context(empty), "x") is None
