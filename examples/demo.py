# SPDX-License-Identifier: Apache-2.0
"""Ten seconds in a small shop: what heliograph does today, and a proof that it did.

Run it with `python examples/demo.py`. It exits with 0 only if all that it promises
was seen. In a pipe, or with --plain, it prints plain lines; NO_COLOR is honoured.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

import heliograph
from heliograph import handlers
from heliograph.catalog import attach_from_config, load
from heliograph.poller import Poller
from heliograph.process import add_process_measurements
from shop import watch
from shop.counter import Order, Shop, TillJammedError

if TYPE_CHECKING:
    from heliograph.catalog import Attachment
    from heliograph.stream import Stream

HERE = Path(__file__).parent / "shop"
CUSTOMERS = ("Ada", "Grace", "Edsger", "Barbara", "Alan", "Frances")
TILLS = 3
PACKERS = 2
RUSH_SECONDS = 7.0
FRAMES_PER_SECOND = 8


class Tally:
    """Counts every event that is executed, whoever listens, and keeps how long operations took."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.durations: dict[str, list[int]] = defaultdict(list)
        self._adding = threading.Lock()

    def __call__(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        with self._adding:
            self.counts[event] += 1
            if "duration" in measurements:
                self.durations[event].append(measurements["duration"])


class LogLines(logging.Handler):
    """Shows what heliograph logs, one line each: the demo's failures are on purpose."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[1] if record.exc_info else None
        because = f" ({type(failure).__name__}: {failure})" if failure else ""
        self._show(f"{record.levelname} {record.getMessage()}{because}")


class Demo:
    """The scenes, and what they have shown."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.chance = random.Random(17)
        self.shop = Shop(self.chance)
        self.tally = Tally()
        self.catalog = load("shop.yaml", "heliograph")
        self.proofs: list[tuple[bool, str, str]] = []
        self.orders = 0
        self._ordering = threading.Lock()
        self.polled: dict[str, Mapping[str, Any]] = {}

    # -- The play ---------------------------------------------------------------------------------

    def play(self) -> bool:
        """Play all scenes; tell whether every promise was kept."""
        self.console.print(Rule("[bold]heliograph[/]: a library says what happened", align="left"))
        with heliograph.observe(self.tally), self._logging():
            self.show_catalog()
            self.attach_console()
            with attach_from_config("handlers.yaml", catalog=self.catalog) as attached:
                self.show_handlers(attached)
                self.show_orders()
                self.rush()
                self.end_quarantine()
            self.break_the_contract()
        self.summarize()
        return self.prove()

    def show_catalog(self) -> None:
        """Scene 1: what the shop says it will say."""
        self._scene("The catalog", "shop.yaml declares what may happen, and what it carries")
        (shop, _) = self.catalog.documents
        alerts = sum(metric.alert is not None for metric in shop.metrics.values())
        self._say(
            f"{shop.name} {shop.version}: {len(self.catalog.select('shop.**'))} events, "
            f"{len(shop.spans)} spans among them, {len(shop.metrics)} metrics, {alerts} alert"
        )
        old, new = next(iter(self.catalog.aliases.items()))
        self._say(f"a retired name still finds its heir: {old} -> {self.catalog.select(old)[0]}")
        self._promise(
            self.catalog.select(old) == (new,), "catalog", "an old name selects the present event"
        )

    def attach_console(self) -> None:
        """Have events printed, until the rush."""
        lines = handlers.Console(sys.stdout, catalog=self.catalog, width=30)
        self.catalog.attach("console", ["shop.*.*", "telemetry.**"], lines)

    def show_handlers(self, attached: Attachment) -> None:
        """Scene 2: who listens, as a file says."""
        self._scene("The handlers", "handlers.yaml attaches them; the shop knows none of them")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("id", "events", "handler", "if it fails"):
            table.add_column(column, style="cyan" if column == "id" else None)
        by_id = {info.handler_id: info for info in heliograph.list_handlers()}
        for handler_id in attached.handler_ids:
            info = by_id[handler_id]
            where = f"{info.handler.__module__}:{getattr(info.handler, '__name__', '?')}"
            table.add_row(handler_id, str(len(info.events)), where, info.on_failure)
        self.console.print(table)
        self._promise(len(attached.handler_ids) == 4, "handlers", "four attached from a file")

    def show_orders(self) -> None:
        """Scene 3: four orders, event by event."""
        self._scene("Four orders", "each line is an event; spans are indented")
        before = self.tally.counts.copy()
        self.serve(Order("A-1", "Ada", 2))
        self.serve(Order("A-2", "Grace", 0))
        self.serve(Order("A-3", "Edsger", 1, "invoice", "declined"))
        self.serve(Order("A-4", "Barbara", 1, "card", "jammed"))
        heliograph.detach("console")
        seen = self.tally.counts - before
        self._promise(
            {"shop.checkout.stop", "shop.checkout.exception", "shop.payment.exception"}
            <= seen.keys(),
            "spans",
            "nested, ended by stop and by exception",
        )
        gone = all(info.handler_id != "stock" for info in heliograph.list_handlers())
        self._promise(
            gone and seen["telemetry.handler.failure"] == 2 and seen["shop.order.placed"] == 1,
            "failures",
            "the broken handler 'stock' was detached, the order went through",
        )

    def rush(self) -> None:
        """Scene 4: several threads, a stream, a poller; and a mail server that comes back."""
        self._scene(
            "Rush hour",
            f"{TILLS} tills and {PACKERS} packers, a thread each; a task reads a stream; "
            "a poller looks on",
        )
        poller = Poller(period=0.5)
        poller.add("shop.queue.depth", lambda: {"waiting": self.shop.waiting.qsize()})
        polling = self.catalog.attach(
            "polled", ["shop.queue.depth", "heliograph.process.*"], self._note_polled
        )
        before = self._orders_told()
        closing, closed = threading.Event(), threading.Event()
        tills = [threading.Thread(target=self._till, args=(closing,)) for _ in range(TILLS)]
        packers = [threading.Thread(target=self._packer, args=(closed,)) for _ in range(PACKERS)]

        async def main() -> tuple[int, int]:
            add_process_measurements(poller)
            reader = self.catalog.stream("shop.order.*", capacity=8, name="ticker")
            reading = asyncio.create_task(self._read(reader))
            async with poller:
                for thread in (*tills, *packers):
                    thread.start()
                await self._watch()
                for shut, threads in ((closing, tills), (closed, packers)):
                    shut.set()
                    for thread in threads:
                        await asyncio.to_thread(thread.join)
            reader.close()
            return await reading, reader.dropped

        read, dropped = asyncio.run(main())
        heliograph.detach("polled")
        counts = self.tally.counts
        self._say(f"{self.orders} orders from {TILLS} threads, {counts.total()} events in all")
        self._promise(
            counts["shop.checkout.start"]
            == counts["shop.checkout.stop"] + counts["shop.checkout.exception"]
            and counts["shop.order.packed"] == counts["shop.order.placed"],
            "threads",
            "every checkout that began has ended, every order placed was packed",
        )
        self._say(
            f"the stream's slow reader got {read} snapshots and was told of {dropped} dropped"
        )
        self._promise(
            read + dropped == self._orders_told() - before and dropped > 0,
            "stream",
            "bounded; each event was read or counted as dropped",
        )
        self.console.print(self._polled_table())
        self._promise(
            set(self.polled) == set(polling) and len(polling) == 6,
            "poller",
            "queue depth, memory, files, threads, collector, loop lag",
        )

    def end_quarantine(self) -> None:
        """Scene 5: what became of the mail handler, and what the journal holds."""
        self._scene("Afterwards", "what the handlers made of it")
        (mail,) = [info for info in heliograph.list_handlers() if info.handler_id == "mail"]
        self._say(
            f"mail: failed {mail.failures} times, paused for 1 s and 2 s, is {mail.state} again; "
            f"{len(watch.mails)} mails went out"
        )
        self._promise(
            mail.failures == 2 and mail.state == "attached" and len(watch.mails) > 0,
            "quarantine",
            "paused with growing back-off, tried again, recovered",
        )
        journal = Path("journal.jsonl").read_text(encoding="utf-8")
        written = journal.count("\n")
        self._say(f"journal: {written} lines of JSON, such as")
        self.console.print(
            f"  {journal.splitlines()[0]}", style="dim", markup=False, soft_wrap=True
        )
        names = self.catalog.select("shop.order.*", "shop.*.exception")
        self._promise(
            written == sum(self.tally.counts[name] for name in names)
            and not any(name in journal for name in CUSTOMERS),
            "journal",
            "complete, and the customers' names, declared sensitive, are not in it",
        )
        self._say(f"slow-checkouts: {len(watch.slow)} noted, the latest is {watch.slow[-1]}")
        self._promise(len(watch.slow) > 0, "configuration", "the limit in handlers.yaml was obeyed")

    def break_the_contract(self) -> None:
        """Scene 6: an event that is not what the catalog says."""
        self._scene("A broken promise", "the catalog looks at what is executed")
        before = self.tally.counts["heliograph.catalog.violation"]
        with self.catalog.enforce("report"):
            heliograph.execute("shop.order.placed", {"count": "one"}, {"ordr_id": "A-9"})
            heliograph.execute("shop.order.eaten", {})
        found = self.tally.counts["heliograph.catalog.violation"] - before
        self._promise(found == 2, "conformance", "a wrong event and an unknown one were reported")

    # -- The end ----------------------------------------------------------------------------------

    def summarize(self) -> None:
        """Print every entry of the catalogs with its events."""
        self._scene("What happened", "every catalogued entry of the shop, and the toolkit's own")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("entry", style="cyan", no_wrap=True)
        numbers = ["events", "start", "stop", "exception", "median", "longest"]
        room = self.console.width - 91  # what the numbers leave for words
        for column in numbers if room > 0 else numbers[:-1]:
            table.add_column(column, justify="right", no_wrap=True)
        if room > 0:
            table.add_column("what it is", style="dim", no_wrap=True, max_width=room)
        columns = len(table.columns)

        def add(*cells: str, style: str = "") -> None:
            table.add_row(*cells[:columns], style=style)

        counts = self.tally.counts
        for name in sorted(self.catalog.spans):
            span = self.catalog.spans[name]
            ends = [counts[f"{name}.{stage}"] for stage in ("start", "stop", "exception")]
            took = self.tally.durations[f"{name}.stop"] + self.tally.durations[f"{name}.exception"]
            times = [_milliseconds(median(took)), _milliseconds(max(took))] if took else ["", ""]
            add(name, str(sum(ends)), *map(_count, ends), *times, span.brief)
        for name in self.catalog.select("**"):
            spec = self.catalog.events[name]
            if spec.span is None and (spec.catalog == "shop" or counts[name]):
                add(
                    name,
                    str(counts[name]),
                    *[""] * 5,
                    spec.brief,
                    style="" if counts[name] else "dim",
                )
        for name in sorted(counts.keys() - self.catalog.events.keys()):
            add(name, str(counts[name]), *[""] * 5, "not in any catalog", style="yellow")
        self.console.print(table)

    def prove(self) -> bool:
        """Print what was promised and whether it was seen."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for kept, topic, promise in self.proofs:
            mark = "[green]ok[/]" if kept else "[bold red]NOT SEEN[/]"
            table.add_row(f"  {mark}", topic, promise)
        missed = sum(not kept for kept, _, _ in self.proofs)
        verdict = (
            f"[bold red]{missed} of {len(self.proofs)} promises were not kept"
            if missed
            else f"[bold green]all {len(self.proofs)} promises kept"
        )
        self.console.print(Group(table, "", verdict))
        return not missed

    # -- Behind the scenes ------------------------------------------------------------------------

    def serve(self, order: Order) -> None:
        """Take an order and, when nobody else does, pack it."""
        with suppress(TillJammedError):
            if self.shop.check_out(order):
                self.shop.pack(self.shop.waiting.get())

    def _till(self, closing: threading.Event) -> None:
        while not closing.is_set():
            with suppress(TillJammedError):
                self.shop.check_out(self._next_order())
            closing.wait(self.chance.uniform(0.005, 0.025))

    def _next_order(self) -> Order:
        chance = self.chance
        with self._ordering:
            self.orders += 1
            return Order(
                f"B-{self.orders}",
                chance.choice(CUSTOMERS),
                chance.choice((0, 1, 1, 2, 3)),
                chance.choice(("card", "invoice")),
                chance.choices(("", "declined", "jammed"), (94, 4, 2))[0],
            )

    def _packer(self, closed: threading.Event) -> None:
        while not (closed.is_set() and self.shop.waiting.empty()):
            with suppress(queue.Empty):
                self.shop.pack(self.shop.waiting.get(timeout=0.05))

    async def _read(self, reader: Stream) -> int:
        read = 0
        async for _ in reader:
            read += 1
            await asyncio.sleep(0.02)  # slower than the shop, on purpose
        return read

    def _orders_told(self) -> int:
        return sum(self.tally.counts[name] for name in self.catalog.select("shop.order.*"))

    def _note_polled(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], _: Any
    ) -> None:
        self.polled[event] = {**metadata, **measurements}

    async def _watch(self) -> None:
        """Show the rush: a live table on a terminal, a line each second elsewhere."""
        ends = time.monotonic() + RUSH_SECONDS
        if not self.console.is_terminal:
            while (left := ends - time.monotonic()) > 0:
                await asyncio.sleep(min(left, 1.0))
                self._say(self._pulse())
            return
        with Live(console=self.console, auto_refresh=False) as live:
            before, began = self.tally.counts.copy(), time.monotonic()
            while time.monotonic() < ends:
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
                rates = self._rates(before, time.monotonic() - began)
                live.update(Group(rates, Text(f"  {self._pulse()}")), refresh=True)

    def _rates(self, before: Counter[str], seconds: float) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("event", style="cyan", min_width=26)
        table.add_column("count", justify="right", min_width=6)
        table.add_column("a second", justify="right", min_width=8)
        table.add_column("", min_width=40)
        for name in self.catalog.select("shop.*.*"):
            since = self.tally.counts[name] - before[name]
            if since:
                bar = Bar(160, 0, since / seconds, width=40, color="green")
                table.add_row(name, str(since), f"{since / seconds:.0f}", bar)
        return table

    def _pulse(self) -> str:
        counts = self.tally.counts
        states = [h.state for h in heliograph.list_handlers() if h.handler_id == "mail"]
        return (
            f"{counts['shop.order.placed']:>4} placed  {counts['shop.order.refused']:>3} refused  "
            f"{counts['shop.order.packed']:>4} packed  {self.shop.waiting.qsize():>3} waiting  "
            f"mail handler: {states[0]}"
        )

    def _polled_table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("polled every half second", style="cyan")
        table.add_column("last seen")
        for event, values in sorted(self.polled.items()):
            shown = [f"{key} {_quantity(key, value)}" for key, value in values.items()]
            table.add_row(event, "  ".join(shown))
        return table

    @contextmanager
    def _logging(self) -> Iterator[None]:
        logger = logging.getLogger("heliograph")
        handler = LogLines(lambda line: self._say(f"log: {line}", style="yellow"))
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.propagate = True

    def _scene(self, title: str, about: str) -> None:
        self.console.print(f"\n[bold]{title}[/]  [dim]{about}[/]")

    def _say(self, text: str, style: str = "") -> None:
        if self.console.is_terminal:
            self.console.print(Padding(Text(text, style), (0, 0, 0, 2)))
        else:
            self.console.print(f"  {text}", markup=False, soft_wrap=True)

    def _promise(self, kept: bool, topic: str, promise: str) -> None:
        self.proofs.append((kept, topic, promise))


def _count(number: int) -> str:
    return str(number) if number else "-"


def _milliseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.1f} ms"


def _quantity(key: str, value: Any) -> str:
    if key == "rss":
        return f"{value / 2**20:.1f} MiB"
    return _milliseconds(value) if key == "latency" else str(value)


def main() -> int:
    """Play the demo; the exit code says whether all was seen."""
    parser = argparse.ArgumentParser(description="Ten seconds in a small shop.")
    parser.add_argument("--plain", action="store_true", help="plain lines, no colours")
    plain = parser.parse_args().plain
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a terminal that lacks a sign shows a question mark
    if plain:
        os.environ["NO_COLOR"] = "1"
    console = Console(
        force_terminal=False if plain else None, highlight=False, emoji=False, soft_wrap=False
    )
    if not console.is_terminal:
        console.width = max(console.width, 120)
    with tempfile.TemporaryDirectory() as folder:
        for file in HERE.glob("*.yaml"):
            shutil.copy(file, folder)
        with chdir(folder):
            return 0 if Demo(console).play() else 1


if __name__ == "__main__":
    sys.exit(main())
