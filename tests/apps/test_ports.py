# SPDX-License-Identifier: Apache-2.0
"""Ports that stay free for those who are told of them."""

from __future__ import annotations

import socket

import pytest

from heliograph.apps.ports import kept_ports


def test_whoever_is_told_gets_it_again_and_again() -> None:
    with kept_ports(2) as (port, other):
        assert port != other
        for _ in range(2):
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port)) as client,
            ):
                accepted, _ = server.accept()
                accepted.close()
                assert client.recv(1) == b""


def test_nobody_gets_it_by_chance() -> None:
    with kept_ports(1) as [port], socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] != port
        with socket.socket() as client, pytest.raises(OSError, match="in use"):
            client.bind(("127.0.0.1", port))


def test_nobody_listens_there_yet() -> None:
    with kept_ports(1) as [port], pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
