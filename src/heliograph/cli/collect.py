# SPDX-License-Identifier: Apache-2.0
"""`heliograph collect`: receives what OpenTelemetry sends, and shows it."""

from __future__ import annotations

import json
import queue
import signal
import time
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.output import JSON_VERSION, json_option, plural
from heliograph.cli.seconds import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heliograph.apps.collect import Address, Batch, Receiver
    from heliograph.apps.collect.text import Line
    from heliograph.apps.collect.viewer import View
    from heliograph.cli.output import Output

__all__ = ["collect"]

_HTTP: Final = "127.0.0.1:4318"
_GRPC: Final = "127.0.0.1:4317"
# Our choice: requests that wait to be shown. A sender that is told to try again keeps its data.
_WAITING: Final = 64

_EPILOG: Final = """\b
Examples:
  heliograph collect
  heliograph collect --until-idle 5 --json | jq 'select(.kind == "span")'
  heliograph collect --http 127.0.0.1:0 --grpc off
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--http",
    metavar="HOST:PORT",
    default=_HTTP,
    show_default=True,
    help="Where to listen for OTLP over HTTP; port 0 for any, off for none.",
)
@click.option(
    "--grpc",
    metavar="HOST:PORT",
    default=None,
    help=f"The same over gRPC.  [default: {_GRPC}, if grpcio is installed]",
)
@click.option(
    "--duration",
    metavar="SECONDS",
    type=Seconds(),
    help="End after this time.",
)
@click.option(
    "--until-idle",
    metavar="SECONDS",
    type=Seconds(),
    help="End when something has arrived, and then nothing for this time.",
)
@json_option
@click.pass_context
def collect(
    ctx: click.Context,
    http: str,
    grpc: str | None,
    duration: float | None,
    until_idle: float | None,
    output: Output,
) -> None:
    """Receive what OpenTelemetry sends, and show it: a stand-in for a collector.

    Traces are shown as trees when they seem complete, metrics as tables of what changed, log
    records as lines. Nothing is kept. Ends with a summary, on an interrupt too.
    """
    from heliograph.apps.collect.receiver import Receiver

    at_http, at_grpc = _addresses(ctx, http, grpc)
    waiting: queue.Queue[Batch] = queue.Queue(_WAITING)
    with (
        _interruptible(),
        Receiver(_putter(waiting), http=at_http, grpc=at_grpc) as receiver,
    ):
        session = _Session(output, receiver)
        try:
            # Within, since whoever reads where it listens may send, and interrupt it, at once.
            session.begin(grpc)
            session.run(waiting, duration, until_idle)
        except KeyboardInterrupt:
            pass  # how most runs end
        finally:
            # Whatever was taken has been answered for; it is shown, too.
            receiver.close()
            session.end(waiting)


def _addresses(
    ctx: click.Context, http: str, grpc: str | None
) -> tuple[Address | None, Address | None]:
    from heliograph.apps.collect.receiver import GRPC_PORT, HTTP_PORT

    at_http, at_grpc = _address(ctx, "--http", http, HTTP_PORT), None
    if grpc is not None or find_spec("grpc") is not None:
        at_grpc = _address(ctx, "--grpc", grpc or _GRPC, GRPC_PORT)
    if at_http is None and at_grpc is None:
        msg = "listen for something: neither --http nor --grpc is on"
        raise click.UsageError(msg, ctx)
    return at_http, at_grpc


def _address(ctx: click.Context, option: str, text: str, port: int) -> Address | None:
    from heliograph.apps.collect.receiver import Address

    if text == "off":
        return None
    try:
        return Address.parse(text, port)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint=option) from error


def _putter(waiting: queue.Queue[Batch]) -> Any:
    from heliograph.apps.collect.intake import BusyError

    def put(batch: Batch) -> None:
        try:
            waiting.put_nowait(batch)
        except queue.Full:
            raise BusyError from None

    return put


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the command as an interrupt does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Session:
    """One run: what arrives is counted and shown."""

    def __init__(self, output: Output, receiver: Receiver) -> None:
        from heliograph.apps.collect.viewer import Viewer

        self._output = output
        self._receiver = receiver
        self._viewer = Viewer()
        self._counts: Counter[str] = Counter()

    def begin(self, grpc: str | None) -> None:
        receiver, note = self._receiver, self._output.note
        listening = [
            (protocol, address)
            for protocol, address in (("HTTP", receiver.http), ("gRPC", receiver.grpc))
            if address is not None
        ]
        if self._output.json:
            self._object(
                "listening", {protocol.lower(): str(address) for protocol, address in listening}
            )
        where = " and ".join(f"{protocol} at {address}" for protocol, address in listening)
        note(f"Listening for OTLP over {where}; an interrupt (Ctrl-C) ends it.")
        if grpc is None and receiver.grpc is None:
            note('gRPC is off: it needs pip install "heliograph[otel-grpc]"')
        for protocol, address in listening:
            if not address.loopback:
                note(
                    f"Warning: whoever reaches {address} can send over {protocol} what is shown "
                    "here; nobody is asked who they are."
                )

    def run(
        self, waiting: queue.Queue[Batch], duration: float | None, until_idle: float | None
    ) -> None:
        end = None if duration is None else time.monotonic() + duration
        idle = None
        while True:
            moments = [each for each in (self._viewer.next_due(), end, idle) if each is not None]
            now = time.monotonic()
            try:
                # A wait without an end could not be interrupted everywhere.
                batch = waiting.get(timeout=max(0.0, min([*moments, now + 3600.0]) - now))
            except queue.Empty:
                pass
            else:
                now = time.monotonic()
                self._take(batch, now)
                idle = None if until_idle is None else now + until_idle
            now = time.monotonic()
            if not self._output.json:
                self._show(self._viewer.due(now))
            if any(each is not None and each <= now for each in (end, idle)):
                return

    def end(self, waiting: queue.Queue[Batch]) -> None:
        while not waiting.empty():
            self._take(waiting.get_nowait(), 0.0)
        self._show(self._viewer.rest())
        refused = self._receiver.intake.refused
        if self._output.json:
            self._object(
                "summary",
                {
                    **{kind: self._counts[kind] for kind in ("spans", "points", "logs")},
                    "refused": {str(status): refused[status] for status in sorted(refused)},
                },
            )
            return
        said = [
            plural(self._counts["spans"], "span"),
            plural(self._counts["points"], "metric point"),
            plural(self._counts["logs"], "log record"),
        ]
        if refused:
            reasons = ", ".join(f"{refused[status]} with {status}" for status in sorted(refused))
            said.append(f"{plural(sum(refused.values()), 'request')} refused ({reasons})")
        self._output.note(f"Received {', '.join(said)}.")

    def _take(self, batch: Batch, now: float) -> None:
        self._counts["spans"] += len(batch.spans)
        self._counts["points"] += sum(len(metric.points) for metric in batch.metrics)
        self._counts["logs"] += len(batch.logs)
        if self._output.json:
            from heliograph.apps.collect.shapes import objects

            for each in objects(batch):
                self._object(each.pop("kind"), each)
        else:
            self._show(self._viewer.add(batch, now))

    def _object(self, kind: str, data: dict[str, Any]) -> None:
        whole = {"version": JSON_VERSION, "command": "collect", "kind": kind, **data}
        self._output.line(json.dumps(whole, ensure_ascii=False, allow_nan=False))

    def _show(self, views: Iterable[View]) -> None:
        from heliograph.apps.collect.text import METRIC_COLUMNS, shown
        from heliograph.apps.collect.viewer import Lines

        for view in views:
            if isinstance(view, Lines):
                self._lines(view.lines)
            else:
                if view.service:
                    self._lines([[("metrics  ", "dim"), (shown(view.service), "cyan")]])
                self._output.table(METRIC_COLUMNS, view.rows)

    def _lines(self, lines: Iterable[Line]) -> None:
        if not self._output.rich:
            for line in lines:
                self._output.line("".join(text for text, _ in line).rstrip())
            return
        from rich.text import Text

        self._output.show(
            *(Text.assemble(*line, no_wrap=True, overflow="ellipsis") for line in lines)
        )
