# SPDX-License-Identifier: Apache-2.0
"""How a device is reached: parameters, and nothing that happens yet.

    Tcp("192.168.1.20")
    Tls("plc.example", ca="ca.pem", certificate="client.pem", key="client.key")
    Serial("/dev/ttyUSB0", baudrate=9600, parity="E")

A `Link` opens what these describe. They are values: equal when all their parameters are, usable as
dictionary keys, safe to share.

`transport_from_url` makes one of text, as command lines and configuration files have it.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = [
    "Framing",
    "RtuOverTcp",
    "Serial",
    "Tcp",
    "Tls",
    "Transport",
    "Udp",
    "transport_from_url",
]

Framing: TypeAlias = Literal["mbap", "rtu", "ascii"]
"""How requests are told apart on the wire: by Modbus/TCP's header, or as on a serial line."""

# The registered ports: 502 is mbap's, 802 mbap over TLS's (Modbus/TCP Security, 2018).
_PORT = 502
_TLS_PORT = 802
# pymodbus' default, and a long time for a device; also how long connecting may take.
_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class Tcp:
    """Modbus/TCP.

    Args:
        host: Name or address.
        port: TCP port.
        timeout: Seconds for connecting, and for each reply.
        source: Local address and port to connect from.

    Raises:
        ValueError: A port is none, a time-out is not above 0, a host is empty.
    """

    host: str
    port: int = _PORT
    timeout: float = _TIMEOUT
    source: tuple[str, int] | None = None

    framing: ClassVar[Framing] = "mbap"
    network: ClassVar[str] = "tcp"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    def __str__(self) -> str:
        return _url("tcp", self.host, self.port)


@dataclass(frozen=True, slots=True)
class Tls:
    """Modbus/TCP Security: Modbus/TCP inside TLS, with a certificate on either side.

    Args:
        host: Name or address.
        port: TCP port.
        timeout: Seconds for connecting with its handshake, and for each reply.
        source: Local address and port to connect from.
        ca: File of the authorities that may have signed the device's certificate; the system's if
            None.
        certificate: File with our certificate, and those between it and the authority.
        key: File with our private key; None if it is in the certificate's file.
        password: What the key is encrypted with.
        server_hostname: The name that the device's certificate must have; `host` if None.
        context: A context of your own, in place of all the above but the name.

    Raises:
        ValueError: A port is none, a time-out is not above 0, a host is empty, or a context comes
            with files.
    """

    host: str
    port: int = _TLS_PORT
    timeout: float = _TIMEOUT
    source: tuple[str, int] | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = field(default=None, repr=False)
    server_hostname: str | None = None
    context: ssl.SSLContext | None = None

    framing: ClassVar[Framing] = "mbap"
    network: ClassVar[str] = "tcp"

    def __post_init__(self) -> None:
        _check(self)
        if self.context is not None and (self.ca or self.certificate or self.key):
            raise ValueError(f"{self}: give either a context or files, not both")
        if self.key is not None and self.certificate is None:
            raise ValueError(f"{self}: a key without a certificate; name the certificate's file")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    def ssl_context(self) -> ssl.SSLContext:
        """Give the context; reads the files, which may take a moment.

        Raises:
            OSError: A file can't be read, or is no certificate or key.
        """
        if self.context is not None:
            return self.context
        # What the library raises names no file.
        with _named(self.ca):
            context = ssl.create_default_context(cafile=self.ca)
        # Modbus/TCP Security asks for 1.2 at least.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            with _named(self.certificate, self.key):
                context.load_cert_chain(self.certificate, self.key, self.password)
        return context

    def __str__(self) -> str:
        return _url("tls", self.host, self.port)


