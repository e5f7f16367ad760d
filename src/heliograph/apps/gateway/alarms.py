# SPDX-License-Identifier: Apache-2.0
"""Which values are beyond their limits, as far as this gateway was told; without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Alarm", "Alarms", "Side"]

Side: TypeAlias = Literal["above", "below"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm, raised or cleared.

    Attributes:
        device: Name of the device.
        mapping: Name of what was measured.
        side: On which side of its limit the value is, or was.
        raised: Whether it is raised; else it is cleared.
        value: The value that raised or cleared it.
        limit: The limit.
        told_by: The gateway that polls the device.
    """

    device: str
    mapping: str
    side: Side
    raised: bool
    value: float
    limit: float
    told_by: str

    @property
    def key(self) -> tuple[str, str, Side]:
        """What tells it from other alarms."""
        return self.device, self.mapping, self.side

    def message(self) -> dict[str, Any]:
        """It as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Make one of plain data.

        Raises:
            ValueError: It is not what an alarm is made of.
        """
        try:
            side, raised = given["side"], given["raised"]
            texts = [given[name] for name in ("device", "mapping", "told_by")]
            value, limit = float(given["value"]), float(given["limit"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{given!r} is no alarm: {error!r}") from None
        if side not in ("above", "below") or type(raised) is not bool:
            raise ValueError(f"{given!r} is no alarm")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{given!r} is no alarm")
        device, mapping, told_by = texts
        return cls(device, mapping, side, raised, value, limit, told_by)


class Alarms:
    """The alarms that are raised."""

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str, Side], Alarm] = {}

    def __iter__(self) -> Iterator[Alarm]:
        return iter([*self._raised.values()])

    def __len__(self) -> int:
        return len(self._raised)

    def judge(
        self,
        device: str,
        mapping: str,
        value: float,
        *,
        below: float | None,
        above: float | None,
        told_by: str,
    ) -> list[Alarm]:
        """Hold a value against its limits; return what is news."""
        news = []
        sides: tuple[tuple[Side, float | None], ...] = (("below", below), ("above", above))
        for side, limit in sides:
            if limit is None:
                continue
            beyond = value < limit if side == "below" else value > limit
            alarm = Alarm(device, mapping, side, beyond, value, limit, told_by)
            if self.note(alarm):
                news.append(alarm)
        return news

    def note(self, alarm: Alarm) -> bool:
        """Take note of an alarm; say whether it is news."""
        known = alarm.key in self._raised
        if alarm.raised:
            self._raised[alarm.key] = alarm
        else:
            self._raised.pop(alarm.key, None)
        return known is not alarm.raised

    def keep(self, limited: Callable[[str, str, Side], bool]) -> None:
        """Forget the alarms of what has no limit any more, by device, mapping and side."""
        self._raised = {key: each for key, each in self._raised.items() if limited(*key)}
