# SPDX-License-Identifier: Apache-2.0
"""Where a node finds its cluster: sources to look in, and how often.

    Node("py1@10.0.0.1", discovery=[DnsSource("orders.example", 10200)])

Sources of one's own are subclasses of `Source`.
"""

from heliograph.partisan.discovery.dns import DnsSource, Family, KubernetesSource, SrvSource
from heliograph.partisan.discovery.pace import DiscoveryConfig
from heliograph.partisan.discovery.parsing import parse_source
from heliograph.partisan.discovery.sources import FileSource, Found, ListSource, Source

__all__ = [
    "DiscoveryConfig",
    "DnsSource",
    "Family",
    "FileSource",
    "Found",
    "KubernetesSource",
    "ListSource",
    "Source",
    "SrvSource",
    "parse_source",
]
