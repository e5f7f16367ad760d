# SPDX-License-Identifier: Apache-2.0
"""What nodes tell of themselves: name, addresses, channels.

On the wire a specification is a map, and two of them are one member only if they are the same term.
So everything in it is kept as it came: options that are missing, and keys that nobody here knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from heliograph.partisan.wire.terms import Atom, exact

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = ["ChannelSpec", "ListenAddr", "NodeSpec"]

_NAME: Final = Atom("name")
_LISTEN_ADDRS: Final = Atom("listen_addrs")
_CHANNELS: Final = Atom("channels")
_IP: Final = Atom("ip")
_PORT: Final = Atom("port")
_PARALLELISM: Final = Atom("parallelism")
_MONOTONIC: Final = Atom("monotonic")
_COMPRESSION: Final = Atom("compression")


@dataclass(frozen=True, slots=True)
class ListenAddr:
    """An address that a node listens at.

    Raises:
        ValueError: The host is no IP address, or the port is not between 1 and 65535.
    """

    host: str
    """An IP address, `127.0.0.1` or `::1`, in its shortest form."""
    port: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", str(ip_address(self.host)))
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port is 1 to 65535, not {self.port}")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def term(self) -> Term:
        """Return its form on the wire: `#{ip => {127,0,0,1},port => 10200}`."""
        packed = ip_address(self.host).packed
        if len(packed) == 4:
            return {_IP: tuple(packed), _PORT: self.port}
        words = [int.from_bytes(packed[at : at + 2]) for at in range(0, 16, 2)]
        return {_IP: tuple(words), _PORT: self.port}

    @classmethod
    def parse(cls, term: Term) -> ListenAddr:
        """Read what `term` gives.

        Raises:
            ValueError: It is no address.
        """
        match term:
            case {"ip": tuple(numbers), "port": int(port), **more} if not more and port is not True:
                return cls(str(_address(numbers)), port)
            case _:
                raise ValueError("a listen address is no map of ip and port")


def _address(numbers: tuple[Term, ...]) -> IPv4Address | IPv6Address:
    size = {4: 1, 8: 2}.get(len(numbers))
    if size is None:
        raise ValueError(f"an IP address has 4 or 8 numbers, not {len(numbers)}")
    packed = b""
    for number in numbers:
        if type(number) is not int or not 0 <= number < 1 << 8 * size:
            raise ValueError(f"no number of an IP address: {number!r:.40}")
        packed += number.to_bytes(size)
    return ip_address(packed)


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """A channel as its node declares it. None stands for an option that is not given.

    Raises:
        ValueError: Parallelism is below 1.
    """

    name: Atom
    parallelism: int | None = 1
    monotonic: bool | None = False
    compression: bool | int | None = False
    extra: tuple[tuple[Term, Term], ...] = ()
    """Options that nobody here knows."""

    def __post_init__(self) -> None:
        if self.parallelism is not None and self.parallelism < 1:
            raise ValueError(
                f"channel {self.name}: parallelism is at least 1, not {self.parallelism}"
            )

    def term(self) -> Term:
        """Return its options' form on the wire."""
        options: dict[Term, Term] = {}
        if self.compression is not None:
            options[_COMPRESSION] = self.compression
        if self.monotonic is not None:
            options[_MONOTONIC] = self.monotonic
        if self.parallelism is not None:
            options[_PARALLELISM] = self.parallelism
        return options | dict(self.extra)

    @classmethod
    def parse(cls, name: Term, options: Term) -> ChannelSpec:
        """Read what `term` gives.

        Raises:
            ValueError: It is no channel.
        """
        match name, options:
            case Atom(), dict():
                given = dict(options)
            case _:
                raise ValueError("a channel is no atom with a map of options")
        parallelism = given.pop(_PARALLELISM, None)
        monotonic = given.pop(_MONOTONIC, None)
        compression = given.pop(_COMPRESSION, None)
        if type(parallelism) not in _COUNTS or type(monotonic) not in _FLAGS:
            raise ValueError(f"channel {name}: parallelism or monotonic have values of no use")
        if type(compression) not in _LEVELS:
            raise ValueError(f"channel {name}: compression is neither true, false, nor a level")
        return cls(name, parallelism, monotonic, compression, tuple(given.items()))


_COUNTS: Final = frozenset({int, type(None)})
_FLAGS: Final = frozenset({bool, type(None)})
_LEVELS: Final = frozenset({bool, int, type(None)})


@dataclass(frozen=True, slots=True, eq=False)
class NodeSpec:
    """A node as it tells the others of itself.

    Two are equal if they are the same term in Erlang, where `true` is not 1.
    """

    name: Atom
    listen_addrs: tuple[ListenAddr, ...]
    channels: tuple[ChannelSpec, ...]
    """In the order of their names."""
    extra: tuple[tuple[Term, Term], ...] = ()
    """Keys that nobody here knows."""
    _exact: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.channels, key=_channel_name))
        object.__setattr__(self, "channels", ordered)
        object.__setattr__(self, "_exact", exact(self.term()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeSpec):
            return NotImplemented
        return self._exact == other._exact

    def __hash__(self) -> int:
        return hash(self._exact)

    def channel(self, name: str) -> ChannelSpec | None:
        """Return the channel of that name, if the node declares it."""
        return next((channel for channel in self.channels if channel.name == name), None)

    def term(self) -> Term:
        """Return its form on the wire."""
        channels: dict[Term, Term] = {each.name: each.term() for each in self.channels}
        return {
            _CHANNELS: channels,
            _LISTEN_ADDRS: [each.term() for each in self.listen_addrs],
            _NAME: self.name,
            **dict(self.extra),
        }

    @classmethod
    def parse(cls, term: Term) -> NodeSpec:
        """Read what `term` gives.

        Raises:
            ValueError: It is no specification of a node.
        """
        match term:
            case {
                "name": Atom(name),
                "listen_addrs": list(addresses),
                "channels": dict(channels),
                **extra,
            } if isinstance(term, dict):
                return cls(
                    name,
                    tuple([ListenAddr.parse(each) for each in addresses]),
                    tuple([ChannelSpec.parse(*each) for each in channels.items()]),
                    tuple(extra.items()),
                )
            case _:
                raise ValueError("a specification of a node is no map of name, addresses, channels")


def _channel_name(channel: ChannelSpec) -> str:
    return channel.name
