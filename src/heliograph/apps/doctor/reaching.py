# SPDX-License-Identifier: Apache-2.0
"""Whether a gateway's devices and peers are there, and its own ports free."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final

import anyio

from heliograph.apps.doctor.findings import Finding, one_line
from heliograph.modboss import AsyncDevice, Link, ModbossError
from heliograph.partisan import Tls
from heliograph.partisan.addresses import resolve
from heliograph.partisan.discovery.asking import ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliograph.apps.gateway import DeviceConfig, GatewayConfig

__all__ = ["reach"]

# Asked at the same time; our choice, so that a hundred dead devices do not take minutes.
_AT_ONCE: Final = 32


async def reach(config: GatewayConfig, patience: float) -> list[Finding]:
    """Ask all, several at a time; what is found is in the order of the file."""
    places = asyncio.Semaphore(_AT_ONCE)
    # Devices at one address take their turns, for many take one connection at a time.
    turns: dict[str, asyncio.Lock] = {}

    async def device(each: DeviceConfig) -> Finding:
        async with turns.setdefault(str(each.transport), asyncio.Lock()), places:
            return await _device(each, patience)

    async def peer(name: str, address: str, context: ssl.SSLContext | None) -> Finding:
        async with places:
            return await _peer(name, address, context, patience)

    asked = [device(each) for each in config.devices.values()]
    cluster, ours = config.cluster, list[Finding]()
    if cluster is not None:
        context = None
        if cluster.tls is not None:
            finding, context = _certificates(cluster.tls)
            ours.append(finding)
        seeds = cluster.seeds.items()
        asked += [peer(name, at, context) for name, at in seeds if name != cluster.name]
    return [*ours, *await asyncio.gather(*asked), *_ports(config)]


def _certificates(paths: Mapping[str, str]) -> tuple[Finding, ssl.SSLContext | None]:
    """Whether the gateway's own certificates can be used; with what dials, if they can."""
    subject = paths["certificate"]
    try:
        context = Tls(subject, paths["authority"], paths.get("key")).client_context()
    except OSError as error:
        place = subject if error.filename is None else str(error.filename)
        mend = "correct the section cluster.tls, or the file"
        return Finding("certificate", place, "failed", one_line(error), mend), None
    return Finding("certificate", subject, "ok", "can be used"), context


async def _device(config: DeviceConfig, patience: float) -> Finding:
    """Read one value; the first that can be read."""
    readable = [each.name for each in config.schema.mappings.values() if each.readable]
    subject = f"{config.name} at {config.address}"
    if not readable:
        return Finding("device", subject, "ok", "has nothing to be read")
    began = time.monotonic()
    # What pymodbus logs of damaged frames, the errors here say better.
    logging.getLogger("pymodbus").addHandler(logging.NullHandler())
    link = Link(config.transport)
    try:
        device = AsyncDevice(config.schema, link, config.unit, name=config.name)
        async with asyncio.timeout(patience):
            await device.read(readable[0])
    except TimeoutError:
        mend = "look at its power, its cables and its unit id"
        return Finding("device", subject, "failed", f"no answer within {patience:g} s", mend)
    except (ModbossError, OSError) as error:
        mend = "correct its address, its unit id or its device file, or look at the device"
        return Finding("device", subject, "failed", one_line(error), mend)
    finally:
        await link.close()
    took = 1000 * (time.monotonic() - began)
    return Finding("device", subject, "ok", f"tells {readable[0]}, in {took:.0f} ms")


async def _peer(
    name: str, address: str, context: ssl.SSLContext | None, patience: float
) -> Finding:
    subject = f"{name} at {address}"
    began = time.monotonic()
    try:
        with anyio.fail_after(patience):
            where, *_ = await resolve(address)
            # Nobody is hung up on before it has said who it is: that may harm a peer.
            listening = await ask(where, context)
    except TimeoutError:
        mend = "look whether a firewall drops what goes there, and what listens there"
        return Finding("peer", subject, "failed", f"no word within {patience:g} s", mend)
    except ssl.SSLError as error:
        mend = "give both sides certificates of the same authority"
        return Finding("peer", subject, "failed", one_line(error), mend)
    except OSError as error:
        mend = "start it, or correct its address in cluster.seeds"
        return Finding("peer", subject, "failed", one_line(error), mend)
    if listening != name:
        mend = "correct its name or its address in cluster.seeds"
        return Finding("peer", subject, "failed", f"{listening} listens there", mend)
    took = 1000 * (time.monotonic() - began)
    return Finding("peer", subject, "ok", f"listens, in {took:.0f} ms")


def _ports(config: GatewayConfig) -> Iterable[Finding]:
    """Whether it could listen where it is to."""
    wanted = [config.health] if config.health is not None else []
    if config.cluster is not None:
        wanted.insert(0, config.cluster.listen)
    for address in wanted:
        host, port = _address(address)
        failure = _bound(host, port)
        if failure is None:
            yield Finding("port", address, "ok", "is free")
        elif failure.errno == errno.EADDRINUSE:
            mend = "that is well if the gateway is running; else choose another port"
            yield Finding("port", address, "absent", "is in use", mend)
        else:
            mend = "name an address of this machine, and a port that its user may use"
            yield Finding("port", address, "failed", one_line(failure), mend)


def _bound(host: str, port: int) -> OSError | None:
    try:
        family, kind, _, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(at)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
