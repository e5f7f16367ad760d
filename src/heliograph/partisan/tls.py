# SPDX-License-Identifier: Apache-2.0
"""Encrypted connections, where each side shows a certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Tls", "certified_names"]


@dataclass(frozen=True, slots=True)
class Tls:
    """What a node needs to encrypt its connections. Both sides always show a certificate.

    Attributes:
        certificate: File with the node's own certificate, and those between it and the authority.
        key: File with its private key; None if the certificate's file has it too.
        authority: File with the certificates of the authorities whose peers are let in.
        password: What the key is encrypted with.
        bind_names: Whether a peer may only have a name that its certificate holds: as its common
            name, or as an alternative name of the kinds DNS, URI or e-mail (which is what
            `n1@127.0.0.1` looks like).
    """

    certificate: Path | str
    authority: Path | str
    key: Path | str | None = None
    password: str | None = None
    bind_names: bool = False

    def server_context(self) -> ssl.SSLContext:
        """Make what accepts connections.

        Raises:
            OSError: A file cannot be read.
            ssl.SSLError: A file is not what it should be.
        """
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> ssl.SSLContext:
        """Make what dials.

        Host names are not compared: nodes are dialled by the addresses that the cluster knows of
        them. What binds a peer's name is `bind_names`.

        Raises:
            OSError: A file cannot be read.
            ssl.SSLError: A file is not what it should be.
        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        key = self.certificate if self.key is None else self.key
        # What the library raises names no file.
        with _named("certificates", self.authority):
            context.load_verify_locations(self.authority)
        with _named("a certificate with its key", self.certificate, key):
            context.load_cert_chain(self.certificate, key, self.password)
        return context


@contextmanager
def _named(what: str, *files: Path | str) -> Iterator[None]:
    """Let what is wrong with files say which they are."""
    for file in files:
        Path(file).open("rb").close()
    try:
        yield
    except ssl.SSLError as error:
        names = " and ".join(dict.fromkeys(map(str, files)))
        text = f"{names}: not {what} in PEM: {error.reason or error.strerror}"
        raise ssl.SSLError(error.errno, text) from error


def certified_names(certificate: Any) -> frozenset[str]:
    """Return the names a certificate holds, as `ssl.SSLSocket.getpeercert` gives it."""
    if not certificate:
        return frozenset()
    names = [
        value
        for part in certificate.get("subject", ())
        for key, value in part
        if key == "commonName"
    ]
    names += [
        value
        for kind, value in certificate.get("subjectAltName", ())
        if kind in {"DNS", "URI", "email"}
    ]
    return frozenset(names)
