# SPDX-License-Identifier: Apache-2.0
"""Clusters in simulated time: the very protocol that runs on sockets, and all that can go wrong.

A run depends on its seed alone, so that what went wrong once goes wrong again.
"""

from heliograph.partisan.simulator.network import Network, SimulatedNode, Weather
from heliograph.partisan.simulator.schedules import Outcome, run_schedule

__all__ = ["Network", "Outcome", "SimulatedNode", "Weather", "run_schedule"]
