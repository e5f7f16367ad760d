# SPDX-License-Identifier: Apache-2.0
"""Ports for tests."""

from __future__ import annotations

from contextlib import ExitStack

from heliograph.apps.ports import kept_ports

_KEPT = ExitStack()


def free_port() -> int:
    """Find a port where nobody listens, and keep it for the tests, whatever they do with it."""
    return _KEPT.enter_context(kept_ports(1))[0]
