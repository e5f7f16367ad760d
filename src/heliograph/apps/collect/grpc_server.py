# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC, where grpcio is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import grpc

from heliograph.apps.collect.decoding import MalformedError, accepted
from heliograph.apps.collect.intake import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.apps.collect.intake import Intake
    from heliograph.apps.collect.model import Signal

__all__ = ["GrpcServer"]

_PACKAGE: Final = "opentelemetry.proto.collector"
_SERVICES: Final[dict[str, Signal]] = {
    f"{_PACKAGE}.trace.v1.TraceService": "traces",
    f"{_PACKAGE}.metrics.v1.MetricsService": "metrics",
    f"{_PACKAGE}.logs.v1.LogsService": "logs",
}
# Our choices. A call is decoded in its thread, which the interpreter's lock makes one at a time.
_THREADS: Final = 4
_CALLS: Final = 64


class GrpcServer:
    """Listens for OTLP over gRPC, from its making until it is closed."""

    port: int
    """The port it listens at."""

    def __init__(self, intake: Intake, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: It can't listen there.
        """
        self._threads = ThreadPoolExecutor(_THREADS, "heliograph-collect-grpc")
        self._server = grpc.server(
            self._threads,
            maximum_concurrent_rpcs=_CALLS,
            options=[
                ("grpc.max_receive_message_length", intake.limit),
                # Two that listen at one port would get a part of the data each.
                ("grpc.so_reuseport", 0),
            ],
        )
        for service, signal in _SERVICES.items():
            # Octets in, octets out: what can't be decoded is then the sender's fault, not ours.
            export: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
                _exporter(intake, signal)
            )
            handler = grpc.method_handlers_generic_handler(service, {"Export": export})
            self._server.add_generic_rpc_handlers((handler,))
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._server.add_insecure_port(where)
        except RuntimeError as error:
            self.close()
            msg = f"can't listen for gRPC at {where}; is something else listening there?"
            raise OSError(msg) from error
        self._server.start()

    def close(self) -> None:
        """Stop listening and close the connections."""
        self._server.stop(grace=None).wait()
        self._threads.shutdown()


def _exporter(intake: Intake, signal: Signal) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def export(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            intake.take(signal, request, "protobuf")
        except MalformedError as error:
            intake.refuse(HTTPStatus.BAD_REQUEST)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BusyError:
            intake.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy; try again")
        return accepted(signal, "protobuf")

    return export
