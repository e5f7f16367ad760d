# SPDX-License-Identifier: Apache-2.0
"""Channels: so many connections each, and which of them a message takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_CHANNEL", "MEMBERSHIP_CHANNEL", "Channel", "check_channels"]

DEFAULT_CHANNEL: Final = "undefined"
"""The channel of messages that name none; it is called so on the wire."""
MEMBERSHIP_CHANNEL: Final = "partisan_membership"
"""The channel of everything that nodes tell each other about the cluster."""

# Our choice: what a channel may ask of every peer. The original has no limit.
_MOST_PARALLEL: Final = 64
# An atom's length in bytes on the wire is one byte.
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Channel:
    """A named group of connections to every peer, so that its messages wait for no others.

    Attributes:
        name: Its name.
        parallelism: Connections to each peer, 1 to 64. Messages with one partition key take the
            same one, and so stay in order; others take turns.
        monotonic: Only the newest message counts: while a peer does not keep up, older ones that
            wait are dropped.
        compression: Whether messages are compressed, or the level of zlib, 1 to 9.

    Raises:
        ValueError: A number is out of its range, or the name is empty or too long.
    """

    name: str
    parallelism: int = 1
    monotonic: bool = False
    compression: bool | int = False

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode()) <= _LONGEST_NAME:
            raise ValueError(
                f"channel name {self.name!r}: it must have 1 to {_LONGEST_NAME} bytes of UTF-8"
            )
        if not 1 <= self.parallelism <= _MOST_PARALLEL:
            raise ValueError(
                f"channel {self.name!r}: parallelism is {self.parallelism}; "
                f"it must be 1 to {_MOST_PARALLEL}"
            )
        if not isinstance(self.compression, bool) and not 1 <= self.compression <= 9:
            raise ValueError(
                f"channel {self.name!r}: compression is {self.compression}; "
                "it must be True, False, or a level from 1 to 9"
            )

    @classmethod
    def parse(cls, text: str) -> Channel:
        """Read `NAME[:PARALLELISM][:monotonic][:compressed]`, as the command line has it.

        Raises:
            ValueError: It is something else.
        """
        name, *options = text.split(":")
        parallelism, monotonic, compression = 1, False, False
        for option in options:
            if option.isdecimal():
                parallelism = int(option)
            elif option == "monotonic":
                monotonic = True
            elif option == "compressed":
                compression = True
            else:
                raise ValueError(
                    f"channel {text!r}: {option!r} is neither a number, nor monotonic, "
                    "nor compressed"
                )
        return cls(name, parallelism, monotonic, compression)

    @property
    def config(self) -> dict[str, bool | int]:
        """The options, as the event `partisan.channel.configured` shows them."""
        return {
            "parallelism": self.parallelism,
            "monotonic": self.monotonic,
            "compression": self.compression,
        }


# The original's: these two are always there.
_ALWAYS: Final = (
    Channel(DEFAULT_CHANNEL),
    Channel(MEMBERSHIP_CHANNEL, compression=True),
)


def check_channels(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Return the channels and those that are always there, in the order of their names.

    Raises:
        ValueError: Two have the same name.
    """
    found: dict[str, Channel] = {}
    for channel in channels:
        if channel.name in found:
            raise ValueError(f"channel {channel.name!r} is given twice; give it once")
        found[channel.name] = channel
    for channel in _ALWAYS:
        found.setdefault(channel.name, channel)
    return tuple(sorted(found.values(), key=lambda each: each.name))
