# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result

from heliograph.cli.root import root

Call = Callable[..., Result]


def completed(*words: str) -> list[str]:
    """What may stand in the place of the last word."""
    found = ShellComplete(root, {}, "heliograph", "_HELIOGRAPH_COMPLETE")
    return [item.value for item in found.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(call: Call, shell: str) -> None:
    result = call("completion", shell)

    assert result.exit_code == 0
    assert f"_HELIOGRAPH_COMPLETE={shell}_complete" in result.stdout
    assert result.stderr == ""


def test_the_script_for_bash_is_sound_and_completes(call: Call, folder: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (folder / "heliograph").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m heliograph "$@"\n')
    (folder / "heliograph").chmod(0o755)
    script = call("completion", "bash").stdout
    asking = (
        f"PATH={folder}:$PATH\n{script}\n"
        "COMP_WORDS=(heliograph catalog che)\nCOMP_CWORD=2\n"
        'COMPREPLY=()\n_heliograph_completion heliograph\necho "${COMPREPLY[@]}"\n'
    )

    result = subprocess.run([bash, "-c", asking], capture_output=True, text=True, check=False)

    assert (result.stdout, result.stderr) == ("check\n", "")


def test_another_shell_is_wrong_usage(call: Call) -> None:
    result = call("completion", "csh")

    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


def test_commands_are_completed(folder: Path) -> None:
    assert completed("cat") == ["catalog"]
    assert {*completed("catalog", "s")} == {"show", "scan", "schema"}


def test_names_of_installed_catalogs_and_files_are_completed(folder: Path) -> None:
    assert completed("catalog", "check", "mod") == ["modboss", "mod"]


def test_names_of_events_and_spans_are_completed(folder: Path) -> None:
    assert completed("catalog", "show", "modboss.read.") == [
        "modboss.read.exception",
        "modboss.read.start",
        "modboss.read.stop",
    ]
    assert "modboss.read" in completed("catalog", "show", "modboss.re")


def test_events_of_the_project_are_completed(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[[tool.heliograph.catalogs]]\ncatalog = "shop.yaml"\n')

    assert completed("catalog", "show", "shop.order") == ["shop.order.made", "shop.order.placed"]


def test_a_broken_catalog_completes_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "shop.yaml").write_text("[]")
    (folder / "pyproject.toml").write_text('[[tool.heliograph.catalogs]]\ncatalog = "shop.yaml"\n')

    assert completed("catalog", "show", "shop") == []


def test_events_are_completed_with_their_briefs(folder: Path) -> None:
    found = ShellComplete(root, {}, "heliograph", "_HELIOGRAPH_COMPLETE")

    items = found.get_completions(["catalog", "show"], "telemetry.")

    assert [(item.value, item.help) for item in items] == [
        (
            "telemetry.handler.failure",
            "A handler raised; the emitter did not notice, the other handlers still ran",
        )
    ]