@dataclass(frozen=True, slots=True)
class Udp:
    """Modbus over UDP, with Modbus/TCP's header or framed as on a serial line.

    Args:
        host: Name or address.
        port: UDP port.
        timeout: Seconds for each reply.
        framing: `"mbap"`, or as a gateway may want it `"rtu"` or `"ascii"`.

    Raises:
        ValueError: The port is none, the time-out is not above 0, the host is empty, or the framing
            is none of these.
    """

    host: str
    port: int = _PORT
    timeout: float = _TIMEOUT
    framing: Framing = "mbap"

    network: ClassVar[str] = "udp"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    def __str__(self) -> str:
        return _url("udp", self.host, self.port)


@dataclass(frozen=True, slots=True)
class RtuOverTcp:
    """Frames of a serial line inside TCP, as simple serial servers pass them on.

    Args:
        host: Name or address.
        port: TCP port.
        timeout: Seconds for connecting, and for each reply.
        source: Local address and port to connect from.
        framing: `"rtu"` or `"ascii"`.

    Raises:
        ValueError: A port is none, a time-out is not above 0, a host is empty, or the framing is
            neither.
    """

    host: str
    port: int = _PORT
    timeout: float = _TIMEOUT
    source: tuple[str, int] | None = None
    framing: Literal["rtu", "ascii"] = "rtu"

    network: ClassVar[str] = "tcp"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    def __str__(self) -> str:
        return _url(f"{self.framing}+tcp", self.host, self.port)


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial line, RTU or ASCII.

    The time-out must be longer than the slowest answer of any device on the line: a serial frame
    does not say which request it answers, so one that comes too late could be taken for the answer
    to the next request.

    Args:
        port: Device file, such as `/dev/ttyUSB0`, or a URL that pyserial knows.
        framing: `"rtu"` or `"ascii"`.
        baudrate: Bits a second.
        bytesize: Data bits, 7 or 8; RTU needs 8.
        parity: `"N"`, `"E"` or `"O"`. The standard wants even parity; most devices come with none.
        stopbits: 1 or 2.
        timeout: Seconds for each reply.
        local_echo: Whether the adapter echoes what is sent, as two-wire ones may.

    Raises:
        ValueError: One of these is none of its values.
    """

    port: str
    framing: Literal["rtu", "ascii"] = "rtu"
    baudrate: int = 19200
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout: float = _TIMEOUT
    local_echo: bool = False

    network: ClassVar[str] = "serial"

    def __post_init__(self) -> None:
        _check(self)
        if self.baudrate < 1:
            raise ValueError(f"{self}: {self.baudrate} is no number of bits a second")
        for name, values in (
            ("bytesize", (7, 8)),
            ("parity", ("N", "E", "O")),
            ("stopbits", (1, 2)),
        ):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{self}: {name} is {getattr(self, name)!r}; it must be one of {values}"
                )
        if self.framing == "rtu" and self.bytesize != 8:
            raise ValueError(f"{self}: RTU frames need 8 data bits; ASCII ones can do with 7")

    @property
    def address(self) -> tuple[str, None]:
        """The port, which stands where others have a host, and None."""
        return self.port, None

    def __str__(self) -> str:
        return f"{self.framing}://{self.port}"


Transport: TypeAlias = Tcp | Tls | Udp | RtuOverTcp | Serial
"""All the ways there are."""

_FRAMINGS = {Udp: ("mbap", "rtu", "ascii"), RtuOverTcp: ("rtu", "ascii"), Serial: ("rtu", "ascii")}


def transport_from_url(url: str) -> Transport:
    """Make a transport of text.

    `tcp://host:502`, `tls://host:802`, `udp://host:502`, `rtu+tcp://host:502`,
    `ascii+tcp://host:502`, `rtu:///dev/ttyUSB0`, `ascii:///dev/ttyUSB0`; a bare `host` or
    `host:port` is TCP, a bare path an RTU line. What else a transport takes follows as a query:
    `rtu:///dev/ttyUSB0?baudrate=9600&parity=E`, `tls://plc?ca=ca.pem&certificate=us.pem`.

    Raises:
        ValueError: The text is no such thing; the message says what is wrong with which part.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = ("rtu" if url.startswith("/") else "tcp"), url
    try:
        parts = urlsplit(f"x://{rest}")
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError as exc:
        raise ValueError(f"transport {url!r}: {exc}") from None
    kinds: dict[str, tuple[type[Transport], dict[str, str]]] = {
        "tcp": (Tcp, {}),
        "tls": (Tls, {}),
        "udp": (Udp, {}),
        "rtu+tcp": (RtuOverTcp, {"framing": "rtu"}),
        "ascii+tcp": (RtuOverTcp, {"framing": "ascii"}),
        "rtu": (Serial, {"framing": "rtu"}),
        "ascii": (Serial, {"framing": "ascii"}),
    }
    if scheme not in kinds:
        raise ValueError(f"transport {url!r}: {scheme!r} is none; there are {', '.join(kinds)}")
    kind, given = kinds[scheme]
    values: dict[str, object] = dict(given)
    if kind is Serial:
        values["port"] = unquote(parts.netloc + parts.path)
    else:
        if "@" in parts.netloc:
            # It may hold a password, so not all of it is repeated.
            where = parts.netloc.rpartition("@")[2]
            raise ValueError(f"transport {where!r}: Modbus knows no users; leave out all up to @")
        if parts.path not in {"", "/"}:
            raise ValueError(f"transport {url!r}: a path, {parts.path!r}, leads nowhere here")
        values["host"] = parts.hostname or ""
        if port is not None:
            values["port"] = port
    known = {each.name: each.type for each in fields(kind)}
    for name, text in options.items():
        if name not in known or name in values or name in {"context", "source", "host", "port"}:
            raise ValueError(f"transport {url!r}: it takes no option {name!r}")
        values[name] = _option(url, name, text, str(known[name]))
    try:
        return kind(**values)  # type: ignore[arg-type]  # each is what its field's type says
    except ValueError as exc:
        raise ValueError(f"transport {url!r}: {exc}") from None


