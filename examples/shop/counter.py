# SPDX-License-Identifier: Apache-2.0
"""The shop: it takes orders and packs them, and says so by the events of its catalog."""

from __future__ import annotations

import queue
import random
import time
from dataclasses import dataclass
from typing import Literal

from heliograph import Error, Ok
from shop.events import (
    CHECKOUT,
    ORDER_PACKED,
    ORDER_PLACED,
    ORDER_REFUSED,
    PACKING,
    PAYMENT,
)


class PaymentDeclinedError(Exception):
    """The bank said no."""


class TillJammedError(Exception):
    """Nobody thought of that."""


@dataclass(frozen=True)
class Order:
    """What a customer wants."""

    id: str
    customer: str
    lines: int
    method: Literal["card", "invoice"] = "card"
    trouble: Literal["", "declined", "jammed"] = ""


class Shop:
    """Takes orders in any thread; packs them wherever `pack` is called."""

    def __init__(self, chance: random.Random) -> None:
        self.waiting: queue.Queue[Order] = queue.Queue()
        self._chance = chance

    def check_out(self, order: Order) -> bool:
        """Take an order, or refuse it."""
        with CHECKOUT(order_id=order.id, method=order.method) as checkout:
            checkout.measurements["lines"] = order.lines
            if order.lines == 0:
                ORDER_REFUSED.execute({"count": 1}, {"order_id": order.id, "refusal": "empty"})
                checkout.metadata["result"] = Error("empty")
                return False
            try:
                self._pay(order)
            except PaymentDeclinedError as declined:
                ORDER_REFUSED.execute({"count": 1}, {"order_id": order.id, "refusal": "declined"})
                checkout.metadata["result"] = Error(declined)
                return False
            if order.trouble == "jammed":
                raise TillJammedError("drawer does not open")
            if ORDER_PLACED.handlers:
                ORDER_PLACED.execute(
                    {"count": 1, "lines": order.lines},
                    {"order_id": order.id, "method": order.method, "customer": order.customer},
                )
            self.waiting.put(order)
            checkout.metadata["result"] = Ok(order.lines)
            return True

    def _pay(self, order: Order) -> None:
        with PAYMENT(order_id=order.id, method=order.method):
            time.sleep(self._chance.uniform(0.001, 0.006))
            if order.trouble == "declined":
                raise PaymentDeclinedError("limit reached")

    def pack(self, order: Order) -> None:
        """Make a parcel of an order."""
        with PACKING(order_id=order.id):
            time.sleep(self._chance.uniform(0.004, 0.016) * order.lines)
            ORDER_PACKED.execute({"count": 1}, {"order_id": order.id, "customer": order.customer})
