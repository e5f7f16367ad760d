# SPDX-License-Identifier: Apache-2.0
"""What a browser asks, and the heads of answers; no more of HTTP than a page needs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEAD", "Request", "RequestError", "answer", "head", "parse"]

HEAD: Final = 16384
"""Bytes of a request that are taken: browsers send their cookies of other ports of this machine."""

_PARAMETERS: Final = 8

# A page runs only what this server gives it, and no text becomes markup: `trusted-types 'none'`
# makes a browser refuse every sink that would parse one.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_ALWAYS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
}


class RequestError(ValueError):
    """A request that gets no better answer than its status.

    Attributes:
        status: The status.
    """

    status: HTTPStatus

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body.

    Attributes:
        path: The path, without what follows a question mark.
        query: The first value of each parameter.
        headers: The headers, their names in lower case.
        body_wanted: Whether more than the head is asked for.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body_wanted: bool


def parse(text: bytes, host: str) -> Request:
    """Read the head of a request.

    Args:
        text: The head, its empty line included.
        host: The host at which the server was told to listen.

    Raises:
        RequestError: It is none, asks for something to be done, or for another host: a name that
            somebody else makes lead here must not let their pages read this one.
    """
    first, *lines = text.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise RequestError(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1")
    if words[0] not in {"GET", "HEAD"}:
        raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "there is nothing but GET and HEAD")
    headers = {
        name.strip().lower(): value.strip()
        for name, colon, value in (line.partition(":") for line in lines)
        if colon
    }
    if not _ours(headers.get("host", ""), host):
        raise RequestError(HTTPStatus.MISDIRECTED_REQUEST, f"ask for {host} or an IP address")
    try:
        parts = urlsplit(f"//host{words[1]}")
        query = parse_qs(parts.query, max_num_fields=_PARAMETERS)
    except ValueError:
        raise RequestError(HTTPStatus.BAD_REQUEST, "this is no path") from None
    firsts = {name: values[0] for name, values in query.items()}
    return Request(parts.path, firsts, headers, words[0] == "GET")


def _ours(asked: str, host: str) -> bool:
    name = asked if asked.endswith("]") else asked.rpartition(":")[0] or asked
    name = name.strip("[]").lower()
    if name in {"localhost", host.lower()}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *_ALWAYS.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def answer(
    status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] | None = None
) -> bytes:
    """An answer with its body."""
    all_headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-cache",
        **(headers or {}),
    }
    return head(status, all_headers) + body
