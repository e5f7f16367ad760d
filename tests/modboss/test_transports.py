# SPDX-License-Identifier: Apache-2.0
"""Transports: values with parameters, and text that makes them."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from heliograph.modboss import RtuOverTcp, Serial, Tcp, Tls, Transport, Udp, transport_from_url


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("tcp://10.0.0.7", Tcp("10.0.0.7")),
        ("tcp://10.0.0.7:5020", Tcp("10.0.0.7", 5020)),
        ("10.0.0.7:5020", Tcp("10.0.0.7", 5020)),
        ("plc.example", Tcp("plc.example")),
        ("tcp://[::1]:502", Tcp("::1")),
        ("tcp://10.0.0.7?timeout=0.5", Tcp("10.0.0.7", timeout=0.5)),
        ("tls://plc.example", Tls("plc.example")),
        (
            "tls://plc:802?ca=ca.pem&certificate=us.pem&key=us.key&server_hostname=plc.example",
            Tls(
                "plc",
                ca="ca.pem",
                certificate="us.pem",
                key="us.key",
                server_hostname="plc.example",
            ),
        ),
        ("udp://10.0.0.7:1502", Udp("10.0.0.7", 1502)),
        ("udp://10.0.0.7?framing=rtu", Udp("10.0.0.7", framing="rtu")),
        ("rtu+tcp://10.0.0.7:4001", RtuOverTcp("10.0.0.7", 4001)),
        ("ascii+tcp://10.0.0.7", RtuOverTcp("10.0.0.7", framing="ascii")),
        ("/dev/ttyUSB0", Serial("/dev/ttyUSB0")),
        ("rtu:///dev/ttyUSB0", Serial("/dev/ttyUSB0")),
        (
            "rtu:///dev/ttyUSB0?baudrate=9600&parity=E&stopbits=2&local_echo=true",
            Serial("/dev/ttyUSB0", baudrate=9600, parity="E", stopbits=2, local_echo=True),
        ),
        ("ascii:///dev/ttyS1?bytesize=7", Serial("/dev/ttyS1", framing="ascii", bytesize=7)),
        ("rtu://COM3", Serial("COM3")),
    ],
)
def test_text_makes_a_transport(url: str, transport: Transport) -> None:
    assert transport_from_url(url) == transport


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://10.0.0.7", "'ftp' is none; there are tcp, tls"),
        ("tcp://", "a host is needed"),
        ("tcp://10.0.0.7:0", "0 is no port"),
        ("tcp://10.0.0.7:70000", "out of range"),
        ("tcp://10.0.0.7:http", "could not be cast"),
        ("tcp://10.0.0.7/path", "leads nowhere"),
        ("tcp://10.0.0.7?retries=3", "no option 'retries'"),
        ("tcp://10.0.0.7?context=1", "no option 'context'"),
        ("tcp://10.0.0.7?timeout", "bad query field"),
        ("tcp://10.0.0.7?timeout=soon", "timeout is 'soon', which is no number"),
        ("tcp://10.0.0.7?timeout=0", "must be above 0"),
        ("udp://10.0.0.7?framing=x", "framing is 'x'"),
        ("rtu://", "a port is needed"),
        ("rtu:///dev/ttyUSB0?framing=ascii", "no option 'framing'"),
        ("rtu:///dev/ttyUSB0?parity=M", "parity is 'M'"),
        ("rtu:///dev/ttyUSB0?baudrate=0", "0 is no number of bits"),
        ("rtu:///dev/ttyUSB0?bytesize=7", "RTU frames need 8 data bits"),
        ("rtu:///dev/ttyUSB0?local_echo=perhaps", "must be true or false"),
        ("tls://plc?key=us.key", "a key without a certificate"),
    ],
)
def test_text_that_makes_none_says_why(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^transport ") as raised:
        transport_from_url(url)

    assert repr(url) in str(raised.value)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    "transport",
    [
        Tcp("::1", 5020),
        Tls("plc"),
        Udp("10.0.0.7"),
        RtuOverTcp("10.0.0.7", framing="ascii"),
        Serial("/dev/ttyUSB0"),
    ],
    ids=str,
)
def test_a_transport_as_text_makes_the_same_again(transport: Transport) -> None:
    assert transport_from_url(str(transport)) == transport
    assert len({transport, transport_from_url(str(transport))}) == 1


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (Tcp, {"host": ""}),
        (Tcp, {"host": "h", "port": -1}),
        (Tcp, {"host": "h", "timeout": float("inf")}),
        (Tcp, {"host": "h", "timeout": float("nan")}),
        (RtuOverTcp, {"host": "h", "framing": "mbap"}),
        (Serial, {"port": "/dev/x", "stopbits": 3}),
        (Tls, {"host": "h", "ca": "ca.pem", "context": ssl.create_default_context()}),
    ],
    ids=range(7),
)
def test_parameters_that_are_none_are_refused(kind: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=": "):
        kind(**parameters)


@pytest.mark.parametrize("port", ["502", 502.0, (502,)])
def test_a_port_is_an_integer_and_a_host_a_text(port: Any) -> None:
    with pytest.raises(TypeError, match=r"Tcp: port .* is no integer"):
        Tcp("h", port)
    with pytest.raises(TypeError, match="Tcp: 5 is no text"):
        Tcp(5)  # type: ignore[arg-type]  # on purpose


def test_a_user_is_refused_and_no_password_shown() -> None:
    with pytest.raises(
        ValueError, match=r"^transport '10\.0\.0\.7': Modbus knows no users"
    ) as raised:
        transport_from_url("tcp://me:secret@10.0.0.7")

    assert "secret" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Tls("plc", certificate="us.pem", password="secret"))


def test_tls_uses_a_context_of_ones_own() -> None:
    context = ssl.create_default_context()

    assert Tls("plc", context=context).ssl_context() is context


def test_tls_wants_at_least_version_1_2() -> None:
    assert Tls("plc").ssl_context().minimum_version == ssl.TLSVersion.TLSv1_2
