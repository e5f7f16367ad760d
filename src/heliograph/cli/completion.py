# SPDX-License-Identifier: Apache-2.0
"""Shell completion: the script a shell loads, and the names it then asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from heliograph.cli.output import json_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliograph.catalog.catalog import Catalog
    from heliograph.cli.output import Output

__all__ = ["complete_catalog", "complete_event", "completion"]

_EPILOG = """\b
Examples:
  heliograph completion bash > ~/.local/share/bash-completion/completions/heliograph
  heliograph completion zsh > ~/.zfunc/_heliograph
  heliograph completion fish > ~/.config/fish/completions/heliograph.fish
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, output: Output) -> None:
    """Print the completion script for a shell.

    It completes commands, options, and the names of catalogs and events.
    """
    found = get_completion_class(shell)
    assert found is not None  # the choice above holds no other
    root = ctx.find_root().command
    source = found(root, {}, "heliograph", "_HELIOGRAPH_COMPLETE")
    script = source.source_template % source.source_vars()
    if output.json:
        output.document({"shell": shell, "script": script})
    else:
        output.line(script)


def complete_catalog(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of installed catalogs, and files."""
    from heliograph.catalog.find import installed

    names = _beginning(installed(), incomplete)
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def complete_event(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Full names of events and spans, of the catalogs named so far or else of all at hand."""
    catalog = _at_hand(ctx.params.get("catalogs") or ())
    if catalog is None:
        return []
    described = {name: event.brief for name, event in catalog.events.items()}
    described.update((name, span.brief) for name, span in catalog.spans.items())
    return [
        CompletionItem(name, help=described[name])
        for name in _beginning(sorted(described), incomplete)
    ]


def _at_hand(names: Iterable[str]) -> Catalog | None:
    from heliograph.cli.project import catalogs

    try:
        return catalogs(tuple(names))
    except (ImportError, OSError, ValueError):
        # Completion has no place to complain: the command itself will.
        return None


def _beginning(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]
