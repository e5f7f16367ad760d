# SPDX-License-Identifier: Apache-2.0
"""One write by name, as a generator without I/O (see `calls`), and encoding alone."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any

from heliograph.modboss.calls import UNHEARD, Calls, annotate, heard
from heliograph.modboss.errors import DeviceError, OptionError, listed, shown
from heliograph.modboss.events import WRITE, WRITE_CALLBACK
from heliograph.modboss.fields import Field
from heliograph.modboss.mapping import OBJECT_TYPES
from heliograph.modboss.options import check_attempts, check_context, check_refusals
from heliograph.modboss.refusals import Refusals
from heliograph.modboss.splitting import Splitter
from heliograph.values import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from heliograph.modboss.calls import Effect, Origin, Steps
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.options import OnRefusal
    from heliograph.modboss.plan import Batch
    from heliograph.modboss.planner import Planner, WritePlan
    from heliograph.modboss.retrying import RetryPolicy
    from heliograph.modboss.schema import Schema

__all__ = ["encoding", "writing"]


def writing(
    schema: type[Schema],
    values: MappingOf[Any, Any] | Iterable[tuple[Any, Any]],
    max_attempts: int,
    context: MappingOf[str, Any],
    retry: RetryPolicy | None,
    on_refusal: OnRefusal,
    refusals: Refusals | None,
    origin: Origin | None,
) -> Steps:
    """Write values by name; the arguments are those of `write`."""
    max_attempts = check_attempts(max_attempts, retry)
    check_context(context)
    check_refusals(on_refusal, refusals)
    names, given_values = _pairs(values)
    planner = schema._planner
    plan: WritePlan | None
    try:
        plan = planner.writes.get(names)
    except TypeError:  # there is something among the names that is not hashable
        plan = None
    asked = planner.writable(names) if plan is None else plan.mappings
    encoded = {
        mapping.name: mapping.encode(value, context)
        for mapping, value in zip(asked, given_values, strict=True)
    }

    given: dict[str, Any] = {"schema": schema.schema_name, "names": names, "context": context}
    if origin is not None:
        given.update(origin.operation)
    failure: DeviceError | None = None
    with WRITE(given) if heard(WRITE) else UNHEARD as span:
        if plan is None:
            plan = planner.writes.put(names, planner.write_plan(asked))
        divides = on_refusal == "split"
        calls = Calls(WRITE_CALLBACK, given, max_attempts, retry, origin, divides=divides)
        written: dict[str, None] = {}  # names, by the order of writing

        def take(batch: Batch, _reply: Any) -> None:
            written.update(dict.fromkeys(batch.names))

        try:
            if divides:
                memory = Refusals() if refusals is None else refusals
                plan = _around(memory, planner, plan)
                yield from _divided(memory, plan, calls, encoded, take)
            else:
                for batch in plan.batches:
                    calls.batches += 1
                    yield from calls.make(batch, _joined(batch, encoded))
                    take(batch, None)
        except DeviceError as error:
            failure = error
            failure.written = tuple([name for name in names if name in written])
            failure.not_written = tuple([name for name in names if name not in written])
        except BaseException as error:
            if written:
                rest = [name for name in names if name not in written]
                annotate(
                    error, f"written before: {listed(list(written))}; not written: {listed(rest)}"
                )
            raise
        if span is not None and WRITE.stop.handlers:
            attempted = plan.batches[: calls.batches]
            measurements = span.measurements
            measurements["batches"] = calls.batches
            measurements["total_attempts"] = calls.attempts
            measurements["objects_requested"] = sum(batch.address_count for batch in attempted)
            span.metadata["result"] = Ok(None) if failure is None else Error(failure.reason)
    if failure is None:
        return
    try:
        raise failure
    finally:
        del failure  # it refers to this frame, which would refer to it


def encoding(
    schema: type[Schema],
    values: MappingOf[Any, Any] | Iterable[tuple[Any, Any]],
    context: MappingOf[str, Any],
) -> dict[tuple[ObjectType, int], Any]:
    """Encode values by name; the arguments are those of `encode`."""
    check_context(context)
    names, given_values = _pairs(values)
    mappings = schema._planner.encodable(names)
    encoded: dict[tuple[ObjectType, int], Any] = {}
    for mapping, value in zip(mappings, given_values, strict=True):
        registers = mapping.encode(value, context)
        for address, register in zip(mapping.addresses, registers, strict=True):
            encoded[mapping.object_type, address] = register
    order = {object_type: at for at, object_type in enumerate(OBJECT_TYPES)}
    return {key: encoded[key] for key in sorted(encoded, key=lambda key: (order[key[0]], key[1]))}


def _pairs(values: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return names and values, in the caller's order."""
    try:
        pairs = list(values.items() if isinstance(values, MappingOf) else values)
        names = [name.name if isinstance(name, Field) else name for name, _ in pairs]
        return tuple(names), tuple([value for _, value in pairs])
    except (TypeError, ValueError):
        raise OptionError(
            f"values is {shown(values)}; it must be a mapping of names to values, or pairs of both",
            options=("values",),
        ) from None


def _joined(batch: Batch, encoded: MappingOf[str, list[Any]]) -> Any:
    """Return what is written in one request: one value as it is, several as a list."""
    values: list[Any] = []
    for name in batch.names:
        values += encoded[name]
    return values[0] if len(values) == 1 else values


def _around(memory: Refusals, planner: Planner, plan: WritePlan) -> WritePlan:
    """Plan a write with what the device is known to refuse in requests of its own."""
    if not memory.heeds("write"):
        return plan
    cached = (memory.version, planner, plan.names)
    around: WritePlan | None = memory.plans.get(cached)
    if around is None:
        around = planner.write_plan(plan.mappings, memory.fences("write"))
        memory.plans.put(cached, around)
    return around


def _divided(
    memory: Refusals,
    plan: WritePlan,
    calls: Calls,
    encoded: MappingOf[str, list[Any]],
    take: Any,
) -> Generator[Effect, Any, None]:
    """Write batches, and in parts those that the device refuses.

    Raises:
        DeviceError: Something failed; a refusal is raised after all else was written.
    """
    splitter = Splitter(calls, "write", lambda batch: _joined(batch, encoded), take)
    yield from splitter.run(plan.batches, memory)
    if splitter.refused:
        raise next(iter(splitter.refused.values()))
