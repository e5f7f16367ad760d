# SPDX-License-Identifier: Apache-2.0
"""What a page's server answers, on real sockets; how little it holds for whoever is slow."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect.receiver import Address
from heliograph.apps.demo.web import Feed, WebServer
from heliograph.apps.demo.web.http import RequestError, parse
from heliograph.apps.demo.web.server import BEAT, CONNECTIONS, STREAMS

T = TypeVar("T")


class Guest:
    """Somebody who connects to a server; ends all connections at the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)
        self._writers.append(writer)
        return reader, writer

    async def ask(self, request: str) -> tuple[int, dict[str, str], bytes]:
        """Ask and return status, headers and body."""
        reader, writer = await self.connect()
        writer.write(request.replace("\n", "\r\n").encode())
        return parted(await reader.read())

    async def listen(self, path: str = "/feed", **headers: str) -> Listener | None:
        """Listen to the feed; None if it is refused."""
        reader, writer = await self.connect()
        writer.write(get(path, **headers).replace("\n", "\r\n").encode())
        status, said, _ = parted(await reader.readuntil(b"\r\n\r\n"))
        if status != 200:
            return None
        assert said["content-type"] == "text/event-stream"
        return Listener(reader, writer)

    async def close(self) -> None:
        for each in self._writers:
            each.close()
            with suppress(OSError):
                await each.wait_closed()


