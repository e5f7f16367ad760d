# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliograph.cli.completion import complete_catalog
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from heliograph.catalog.model import EventSpec
    from heliograph.cli.output import Output

__all__ = ["list_events"]

_EPILOG = """\b
Examples:
  heliograph catalog list
  heliograph catalog list shop.yaml
  heliograph catalog list --json | jq -r '.events[].name'
"""


@click.command(name="list", epilog=_EPILOG)
@click.argument("catalogs", metavar="[CATALOG]...", nargs=-1, shell_complete=complete_catalog)
@json_option
def list_events(catalogs: tuple[str, ...], output: Output) -> None:
    """List every event by its full name.

    In a pipe: name, kind, brief, separated by tabs.
    """
    from heliograph.cli import project
    from heliograph.cli.catalog import shapes

    found = project.catalogs(catalogs)
    if output.json:
        output.document(
            {
                "catalogs": [shapes.catalog(each) for each in found.documents],
                "events": [shapes.event(each) for each in found.events.values()],
            }
        )
        return
    rows = [(each.name, each.kind, _brief(each)) for each in found.events.values()]
    output.table(("Event", "Kind", "Brief"), rows)
    if output.rich:
        names = ", ".join(f"{each.name} {each.version}" for each in found.documents)
        output.note(f"{plural(len(rows), 'event')} of {names or 'no catalog'}")


def _brief(event: EventSpec) -> str:
    if event.alias_of is not None:
        return f"Old name of {event.alias_of}"
    return f"{event.brief} (deprecated)" if event.deprecated is not None else event.brief
