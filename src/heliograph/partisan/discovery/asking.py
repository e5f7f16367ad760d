# SPDX-License-Identifier: Apache-2.0
"""Asking an address who listens there: a node says its name to whoever connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
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


async def ask(address: ListenAddr, context: ssl.SSLContext | None) -> str:
    """Return the name of the node that listens at an address. The caller sets a deadline.

    Args:
        address: Where.
        context: What the connection is encrypted with; None for a plain one.

    Raises:
        OSError: Nobody listens there, or whoever does is no node.
    """
    stream: ByteStream = await anyio.connect_tcp(address.host, address.port)
    try:
        if context is not None:
            stream = await TLSStream.wrap(
                stream, hostname=address.host, ssl_context=context, standard_compatible=False
            )
        return await _hello(stream, address)
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ConnectionError(f"{address} hung up before it said its name") from error
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)


async def _hello(stream: ByteStream, address: ListenAddr) -> str:
    reader = FrameReader(_LONGEST_HELLO)
    while True:
        try:
            for payload in reader.feed(await stream.receive()):
                message = parse(decode(payload))
                if isinstance(message, Hello):
                    return str(message.node)
                raise ConnectionError(f"{address} does not say its name; it is no node")
        except (DecodeError, FrameError) as error:
            raise ConnectionError(f"{address} is no node: {error}") from error
