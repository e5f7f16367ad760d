# SPDX-License-Identifier: Apache-2.0
"""Sources as they are written on a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.partisan.discovery.dns import DnsSource, KubernetesSource, SrvSource
from heliograph.partisan.discovery.sources import FileSource, ListSource

if TYPE_CHECKING:
    from heliograph.partisan.discovery.dns import Family
    from heliograph.partisan.discovery.sources import Source

__all__ = ["parse_source"]

_FAMILIES: dict[str, Family] = {"dns": "any", "a": "a", "aaaa": "aaaa"}


def parse_source(text: str) -> Source:
    """Make a source of a text.

    | text | source |
    | --- | --- |
    | `list:HOST:PORT,NAME=HOST:PORT` | `ListSource` |
    | `file:PATH` | `FileSource` |
    | `dns:NAME:PORT`, `a:NAME:PORT`, `aaaa:NAME:PORT` | `DnsSource` |
    | `srv:NAME` | `SrvSource` |
    | `k8s:SERVICE:PORT`, `k8s:SERVICE.NAMESPACE:PORT` | `KubernetesSource` |

    Raises:
        ValueError: The text is none of these.
        ImportError: What the source needs is not installed.
    """
    kind, colon, rest = text.partition(":")
    if kind == "list" and colon:
        return ListSource(rest.split(",") if rest else [])
    if kind == "file" and rest:
        return FileSource(rest)
    if kind == "srv" and colon:
        return SrvSource(rest)
    name, _, port = rest.rpartition(":")
    if kind in _FAMILIES and name and port.isdecimal():
        return DnsSource(name, int(port), family=_FAMILIES[kind])
    if kind == "k8s" and name and port:
        service, dot, namespace = name.partition(".")
        return KubernetesSource(
            service,
            int(port) if port.isdecimal() else port,
            namespace=namespace if dot else None,
        )
    raise ValueError(
        f"source {text!r} is none of list:HOST:PORT,..., file:PATH, dns:NAME:PORT, a:NAME:PORT, "
        "aaaa:NAME:PORT, srv:NAME and k8s:SERVICE[.NAMESPACE]:PORT"
    )
