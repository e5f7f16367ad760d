# SPDX-License-Identifier: Apache-2.0
"""Groups of commands that are imported when they are called, and commands that fail in one line."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LazyCommand", "LazyGroup", "RootGroup"]

# What is imported -> what that is called, and the extras that bring it.
_EXTRAS: Final = {
    "anyio": ("anyio", "cli,cluster"),
    "click": ("click", "cli"),
    "google": ("opentelemetry-proto", "cli,otel"),
    "grpc": ("grpcio", "cli,otel-grpc"),
    "opentelemetry": ("opentelemetry-proto", "cli,otel"),
    "pymodbus": ("pymodbus", "cli,modbus"),
    "rich": ("rich", "cli"),
    "serial": ("pyserial", "cli,modbus"),
    "yaml": ("PyYAML", "cli"),
}


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is, and what its group's help says of it without importing it."""

    place: str
    """`package.module:attribute`."""
    brief: str


class LazyGroup(click.Group):
    """A group whose commands are named in a table."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        """As `click.Group`, and with the table of its commands."""
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(self._lazy)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command, imported."""
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.place.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The commands' names and briefs, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.brief) for name, lazy in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called; the nearest names if there is none."""
        name = args[0]
        if name in self._lazy or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(name, self._lazy, n=3)
        mend = (
            f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else f"there are {', '.join(self._lazy)}"
        )
        raise click.UsageError(f"no command {name!r}; {mend}", ctx)


class RootGroup(LazyGroup):
    """The outermost group: it turns exceptions into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was called."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BrokenPipeError:
            _leave_the_pipe()
            ctx.exit(ExitCode.OK)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(ExitCode.INTERRUPTED)
        except Exception as error:
            known = _known(error)
            if known is None:
                raise
            code, lines = known
            output = Output("", json=False)
            for line in lines:
                output.note(f"heliograph: {line}")
            ctx.exit(code)
        return result


def _leave_the_pipe() -> None:
    """Whoever read the output has enough; what is still buffered must not fail at exit either."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _known(error: Exception) -> tuple[ExitCode, list[str]] | None:
    """The exit code and the lines for an error that is the user's to mend, None for our own."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if package in _EXTRAS:
        needed, extras = _EXTRAS[package]
        return ExitCode.INVALID, [
            f'this command needs {needed}: pip install "heliograph[{extras}]"'
        ]
    # Whoever raised one of these has imported its module.
    if (faults := _faults(error)) is not None:
        return ExitCode.INVALID, faults
    project = sys.modules.get("heliograph.cli.project")
    if project is not None and isinstance(error, project.ProjectError):
        return ExitCode.INVALID, str(error).splitlines()
    if (known := _modbus(error)) is not None:
        return known
    if isinstance(error, TimeoutError):
        return ExitCode.TIMEOUT, [str(error) or "timed out"]
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        where = f": {error.filename}" if error.filename is not None else ""
        return ExitCode.UNREACHABLE, [f"{reason}{where}"]
    return None


def _faults(error: Exception) -> list[str] | None:
    """The faults of a catalog, without importing what could have raised them."""
    errors: Any = sys.modules.get("heliograph.catalog.errors")
    if errors is None or not isinstance(error, errors.LocatedError):
        return None
    located: Any = error
    return [str(fault) for fault in located.faults]


def _modbus(error: Exception) -> tuple[ExitCode, list[str]] | None:
    """What an error of a Modbus device or its schema means, again without importing any."""
    errors: Any = sys.modules.get("heliograph.modboss.errors")
    if errors is None or not isinstance(error, errors.ModbossError):
        return None
    lines = str(error).splitlines() or [type(error).__name__]
    if isinstance(error, errors.DeviceError):
        if isinstance(error, TimeoutError):
            return ExitCode.TIMEOUT, lines
        # Whoever speaks over a link and finds it down has not got an answer, not even a refusal.
        faults: Any = sys.modules.get("heliograph.modboss.faults")
        unanswered = faults is not None and isinstance(error, faults.LinkError)
        return ExitCode.UNREACHABLE if unanswered else ExitCode.FINDINGS, lines
    if isinstance(error, (errors.WrongCountError, errors.DecodeError)):
        return ExitCode.FINDINGS, lines
    snapshot: Any = sys.modules.get("heliograph.modboss.snapshot")
    if isinstance(error, errors.SchemaError) or (
        snapshot is not None and isinstance(error, snapshot.SnapshotError)
    ):
        return ExitCode.INVALID, lines
    return ExitCode.USAGE, lines
