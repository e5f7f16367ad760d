# SPDX-License-Identifier: Apache-2.0
"""What all bridges of a process share: its end, and the propagator of a dispatcher."""

from __future__ import annotations

import atexit
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from heliograph.otel.propagation import OtelPropagator
from heliograph.propagation import Propagator

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph import Telemetry

__all__ = ["Ending", "at_exit", "no_longer_at_exit", "no_longer_propagate_by", "propagate_by"]


class Ending(Protocol):
    """Something that has to end before the process does."""

    exit_timeout: float

    def begin_ending(self, deadline: float) -> Callable[[], object]:
        """Begin to end; return what waits for that, until the deadline at most."""
        ...


_living: Final[dict[int, Ending]] = {}


def at_exit(ending: Ending) -> None:
    """Let it end with the process."""
    if not _living:
        atexit.register(_at_exit)
    _living[id(ending)] = ending


def no_longer_at_exit(ending: Ending) -> None:
    """It has ended by itself."""
    _living.pop(id(ending), None)
    if not _living:
        atexit.unregister(_at_exit)


def _at_exit() -> None:
    # All at once, so that several take no longer than one.
    began = time.monotonic()
    waits = [each.begin_ending(began + each.exit_timeout) for each in list(_living.values())]
    for wait in waits:
        wait()


_propagating: Final[dict[int, tuple[OtelPropagator, int]]] = {}
_propagation: Final = threading.Lock()


def propagate_by(telemetry: Telemetry) -> bool:
    """Give a dispatcher our propagator, unless it has one of the application's."""
    with _propagation:
        known = _propagating.get(id(telemetry))
        if known is not None:
            ours, users = known
        elif type(telemetry.propagator) is Propagator:
            ours, users = OtelPropagator(), 0
            telemetry.propagator = ours
        else:
            return False
        _propagating[id(telemetry)] = (ours, users + 1)
        return True


def no_longer_propagate_by(telemetry: Telemetry) -> None:
    """Take the propagator back when the last bridge ends that wanted it."""
    with _propagation:
        ours, users = _propagating.pop(id(telemetry))
        if users > 1:
            _propagating[id(telemetry)] = (ours, users - 1)
        elif telemetry.propagator is ours:
            telemetry.propagator = Propagator()
