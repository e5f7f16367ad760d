# SPDX-License-Identifier: Apache-2.0
"""`heliograph doctor`: what is missing, and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option, plural
from heliograph.cli.seconds import Seconds

if TYPE_CHECKING:
    from heliograph.apps.doctor import Finding
    from heliograph.cli.output import Output

__all__ = ["doctor"]

_MARKS: Final = {"ok": "ok", "absent": "-", "failed": "FAILED"}

_EPILOG: Final = """\b
Examples:
  heliograph doctor
  heliograph doctor gateway.yaml
"""


@click.command(epilog=_EPILOG)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option(
    "--timeout",
    type=Seconds(),
    default=5.0,
    show_default="5",
    help="Seconds after which something counts as not reached.",
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, file: str | None, timeout: float, output: Output) -> None:
    """Look for what is missing: versions, extras, and what a gateway has to reach.

    With FILE, a gateway's, its collector, devices and peers are asked whether they are there. A
    device is asked for one value, over a connection of its own. Exits with 1 if something failed;
    an extra that is not installed is no failure.
    """
    from heliograph.apps.doctor import examine

    found: list[Finding] = []
    rows = []
    for finding in examine(file, timeout=timeout):
        found.append(finding)
        mend = "" if not finding.mend or finding.status == "ok" else f"; {finding.mend}"
        rows.append(
            (_MARKS[finding.status], finding.topic, finding.subject, f"{finding.text}{mend}")
        )
    failed = sum(each.status == "failed" for each in found)
    if output.json:
        output.document({"failed": failed, "findings": [each.document() for each in found]})
    else:
        output.table(("", "topic", "subject", "found"), rows)
        output.note(f"{plural(failed, 'fault')}" if failed else "all is well")
    if failed:
        ctx.exit(ExitCode.FINDINGS)
