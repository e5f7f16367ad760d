# SPDX-License-Identifier: Apache-2.0
"""What commands print: JSON for programs, tables for people, lines for pipes.

Data goes to standard output, everything said about it to standard error. On a terminal, or where
`FORCE_COLOR` is set, data is a table in colour (without, where `NO_COLOR` is set). In a pipe each
row is one line, its cells separated by tabs, and there is no header: what `cut` and `grep` expect.
"""

from __future__ import annotations

import json as _json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import Console, RenderableType

__all__ = ["JSON_VERSION", "Output", "json_option", "plural"]

JSON_VERSION: Final = 1
"""The version that every JSON document states; raised when a key is removed or changes."""

_TAB: Final = str.maketrans({"\t": " ", "\n": " ", "\r": " "})

# A file of somebody else's must not steer the terminal: control characters are shown as their
# pictures, those without one as U+FFFD. One for one, so that styles stay in their places.
_PICTURES: Final[dict[int, int]] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--json`; the command gets an `Output` as its argument `output`."""
    option = click.option(
        "--json",
        "output",
        is_flag=True,
        callback=lambda ctx, _parameter, wanted: Output(_path(ctx), json=wanted),
        help="Print JSON.",
    )
    return option(command)


def _path(ctx: click.Context) -> str:
    """The command as it was called, without the program's name."""
    return ctx.command_path.partition(" ")[2]


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 event`, `2 events`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


class Output:
    """Prints what one command has to say."""

    def __init__(self, command: str, *, json: bool) -> None:
        """Args: the command's name, as JSON states it, and whether JSON is wanted."""
        self._command = command
        self.json = json

    @property
    def rich(self) -> bool:
        """Whether a person looks at the output."""
        if self.json:
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def document(self, data: Mapping[str, Any]) -> None:
        """Print one JSON document."""
        whole = {"version": JSON_VERSION, "command": self._command, **data}
        click.echo(_json.dumps(whole, indent=2, ensure_ascii=False, default=str))

    def line(self, text: str = "") -> None:
        """Print one line of data."""
        click.echo(text if self.json else text.translate(_PICTURES))

    def note(self, text: str) -> None:
        """Say something about the data."""
        click.echo(text.translate(_PICTURES), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows: a table for people, tab-separated lines for pipes."""
        if not self.rich:
            for row in rows:
                click.echo("\t".join(cell.translate(_TAB).translate(_PICTURES) for cell in row))
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(
                column,
                overflow="fold",
                no_wrap=number == 0 and len(columns) > 1,
                style="cyan" if number == 0 else None,
            )
        for row in rows:
            table.add_row(*(Text(cell.translate(_PICTURES)) for cell in row))
        self.show(table)

    def show(self, *renderables: RenderableType) -> None:
        """Print what rich renders; text is wrapped by the terminal, so that it copies whole."""
        from rich.text import Text

        console = self._console()
        for renderable in renderables:
            if isinstance(renderable, Text):
                renderable.plain = renderable.plain.translate(_PICTURES)
            console.print(renderable, soft_wrap=isinstance(renderable, Text))

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
