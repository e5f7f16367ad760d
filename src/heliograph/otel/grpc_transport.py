# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: what a status means, by https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

import os
import threading
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # has no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # has no types
from requests import Response
from requests.adapters import BaseAdapter

from heliograph.otel.transport import LONGEST_PATIENCE, Answer, Refused, Verdict, read_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest

    from heliograph.otel.configuration import Destination, Signal

__all__ = ["GrpcAdapter"]

_METHODS: Final[Mapping[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_AGAIN: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_COMPRESSIONS: Final = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}


class GrpcAdapter(BaseAdapter):
    """Takes the exporters' requests, and calls the collector's method with their bytes.

    Attributes:
        url: What the exporters have to send to.
    """

    answer: Answer | None = None

    def __init__(self, signal: Signal, to: Destination, user_agent: str) -> None:
        super().__init__()
        self.url: str = f"grpc://{to.endpoint}{_METHODS[signal]}"
        self._signal: Signal = signal
        self._to = to
        self._metadata = tuple(to.headers.items())
        self._options = (
            ("grpc.primary_user_agent", user_agent),
            # A channel that failed is replaced, and the new one must not inherit its waiting time.
            ("grpc.use_local_subchannel_pool", 1),
        )
        self._credentials = _credentials(to) if to.secure else None
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._call: Any = None
        self._shut = False
        self._busy = threading.Lock()
        self._process = os.getpid()
        _living[id(self)] = self

    def abort(self) -> None:
        """End the attempt under way, and every later one."""
        _living.pop(id(self), None)
        with self._lock:
            self._shut = True
            call, channel = self._call, self._channel
        if call is not None:
            call.cancel()
        if channel is not None:
            channel.close()

    def close(self) -> None:
        self.abort()

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - these are for HTTP; the base class names them
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002 - as above
        cert: Any = None,  # noqa: ARG002 - as above
        proxies: Any = None,  # noqa: ARG002 - as above
    ) -> Response:
        with self._busy:
            content = self._export(request.body, timeout)
        response = Response()
        response.status_code = 200
        response.request = request
        response.url = request.url or self.url
        response.raw = BytesIO(content)
        return response

    def is_ours(self) -> bool:
        """Whether it was made in this process, and not in one that forked it."""
        return self._process == os.getpid()

    def pause(self) -> bool:
        """Let the attempt under way end, or end it; return whether `resume` has to be called."""
        if self._busy.acquire(timeout=_COURTESY):
            return True
        with self._lock:
            call = self._call
        if call is not None:
            call.cancel()
        return self._busy.acquire(timeout=_COURTESY)

    def resume(self) -> None:
        """Allow attempts again."""
        self._busy.release()

    def _export(self, body: Any, timeout: float | None) -> bytes:
        try:
            call = self._begin(body, timeout)
            content: bytes = call.result()
            self.answer = read_response(self._signal, content)
        except grpc.RpcError as failure:
            self.answer = _judge(failure)
            self._forget_channel()
            raise Refused from failure
        except grpc.FutureCancelledError as failure:
            self.answer = Answer(Verdict.LATER, "grpc_cancelled", "the bridge was shut down")
            raise Refused from failure
        except ValueError as failure:
            # What the channel says when it was closed; or the answer makes no sense.
            word = "grpc_cancelled" if self._shut else "garbage"
            verdict = Verdict.LATER if self._shut else Verdict.REFUSED
            self.answer = Answer(verdict, word, str(failure))
            raise Refused from failure
        return content

    def _begin(self, body: Any, timeout: float | None) -> Any:
        with self._lock:
            if self._shut:
                raise ValueError("the bridge was shut down")
            if self._channel is None:
                self._channel = self._connect()
            export: Any = self._channel.unary_unary(_METHODS[self._signal])
            self._call = export.future(body, timeout=timeout, metadata=self._metadata)
            return self._call

    def _connect(self) -> grpc.Channel:
        compression = _COMPRESSIONS[self._to.compression]
        if self._credentials is None:
            return grpc.insecure_channel(self._to.endpoint, self._options, compression)
        return grpc.secure_channel(self._to.endpoint, self._credentials, self._options, compression)

    def _forget_channel(self) -> None:
        with self._lock:
            channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            channel.close()


def _credentials(to: Destination) -> grpc.ChannelCredentials:
    def read(path: str | None) -> bytes | None:
        return None if path is None else Path(path).read_bytes()

    return grpc.ssl_channel_credentials(
        root_certificates=read(to.certificate_file),
        private_key=read(to.client_key_file),
        certificate_chain=read(to.client_certificate_file),
    )


def _judge(failure: Any) -> Answer:
    code, details = failure.code(), failure.details() or ""
    wait = _retry_after(failure)
    text = f"gRPC status {code.name}: {details}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Answer(Verdict.LATER, "timeout", "no answer in time", wait)
    word = f"grpc_{code.name.lower()}"
    if code in _AGAIN or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None):
        return Answer(Verdict.LATER, word, text, wait)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # Without a time to come back at, it is the message that is too large.
        return Answer(Verdict.UNENCODABLE, word, text)
    return Answer(Verdict.REFUSED, word, text)


def _retry_after(failure: Any) -> float | None:
    """Seconds the collector asks to wait, by the `RetryInfo` that comes with its status."""
    for key, value in failure.trailing_metadata() or ():
        try:
            if key == "google.rpc.retryinfo-bin":
                return _seconds(RetryInfo.FromString(value))
            if key == "grpc-status-details-bin":
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return _seconds(info)
        except Exception:  # noqa: BLE001 - the other side's bytes; without them we wait our own time
            return None
    return None


def _seconds(info: Any) -> float:
    seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return min(max(0.0, seconds), LONGEST_PATIENCE)


# -- Forks -----------------------------------------------------------------------------------------

# gRPC's own support of forks needs that no thread is in the middle of a call. A healthy collector
# answers well within this time (our choice); a call that takes longer is cancelled, and the batch
# is sent again.
_COURTESY: Final = 0.2
_living: Final[dict[int, GrpcAdapter]] = {}
_paused: Final[list[GrpcAdapter]] = []


def _before_fork() -> None:
    _paused.extend(each for each in list(_living.values()) if each.pause())


def _after_fork() -> None:
    for each in _paused:
        each.resume()
    _paused.clear()


def _after_fork_in_child() -> None:
    # The workers get adapters of their own; those of the parent are left as they are.
    _after_fork()
    for key, each in list(_living.items()):
        if not each.is_ours():
            del _living[key]


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows only
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
