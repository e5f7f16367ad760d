# SPDX-License-Identifier: Apache-2.0
"""The command as a process: what it imports, how it ends, what it writes where."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import pytest

import heliograph as heliograph_package
from heliograph.cli import ExitCode, main

HEAVY = ("rich", "yaml", "asyncio", "tomllib", "heliograph.catalog", "opentelemetry")


def python(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def heliograph(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return python("-m", "heliograph", *arguments, env=env, cwd=cwd)


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["catalog", "--help"], ["completion", "fish"], ["catalog", "nope"]],
)
def test_what_needs_no_catalog_imports_none(arguments: list[str]) -> None:
    code = f"""
        import sys
        from heliograph.cli import main
        main({arguments!r})
        heavy = [name for name in {HEAVY!r} if name in sys.modules]
        print("heavy:", heavy, file=sys.stderr)
    """

    result = python("-c", textwrap.dedent(code))

    assert result.stderr.splitlines()[-1] == "heavy: []"


def test_rows_in_a_pipe_need_no_rich() -> None:
    code = """
        import sys
        from heliograph.cli import main
        main(["catalog", "list"])
        print("rich" in sys.modules, file=sys.stderr)
    """

    assert python("-c", textwrap.dedent(code)).stderr == "False\n"


def test_its_version_is_the_distributions() -> None:
    result = heliograph("--version")

    assert result.stdout == f"heliograph {version('heliograph')}\n"
    assert result.returncode == ExitCode.OK


@pytest.mark.parametrize(
    ("missing", "arguments", "needed"),
    [
        ("click", ["--help"], "click"),
        ("yaml", ["catalog", "list"], "PyYAML"),
        ("rich", ["catalog", "list"], "rich"),
    ],
)
def test_a_missing_extra_is_one_clear_line(missing: str, arguments: list[str], needed: str) -> None:
    code = f"""
        import sys
        sys.modules[{missing!r}] = None
        from heliograph.cli import main
        sys.exit(main({arguments!r}))
    """

    result = python("-c", textwrap.dedent(code), env={"FORCE_COLOR": "1"})

    assert result.stderr == (
        f'heliograph: this command needs {needed}: pip install "heliograph[cli]"\n'
    )
    assert result.stdout == ""
    assert result.returncode == ExitCode.INVALID


def test_another_missing_module_is_our_own_mistake() -> None:
    code = """
        import sys
        sys.modules["heliograph.cli.lazy"] = None
        from heliograph.cli import main
        main([])
    """

    assert "ModuleNotFoundError" in python("-c", textwrap.dedent(code)).stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], ExitCode.OK),
        (["catalog", "show", "no.such.event"], ExitCode.FINDINGS),
        (["catalog", "lsit"], ExitCode.USAGE),
        (["catalog", "check", "nowhere.yaml"], ExitCode.UNREACHABLE),
        (["catalog", "check", "uninstalled"], ExitCode.INVALID),
    ],
)
def test_how_it_ends(arguments: list[str], code: ExitCode) -> None:
    assert main(arguments) == code


def test_data_goes_to_standard_output_and_talk_to_standard_error(tmp_path: Path) -> None:
    result = heliograph("catalog", "new", "shop", cwd=tmp_path)

    assert result.stdout == "shop.yaml\n"
    assert result.stderr == "Next: edit it, then run: heliograph catalog check shop.yaml\n"


@pytest.mark.parametrize("arguments", [["catalog", "list"], ["catalog", "list", "--json"]])
def test_a_reader_that_closes_the_pipe_ends_it_silently(arguments: list[str]) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; from heliograph.cli import main; input(); sys.exit(main({arguments!r}))",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        talk = process.stderr.read()

    assert talk == b""
    assert process.returncode == ExitCode.OK


def test_an_interrupt_ends_it_with_its_own_code(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.yaml"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "heliograph", "catalog", "list", str(pipe)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
        pipe.open("wb"),  # opens when the command opens it: now it reads, and waits
    ):
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        talk = process.stderr.read()

    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in talk


def test_an_interrupt_before_the_command_began(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("heliograph.cli.root.root.main", interrupted)

    assert main(["catalog", "list"]) == ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("env", "coloured", "table"),
    [
        ({}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1"}, False, False),
    ],
)
def test_colour_is_for_people(env: dict[str, str], *, coloured: bool, table: bool) -> None:
    clean = {"FORCE_COLOR": "", "NO_COLOR": ""} | env

    text = heliograph("catalog", "list", "modboss", env=clean).stdout

    assert ("\x1b[36m" in text) is coloured
    assert ("─" in text) is table
    assert ("\t" in text) is not table


@pytest.mark.parametrize(("forced", "shown"), [("", "Käse"), ("1", "K\\xe4se")])
def test_what_the_terminal_cannot_show_fails_nothing(
    tmp_path: Path, forced: str, shown: str
) -> None:
    (tmp_path / "shop.yaml").write_text(
        "{catalog: shop, version: 1.0.0, brief: A, events: {shop.x: {brief: Käse}}}", "utf-8"
    )

    env = {"PYTHONIOENCODING": "ascii", "FORCE_COLOR": forced}
    result = heliograph("catalog", "list", "shop.yaml", env=env, cwd=tmp_path)

    assert result.returncode == ExitCode.OK
    assert shown in result.stdout


MODULE = Path(heliograph_package.__file__).with_name("__main__.py")


def test_it_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["heliograph", "--version"])

    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(MODULE), run_name="__main__")

    assert end.value.code == ExitCode.OK
    assert capsys.readouterr().out.startswith("heliograph ")


def test_importing_the_module_runs_nothing() -> None:
    assert "main" in runpy.run_path(str(MODULE), run_name="another")
