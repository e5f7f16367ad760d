# SPDX-License-Identifier: Apache-2.0
"""The devices that a gateway polls, and what becomes of their values."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self, cast

from heliograph.apps.gateway.events import (
    DEVICE_FAILING,
    DEVICE_RECOVERED,
    DEVICE_VALUE,
)
from heliograph.apps.gateway.tags import tag_key
from heliograph.modboss import AsyncDevice, Link, Polling, RetryPolicy, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.apps.gateway.config import DeviceConfig
    from heliograph.apps.gateway.events import (
        DeviceRecoveredMetadata,
        DeviceValueMetadata,
    )
    from heliograph.modboss import PollGroup, Update

__all__ = ["Polls", "Status", "number"]

_FIRST_PAUSE: Final = 0.05


def number(value: object) -> float | None:
    """What a gauge shows of a value; None for what is no number, and for no finite one."""
    if not isinstance(value, int | float | Decimal):
        return None
    found = float(value)
    return found if math.isfinite(found) else None


@dataclass(slots=True)
class Status:
    """How a device that is polled here is doing.

    Attributes:
        state: `"starting"` until it has told anything, then `"ok"` or `"failing"`.
        failure: What it fails with, in a sentence; empty if it does not.
        since: When its state began, in seconds since the epoch.
    """

    state: str = "starting"
    failure: str = ""
    since: float = field(default_factory=time.time)


@dataclass(slots=True)
class _Held:
    """A device that is polled here."""

    config: DeviceConfig
    device: AsyncDevice[Any]
    groups: list[PollGroup]
    tags: dict[str, str]
    """Its tags, under the keys that the events of its values have for them."""
    failing: dict[str, int] = field(default_factory=dict)
    """Group -> when it began to fail, in nanoseconds of the monotonic clock."""
    status: Status = field(default_factory=Status)
    metadata: dict[str, DeviceValueMetadata] = field(default_factory=dict)
    """Mapping -> what its event carries, made once."""


class Polls:
    """Polls devices, and executes the events of their values.

    Devices at one address share one link, for most gateways of a field bus take one connection.

    Args:
        gateway: What its events call the gateway.
        valued: Called with the name of a device, of a mapping, and each new number.
    """

    def __init__(self, gateway: str, valued: Callable[[DeviceConfig, str, float], object]) -> None:
        self._gateway = gateway
        self._valued = valued
        self._polling = Polling()
        self._held: dict[str, _Held] = {}
        self._links: dict[tuple[str, float], tuple[Link, set[str]]] = {}

    async def __aenter__(self) -> Self:
        await self._polling.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._polling.__aexit__(*exc)
        for link, _ in self._links.values():
            await link.close()
        self._links.clear()

    def statuses(self) -> dict[str, Status]:
        """How the devices polled here are doing, by name."""
        return {name: held.status for name, held in sorted(self._held.items())}

    def take(self, config: DeviceConfig) -> None:
        """Poll a device from now on."""
        key = (str(config.transport), config.spacing)
        if key not in self._links:
            link = Link(config.transport, message_spacing=config.spacing)
            self._links[key] = (link, set())
        link, users = self._links[key]
        users.add(config.name)
        retry = (
            RetryPolicy(config.attempts, first_pause=_FIRST_PAUSE, retry_on=is_transient)
            if config.attempts > 1
            else None
        )
        device = AsyncDevice(config.schema, link, config.unit, name=config.name, retry=retry)
        groups = [
            self._polling.add(
                device,
                "all" if group.names is None else group.names,
                every=group.every,
                group=group.name,
                dead_bands=group.dead_bands,
                retry=retry,
            )
            for group in config.groups
        ]
        tags = {tag_key(name): value for name, value in config.tags.items()}
        self._held[config.name] = _Held(config, device, groups, tags)

    async def give_up(self, name: str) -> None:
        """Poll a device no more; returns when nothing is asked of it any more."""
        held = self._held.pop(name)
        for group in held.groups:
            self._polling.remove(group)
        key = (str(held.config.transport), held.config.spacing)
        link, users = self._links[key]
        users.discard(name)
        if not users:
            del self._links[key]
            await link.close()

    async def run(self) -> None:
        """Execute events, as values come, until cancelled."""
        async for update in self._polling.updates():
            held = self._held.get(update.device.name)
            # What was read just before a device was given up is somebody else's by now.
            if held is not None and update.group in held.groups:
                self._updated(held, update)

    def _updated(self, held: _Held, update: Update) -> None:
        self._judge(held, update)
        for mapping, value in update.changed.items():
            found = number(value)
            if found is None:
                continue
            metadata = held.metadata.get(mapping)
            if metadata is None:
                # The tags are of this gateway's file, so that the generated type lacks them.
                metadata = cast(
                    "DeviceValueMetadata",
                    {"device": held.config.name, "mapping": mapping, **held.tags},
                )
                unit = held.config.schema.mappings[mapping].unit
                if unit is not None:
                    metadata["unit"] = unit
                held.metadata[mapping] = metadata
            DEVICE_VALUE.execute({"value": found}, metadata)
            self._valued(held.config, mapping, found)

    def _judge(self, held: _Held, update: Update) -> None:
        group, now = update.group.name, time.monotonic_ns()
        metadata: DeviceRecoveredMetadata = {
            "gateway": self._gateway,
            "device": held.config.name,
            "group": group,
        }
        before = held.status.state
        if update.failure is not None:
            if group not in held.failing:
                held.failing[group] = now
                DEVICE_FAILING.execute({}, {**metadata, "failure": update.failure})
            text = str(update.failure) or type(update.failure).__name__
            held.status.failure = text
        elif (since := held.failing.pop(group, None)) is not None:
            DEVICE_RECOVERED.execute({"since_silent": now - since}, metadata)
        state = "failing" if held.failing else "ok"
        if state == "ok":
            held.status.failure = ""
        if state != before:
            held.status.state, held.status.since = state, time.time()
