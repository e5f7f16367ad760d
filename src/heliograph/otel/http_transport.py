# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: what an answer means, by https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException, RemoteDisconnected
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError

from heliograph.otel.transport import LONGEST_PATIENCE, Answer, Refused, Verdict, read_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.connectionpool import HTTPConnectionPool

    from heliograph.otel.configuration import Signal

__all__ = ["OtlpHttpAdapter"]

_AGAIN: Final = frozenset({429, 502, 503, 504})
_TOO_LARGE: Final = 413
# The specification's limit for a response's body.
_LONGEST_BODY: Final = 4 * 1024 * 1024


class OtlpHttpAdapter(HTTPAdapter):
    """Sends the exporters' requests, and judges the answers.

    An attempt can be ended from another thread (`abort`), and its answer is read within the
    attempt's time and within 4 MiB, however slowly or endlessly the other side talks.
    """

    answer: Answer | None = None

    def __init__(self, signal: Signal, certificate_file: str | None) -> None:
        self._signal: Signal = signal
        self._trusted = certificate_file
        self._sockets = _Sockets()
        super().__init__(pool_connections=1, pool_maxsize=1)

    def abort(self) -> None:
        """End the attempt under way, and every later one."""
        self._sockets.shut()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._sockets.connection(secure=isinstance(pool, HTTPSConnectionPool))
        return pool

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the body is read below, whatever was asked for
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        deadline = time.monotonic() + (timeout if isinstance(timeout, (int, float)) else 10.0)
        try:
            response = super().send(
                request,
                stream=True,
                timeout=timeout,
                # The session would let REQUESTS_CA_BUNDLE win over the file that was chosen.
                verify=self._trusted or verify,
                cert=cert,
                proxies=proxies,
            )
            with response:
                body = _read(response, deadline)
        except Exception as failure:
            self.answer = _failed(failure)
            raise Refused from failure
        self.answer = _judge(self._signal, response, body)
        if self.answer.verdict is not Verdict.DELIVERED:
            raise Refused
        response.raw = BytesIO(body)
        return response


def _read(response: requests.Response, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(65536, decode_content=True):
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise requests.exceptions.ContentDecodingError("the answer is longer than 4 MiB")
        if time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout("the answer did not end in time")
    return bytes(body)


def _judge(signal: Signal, response: requests.Response, body: bytes) -> Answer:
    status = response.status_code
    if 200 <= status < 300:
        return _taken(signal, response, body)
    word, text = f"http_{status}", f"HTTP status {status} {response.reason or ''}".rstrip()
    if status in _AGAIN:
        return Answer(Verdict.LATER, word, text, _retry_after(response.headers))
    if status == _TOO_LARGE:
        return Answer(Verdict.UNENCODABLE, word, text)
    return Answer(Verdict.REFUSED, word, text)


def _taken(signal: Signal, response: requests.Response, body: bytes) -> Answer:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind in {"application/x-protobuf", "text/html"}:
        # What says 200 to everything is no collector; the data would vanish without a word.
        try:
            return read_response(signal, body)
        except ValueError as failure:
            return Answer(Verdict.REFUSED, "garbage", f"{failure}, but {kind}")
    return Answer(Verdict.DELIVERED)


def _failed(failure: Exception) -> Answer:
    if isinstance(failure, requests.exceptions.SSLError):
        return Answer(Verdict.LATER, "tls", f"TLS failed: {_cause(failure)}")
    if isinstance(failure, (requests.exceptions.Timeout, TimeoutError)):
        return Answer(Verdict.LATER, "timeout", "no answer in time")
    if any(_is_garbage(each) for each in _chain(failure)):
        return Answer(Verdict.LATER, "garbage", f"the answer is not HTTP: {_cause(failure)}")
    # Of the errors of requests, those about the request itself are also ValueErrors.
    hopeless = (ValueError, requests.exceptions.ContentDecodingError)
    if isinstance(failure, (OSError, HTTPError)) and not isinstance(failure, hopeless):
        return Answer(Verdict.LATER, "unreachable", f"no connection: {_cause(failure)}")
    return Answer(Verdict.REFUSED, "unsendable", f"the request can't be made: {failure!r}")


def _is_garbage(failure: BaseException) -> bool:
    return isinstance(failure, HTTPException) and not isinstance(failure, RemoteDisconnected)


def _chain(failure: BaseException) -> list[BaseException]:
    """The failure, and those that its libraries wrapped in it."""
    found: list[BaseException] = []
    current: BaseException | None = failure
    while current is not None and current not in found:
        found.append(current)
        inner = getattr(current, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in current.args if isinstance(each, BaseException)), None)
        if inner is None:
            inner = current.__cause__
        current = inner
    return found


def _cause(failure: BaseException) -> str:
    deepest = _chain(failure)[-1]
    return str(deepest.args[0] if isinstance(deepest, ProtocolError) else deepest) or repr(deepest)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds by a `Retry-After` header, which states seconds or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    seconds: float | None = None
    if value.isdecimal():
        seconds = float(value[:9])
    else:
        with suppress(ValueError, TypeError, OverflowError):
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_PATIENCE)


class _Sockets:
    """The connections of one adapter, so that they can be shut while somebody waits on them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[HTTPConnection] = []
        self._shut = False
        sockets = self

        # An HTTPSConnection is an HTTPConnection; only one of the two connects.
        class Plain(HTTPConnection):
            def connect(self) -> None:
                sockets.remember(self)
                super().connect()
                sockets.check()

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                sockets.remember(self)
                super().connect()
                sockets.check()

        self._plain, self._secure = Plain, Secure

    def connection(self, *, secure: bool) -> Any:
        return self._secure if secure else self._plain

    def remember(self, connection: HTTPConnection) -> None:
        self.check()
        with self._lock:
            self._open = [each for each in self._open if each.sock is not None]
            self._open.append(connection)

    def check(self) -> None:
        if self._shut:
            raise ConnectionAbortedError("the bridge was shut down")

    def shut(self) -> None:
        self._shut = True
        with self._lock:
            for connection in self._open:
                sock = connection.sock
                if sock is not None:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
