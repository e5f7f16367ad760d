# SPDX-License-Identifier: Apache-2.0
"""Encrypted connections, where each side shows a certificate."""

from __future__ import annotations

import ssl
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
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.certificate, self.key, self.password)
        return context


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