def _option(url: str, name: str, text: str, annotation: str) -> object:
    """Convert an option's text to what its field is annotated with."""
    if annotation == "bool":
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"transport {url!r}: {name} is {text!r}; it must be true or false")
        return text.lower() == "true"
    convert: type[int | float] | None = None
    if annotation == "int" or name in {"bytesize", "stopbits"}:
        convert = int
    elif annotation == "float":
        convert = float
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        raise ValueError(f"transport {url!r}: {name} is {text!r}, which is no number") from None


@contextmanager
def _named(*files: str | None) -> Iterator[None]:
    names = [file for file in files if file is not None]
    try:
        for name in names:
            Path(name).open("rb").close()
        yield
    except ssl.SSLError as error:
        why = error.reason or error.strerror
        raise OSError(f"{' with '.join(names)}: no certificate or key in PEM: {why}") from error
    except OSError as error:
        text = f"{error.strerror}: {error.filename or ' or '.join(names)}"
        raise type(error)(error.errno, text) from error


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _check(transport: Transport) -> None:
    kind = type(transport).__name__
    host, port = transport.address
    if not isinstance(host, str):
        raise TypeError(f"{kind}: {host!r} is no text; it must be a name, an address or a path")
    if port is not None and not isinstance(port, int):
        raise TypeError(f"{kind}: port {port!r} is no integer")
    if not host:
        raise ValueError(f"{kind}: a {'port' if kind == 'Serial' else 'host'} is needed")
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{kind}: {port} is no port; ports go from 1 to 65535")
    if not 0 < transport.timeout < math.inf:
        raise ValueError(f"{transport}: the time-out is {transport.timeout} s; it must be above 0")
    framings = _FRAMINGS.get(type(transport))
    if framings is not None and transport.framing not in framings:
        raise ValueError(
            f"{transport}: framing is {transport.framing!r}; it must be one of {framings}"
        )
