# SPDX-License-Identifier: Apache-2.0
"""What a node's protocol can be told; each default with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heliograph.partisan.protocol.causal import CausalConfig
from heliograph.partisan.protocol.plumtree import PlumtreeConfig
from heliograph.partisan.protocol.relay import RelayConfig
from heliograph.partisan.protocol.streams import DeliveryConfig

if TYPE_CHECKING:
    from heliograph.partisan.protocol.detection import DetectionConfig
    from heliograph.partisan.wire.refs import RefFormat

__all__ = ["ProtocolConfig"]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ProtocolConfig:
    """Pace and bounds of the membership protocol and of connections. Times are in nanoseconds."""

    gossip_interval: int = 10 * _SECOND
    """Between two sendings of the whole state to all peers; `periodic_interval` of the original."""
    connection_interval: int = _SECOND
    """Between two passes that dial what is missing; `connection_interval` of the original."""
    handshake_timeout: int = 10 * _SECOND
    """From a connection's start to the end of its handshake; our choice, the original has none."""
    idle_timeout: int = 20 * _SECOND
    """Silence after which the side that dialled pings the other; the original's `idle_timeout`."""
    ping_timeout: int = 10 * _SECOND
    """Wait for a pong before the next ping; `timeout` of the original."""
    ping_attempts: int = 5
    """Pings without any answer before the connection is closed; `max_attempts` of the original."""
    backoff_initial: int = _SECOND // 4
    """Wait before a second dial to a peer that did not answer; our choice, the original has 1 s."""
    backoff_limit: int = 10 * _SECOND
    """Longest wait between two dials to a peer; our choice, the original's is 1 s."""
    backoff_jitter: float = 0.5
    """Part of each wait that is left to chance, 0 to 1; our choice."""
    flap_window: int = 600 * _SECOND
    """For how long it counts that a peer was down; our choice."""
    flap_damping: bool = False
    """Whether the wait before a peer is dialled again grows with how often it was down of late, as
    if that many dials had failed; our choice, for peers that come and go all the time."""
    parallelism_limit: int = 128
    """Connections opened for one channel, whatever a peer declares; our choice."""
    members: int = 10_000
    """Entries in the membership, those removed included; our choice. Larger states are refused."""
    tokens: int = 1_000
    """Tokens of one entry; our choice: one for each time a node joined anew under one address."""
    gossip_backlog: int = 8
    """States kept for a peer that is not connected yet; our choice, the oldest goes first."""
    monitors: int = 65_536
    """Monitors that other nodes may hold here; our choice."""
    reference_format: RefFormat = "improper_list"
    """How references to processes are written; `remote_ref_format` of the original."""
    detection: DetectionConfig | None = None
    """How peers that miss a ping are suspected before they are down; None for not at all, as in the
    original: `ping_attempts` decides."""
    delivery: DeliveryConfig = field(default_factory=DeliveryConfig)
    """Of acknowledged delivery."""
    causal: CausalConfig = field(default_factory=CausalConfig)
    """Of causal delivery."""
    broadcast: PlumtreeConfig = field(default_factory=PlumtreeConfig)
    """Of the broadcast trees."""
    relay: RelayConfig = field(default_factory=RelayConfig)
    """Of messages that go by way of others."""
    early: int = 64
    """Messages kept of a peer that sends some before it says who it is; our choice."""
    check_timeout: int = 2 * _SECOND
    """Wait for a neighbor's pong when a partial view has it checked at once; our choice."""
    grace: int = _SECOND // 10
    """How long a neighbor that hung up may take to say why; our choice: what it said comes by
    another connection."""
    linger: int = 10 * _SECOND
    """How long a connection to a node that is no neighbor stays open unused; our choice."""
    retain: int = 60 * _SECOND
    """How long messages to be acknowledged are kept for a neighbor that was lost; our choice."""
    partners: int = 1_024
    """Nodes a partial view may talk to at a time beside its neighbors; our choice."""
