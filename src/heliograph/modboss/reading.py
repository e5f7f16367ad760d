# SPDX-License-Identifier: Apache-2.0
"""One read by name, as a generator without I/O: see `calls`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heliograph.modboss.calls import UNHEARD, Calls, Raised, failed, heard
from heliograph.modboss.errors import DecodeError, DeviceError, OptionError, WrongCountError, shown
from heliograph.modboss.events import READ, READ_CALLBACK
from heliograph.modboss.fields import Field
from heliograph.modboss.options import (
    check_attempts,
    check_boolean,
    check_context,
    check_gaps,
    check_refusals,
)
from heliograph.modboss.planner import MANY, ReadPlan, measured
from heliograph.modboss.prepared import operation_of, prepared_of
from heliograph.modboss.refusals import Reading, Refusals
from heliograph.modboss.retrying import RetryPolicy
from heliograph.modboss.splitting import Splitter
from heliograph.spans import EMPTY
from heliograph.values import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.calls import Effect, Origin, Steps
    from heliograph.modboss.mapping import Mapping
    from heliograph.modboss.options import Gaps, MaxGap, OnRefusal
    from heliograph.modboss.plan import Batch
    from heliograph.modboss.planner import Planner
    from heliograph.modboss.prepared import Prepared
    from heliograph.modboss.schema import Schema

__all__ = ["reading"]


def reading(
    schema: type[Schema],
    names: str | Field[Any] | Iterable[str | Field[Any]],
    max_gap: MaxGap,
    max_attempts: int,
    decode: bool,
    debug: bool,
    context: MappingOf[str, Any],
    retry: RetryPolicy | None,
    on_refusal: OnRefusal,
    refusals: Refusals | None,
    origin: Origin | None,
) -> Steps:
    """Read mappings by name; the arguments are those of `read`."""
    # Each of these tests is that of the common case, so that it costs next to nothing.
    gaps = max_gap if type(max_gap) is int and max_gap >= 0 else check_gaps(max_gap)
    if retry is None and type(max_attempts) is int and max_attempts > 0:
        attempts = max_attempts
    elif type(retry) is RetryPolicy and type(max_attempts) is int and max_attempts == 1:
        attempts = retry.attempts
    else:
        attempts = check_attempts(max_attempts, retry)
    if context is not EMPTY and type(context) is not dict:
        check_context(context)
    if decode is not True:
        check_boolean("decode", decode)
    if debug is not False:
        check_boolean("debug", debug)
    if on_refusal != "raise" or refusals is not None:
        check_refusals(on_refusal, refusals)

    planner = schema._planner
    key: str | tuple[Any, ...]
    single = False
    if isinstance(names, tuple):
        key = names
    elif isinstance(names, str):
        key = names
        single = names != "all"
    elif isinstance(names, Field):
        key = names.name
        single = True
    else:
        key = _tuple(names)
    plan: ReadPlan | None
    try:
        if key is names and type(key) is tuple and len(key) > MANY:
            plan = planner.kept(key, gaps)
        else:
            plan = planner.reads.get((key, gaps))
    except TypeError:  # there is something among the names that is not hashable
        plan = None
    if plan is not None:
        asked: Sequence[Mapping] = plan.mappings
        listed = plan.names
    else:
        asked = planner.asked(key)
        listed = tuple([mapping.name for mapping in asked])

    # What nobody hears is not made: an operation is told if somebody listens when it begins.
    told: object = (
        READ.start.handlers or READ.stop.handlers or READ.exception.handlers or heard(READ_CALLBACK)
    )
    name = schema.schema_name
    prepared: Prepared | None = None
    calls: Calls | None = None
    failure: DeviceError | DecodeError | None = None
    value: Any = None
    opened: Any = UNHEARD
    if told:
        if plan is None:
            given = operation_of(name, listed, context, origin)
        else:
            prepared = prepared_of(name, plan, origin)
            given = prepared.operation.copy()
            given["context"] = context
        opened = READ.opened(given)
    with opened as span:
        if plan is None:
            plan = planner.reads.put((key, gaps), planner.read_plan(asked, gaps))
        replies: list[list[Any]] = []
        refused: dict[str, object] = {}
        taken = plan
        begun = 0
        try:
            if on_refusal == "raise":
                if told and prepared is None:
                    prepared = prepared_of(name, plan, origin)
                # A read function may fill the same list again and again; alone it is used up at
                # once.
                several = len(plan.requests) > 1
                for request in plan.requests:
                    if prepared is not None and heard(READ_CALLBACK):
                        metadata, measurements = prepared.requests[begun]
                        begun += 1
                        metadata = metadata.copy()
                        metadata["context"] = context
                        metadata["max_attempts"] = attempts
                        with READ_CALLBACK.opened(metadata) as call:
                            reply = yield request
                            if type(reply) is Raised:
                                batch = plan.batches[begun - 1]
                                reply = Raised(failed(call, READ_CALLBACK, batch, reply))
                            elif READ_CALLBACK.stop.handlers:
                                call.fill(measurements, {"result": Ok(reply)})
                    else:
                        begun += 1
                        reply = yield request
                    if type(reply) is Raised:
                        if calls is None:
                            given = operation_of(name, listed, context, origin)
                            calls = Calls(READ_CALLBACK, given, attempts, retry, origin, False)
                        calls.batches += 1
                        reply = yield from calls.make(plan.batches[begun - 1], request[2], reply)
                    if type(reply) is not list or len(reply) != request[2]:
                        reply = _checked(plan.batches[begun - 1], reply)
                    replies.append(reply.copy() if several else reply)
            else:
                given = operation_of(name, listed, context, origin)
                calls = Calls(READ_CALLBACK, given, attempts, retry, origin, True)
                memory = Refusals() if refusals is None else refusals
                plan, refused = _around(memory, planner, plan, key, gaps)
                taken, replies = yield from _divided(memory, plan, calls, refused)
        except DeviceError as error:
            failure = error
        else:
            try:
                values = _values(taken, replies, decode, debug, context)
            except DecodeError as error:
                failure = error
            else:
                if single:
                    value = values[0]
                else:
                    value = dict(zip(taken.names, values, strict=True))
                    if on_refusal == "split":
                        value = Reading(value, {n: refused[n] for n in listed if n in refused})
        if span is not None and READ.stop.handlers:
            if failure is None:
                result: Ok[Any] | Error[Any] = Ok(value)
            else:
                reason = failure.reason if isinstance(failure, DeviceError) else failure
                result = Error(reason)
            if calls is None:
                span.fill(plan.measured, {"result": result})
            else:
                span.fill(_measured(plan, begun, calls), {"result": result})
    if failure is None:
        return value
    try:
        raise failure
    finally:
        del failure  # it refers to this frame, which would refer to it


def _tuple(names: Any) -> tuple[Any, ...]:
    try:
        return tuple(names)
    except TypeError:
        raise OptionError(
            f"names is {shown(names)}; it must be a name, names, or 'all'", options=("names",)
        ) from None


def _checked(batch: Batch, reply: Any) -> list[Any]:
    """Return the values of a reply, of which there must be as many as were asked for."""
    if type(reply) is list:
        values = reply
    elif reply is None:
        values = []
    elif isinstance(reply, Sequence) and not isinstance(reply, str | bytes | bytearray):
        values = list(reply)
    else:
        values = [reply]
    if len(values) != batch.address_count:
        raise WrongCountError(
            batch.object_type,
            batch.starting_address,
            batch.address_count,
            len(values),
            batch.names,
        )
    return values


def _values(
    plan: ReadPlan,
    replies: list[list[Any]],
    decode: bool,
    debug: bool,
    context: MappingOf[str, Any],
) -> Sequence[Any]:
    """Give what the caller gets for each mapping, in the order of the names."""
    if not debug:
        return plan.decoder.decoded(replies, context) if decode else plan.decoder.encoded(replies)
    described: list[dict[str, Any]] = []
    for mapping, encoded in zip(plan.mappings, plan.decoder.encoded(replies), strict=True):
        described.append(
            {
                "type": mapping.object_type,
                "address_range": mapping.addresses,
                "as": mapping.codec,
                "mode": mapping.mode,
                "gap_safe": mapping.gap_safe,
                "encoded_value": encoded,
            }
        )
    if decode:
        for description, value in zip(
            described, plan.decoder.decoded(replies, context), strict=True
        ):
            description["value"] = value
    return described


def _measured(plan: ReadPlan, begun: int, calls: Calls) -> dict[str, int]:
    """Say how much was attempted: so many batches once, and again those that `calls` took over.

    With none begun, it was `calls` that made all of them.
    """
    if not begun:
        return measured(plan.batches[: calls.batches], calls.attempts)
    return measured(plan.batches[:begun], begun - calls.batches + calls.attempts)


# -- Around what the device refuses ---------------------------------------------------------------


def _around(
    memory: Refusals, planner: Planner, plan: ReadPlan, key: Any, gaps: Gaps
) -> tuple[ReadPlan, dict[str, object]]:
    """Plan a read without what the device is known to refuse.

    Returns:
        The plan, and the reasons of what was left out, by name.
    """
    if not memory.heeds("read"):
        return plan, {}
    cached = (memory.version, planner, key, gaps)
    made = memory.plans.get(cached)
    if made is None:
        known = {each.name: memory.of("read", each) for each in plan.mappings}
        left_out = {name: refusal.reason for name, refusal in known.items() if refusal is not None}
        if len(left_out) == len(known):
            left_out = {}  # then the question is whether they are still refused
        wanted = [each for each in plan.mappings if each.name not in left_out]
        made = planner.read_plan(wanted, gaps, memory.fences("read")), left_out
        memory.plans.put(cached, made)
    around, left_out = made
    return around, dict(left_out)


def _divided(
    memory: Refusals, plan: ReadPlan, calls: Calls, refused: dict[str, object]
) -> Generator[Effect, Any, tuple[ReadPlan, list[list[Any]]]]:
    """Read batches, and in parts those that the device refuses.

    Returns:
        What was read, as a plan of that alone, and the replies to it.

    Raises:
        DeviceError: Something else failed, or the device refused everything.
    """
    replies: list[list[Any]] = []

    def take(batch: Batch, reply: Any) -> None:
        replies.append(_checked(batch, reply).copy())

    splitter = Splitter(calls, "read", lambda batch: batch.address_count, take)
    yield from splitter.run(plan.batches, memory)
    if not splitter.divided:
        return plan, replies
    refused.update({each.name: error.reason for each, error in splitter.refused.items()})
    wanted = [each for each in plan.mappings if each not in splitter.refused]
    return ReadPlan(wanted, splitter.accepted), replies
