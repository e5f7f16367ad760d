# SPDX-License-Identifier: Apache-2.0
"""`heliograph demo`: the whole in a minute."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import json_option
from heliograph.cli.seconds import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliograph.apps.collect.receiver import Address
    from heliograph.apps.demo import Demo
    from heliograph.cli.output import Output

__all__ = ["demo"]

_LEAST: Final = 5.0
_PORT: Final = 8470

_EPILOG: Final = """\b
Examples:
  heliograph demo
  heliograph demo --seconds 20 --headless
  heliograph demo --endpoint http://localhost:4318
  heliograph demo --web --seconds 600
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--seconds",
    type=Seconds(_LEAST, itself=True),
    default=60.0,
    show_default="60",
    help="How long it takes; a busy machine may take longer.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    callback=lambda _ctx, _parameter, text: _collector(text),
    help="A collector, in place of the embedded receiver.",
)
@click.option("--headless", is_flag=True, help="Print lines in place of the live picture.")
@click.option(
    "--web",
    metavar="[HOST:PORT]",
    is_flag=False,
    flag_value=f"127.0.0.1:{_PORT}",
    callback=lambda _ctx, _parameter, text: _address(text),
    help=f"Serve a page for browsers, too; at 127.0.0.1:{_PORT} if nothing else is named.",
)
@json_option
@click.pass_context
def demo(
    ctx: click.Context,
    seconds: float,
    endpoint: str | None,
    headless: bool,
    web: Address | None,
    output: Output,
) -> None:
    """Show a fleet of gateways at work, from a fault on the wire to a failover.

    Starts a plant of virtual Modbus devices, three gateways that share them, and a receiver of
    what they export, as processes on this machine; kills a gateway half-way. Exits with 0 if all
    that was promised was seen.
    """
    began = time.monotonic()

    def say(text: str) -> None:
        if not output.json:
            output.line(f"{time.monotonic() - began:5.1f} s  {text}")

    try:
        if output.json or headless or not output.rich:
            # Beside a JSON document, where the page is has no other place than standard error.
            told = output.note if output.json else say
            made, kept = _play(seconds, endpoint, web, say=say, told=told)
        else:
            made, kept = _live(seconds, endpoint, web)
    except RuntimeError as error:  # a part of it has ended, and the rest would wait in vain
        output.note(f"heliograph: {error}")
        ctx.exit(ExitCode.FINDINGS)
    _end(made, output)
    if not kept:
        ctx.exit(ExitCode.FINDINGS)


def _collector(text: str | None) -> str | None:
    if text is not None:
        from heliograph.otel import ConfigurationError
        from heliograph.otel.configuration import Options, settle

        try:
            settle(Options(endpoint=text), {})
        except ConfigurationError as error:
            raise click.BadParameter(str(error.faults[0])) from error
    return text


def _address(text: str | None) -> Address | None:
    if text is None:
        return None
    from heliograph.apps.collect.receiver import Address

    try:
        return Address.parse(text, _PORT)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _play(
    seconds: float,
    endpoint: str | None,
    web: Address | None,
    *,
    say: Callable[[str], object] = lambda _: None,
    show: Callable[[Demo], object] = lambda _: None,
    told: Callable[[str], object] = lambda _: None,
) -> tuple[Demo, bool]:
    """Play it, with a page or without; return it, and whether its promises were kept."""
    from heliograph.apps.demo import Demo

    async def play() -> tuple[Demo, bool]:
        if web is None:
            made = Demo(seconds, endpoint=endpoint, say=say, show=show)
            return made, await made.run()
        from heliograph.apps.demo.web import play_with_page

        return await play_with_page(seconds, endpoint, web, say=say, show=show, told=told)

    with _interruptible():
        return asyncio.run(play())


def _live(seconds: float, endpoint: str | None, web: Address | None) -> tuple[Demo, bool]:
    from rich.console import Console
    from rich.live import Live

    from heliograph.apps.demo.view import picture

    console = Console(highlight=False, emoji=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        return _play(
            seconds,
            endpoint,
            web,
            show=lambda now: live.update(picture(now), refresh=True),
        )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the command as an interrupt does.

    Else processes would be left behind.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(made: Demo, output: Output) -> None:
    if output.json:
        output.document(made.document())
        return
    promises = made.scene.promises()
    if output.rich:
        from heliograph.apps.demo.view import summary

        output.show(summary(made, promises))
    else:
        for name, entries in made.entries().items():
            missing = [event for event, count in entries.items() if not count]
            seen = f"{len(entries) - len(missing)} of {len(entries)} kinds"
            output.line(f"catalog {name}: {sum(entries.values())} events, {seen} seen")
            if missing:
                output.line(f"  not seen: {', '.join(missing)}")
        for promise in promises:
            mark = {True: "ok", False: "NOT SEEN", None: "not looked for"}[promise.kept]
            output.line(f"{mark:<15} {promise.topic:<9} {promise.text}")
    for signal_name, told in made.exported().items():
        output.line(f"{signal_name}: {told['exported']} exported, {told['dropped']} dropped")
    missed = sum(promise.kept is False for promise in promises)
    looked = sum(promise.kept is not None for promise in promises)
    if missed:
        output.line(f"{missed} of {len(promises)} promises were not kept")
    elif looked < len(promises):
        output.line(f"all {looked} promises kept that could be looked for")
    else:
        output.line(f"all {len(promises)} promises kept")
