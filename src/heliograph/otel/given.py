# SPDX-License-Identifier: Apache-2.0
"""Flushing providers of the application within a deadline."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from heliograph.otel.health import FlushResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.otel.configuration import Signal
    from heliograph.otel.health import Status

__all__ = ["flush_providers"]


def flush_providers(providers: Mapping[Signal, Any], timeout: float) -> FlushResult:
    """Flush providers, which may take no notice of a deadline, within one."""
    outcomes: dict[Signal, Status] = {}
    errors: dict[Signal, str] = {}
    deadline = time.monotonic() + timeout

    def flush(signal: Signal, force_flush: Callable[[int], object]) -> None:
        try:
            if force_flush(int(timeout * 1000)) is False:
                errors[signal] = "the provider did not flush everything"
        except Exception as failure:  # noqa: BLE001 - the provider is anybody's
            errors[signal] = repr(failure)
        outcomes[signal] = "failed" if signal in errors else "ok"

    threads: list[threading.Thread] = []
    expected: list[Signal] = []
    for signal, provider in providers.items():
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is not None:
            expected.append(signal)
            threads.append(threading.Thread(target=flush, args=(signal, force_flush), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    ended = [outcomes.get(signal, "timed out") for signal in expected]
    status: Status = "failed" if "failed" in ended else "ok"
    return FlushResult("timed out" if "timed out" in ended else status, errors=dict(errors))
