# SPDX-License-Identifier: Apache-2.0
"""Sizes and pace of HyParView's views, each with where it comes from, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from heliograph.partisan.protocol.overlay.xbot import XBotConfig

__all__ = ["HyParViewConfig", "HyParViewStatistics"]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HyParViewConfig:
    """Sizes of the views, lengths of walks, and pace. Times are in nanoseconds."""

    active: int = 5
    """Neighbors; the paper's fan-out 4 plus one. The original says 6 and counts itself."""
    passive: int = 30
    """Replacements; the paper's and the original's."""
    active_walk: int = 6
    """Hops of a forwarded join, and of a shuffle; the paper's and the original's."""
    passive_walk: int = 3
    """Hops that remain where the joiner becomes a replacement; the paper's, the original has 6."""
    shuffle_active: int = 3
    """Neighbors that a shuffle tells of; the paper's and the original's."""
    shuffle_passive: int = 4
    """Replacements that a shuffle tells of; the paper's and the original's."""
    shuffle_interval: int = 10 * _SECOND
    """The original's."""
    promotion_interval: int = 5 * _SECOND
    """Between two attempts to fill the active view with nothing lost; the original's."""
    request_timeout: int = 2 * _SECOND
    """Wait for the answer to a request; our choice, the original waits for ever."""
    attempts: int = 5
    """Rejections after which a node asks no more until something is lost or the next attempt is
    due; our choice."""
    check_interval: int | None = _SECOND
    """Between two checks whether all neighbors live, made when somebody asks to be one; our choice.
    Whoever asks has lost some, so this node may have, too, and not know. None never checks."""
    look_over: bool = True
    """Whether a node that has lost most of its neighbors tells all its replacements that it lives,
    and forgets those that do not; our choice, once in `deny_for`."""
    deny_for: int = 10 * _SECOND
    """How long a node that failed is not taken for living on others' word; our choice."""
    denied: int = 128
    """Nodes that failed lately which are remembered; our choice, three views."""
    departed_for: int = 600 * _SECOND
    """How long a node that left is not taken for a member on others' word; our choice."""
    departed: int = 1_024
    """Nodes that left which are remembered; our choice."""
    probe_interval: int = 30 * _SECOND
    """Between two attempts to reach a node that was lost, or a seed; our choice."""
    restless: int = 300
    """Of so many of these attempts, one is made at a replacement though the view is full; 0 never
    does so. Our choice: a node swaps a neighbor every few hours, so that views stay full."""
    acquaintances: int = 128
    """Nodes that gave way to others in the views, the last so many, to be asked by who knows nobody
    else any more; 0 remembers none. Our choice: with the views', 160, some of whom live even if
    nine of ten have failed."""
    survey_interval: int = 30 * _SECOND
    """Between two looks whether the node lives on an island (see `islands`); our choice."""
    island: int = 16
    """From so many nodes on it is none, and no further look is taken; 0 never looks. Our choice:
    with views of five places, a look ends after about three nodes."""
    remembered: int = 32
    """Neighbors that failed which are kept, to be tried again; our choice."""
    disconnections: int = 1_024
    """Nodes whose disconnections are remembered, sent and received; our choice."""
    exchange: int = 64
    """Longest exchange accepted; our choice, a shuffle has 8."""
    walk: int = 64
    """Most hops accepted; our choice."""
    as_original: bool = False
    """Ask one replacement at a time, with high priority, and only after a failure or when nobody is
    left; the paper's asks for as many as there are places, whenever there are any."""
    xbot: XBotConfig | None = None
    """Prefer near neighbors to far ones; by option."""

    def __post_init__(self) -> None:
        for name in ("active", "passive"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: a view has at least one place")
        for name in ("denied", "departed", "remembered", "disconnections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least one is remembered")
        if self.acquaintances < 0:
            raise ValueError(f"acquaintances={self.acquaintances}: they are 0 or more")


@dataclass(slots=True)
class HyParViewStatistics:
    """What was done and met, counted since the start."""

    shuffles: int = 0
    """Shuffles begun here."""
    promotions: int = 0
    """Replacements asked to become neighbors."""
    accepted: int = 0
    """Of those, that became one."""
    rejected: int = 0
    """Of those, that had no room."""
    evictions: int = 0
    """Neighbors given up to make room."""
    checks: int = 0
    """Times that all neighbors were checked."""
    probes: int = 0
    """Lost nodes, replacements and seeds tried again."""
    recalled: int = 0
    """Acquaintances asked because there was nobody else."""
    optimizations: int = 0
    """Nearer replacements that were asked to take a far neighbor's place, by X-BOT."""
    optimized: int = 0
    """Of those, that did."""
    unoptimized: int = 0
    """Of those, that did not: one of the four nodes would not have gained by it."""
    islands: int = 0
    """Times that the node found itself on an island, though it knows others."""
    looked_over: int = 0
    """Times that all replacements were told that the node lives."""
    denied: int = 0
    """Times that others' word of a node that had failed or left was not taken."""
    stale: int = 0
    """Messages from before the node was disconnected or lost; answered with the disconnection."""
    forged: int = 0
    """Messages whose sender is not who they say; dropped."""
    malformed: int = 0
    """Messages with impossible contents, and of kinds there is no use for; dropped."""
