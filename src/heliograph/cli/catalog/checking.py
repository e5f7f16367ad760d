# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog check`, `diff` and `scan`: what is wrong, and how bad that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from heliograph.cli.completion import complete_catalog
from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from heliograph.catalog.diff import Diff
    from heliograph.catalog.errors import Fault
    from heliograph.catalog.lint import Finding
    from heliograph.catalog.model import Document
    from heliograph.cli.output import Output
    from heliograph.cli.project import Project

__all__ = ["check", "diff", "scan"]

_STYLES: Final = {
    "fault": "bold red",
    "error": "bold red",
    "breaking": "bold red",
    "warning": "yellow",
    "additive": "green",
}


def _strict_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--strict", is_flag=True, help=text)


def _ignore_option(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option(
        "--ignore",
        metavar="RULE[:SUBJECT]",
        multiple=True,
        help="Leave out a rule, or one finding of it. May be repeated.",
    )
    return option(command)


def _exceptions(given: Iterable[str], settings: Project | None, *, scanning: bool) -> list[str]:
    """The rules given on the command line, and those of the project that concern the command."""
    from heliograph.catalog.scan import SCAN_RULES

    own = settings.ignore if settings is not None else ()
    return [*given, *(each for each in own if (each.split(":")[0] in SCAN_RULES) is scanning)]


# --- check ---

_CHECK_EPILOG: Final = """\b
Examples:
  heliograph catalog check shop.yaml
  heliograph catalog check shop.yaml --strict --ignore field-example
  heliograph catalog check shop.yaml --ignore attribute-foreign:warehouse.shelf
"""


@click.command(epilog=_CHECK_EPILOG)
@click.argument("catalogs", metavar="[CATALOG]...", nargs=-1, shell_complete=complete_catalog)
@_ignore_option
@_strict_option("Exit with 1 for warnings too.")
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    catalogs: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    output: Output,
) -> None:
    """Find faults, and what is questionable about catalogs without faults.

    Without a CATALOG, the project's own are checked. Exits with 3 if a catalog has faults, with 1
    if there are errors among the findings.
    """
    from heliograph.catalog.lint import lint
    from heliograph.cli import project

    settings = project.find()
    own = [project.shorten(each.catalog) for each in settings.catalogs] if settings else []
    if not catalogs and not own:
        msg = "name a catalog to check; the project around this folder has none"
        raise click.UsageError(msg, ctx)
    documents, faults = _load_each(catalogs or own)
    if not catalogs and not faults:
        # Each is sound by itself; a project's catalogs must not claim the same names either.
        project.catalogs(own)
    exceptions = _exceptions(ignore, settings, scanning=False)
    try:
        findings = [each for document in documents for each in lint(document, exceptions)]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint="--ignore") from error
    if output.json:
        from heliograph.cli.catalog import shapes

        output.document(
            {
                "catalogs": [shapes.catalog(each) for each in documents],
                "faults": [shapes.fault(each) for each in faults],
                "findings": [shapes.finding(each) for each in findings],
            }
        )
    else:
        _print_faults(output, faults)
        _print_findings(output, findings)
        count = plural(len(catalogs or own), "catalog")
        output.note(f"{count}: {_summary(faults, findings)}")
    ctx.exit(ExitCode.INVALID if faults else _judge(findings, strict=strict))


def _load_each(names_or_paths: Sequence[str]) -> tuple[list[Document], list[Fault]]:
    """The catalogs that load, and the faults of those that do not."""
    from heliograph.catalog.errors import CatalogError
    from heliograph.cli import project

    documents: list[Document] = []
    faults: list[Fault] = []
    for each in names_or_paths:
        try:
            documents.extend(project.catalogs([each]).documents)
        except CatalogError as error:
            faults.extend(error.faults)
    return documents, faults


def _judge(findings: Iterable[Finding], *, strict: bool) -> ExitCode:
    levels = {"error", "warning"} if strict else {"error"}
    failing = any(finding.level in levels for finding in findings)
    return ExitCode.FINDINGS if failing else ExitCode.OK


def _summary(faults: Sequence[Fault], findings: Sequence[Finding]) -> str:
    from heliograph.catalog.lint import LEVELS

    counts = [plural(len(faults), "fault")] if faults else []
    for level in LEVELS:
        count = sum(1 for finding in findings if finding.level == level)
        if count:
            counts.append(plural(count, level, level if level == "info" else None))
    return ", ".join(counts) or "all is well"


def _print_faults(output: Output, faults: Iterable[Fault]) -> None:
    for fault in faults:
        place = f"{fault.where}: " if fault.where is not None else ""
        _print(output, place, "fault", str(fault).removeprefix(place))


