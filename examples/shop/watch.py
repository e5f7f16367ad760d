# SPDX-License-Identifier: Apache-2.0
"""Handlers that handlers.yaml attaches to the shop's events; two of them will fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

slow: Final[deque[str]] = deque(maxlen=100)
stock: Final = {"tea": 40, "coffee": 40}
mails: Final[deque[str]] = deque(maxlen=1000)
mail_attempts: Final[deque[bool]] = deque(maxlen=1000)


def note_when_slow(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Remember checkouts that took longer than `limit_ns`."""
    if measurements["duration"] > config["limit_ns"]:
        slow.append(metadata["order_id"])


def take_from_stock(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Take the goods from the shelf; the mistake is that the event does not say which goods."""
    stock[metadata["article"]] -= measurements["lines"]


def mail_customer(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Tell the customer; the mail server is down at first."""
    up = len(mail_attempts) >= 2
    mail_attempts.append(up)
    if not up:
        raise ConnectionRefusedError(f"{config['server']} does not answer")
    mails.append(metadata["order_id"])
