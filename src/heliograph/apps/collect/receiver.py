# SPDX-License-Identifier: Apache-2.0
"""An OTLP receiver: takes spans, metrics and log events over HTTP and gRPC, and hands them on."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from heliograph.apps.collect.bodies import MAX_BODY
from heliograph.apps.collect.http_server import HttpServer
from heliograph.apps.collect.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from heliograph.apps.collect.grpc_server import GrpcServer
    from heliograph.apps.collect.model import Batch

__all__ = ["GRPC_PORT", "HTTP_PORT", "Address", "Receiver"]

HTTP_PORT: Final = 4318
"""Where OTLP over HTTP is expected."""
GRPC_PORT: Final = 4317
"""Where OTLP over gRPC is expected."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen at.

    Attributes:
        host: A name or an IP address.
        port: The port; 0 for any free one.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, port: int) -> Self:
        """The address in `host:port`, `host`, `:port` or `[address]:port`.

        Args:
            text: The text.
            port: The port if it names none.

        Raises:
            ValueError: It is no address.
        """
        host, colon, digits = text.rpartition(":")
        if not colon or digits.endswith("]"):
            host, digits = text, str(port)
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            msg = f"{text!r} is no address; write an IPv6 address in brackets: [::1]:{port}"
            raise ValueError(msg)
        if not (digits.isascii() and digits.isdigit() and int(digits) < 2**16):
            msg = f"{text!r} is no address; write host:port, such as 127.0.0.1:{port}"
            raise ValueError(msg)
        return cls(host or "127.0.0.1", int(digits))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Receiver:
    """Takes OTLP, from its making until it is closed.

    Attributes:
        http: Where it listens for HTTP; None if it does not.
        grpc: Where it listens for gRPC; None if it does not.
        intake: What was refused.
    """

    http: Address | None
    grpc: Address | None
    intake: Intake

    def __init__(
        self,
        hand_on: Callable[[Batch], None],
        *,
        http: Address | None = Address("127.0.0.1", 0),
        grpc: Address | None = None,
        limit: int = MAX_BODY,
    ) -> None:
        """Listen.

        Args:
            hand_on: Gets what arrives, in threads of the receiver's own, several at a time. It may
                raise `BusyError`, and then the sender is told to try again.
            http: Where to listen for HTTP.
            grpc: Where to listen for gRPC, which needs the package grpcio.
            limit: Bytes of one request that are taken, inflated.

        Raises:
            OSError: It can't listen there.
            ImportError: grpcio is wanted and not installed.
        """
        self.intake = Intake(hand_on, limit)
        self.http = self.grpc = None
        self._http: HttpServer | None = None
        self._grpc: GrpcServer | None = None
        try:
            if http is not None:
                self._http = HttpServer(self.intake, http.host, http.port)
                self.http = Address(http.host, self._http.port)
            if grpc is not None:
                from heliograph.apps.collect.grpc_server import GrpcServer

                self._grpc = GrpcServer(self.intake, grpc.host, grpc.port)
                self.grpc = Address(grpc.host, self._grpc.port)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening and close the connections; nothing is handed on afterwards."""
        if self._grpc is not None:
            self._grpc.close()
        if self._http is not None:
            self._http.close()
        self._grpc = self._http = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
