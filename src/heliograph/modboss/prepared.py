# SPDX-License-Identifier: Apache-2.0
"""What the events of a planned read carry each time, prepared once.

Most of it depends on the plan and the device alone, and copying a dict is several times as fast as
making it. What differs each time is put into the copies: the context and the number of attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph.modboss.calls import told

if TYPE_CHECKING:
    from heliograph.modboss.calls import Origin
    from heliograph.modboss.planner import ReadPlan

__all__ = ["Prepared", "operation_of", "prepared_of"]


class Prepared:
    """What is known of a read's events before it is made; for copying.

    Attributes:
        operation: The metadata of its own.
        requests: For each batch, the metadata of the first attempt at it and what is measured.
    """

    __slots__ = ("operation", "requests")

    def __init__(self, schema_name: str, plan: ReadPlan, origin: Origin | None) -> None:
        self.operation: dict[str, Any] = operation_of(schema_name, plan.names, None, origin)
        requests = []
        for batch in plan.batches:
            metadata = told(self.operation, batch, 1, 1)
            if origin is not None:
                metadata.update(origin.read_request(batch.object_type, batch.address_count))
            requests.append((metadata, batch.measured))
        self.requests: tuple[tuple[dict[str, Any], dict[str, int]], ...] = tuple(requests)


def prepared_of(schema_name: str, plan: ReadPlan, origin: Origin | None) -> Prepared:
    """Find what is prepared for a plan, or prepare it."""
    if origin is None:
        prepared = plan.prepared
        if prepared is None:
            prepared = plan.prepared = Prepared(schema_name, plan, None)
    else:
        prepared = origin.prepared.get(plan)
        if prepared is None:
            prepared = origin.prepared.put(plan, Prepared(schema_name, plan, origin))
    return prepared


def operation_of(
    schema_name: str, names: tuple[str, ...], context: Any, origin: Origin | None
) -> dict[str, Any]:
    """Give the metadata that an operation's events and those of its callbacks have in common."""
    given: dict[str, Any] = {"schema": schema_name, "names": names, "context": context}
    if origin is not None:
        given.update(origin.operation)
    return given
