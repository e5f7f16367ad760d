# SPDX-License-Identifier: Apache-2.0
"""`heliograph catalog python`, `markdown`, `weaver`, `grafana`, `alerts`, `schema`, `generate`.

All of them end in the same way: a mapping of files to texts that is printed, written, or compared
with what is there.
"""

from __future__ import annotations

import json as _json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.completion import complete_catalog
from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.catalog.model import Document
    from heliograph.cli.output import Output
    from heliograph.cli.project import Project

    _Command = Callable[..., Any]

__all__ = ["alerts", "generate", "grafana", "markdown", "python", "schema", "weaver"]


def _render(kind: str, document: Document, target: Path, licence: str | None) -> dict[Path, str]:
    """The files of one kind that a catalog makes."""
    if kind == "python":
        from heliograph.catalog.outputs import python as maker

        return {target: maker.render(document, licence=licence)}
    if kind == "markdown":
        from heliograph.catalog.outputs import markdown as pages

        return {target: pages.render(document)}
    if kind == "grafana":
        from heliograph.catalog.outputs import grafana as dashboards

        return {target: dashboards.render(document)}
    if kind == "alerts":
        from heliograph.catalog.outputs import alerts as rules

        return {target: rules.render(document)}
    from heliograph.catalog.outputs import weaver as registry

    return {target / name: text for name, text in registry.render(document).items()}


def _schema() -> str:
    from heliograph.catalog.grammar import json_schema

    return _json.dumps(json_schema(), indent=2) + "\n"


# --- options that the commands share ---


def _check_option(command: _Command) -> _Command:
    option = click.option(
        "--check", is_flag=True, help="Write nothing; exit with 1 if a file is out of date."
    )
    return option(command)


def _output_option(metavar: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--output", "-o", "target", metavar=metavar, type=click.Path(path_type=Path), help=text
    )


def _kind(
    kind: str, suffix: str, about: str, *options: Callable[[_Command], _Command]
) -> click.Command:
    """The command that generates one kind of output from one catalog."""

    def run(
        ctx: click.Context,
        catalog: str | None,
        target: Path | None,
        check: bool,
        output: Output,
        licence: str | None = None,
    ) -> None:
        from heliograph.cli import project

        if catalog is None:
            if target is not None:
                msg = "--output needs a CATALOG"
                raise click.UsageError(msg, ctx)
            settings = _settings(ctx)
            files = _of_project(settings, (kind,))
            if not files:
                msg = f"name a CATALOG; {settings.file} sets no {kind!r} for any"
                raise click.UsageError(msg, ctx)
        else:
            if check and target is None:
                msg = "--check needs --output: the file to compare with"
                raise click.UsageError(msg, ctx)
            [document] = project.catalogs([catalog]).documents
            files = _made(ctx, kind, document, target or Path(), licence)
        _finish(ctx, output, files, check=check, printing=catalog is not None and target is None)

    metavar = "DIR" if kind == "weaver" else "FILE"
    run.__doc__ = f"""{about}

    Prints it, or writes it with --output. Without a CATALOG, the project's pyproject.toml says
    from which catalogs to generate into which files.
    """
    example = f"heliograph catalog {kind} shop.yaml --output {suffix}"
    epilog = f"\b\nExamples:\n  {example}\n  {example} --check\n"
    command: _Command = click.pass_context(run)
    decorators: tuple[Callable[[_Command], _Command], ...] = (
        json_option,
        _check_option,
        *options,
        _output_option(metavar, f"The {'folder' if kind == 'weaver' else 'file'} to write."),
        click.argument("catalog", required=False, shell_complete=complete_catalog),
    )
    for decorate in decorators:
        command = decorate(command)
    return click.command(name=kind, epilog=epilog)(command)


def _made(
    ctx: click.Context, kind: str, document: Document, target: Path, licence: str | None
) -> dict[Path, str]:
    try:
        return _render(kind, document, target, licence)
    except ValueError as error:
        # Sound as a catalog, but its names cannot be told apart in what is to be made of it.
        click.echo(f"heliograph: {document.file}: {error}", err=True)
        ctx.exit(ExitCode.INVALID)


_LICENCE: Final = click.option(
    "--licence", metavar="SPDX", help="Licence identifier for the first line of the module."
)

python: click.Command = _kind(
    "python",
    "src/shop/events.py",
    "Generate a Python module: a typed handle for each event and span.",
    _LICENCE,
)
markdown: click.Command = _kind(
    "markdown", "docs/events.md", "Generate a page of reference in Markdown."
)
weaver: click.Command = _kind("weaver", "registry", "Generate a registry for OpenTelemetry Weaver.")
grafana: click.Command = _kind("grafana", "dashboards/shop.json", "Generate a Grafana dashboard.")
alerts: click.Command = _kind(
    "alerts", "alerts/shop.yaml", "Generate a file of Prometheus alert rules."
)


