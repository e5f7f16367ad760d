# SPDX-License-Identifier: Apache-2.0
"""`heliograph cluster node`: runs a node, shows what happens, and takes commands."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from heliograph.cli.exits import ExitCode
from heliograph.cli.output import JSON_VERSION, json_option

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from heliograph.cli.output import Output
    from heliograph.partisan import Change, Changes, Inbox, Manager, Node

__all__ = ["node"]

# Our choice: lines that wait to be carried out; whoever pipes more waits.
_WAITING: Final = 64
# Our choice: what is shown of a message.
_SHOWN: Final = 4096
_DROPS: Final = "heliograph cluster node"
# A node, a name that may be a quoted atom, and a term.
_SENT: Final = re.compile(r"(\S+)\s+('(?:[^'\\]|\\.)*'|\S+)\s+(.+)", re.DOTALL)

_EPILOG: Final = """\b
Examples:
  heliograph cluster node --name py1@127.0.0.1 --listen 127.0.0.1:10201
  heliograph cluster node --name py2@127.0.0.1 --join py1@127.0.0.1=127.0.0.1:10201
  heliograph cluster node --name py3@127.0.0.1 --discover dns:orders.example:10201
"""


@click.command(epilog=_EPILOG)
@click.option("--name", metavar="NAME@HOST", required=True, help="The node's name.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    multiple=True,
    default=("127.0.0.1:0",),
    show_default=False,
    help="Where to listen; else 127.0.0.1:0.",
)
@click.option("--advertise", metavar="HOST:PORT", multiple=True, help="Where others reach it.")
@click.option(
    "--channel",
    "channels",
    metavar="NAME[:N]",
    multiple=True,
    help="A channel, with N connections to each peer.",
)
@click.option("--join", "joins", metavar="NAME=HOST:PORT", multiple=True, help="A node to join.")
@click.option(
    "--discover",
    "sources",
    metavar="SOURCE",
    multiple=True,
    help="Where to look for nodes: dns:HOST:PORT, ...",
)
@click.option(
    "--inbox",
    "inboxes",
    metavar="NAME",
    multiple=True,
    default=("sink",),
    show_default=False,
    help="A name to show messages of; else sink.",
)
@click.option(
    "--topic",
    "topics",
    metavar="NAME",
    multiple=True,
    default=("news",),
    show_default=False,
    help="A name to show broadcasts of; else news.",
)
@click.option(
    "--manager",
    metavar="KIND",
    type=click.Choice(["mesh", "hyparview", "scamp-v1", "scamp-v2", "server", "client", "static"]),
    default="mesh",
    help="mesh, hyparview, scamp-v1, ..., static; see docs.",
)
@click.option("--state", metavar="FILE", help="Keep the membership over restarts.")
@click.option("--tls-certificate", metavar="FILE", help="The node's certificate.")
@click.option("--tls-key", metavar="FILE", help="Its key, if not in there too.")
@click.option("--tls-authority", metavar="FILE", help="Who has certified the peers.")
@click.option("--tls-bind-names", is_flag=True, help="Hold peers to certified names.")
@json_option
@click.pass_context
def node(ctx: click.Context, /, output: Output, **options: Any) -> None:
    """Run a node: show who comes and goes and what it is sent, and take commands.

    Commands, one on a line of standard input: members, connections, send NODE NAME TERM [ack],
    broadcast NAME TERM, and leave, which ends it. Options may be repeated where that makes sense.
    """
    from heliograph.partisan import PartisanError

    joins = [_join(ctx, text) for text in options["joins"]]
    made = _made(ctx, options, joins)
    if options["manager"] == "static":
        joins = []  # it knows them already, and dials them itself
    try:
        _run(_Session(made, output).run(options["inboxes"], options["topics"], joins))
    except (PartisanError, OSError) as error:
        output.note(f"heliograph: {error}")
        ctx.exit(ExitCode.UNREACHABLE)


def _made(ctx: click.Context, options: dict[str, Any], joins: list[tuple[str, str]]) -> Node:
    from heliograph.partisan import Channel, Node, Tls
    from heliograph.partisan.discovery import parse_source

    tls = None
    if options["tls_certificate"] is not None:
        if options["tls_authority"] is None:
            raise click.UsageError("--tls-certificate needs --tls-authority", ctx)
        tls = Tls(
            options["tls_certificate"],
            options["tls_authority"],
            options["tls_key"],
            bind_names=options["tls_bind_names"],
        )
    try:
        return Node(
            options["name"],
            listen=options["listen"],
            advertise=options["advertise"],
            channels=[Channel.parse(text) for text in options["channels"]],
            state=options["state"],
            discovery=[parse_source(text) for text in options["sources"]],
            tls=tls,
            manager=_manager(options["manager"], joins),
        )
    except (ValueError, ImportError) as error:
        raise click.UsageError(str(error), ctx) from error


def _manager(name: str, joins: list[tuple[str, str]]) -> Manager:
    from heliograph import partisan

    match name:
        case "hyparview":
            return partisan.HyParView()
        case "scamp-v1":
            return partisan.ScampV1()
        case "scamp-v2":
            return partisan.ScampV2()
        case "server" | "client":
            return partisan.ClientServer(name)
        case "static":
            return partisan.Static(joins)
        case _:
            return partisan.FullMesh()


def _join(ctx: click.Context, text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=HOST:PORT", ctx, param_hint="--join")
    return name, address


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, on uvloop where it is installed."""
    if find_spec("uvloop") is None:
        asyncio.run(main)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


