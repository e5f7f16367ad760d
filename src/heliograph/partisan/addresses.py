# SPDX-License-Identifier: Apache-2.0
"""Addresses as people write them, and as the protocol needs them."""

from __future__ import annotations

import socket

import anyio

from heliograph.partisan.wire import ListenAddr

__all__ = ["check_node_name", "parse_address", "resolve"]


def parse_address(text: str, *, lowest: int = 0) -> tuple[str, int]:
    """Read `host:port` or `[host]:port`.

    Raises:
        ValueError: It is neither, or the port is out of range.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not port.isdecimal() or not lowest <= int(port) <= 65535:
        raise ValueError(
            f"address {text!r} is not of the form host:port with a port from {lowest} to 65535"
        )
    return host, int(port)


async def resolve(text: str) -> tuple[ListenAddr, ...]:
    """Return the addresses that `host:port` stands for.

    Raises:
        ValueError: It is not of this form.
        OSError: Nobody knows the host.
    """
    host, port = parse_address(text, lowest=1)
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ListenAddr(at[0].partition("%")[0], port) for *_, at in found))


def check_node_name(name: str) -> str:
    """Return a node's name.

    Raises:
        ValueError: It is not of the form `name@host`, or longer than an atom can be.
    """
    before, at, after = name.partition("@")
    if not before or not at or not after or len(name) > 255 or not name.isprintable():
        raise ValueError(
            f"node name {name!r} is not of the form name@host with at most 255 characters"
        )
    return name
