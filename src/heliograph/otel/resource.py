# SPDX-License-Identifier: Apache-2.0
"""The process as OpenTelemetry's resource, which stays right in the child of a fork.

Spans and log events hold on to their resource, so the child can't be given another object: the one
there is says what is true of the process that asks.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import (
    PROCESS_PARENT_PID,
    PROCESS_PID,
    SERVICE_INSTANCE_ID,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProcessResource"]


class ProcessResource(Resource):
    """A resource whose process attributes can be brought up to date.

    Args:
        base: What it says; as `Resource.create` makes it, by the detectors the environment names.
        fixed: Attributes that stay whatever happens, since somebody chose their values.
    """

    def __init__(self, base: Resource, fixed: frozenset[str] = frozenset()) -> None:
        super().__init__(dict(base.attributes), base.schema_url)
        self._fixed = fixed
        self._present: Mapping[str, Any] = super().attributes

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is true of this process."""
        return self._present

    def refresh(self) -> None:
        """Become the resource of the present process: its ids, and an instance of its own."""
        new: dict[str, Any] = {
            PROCESS_PID: os.getpid(),
            PROCESS_PARENT_PID: os.getppid(),
            SERVICE_INSTANCE_ID: str(uuid.uuid4()),
        }
        present = dict(self._present)
        changed = {key: new[key] for key in new if key in present and key not in self._fixed}
        self._present = Resource({**present, **changed}).attributes

    # Encoders sort what they send by resource; this one is unique, so its identity will do.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
