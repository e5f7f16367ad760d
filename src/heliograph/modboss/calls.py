# SPDX-License-Identifier: Apache-2.0
"""The calls that an operation makes, as a generator: what to call is yielded, the result sent in.

What the operations do is written once, as generators that do no I/O. They yield effects: a tuple is
the arguments of the read or write function, a number the seconds to wait. A driver carries them
out, and sends in what the function returned, or what it raised as `Raised`; see `operations`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from heliograph.modboss.errors import DeviceError, listed
from heliograph.modboss.events import READ_CALLBACK, WRITE_CALLBACK
from heliograph.spans import EMPTY
from heliograph.values import Error, Ok

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

    from heliograph.modboss.caching import PlanCache
    from heliograph.modboss.events import ReadCallbackHandle, WriteCallbackHandle
    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.plan import Batch
    from heliograph.modboss.prepared import Prepared
    from heliograph.modboss.retrying import RetryPolicy

__all__ = [
    "UNHEARD",
    "Calls",
    "Effect",
    "Origin",
    "Raised",
    "Steps",
    "annotate",
    "failed",
    "heard",
    "told",
]

Effect: TypeAlias = "tuple[ObjectType, int, Any] | float"
Steps: TypeAlias = Generator[Effect, Any, Any]


class Raised:
    """What is sent in where there is no reply: the exception that came in its place."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error

    def take(self) -> BaseException:
        """Give the exception away, once: kept, it would be part of a cycle with its traceback."""
        error, self._error = self._error, None
        assert error is not None, "who gets it sends it on"
        return error


class _Unheard:
    """Stands for the span of an operation that nobody listens to."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


UNHEARD: Final = _Unheard()


def heard(span: Any) -> object:
    """Say whether anybody listens to a span: what nobody hears is not made."""
    return span.start.handlers or span.stop.handlers or span.exception.handlers


class Origin(Protocol):
    """What a device adds to the metadata of the events of its operations."""

    @property
    def operation(self) -> MappingOf[str, Any]:
        """Metadata of operations and of their callbacks."""
        ...

    def read_request(self, object_type: ObjectType, count: int, /) -> MappingOf[str, Any]:
        """Give metadata of the callback that reads so many objects of a type."""
        ...

    def write_request(self, object_type: ObjectType, count: int, /) -> MappingOf[str, Any]:
        """Give metadata of the callback that writes so many objects of a type."""
        ...

    @property
    def prepared(self) -> PlanCache[Prepared]:
        """Where operations keep what they have prepared of all this."""
        ...


class Calls:
    """The calls of one operation: attempts at its batches, each in a span of its own.

    Attributes:
        attempts: How many calls were begun so far.
        batches: How many of the planned batches were begun; counted by whoever takes them.
        given: The metadata of the operation, which are those of its calls too.
    """

    __slots__ = (
        "_divides",
        "_limit",
        "_origin",
        "_policy",
        "_span",
        "attempts",
        "batches",
        "given",
    )

    def __init__(
        self,
        span: ReadCallbackHandle | WriteCallbackHandle,
        given: dict[str, Any],
        max_attempts: int,
        policy: RetryPolicy | None,
        origin: Origin | None,
        divides: bool,
    ) -> None:
        self._span: Any = span
        self.given: dict[str, Any] = given
        self._limit = max_attempts
        self._policy = policy
        self._origin = origin
        self._divides = divides  # whether batches are divided rather than refused again
        self.attempts: int = 0
        self.batches: int = 0

    def make(self, batch: Batch, value: Any, raised: Raised | None = None) -> Steps:
        """Attempt a batch, calling with its type, its address and `value`, as often as allowed.

        Args:
            batch: What is read or written.
            value: Third argument of the call.
            raised: How the first attempt has ended, if it has been made; nothing is told of it.

        Returns:
            What the called function returned.

        Raises:
            DeviceError: The last attempt failed with it.
        """
        span, policy, origin = self._span, self._policy, self._origin
        request = (batch.object_type, batch.starting_address, value)
        attempt = 0
        while True:
            attempt += 1
            self.attempts += 1
            if raised is None and not heard(span):
                reply = yield request
                if type(reply) is not Raised:
                    return reply
                raised = reply
            if raised is not None:
                try:
                    raise raised.take()
                except DeviceError as error:
                    failure = error
                raised = None
            else:
                given = told(self.given, batch, attempt, self._limit)
                if origin is not None:
                    given.update(_described(origin, span, batch))
                with span.opened(given) as call:
                    reply = yield request
                    if type(reply) is not Raised:
                        if span.stop.handlers:
                            result = Ok(None if span is WRITE_CALLBACK else reply)
                            call.fill(_measured(span, batch), {"result": result})
                        return reply
                    failure = failed(call, span, batch, reply)
            if (
                attempt >= self._limit
                or (self._divides and failure.refusal)
                or not (policy is None or policy.retries(failure))
            ):
                break
            pause = 0.0 if policy is None else policy.pause(attempt)
            if pause:
                waited = yield pause
                if type(waited) is Raised:
                    raise waited.take()
        try:
            verb = "writing" if span is WRITE_CALLBACK else "reading"
            annotate(
                failure,
                f"{verb} {batch.address_count} x {batch.object_type} from address "
                f"{batch.starting_address} ({listed(batch.names)}), attempt {attempt} of "
                f"{self._limit}",
            )
            raise failure
        finally:
            del failure  # it refers to this frame, which would refer to it


def told(
    operation: MappingOf[str, Any], batch: Batch, attempt: int, max_attempts: int
) -> dict[str, Any]:
    """Give the metadata of a batch's callback, but for what a device adds."""
    return {
        **operation,
        "names": batch.names,
        "object_type": batch.object_type,
        "starting_address": batch.starting_address,
        "address_count": batch.address_count,
        "attempt": attempt,
        "max_attempts": max_attempts,
    }


def failed(call: Any, span: Any, batch: Batch, raised: Raised) -> DeviceError:
    """Say in its span that a call has failed; what is no `DeviceError` ends the operation."""
    try:
        raise raised.take()
    except DeviceError as error:
        if span.stop.handlers:
            result = {"result": Error(error.reason), **error.details}
            call.fill(_measured(span, batch), result)
        return error


def _measured(span: Any, batch: Batch) -> MappingOf[str, int]:
    return batch.measured if span is READ_CALLBACK else EMPTY


def _described(origin: Origin, span: Any, batch: Batch) -> MappingOf[str, Any]:
    describe = origin.write_request if span is WRITE_CALLBACK else origin.read_request
    return describe(batch.object_type, batch.address_count)


def annotate(error: BaseException, note: str) -> None:
    """Add a note to an exception, once even if the same exception is raised again and again."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
