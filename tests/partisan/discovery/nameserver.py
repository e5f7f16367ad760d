# SPDX-License-Identifier: Apache-2.0
"""A name server on loopback: real sockets, real messages, a zone that tests may change."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Answers over UDP and TCP from a zone, in a thread of its own.

    Attributes:
        address: Where it is asked, `host:port`.
        zone: Records as text by name and type: `{("orders.test.", "A"): ["127.0.0.1"]}`. A name
            of which there is nothing does not exist.
        cut: Whether answers over UDP say that they are cut short, so that TCP is asked.
        silent: Whether it does not answer at all.
        asked: Names and types that were asked for, with how.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.cut = False
        self.silent = False
        self.asked: list[tuple[str, str, str]] = []

    def __enter__(self) -> Self:
        while True:
            self._tcp = socket.create_server(("127.0.0.1", 0))
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._udp.bind(self._tcp.getsockname())
                break
            except OSError:  # somebody else's
                self._tcp.close()
                self._udp.close()
        host, self.port = self._tcp.getsockname()
        self.address = f"{host}:{self.port}"
        self._ended = False
        self._threads = [
            threading.Thread(target=self._serve_udp),
            threading.Thread(target=self._serve_tcp),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wake:
            wake.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()

    def _serve_udp(self) -> None:
        while True:
            data, peer = self._udp.recvfrom(4096)
            if self._ended:
                return
            if not self.silent:
                self._udp.sendto(self._answer(data, "udp"), peer)

    def _serve_tcp(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection, connection.makefile("rb") as file:
                if self._ended:
                    return
                (size,) = struct.unpack(">H", file.read(2))
                answer = self._answer(file.read(size), "tcp")
                connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, data: bytes, how: str) -> bytes:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, how))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if how == "udp" and self.cut:
            response.flags |= dns.flags.TC
        elif records := self.zone.get((name, kind)):
            response.answer.append(dns.rrset.from_text_list(name, 0, "IN", kind, records))
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()
