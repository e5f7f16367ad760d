# SPDX-License-Identifier: Apache-2.0
"""Overlays: who is connected to whom. State machines without sockets, clocks and chance."""
