# SPDX-License-Identifier: Apache-2.0
"""The whole examination, from the installation to what a gateway has to reach."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heliograph.apps.doctor.findings import Finding, one_line
from heliograph.apps.doctor.packages import extras, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.apps.gateway import GatewayConfig

__all__ = ["examine"]

TIMEOUT: Final = 5.0
"""Seconds after which something counts as not reached."""


def examine(
    file: str | os.PathLike[str] | None = None, *, timeout: float = TIMEOUT
) -> Iterator[Finding]:
    """Look at everything, and give what is found, in order.

    Args:
        file: A gateway's file. Its collector, devices and peers are asked whether they are there: a
            device is asked for one value.
        timeout: Seconds after which one of them counts as not reached.
    """
    yield from versions()
    yield from extras()
    if file is not None:
        yield from _gateway(os.fspath(file), timeout)


def _gateway(file: str, timeout: float) -> Iterator[Finding]:
    try:
        from heliograph.apps.gateway import check_export, load
        from heliograph.catalog import ConfigError
    except ImportError as error:
        mend = 'pip install "heliograph[gateway]"'
        yield Finding("file", file, "failed", f"cannot be looked at: {one_line(error)}", mend)
        return
    if not Path(file).is_file():
        mend = "name another, or begin with heliograph gateway --print-default"
        yield Finding("file", file, "failed", "there is no such file", mend)
        return
    try:
        config = load(file)
        check_export(config)
    except ConfigError as error:
        for fault in error.faults:
            yield Finding("file", file, "failed", str(fault), "mend the file")
        return
    yield Finding("file", file, "ok", f"{len(config.devices)} devices")
    yield from _state(config)
    from heliograph.apps.doctor.collector import collector
    from heliograph.apps.doctor.reaching import reach

    yield from collector(config, timeout)
    yield from asyncio.run(reach(config, timeout))


def _state(config: GatewayConfig) -> Iterator[Finding]:
    """Whether the membership can be kept."""
    state = None if config.cluster is None else config.cluster.state
    if state is None:
        return
    if state.parent.is_dir() and os.access(state.parent, os.W_OK):
        yield Finding("state", str(state), "ok", "can be written")
    else:
        mend = f"make the folder {state.parent}, and let the gateway's user write there"
        yield Finding("state", str(state), "failed", "cannot be written", mend)
