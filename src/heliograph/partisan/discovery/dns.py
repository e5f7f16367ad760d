# SPDX-License-Identifier: Apache-2.0
"""Nodes found by the domain name system: addresses, services, Kubernetes' headless services."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import anyio

from heliograph.partisan.addresses import parse_address
from heliograph.partisan.discovery.sources import Found, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dns.resolver import Resolver

__all__ = ["DnsSource", "Family", "KubernetesSource", "SrvSource"]

Family: TypeAlias = Literal["any", "a", "aaaa"]

_FAMILIES: Final = {"any": socket.AF_UNSPEC, "a": socket.AF_INET, "aaaa": socket.AF_INET6}
_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod finds the name of its namespace."""
_LIFETIME: Final = 10.0
"""Seconds until a question is given up, whoever waits for its answer; our choice."""
_TARGETS: Final = 256
"""Targets of one service whose addresses are looked up; our choice."""


class DnsSource(Source):
    """All addresses of a name, with one port: records of type A, AAAA or both.

    The system is asked as for any other connection, so that its hosts file counts too; name servers
    that are given are asked themselves, which takes the extra `dns`.

    Args:
        name: The name, `orders.example`.
        port: Where all nodes listen.
        family: `"a"` for IPv4 alone, `"aaaa"` for IPv6 alone.
        node: What nodes are called before the `@`, if they are all called so, and after it by their
            address: the original's `node_basename`. None asks each node for its name.
        nameservers: Whom to ask, each `host` or `host:port`; the system if there are none.

    Raises:
        ValueError: The port is out of range, or the family or a name server is none.
    """

    def __init__(
        self,
        name: str,
        port: int,
        *,
        family: Family = "any",
        node: str | None = None,
        nameservers: Sequence[str] = (),
    ) -> None:
        parse_address(f"{name}:{port}", lowest=1)
        if family not in _FAMILIES:
            raise ValueError(f"family is {family!r}; it must be any, a or aaaa")
        self.name: str = name
        self.port: int = port
        self.family: Family = family
        self.text: str = f"{'dns' if family == 'any' else family}:{name}:{port}"
        self._node = node
        self._servers = _Servers(nameservers)

    async def find(self) -> list[Found]:
        hosts = await self._servers.hosts(self.name, self.family)
        return [
            Found(_address(host, self.port), None if self._node is None else f"{self._node}@{host}")
            for host in hosts
        ]


class SrvSource(Source):
    """The nodes of a service: records of type SRV, which tell host and port of each.

    Their targets' addresses are looked up as well. It takes the extra `dns`.

    Args:
        name: The service, `_partisan._tcp.orders.example`.
        nameservers: As for `DnsSource`.

    Raises:
        ValueError: The name or a name server is none.
        ImportError: The extra is not installed.
    """

    def __init__(self, name: str, *, nameservers: Sequence[str] = ()) -> None:
        if not name.strip("."):
            raise ValueError("the service has no name; give one such as _partisan._tcp.example")
        _dnspython()
        self.name: str = name
        self.text: str = f"srv:{name}"
        self._servers = _Servers(nameservers)

    async def find(self) -> list[Found]:
        records = await self._servers.records(self.name, "SRV")
        ports: dict[str, list[int]] = {}
        for record in records:
            ports.setdefault(str(record.target), []).append(record.port)
        found: dict[str, None] = {}
        failure: OSError | None = None
        for target in [*ports][:_TARGETS]:
            try:
                hosts = await self._servers.hosts(target, "any")
            except OSError as error:  # one that is gone does not hide the others
                failure = error
                continue
            found |= dict.fromkeys(_address(host, port) for host in hosts for port in ports[target])
        if failure is not None and not found:
            raise failure
        return [Found(address) for address in found]


class KubernetesSource(Source):
    """The pods of a headless service of Kubernetes, by its domain name.

    Make the service with `clusterIP: None`, and with `publishNotReadyAddresses: true` where nodes
    are only ready once they have joined.

    Args:
        service: Name of the service.
        port: Where the nodes listen; or the port's name in the service, which takes the extra
            `dns`.
        namespace: The service's namespace; this pod's own if None.
        domain: The cluster's domain.
        nameservers: As for `DnsSource`.

    Raises:
        ValueError: A name or the port is none, or the namespace is not known.
        ImportError: The extra is not installed.
    """

    def __init__(
        self,
        service: str,
        port: int | str,
        *,
        namespace: str | None = None,
        domain: str = "cluster.local",
        nameservers: Sequence[str] = (),
    ) -> None:
        namespace = _own_namespace() if namespace is None else namespace
        if not service or not namespace or "." in service or "." in namespace:
            raise ValueError(
                f"{service!r} in namespace {namespace!r} is no service; give the names alone"
            )
        host = f"{service}.{namespace}.svc.{domain}"
        self.text: str = f"k8s:{service}.{namespace}:{port}"
        self._source: Source
        if isinstance(port, int):
            self._source = DnsSource(host, port, nameservers=nameservers)
        else:
            self._source = SrvSource(f"_{port}._tcp.{host}", nameservers=nameservers)

    async def find(self) -> list[Found]:
        return await self._source.find()


def _own_namespace() -> str:
    try:
        return _NAMESPACE.read_text("ascii").strip()
    except OSError as error:
        raise ValueError(
            f"the namespace is not known, since {_NAMESPACE} cannot be read; give it: "
            "k8s:SERVICE.NAMESPACE:PORT"
        ) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Servers:
    """Whom to ask: name servers, or the system."""

    def __init__(self, nameservers: Sequence[str]) -> None:
        self._given = [_server(each) for each in nameservers]
        if self._given:
            _dnspython()

    async def hosts(self, name: str, family: Family) -> list[str]:
        """Return the addresses of a name, without ports.

        Raises:
            OSError: There are none, or nobody answers.
        """
        if not self._given:
            found = await anyio.getaddrinfo(
                name.removesuffix("."), None, family=_FAMILIES[family], type=socket.SOCK_STREAM
            )
            return [*dict.fromkeys(at[0].partition("%")[0] for *_, at in found)]
        hosts: list[str] = []
        failure: OSError | None = None
        for kind in ("A", "AAAA"):
            if family in {"any", kind.lower()}:
                try:
                    hosts += [record.address for record in await self.records(name, kind)]
                except OSError as error:
                    failure = failure or error
        if failure is not None and not hosts:
            raise failure
        return hosts

    async def records(self, name: str, kind: str) -> list[Any]:
        """Return the records of one type.

        Raises:
            OSError: There are none, or nobody answers.
        """
        # In a thread: on asyncio a question that is cancelled may leave its socket behind. One that
        # nobody waits for any more comes to its end by itself, in time.
        return await anyio.to_thread.run_sync(self._ask, name, kind, abandon_on_cancel=True)

    def _ask(self, name: str, kind: str) -> list[Any]:
        import dns.exception

        try:
            answer = self._resolver().resolve(name, kind, lifetime=_LIFETIME)
        except dns.exception.DNSException as error:
            raise OSError(f"{kind} of {name}: {error}") from error
        return [*answer]

    def _resolver(self) -> Resolver:
        import dns.nameserver
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=not self._given)
        if self._given:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*each) for each in self._given]
        return resolver


def _server(text: str) -> tuple[str, int]:
    return parse_address(text if text.rpartition(":")[0] else f"{text}:53", lowest=1)


def _dnspython() -> None:
    try:
        import dns.resolver  # noqa: F401 - whether it is there is the question
    except ImportError as missing:
        raise ImportError(
            'services and name servers of one\'s own need dnspython: pip install "heliograph[dns]"',
            name=missing.name,
        ) from missing
