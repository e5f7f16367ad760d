# SPDX-License-Identifier: Apache-2.0
"""Asking an address who listens there: a node says its name to whoever connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
from anyio.streams.tls import TLSStream

from heliograph.partisan.errors import DecodeError, FrameError
from heliograph.partisan.wire import FrameReader, decode
from heliograph.partisan.wire.messages import Hello, parse

if TYPE_CHECKING:
    import ssl

    from anyio.abc import ByteStream

    from heliograph.partisan.wire import ListenAddr

__all__ = ["ask"]

_LONGEST_HELLO: Final = 4_096
"""Bytes; a name has at most 255 characters."""
_PATIENCE: Final = 0.5
"""Seconds that who listens has to say something when nobody waits for it any more; our choice."""
_EMPTY: Final = b"\0\0\0\0"
"""A frame without contents."""


async def ask(address: ListenAddr, context: ssl.SSLContext | None) -> str:
    """Return the name of the node that listens at an address. The caller sets a deadline.

    Whoever listens is not hung up on before anything was said, for that would end an Erlang node's
    listener (see `heliograph.partisan.dialling`); so this may take a moment longer.

    Args:
        address: Where.
        context: What the connection is encrypted with; None for a plain one.

    Raises:
        OSError: Nobody listens there, or whoever does is no node.
    """
    await anyio.lowlevel.checkpoint()  # who is late already does not even dial
    stream: ByteStream = await anyio.connect_tcp(address.host, address.port)
    heard = False
    try:
        if context is not None:
            stream = await TLSStream.wrap(
                stream, hostname=address.host, ssl_context=context, standard_compatible=False
            )
        reader = FrameReader(_LONGEST_HELLO)
        while True:
            data = await stream.receive()
            heard = True
            name = _hello(reader, data, address)
            if name is not None:
                return name
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        heard = True
        raise ConnectionError(f"{address} hung up before it said its name") from error
    finally:
        with anyio.CancelScope(shield=True):
            if not heard:
                await _wait_for_a_word(stream)
            await anyio.aclose_forcefully(stream)


async def _wait_for_a_word(stream: ByteStream) -> None:
    try:
        with anyio.move_on_after(_PATIENCE):
            await stream.receive()
            return
        await stream.send(_EMPTY)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        pass


def _hello(reader: FrameReader, data: bytes, address: ListenAddr) -> str | None:
    try:
        for payload in reader.feed(data):
            message = parse(decode(payload))
            if isinstance(message, Hello):
                return str(message.node)
            raise ConnectionError(f"{address} does not say its name; it is no node")
    except (DecodeError, FrameError) as error:
        raise ConnectionError(f"{address} is no node: {error}") from error
    return None
