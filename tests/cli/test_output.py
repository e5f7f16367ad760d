# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re

import pytest
from rich.text import Text

from heliograph.cli.output import Output, plural


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("event",), "0 events"),
        (1, ("event",), "1 event"),
        (2, ("event",), "2 events"),
        (2, ("info", "info"), "2 info"),
    ],
)
def test_plural(count: int, words: tuple[str, ...], expected: str) -> None:
    assert plural(count, *words) == expected


def test_a_row_is_one_line_whatever_its_cells_hold(capsys: pytest.CaptureFixture[str]) -> None:
    Output("x", json=False).table(("A", "B"), [("a\tb", "c\nd\re")])

    assert capsys.readouterr().out == "a b\tc d e\n"


@pytest.mark.parametrize("colour", ["", "1"])
def test_data_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", colour)
    monkeypatch.setenv("COLUMNS", "80")
    hostile = "a\x1b[2J\x7f\x9bz"
    shown = "a␛[2J␡\ufffdz"
    output = Output("x", json=False)

    output.line(hostile)
    output.note(hostile)
    output.table(("A", "B"), [("b", hostile)])
    output.show(Text.assemble((hostile, "bold"), hostile))

    captured = capsys.readouterr()
    assert captured.err == f"{shown}\n"
    plain = re.sub(r"\x1b\[[\d;]*m", "", captured.out)
    assert plain.count(shown) == 4
    assert "\x1b" not in plain


def test_markup_in_data_is_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    Output("x", json=False).table(("A", "B"), [("[red]a[/red]", ":smile: string[]")])

    out = capsys.readouterr().out
    assert "[red]a[/red]" in out
    assert ":smile: string[]" in out


def test_json_is_json_whatever_the_environment_wishes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output = Output("catalog x", json=True)

    output.document({"name": "Käse"})

    assert not output.rich
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "command": "catalog x",
        "name": "Käse",
    }


@pytest.mark.parametrize(
    ("terminal", "term", "rich"), [(True, "xterm", True), (True, "dumb", False), (False, "", False)]
)
def test_tables_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, term: str, *, terminal: bool, rich: bool
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)

    assert Output("x", json=False).rich is rich
