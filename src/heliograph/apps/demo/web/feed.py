# SPDX-License-Identifier: Apache-2.0
"""What there is to show, kept so that any number of pages can catch up with it.

An item has a topic and a key; what is put under both again replaces what was there. Each topic has
a capacity, beyond which its oldest item goes. Every change has a number, so that a page that knows
the last one it has seen gets what changed since, each item once, as it is now: a slow page misses
what was replaced or dropped meanwhile, and nobody keeps anything for it.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliograph.plain import Plain

__all__ = ["Feed", "Item"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to show.

    Attributes:
        number: The change that it is.
        topic: What kind of thing it is.
        key: Which one.
        data: What is to be shown of it, as JSON on one line.
    """

    number: int
    topic: str
    key: str
    data: str

    def text(self) -> str:
        """The item as a JSON array of topic, key and data."""
        return f"[{json.dumps(self.topic)},{json.dumps(self.key)},{self.data}]"


class Feed:
    """Items by topic and key, in the order of their last change.

    Args:
        capacities: How many items each topic keeps.

    Attributes:
        run: What tells this feed from others, at the same address at another time.
        capacities: As given.
        number: The number of the last change; 0 before the first.
    """

    run: str
    capacities: Mapping[str, int]
    number: int

    def __init__(self, capacities: Mapping[str, int]) -> None:
        self.run = secrets.token_hex(4)
        self.capacities = dict(capacities)
        self.number = 0
        self._items: OrderedDict[tuple[str, str], Item] = OrderedDict()
        self._topics: dict[str, OrderedDict[str, None]] = {
            topic: OrderedDict() for topic in capacities
        }

    def put(self, topic: str, key: str, data: Plain) -> None:
        """Show something, in place of what was there under its key; the same again is no change.

        Raises:
            KeyError: There is no such topic.
        """
        keys = self._topics[topic]
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
        before = self._items.get((topic, key))
        if before is not None and before.data == text:
            return
        self.number += 1
        self._items[topic, key] = Item(self.number, topic, key, text)
        self._items.move_to_end((topic, key))
        keys[key] = None
        keys.move_to_end(key)
        if len(keys) > self.capacities[topic]:
            oldest, _ = keys.popitem(last=False)
            del self._items[topic, oldest]

    def since(self, number: int, most: int) -> list[Item]:
        """What changed after a change, oldest first.

        Args:
            number: The change; 0 gives all there is.
            most: Characters of data after which no further item is given, but at least one is.
        """
        changed: list[Item] = []
        for item in reversed(self._items.values()):
            if item.number <= number:
                break
            changed.append(item)
        changed.reverse()
        room = most
        for count, item in enumerate(changed):
            room -= len(item.data)
            if room <= 0:
                return changed[: count + 1]
        return changed