class _Session:
    """One run of one node."""

    def __init__(self, made: Node, output: Output) -> None:
        self._node = made
        self._output = output
        self._lines: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._counts = {"messages": 0, "sent": 0}
        self._joined = asyncio.Event()
        self._end = asyncio.Event()
        self._failure: Exception | None = None

    async def run(
        self, inboxes: tuple[str, ...], topics: tuple[str, ...], joins: list[tuple[str, str]]
    ) -> None:
        """Run until it is interrupted or told to leave."""
        opened = [self._node.register(name) for name in dict.fromkeys(inboxes)]
        news = [self._node.subscribe(name) for name in dict.fromkeys(topics)]
        changes = self._node.changes()
        with self._drops_shown():
            await self._running(opened, news, changes, joins)
        if self._failure is not None:
            raise self._failure
        self._tell("summary", dict(self._counts), "", note=True)

    async def _running(
        self,
        opened: list[Inbox],
        news: list[Inbox],
        changes: Changes,
        joins: list[tuple[str, str]],
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end.set)
        async with self._node:
            self._tell(
                "listening",
                {"node": self._node.name, "listen_addrs": [*self._node.listen_addrs]},
                f"{self._node.name} listens at {', '.join(self._node.listen_addrs)}",
                note=True,
            )
            tasks = [
                asyncio.ensure_future(each)
                for each in (
                    self._changes(changes),
                    *[self._messages(inbox) for inbox in opened],
                    *[self._broadcasts(inbox) for inbox in news],
                    self._commands(),
                    self._joins(joins),
                )
            ]
            threading.Thread(target=self._read, args=(loop,), daemon=True).start()
            await self._end.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, kind: str, data: dict[str, Any], text: str, *, note: bool = False) -> None:
        if self._output.json:
            whole = {"version": JSON_VERSION, "command": "cluster node", "kind": kind, **data}
            self._output.line(json.dumps(whole, ensure_ascii=False))
            sys.stdout.flush()
        elif text and note:
            self._output.note(text)
        elif text:
            self._output.line(text)
            sys.stdout.flush()

    async def _joins(self, joins: list[tuple[str, str]]) -> None:
        from heliograph.partisan import PartisanError

        try:
            for name, address in joins:
                await self._node.join(name, address)
            self._joined.set()
        except (PartisanError, ValueError) as error:
            self._failure = error
            self._end.set()

    # -- What happens -----------------------------------------------------------------------------

    @contextmanager
    def _drops_shown(self) -> Iterator[None]:
        """Show which messages are lost, such as those for a name that is not shown."""
        from heliograph import attach, detach
        from heliograph.partisan.events import MESSAGE_DROPPED

        def show(_event: str, measurements: Any, metadata: Any, _config: object) -> None:
            about = {key: metadata.get(key) for key in ("target", "peer", "reason")}
            name, reason = about["target"], about["reason"]
            words = ["dropped", str(measurements["count"]), name, about["peer"], reason]
            text = "\t".join(word for word in words if word)
            if name and reason == "unknown_name":
                text += f"\tshow what is for it by --inbox {shlex.quote(name)}"
            self._tell("dropped", {"count": measurements["count"], **about}, text)

        attach(_DROPS, MESSAGE_DROPPED.name, show)
        try:
            yield
        finally:
            detach(_DROPS)

    async def _changes(self, changes: Changes) -> None:
        change: Change
        async for change in changes:
            data = {
                "change": change.kind,
                "node": change.node,
                "channel": change.channel,
                "reason": change.reason,
            }
            words = [change.kind.replace("_", " "), change.node]
            words += [word for word in (change.channel, change.reason) if word]
            self._tell("change", data, "\t".join(words))

    async def _messages(self, inbox: Inbox) -> None:
        from heliograph.partisan import Request
        from heliograph.partisan.wire.text import format_term

        async for message in inbox:
            self._counts["messages"] += 1
            asked = isinstance(message, Request)
            text = format_term(message.message if asked else message, limit=_SHOWN)
            self._tell(
                "message",
                {"name": inbox.name, "message": text, "request": asked},
                f"message\t{inbox.name}\t{text}",
            )

    async def _broadcasts(self, inbox: Inbox) -> None:
        from heliograph.partisan.wire.text import format_term

        async for message in inbox:
            self._counts["messages"] += 1
            text = format_term(message, limit=_SHOWN)
            self._tell(
                "broadcast",
                {"name": inbox.name, "message": text},
                f"broadcast\t{inbox.name}\t{text}",
            )

    # -- Commands ---------------------------------------------------------------------------------

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read lines in a thread of its own, which nobody has to wait for."""
        for line in sys.stdin:
            with suppress(RuntimeError):  # the loop is closed
                asyncio.run_coroutine_threadsafe(self._lines.put(line), loop).result()

    async def _commands(self) -> None:
        from heliograph.partisan import PartisanError
        from heliograph.partisan.errors import TermSyntaxError

        while True:
            line = (await self._lines.get()).strip()
            if not line:
                continue
            try:
                await self._command(line)
            except (PartisanError, TermSyntaxError, ValueError) as error:
                self._tell("error", {"line": line, "error": str(error)}, f"{error}", note=True)

    async def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "members":
                self._members()
            case "connections":
                self._connections()
            case "send":
                await self._joined.wait()
                await self._send(rest)
            case "broadcast":
                await self._joined.wait()
                await self._broadcast(rest)
            case "leave":
                await self._joined.wait()
                await self._node.leave()
                self._tell("left", {"node": self._node.name}, f"{self._node.name} has left")
                self._end.set()
            case _:
                raise ValueError(
                    f"no command {word!r}; there are members, connections, send, broadcast and"
                    " leave"
                )

    def _members(self) -> None:
        rows = [
            {"name": each.name, "listen_addrs": [*each.listen_addrs], "state": each.state}
            for each in self._node.members()
        ]
        if self._output.json:
            self._tell("members", {"members": rows}, "")
            return
        self._output.table(
            ("NODE", "STATE", "ADDRESSES"),
            [(each.name, each.state, " ".join(each.listen_addrs)) for each in self._node.members()],
        )
        sys.stdout.flush()

    def _connections(self) -> None:
        connections = self._node.connections()
        if self._output.json:
            rows = [
                {
                    "socket": each.socket,
                    "peer": each.peer,
                    "channel": each.channel,
                    "side": each.side,
                    "peer_addr": each.peer_addr,
                }
                for each in connections
            ]
            self._tell("connections", {"connections": rows}, "")
            return
        self._output.table(
            ("SOCKET", "PEER", "CHANNEL", "SIDE", "ADDRESS"),
            [
                (str(each.socket), each.peer or "", each.channel or "", each.side, each.peer_addr)
                for each in connections
            ],
        )
        sys.stdout.flush()

    async def _send(self, rest: str) -> None:
        from heliograph.partisan.wire.text import parse_term

        words = _SENT.fullmatch(rest.strip())
        if words is None:
            raise ValueError("send takes NODE NAME TERM, and perhaps ack")
        peer, name, text = words.groups()
        if name.startswith("'"):
            name = str(parse_term(name))
        ack = text.endswith((" ack", "\tack"))
        term = parse_term(text[:-4].strip() if ack else text)
        await self._node.send(peer, name, term, ack=ack)
        self._counts["sent"] += 1
        self._tell("sent", {"node": peer, "name": name, "ack": ack}, "")

    async def _broadcast(self, rest: str) -> None:
        from heliograph.partisan.wire.text import parse_term

        name, _, text = rest.strip().partition(" ")
        if not text.strip():
            raise ValueError("broadcast takes NAME TERM")
        await self._node.broadcast(name, parse_term(text.strip()))
        self._counts["sent"] += 1
        self._tell("broadcasted", {"name": name}, "")