class Listener:
    """Reads a stream, message by message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def next(self) -> dict[str, str]:
        """The fields of the next message; empty at the end of the stream."""
        try:
            text = await self._reader.readuntil(b"\n\n")
        except asyncio.IncompleteReadError:
            return {}
        return dict(line.split(": ", 1) for line in text.decode().splitlines() if ": " in line)

    async def items(self) -> tuple[str, list[Any]]:
        """The id and the items of the next message that has some."""
        while True:
            message = await self.next()
            if "event" not in message:
                return message.get("id", ""), json.loads(message.get("data", "[]"))


def parted(whole: bytes) -> tuple[int, dict[str, str], bytes]:
    top, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def serving(
    test: Callable[[WebServer, Feed, Guest], Awaitable[T]], host: str = "127.0.0.1", most: int = 50
) -> T:
    """Run a test with a server."""

    async def main() -> T:
        feed = Feed({"log": most, "head": 1})
        async with WebServer(feed, {"entries": []}, Address(host, 0)) as server:
            found = re.fullmatch(r"http://\S+:(\d+)/", server.url)
            assert found is not None
            guest = Guest(int(found[1]))
            try:
                return await test(server, feed, guest)
            finally:
                await guest.close()

    return asyncio.run(main())


def get(path: str, host: str = "127.0.0.1:1", **headers: str) -> str:
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\nHost: {host}\n{more}\n"


def answers(*requests: str, host: str = "127.0.0.1") -> list[tuple[int, dict[str, str], bytes]]:
    async def test(_server: WebServer, _feed: Feed, guest: Guest) -> list[Any]:
        return [await guest.ask(each) for each in requests]

    return serving(test, host)


# -- Files -----------------------------------------------------------------------------------------


def test_the_page_comes_with_all_that_it_names() -> None:
    [(status, headers, page)] = answers(get("/"))
    names = re.findall(r'(?:src|href)="([^"#]+)"', page.decode())

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "app.js" in names
    assert {each[0] for each in answers(*(get(f"/{name}") for name in names))} == {200}


def test_no_answer_lets_a_page_do_what_it_need_not() -> None:
    found = answers(get("/"), get("/app.js"), get("/nothing"), "POST / HTTP/1.1\n\n", "what?\n\n")

    for _, headers, _ in found:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_nothing_in_the_page_comes_from_elsewhere_or_is_a_script_in_a_line() -> None:
    [(_, _, page), (_, _, style)] = answers(get("/"), get("/style.css"))

    assert b"//" not in page.replace(b"<!doctype", b"")
    assert re.findall(rb"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(rb'\son\w+=|\sstyle="', page) == []
    assert b"@import" not in style
    assert b"url(" not in style


def test_what_a_browser_has_is_not_sent_again() -> None:
    [(_, headers, _)] = answers(get("/app.js"))
    [(status, _, body)] = answers(get("/app.js", If_None_Match=headers["etag"]))

    assert (status, body) == (304, b"")


def test_only_the_head_is_sent_if_only_that_is_asked_for() -> None:
    [(status, headers, body)] = answers("HEAD / HTTP/1.1\nHost: localhost\n\n")

    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 1000


def test_the_head_of_the_feed_is_no_stream() -> None:
    [(status, headers, body)] = answers("HEAD /feed HTTP/1.1\nHost: localhost\n\n")

    assert (status, headers["content-type"], body) == (200, "text/event-stream", b"")


def test_the_catalogs_are_there() -> None:
    [(status, _, body)] = answers(get("/catalogs.json"))

    assert (status, json.loads(body)) == (200, {"entries": []})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/nothing"), 404),
        (get("/../server.py"), 404),
        (get("/page/index.html"), 404),
        ("POST / HTTP/1.1\nHost: localhost\n\n", 405),
        ("DELETE /feed HTTP/1.1\nHost: localhost\n\n", 405),
        ("GET / HTTP/2\nHost: localhost\n\n", 400),
        ("GET /\n\n", 400),
        ("GET http://x/ HTTP/1.1\nHost: localhost\n\n", 400),
        ("\0\xff\n\n", 400),
        (get("/?" + "&".join("a=1" for _ in range(100))), 400),
    ],
)
def test_what_cannot_be_answered_is_refused(request_: str, status: int) -> None:
    [(found, _, body)] = answers(request_)

    assert found == status
    assert body


@given(
    first=st.one_of(
        st.text(max_size=80),
        st.tuples(st.sampled_from(["GET", "HEAD"]), st.text(max_size=60)).map(
            lambda parts: f"{parts[0]} /{parts[1]} HTTP/1.1"
        ),
    ),
    rest=st.text(max_size=80),
)
def test_whatever_is_asked_is_a_request_or_none(first: str, rest: str) -> None:
    head = f"{first}\r\nHost: localhost\r\n{rest}\r\n\r\n".encode("utf-8", "surrogatepass")
    status, path = 200, ""
    try:
        path = parse(head, "localhost").path
    except RequestError as error:
        status = error.status

    assert path.startswith("/") if status == 200 else status >= 400


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8470", "", "127.0.0.1.evil.example"]
)
def test_a_name_that_others_lead_here_is_not_answered(host: str) -> None:
    assert answers(get("/", host))[0][0] == 421
    assert answers(get("/feed", host))[0][0] == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1", "10.0.0.7:80", "[::1]:8"]
)
def test_its_own_names_and_addresses_are_answered(host: str) -> None:
    assert answers(get("/", host))[0][0] == 200


def test_the_name_at_which_it_listens_is_answered() -> None:
    assert answers(get("/", "localhost:1"), host="localhost")[0][0] == 200


def test_a_head_without_end_is_cut_off() -> None:
    async def test(_server: WebServer, _feed: Feed, guest: Guest) -> None:
        _, writer = await guest.connect()
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 65536)
                await writer.drain()
        assert (await guest.ask(get("/")))[0] == 200

    serving(test)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = Address("127.0.0.1", taken.getsockname()[1])

        async def main() -> None:
            async with WebServer(Feed({}), {}, where):
                pass

        with pytest.raises(OSError, match=f"the page cannot be served at {where}: .*in use"):
            asyncio.run(main())


# -- The feed --------------------------------------------------------------------------------------


async def listening(guest: Guest, path: str = "/feed", **headers: str) -> Listener:
    stream = await guest.listen(path, **headers)
    assert stream is not None
    return stream


def test_a_stream_begins_with_who_it_is_and_goes_on_with_all_there_is() -> None:
    async def test(server: WebServer, feed: Feed, guest: Guest) -> None:
        feed.put("head", "", {"stage": "begin"})
        stream = await listening(guest)
        hello = await stream.next()
        assert hello["event"] == "hello"
        said = json.loads(hello["data"])
        assert (said["run"], said["anew"], said["capacities"]) == (
            feed.run,
            True,
            {"log": 50, "head": 1},
        )
        assert await stream.items() == (f"{feed.run}-1", [["head", "", {"stage": "begin"}]])

        feed.put("log", "1", "news")
        server.wake()

        assert await stream.items() == (f"{feed.run}-2", [["log", "1", "news"]])

    serving(test)


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_comes_again_gets_what_they_have_not_seen(how: str) -> None:
    async def test(_server: WebServer, feed: Feed, guest: Guest) -> None:
        for number in range(3):
            feed.put("log", str(number), number)
        seen = f"{feed.run}-2"
        if how == "header":
            stream = await listening(guest, Last_Event_ID=seen)
        else:
            stream = await listening(guest, f"/feed?since={seen}")
        assert json.loads((await stream.next())["data"])["anew"] is False
        assert await stream.items() == (f"{feed.run}-3", [["log", "2", 2]])

    serving(test)


@pytest.mark.parametrize(
    "seen", ["0badc0de-2", "nonsense", "-", "RUN-x", "RUN--1", "RUN-" + "9" * 400]
)
def test_who_has_seen_something_else_begins_anew(seen: str) -> None:
    async def test(_server: WebServer, feed: Feed, guest: Guest) -> None:
        feed.put("log", "1", 1)
        stream = await listening(guest, Last_Event_ID=seen.replace("RUN", feed.run))
        assert json.loads((await stream.next())["data"])["anew"] is True
        assert (await stream.items())[1] == [["log", "1", 1]]

    serving(test)


def test_a_stream_without_news_says_that_it_is_alive() -> None:
    async def test(_server: WebServer, _feed: Feed, guest: Guest) -> dict[str, str]:
        stream = await listening(guest)
        await stream.next()
        async with asyncio.timeout(10 * BEAT):
            return await stream.next()

    assert serving(test) == {"event": "beat"}


def test_a_stream_ends_with_what_is_left() -> None:
    async def main() -> None:
        feed = Feed({"head": 1})
        async with WebServer(feed, {}, Address("127.0.0.1", 0)) as server:
            guest = Guest(int(server.url.rsplit(":", 1)[1].rstrip("/")))
            stream = await listening(guest)
            await stream.next()
            feed.put("head", "", "ended")
        assert (await stream.items())[1] == [["head", "", "ended"]]
        assert await stream.next() == {}
        await guest.close()

    asyncio.run(main())


def test_who_has_asked_for_nothing_does_not_keep_it_from_ending() -> None:
    async def main() -> None:
        async with WebServer(Feed({}), {}, Address("127.0.0.1", 0)) as server:
            guest = Guest(int(server.url.rsplit(":", 1)[1].rstrip("/")))
            reader, _ = await guest.connect()
            await guest.ask(get("/"))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        await guest.close()

    asyncio.run(main())


def test_only_so_many_pages_are_served_and_a_place_becomes_free() -> None:
    async def test(server: WebServer, feed: Feed, guest: Guest) -> None:
        streams = [await listening(guest) for _ in range(STREAMS)]
        status, _, body = await guest.ask(get("/feed"))
        assert (status, body) == (503, f"{STREAMS} pages are open already\n".encode())
        assert (await guest.ask(get("/")))[0] == 200

        streams[0].writer.close()
        # That a browser is gone is found out by telling it something.
        while await guest.listen() is None:
            feed.put("log", str(feed.number), "news")
            server.wake()

    serving(test)


def test_only_so_many_connections_are_served() -> None:
    async def test(_server: WebServer, _feed: Feed, guest: Guest) -> None:
        others = [await guest.connect() for _ in range(CONNECTIONS)]
        reader, _ = await guest.connect()
        with suppress(ConnectionError):
            assert await reader.read() == b""

        others[0][1].close()
        status = 0
        while status != 200:
            with suppress(ConnectionError, IndexError):  # a connection that is cut has no answer
                status, _, _ = await guest.ask(get("/"))

    serving(test)


def test_for_a_page_that_does_not_read_nothing_is_kept_and_it_gets_the_latest() -> None:
    async def test(server: WebServer, feed: Feed, guest: Guest) -> None:
        stream = await listening(guest)
        await stream.next()
        # Far more than sockets hold, in pieces that the server could keep for it.
        for number in range(20_000):
            feed.put("log", str(number), "x" * 2000)
            if number % 10 == 0:
                server.wake()
                await asyncio.sleep(0)
        feed.put("head", "", "last")
        server.wake()
        got: list[Any] = []
        while not got or got[-1][0] != "head":
            got += (await stream.items())[1]
        keys = [int(key) for topic, key, _ in got if topic == "log"]
        assert keys == sorted(set(keys))
        assert keys[-50:] == list(range(19_950, 20_000))
        assert len(keys) < 10_000

    serving(test)