_SCHEMA_EPILOG: Final = """\b
Examples:
  heliograph catalog schema --output catalog.schema.json
"""


@click.command(epilog=_SCHEMA_EPILOG)
@_output_option("FILE", "The file to write.")
@_check_option
@json_option
@click.pass_context
def schema(ctx: click.Context, target: Path | None, check: bool, output: Output) -> None:
    """Print the JSON Schema of the catalog format, or write it.

    Editors complete and check a catalog whose first line is
    `# yaml-language-server: $schema=./catalog.schema.json`.
    """
    if check and target is None:
        msg = "--check needs --output: the file to compare with"
        raise click.UsageError(msg, ctx)
    files = {target or Path(): _schema()}
    _finish(ctx, output, files, check=check, printing=target is None)


_GENERATE_EPILOG: Final = """\b
  [[tool.heliograph.catalogs]]
  catalog = "shop.yaml"
  python = "src/shop/events.py"
  markdown = "docs/events.md"

\b
Examples:
  heliograph catalog generate
  heliograph catalog generate --check
"""


@click.command(epilog=_GENERATE_EPILOG)
@_check_option
@json_option
@click.pass_context
def generate(ctx: click.Context, check: bool, output: Output) -> None:
    """Generate everything that the project's pyproject.toml asks for, such as this."""
    from heliograph.cli.project import KINDS

    settings = _settings(ctx)
    files = _of_project(settings, KINDS)
    if settings.schema is not None:
        files[settings.schema] = _schema()
    if not files:
        msg = f"{settings.file} asks for nothing; add python = FILE to a catalog"
        raise click.UsageError(msg, ctx)
    _finish(ctx, output, files, check=check, printing=False)


def _settings(ctx: click.Context) -> Project:
    from heliograph.cli import project

    settings = project.find()
    if settings is None:
        msg = "there is no pyproject.toml with [tool.heliograph] in this folder or above it"
        raise click.UsageError(msg, ctx)
    return settings


def _of_project(settings: Project, kinds: tuple[str, ...]) -> dict[Path, str]:
    from heliograph.cli import project

    documents = project.load_all([each.catalog for each in settings.catalogs])
    files: dict[Path, str] = {}
    for each, document in zip(settings.catalogs, documents, strict=True):
        for kind in kinds:
            if kind in each.outputs:
                made = _made(
                    click.get_current_context(), kind, document, each.outputs[kind], each.licence
                )
                files.update(made)
    return files


# --- what becomes of the files ---


def _finish(
    ctx: click.Context, output: Output, files: Mapping[Path, str], *, check: bool, printing: bool
) -> None:
    """Print the files, compare them, or write them."""
    if printing:
        _print(output, files)
    elif check:
        ctx.exit(_compare(output, files))
    else:
        _write(output, files)


def _print(output: Output, files: Mapping[Path, str]) -> None:
    if output.json:
        texts = [
            {"path": None if path == Path() else str(path), "text": text}
            for path, text in files.items()
        ]
        output.document({"files": texts})
        return
    for path, text in files.items():
        if len(files) > 1:
            output.line(f"# --- {path} ---")
        # In colour, which means: as it is; a pipe gets what a file would.
        click.echo(text, nl=not text.endswith("\n"), color=True)


def _compare(output: Output, files: Mapping[Path, str]) -> ExitCode:
    from heliograph.catalog.outputs import drift

    drifts = {each.path: each for each in drift(files)}
    if output.json:
        output.document(
            {
                "files": [
                    {
                        "path": str(path),
                        "state": _state(drifts[path].missing) if path in drifts else "up to date",
                        "diff": drifts[path].diff if path in drifts else "",
                    }
                    for path in files
                ]
            }
        )
    else:
        for each in drifts.values():
            output.line(str(each))
        count = plural(len(files), "file")
        output.note(f"{count}: {f'{len(drifts)} out of date' if drifts else 'up to date'}")
    return ExitCode.FINDINGS if drifts else ExitCode.OK


def _state(missing: bool) -> str:
    return "missing" if missing else "out of date"


def _write(output: Output, files: Mapping[Path, str]) -> None:
    from heliograph.catalog.outputs import write

    changed = write(files)
    if output.json:
        output.document(
            {
                "files": [
                    {"path": str(path), "state": "written" if path in changed else "up to date"}
                    for path in files
                ]
            }
        )
        return
    for path in changed:
        output.line(str(path))
    output.note(f"{plural(len(files), 'file')}: {len(changed)} written")
