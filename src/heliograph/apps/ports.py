# SPDX-License-Identifier: Apache-2.0
"""Ports for processes that are started, and perhaps started again, with a port they are told."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["kept_ports"]


@contextmanager
def kept_ports(count: int) -> Iterator[list[int]]:
    """Find ports of 127.0.0.1 that are free, and keep them free for those who are told of them.

    A port that nobody holds may become another program's at any time, most easily for a connection
    that it makes. Here each is bound, without listening: on Linux whoever then binds it by number,
    with SO_REUSEADDR as servers do, gets it all the same, again and again, and nobody else by
    chance. Elsewhere two sockets cannot share it so, and it is only known to have been free.

    Args:
        count: How many; they differ.

    Raises:
        OSError: There are not so many.
    """
    with ExitStack() as kept:
        ports = []
        for _ in range(count):
            probe = kept.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        if sys.platform != "linux":
            kept.close()
        yield ports