def _print_findings(output: Output, findings: Iterable[Finding]) -> None:
    for finding in findings:
        place = f"{finding.where}: " if finding.where is not None else ""
        _print(output, place, finding.level, f"{finding.message} [{finding.rule}]")


def _print(output: Output, place: str, word: str, message: str) -> None:
    if not output.rich:
        output.line(f"{place}{word}: {message}")
        return
    from rich.text import Text

    styled = Text.assemble((place, "bold"), (f"{word}: ", _STYLES.get(word, "cyan")), message)
    output.show(styled)


# --- diff ---

_DIFF_EPILOG: Final = """\b
Examples:
  heliograph catalog diff published.yaml shop.yaml
  heliograph catalog diff <(git show v1.0:shop.yaml) shop.yaml
"""


@click.command(epilog=_DIFF_EPILOG)
@click.argument("old", shell_complete=complete_catalog)
@click.argument("new", shell_complete=complete_catalog)
@_strict_option("Exit with 1 too if NEW's version does not announce the changes.")
@json_option
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, strict: bool, output: Output) -> None:
    """Judge what changed between two versions of a catalog: breaking, additive or patch.

    Tells the version that announces the changes, and whether NEW has it or a later one. Exits with
    1 if a change is breaking.
    """
    from heliograph.catalog import diff as differ

    result = differ.diff(_single(old), _single(new))
    if output.json:
        from heliograph.cli.catalog import shapes

        output.document(
            {
                "impact": result.impact,
                "old_version": result.old_version,
                "new_version": result.new_version,
                "suggested_version": result.suggested_version,
                "version_fits": result.version_fits,
                "changes": [shapes.change(each) for each in result.changes],
            }
        )
    else:
        for change in result.changes:
            _print(output, "", change.impact, f"{change.path}: {change.reason}")
        output.note(_verdict(result))
    breaking = result.impact == "breaking"
    failing = breaking or (strict and not result.version_fits)
    ctx.exit(ExitCode.FINDINGS if failing else ExitCode.OK)


def _single(name_or_path: str) -> Document:
    from heliograph.cli import project

    [document] = project.catalogs([name_or_path]).documents
    return document


def _verdict(result: Diff) -> str:
    if result.impact is None:
        return "nothing changed"
    counts = ", ".join(
        f"{count} {impact}"
        for impact in ("breaking", "additive", "patch")
        if (count := sum(1 for change in result.changes if change.impact == impact))
    )
    if result.version_fits:
        return f"{counts}; version {result.new_version} says so"
    return (
        f"{counts}; version {result.new_version} does not say so, "
        f"{result.suggested_version} would after {result.old_version}"
    )


# --- scan ---

_SCAN_EPILOG: Final = """\b
Examples:
  heliograph catalog scan src
  heliograph catalog scan src --catalog shop.yaml --strict
"""


@click.command(epilog=_SCAN_EPILOG)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--catalog",
    "catalogs",
    metavar="CATALOG",
    multiple=True,
    shell_complete=complete_catalog,
    help="Catalog of which every event should be executed. May be repeated.",
)
@_ignore_option
@_strict_option("Exit with 1 for warnings too.")
@json_option
@click.pass_context
def scan(
    ctx: click.Context,
    sources: tuple[str, ...],
    catalogs: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    output: Output,
) -> None:
    """Find events in Python source that no catalog knows, and events that nothing executes.

    The source is read, never run. Without --catalog, the catalogs of the project and all installed
    ones are known, and those of which the source executes anything should be executed whole. Exits
    with 1 for unknown events and unreadable files.
    """
    from heliograph.catalog import scan as scanner
    from heliograph.cli import project

    at_hand = project.catalogs()
    named = project.catalogs(catalogs).documents if catalogs else ()
    names = {document.name for document in named}
    known = [*named, *(each for each in at_hand.documents if each.name not in names)]
    exceptions = _exceptions(ignore, project.find(), scanning=True)
    try:
        result = scanner.scan(sources, known, names if catalogs else None, exceptions)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint="--ignore") from error
    if output.json:
        from heliograph.cli.catalog import shapes

        output.document(
            {
                "files": list(result.files),
                "executions": [shapes.execution(each) for each in result.executions],
                "findings": [shapes.finding(each) for each in result.findings],
            }
        )
    else:
        _print_findings(output, result.findings)
        count = plural(len(result.files), "file")
        output.note(f"{count}: {_summary((), result.findings)}")
    ctx.exit(_judge(result.findings, strict=strict))
