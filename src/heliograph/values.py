# SPDX-License-Identifier: Apache-2.0
"""Frozen values: how an operation ended (`Ok`, `Error`), and what is attached (`HandlerInfo`)."""

from __future__ import annotations

from heliograph._generics import ResultTypes, T_co, final

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without the import
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any, Final, Literal

    from heliograph.typing import Handler, OnFailure

__all__ = ["Error", "HandlerInfo", "Ok"]


class _Frozen:
    """Equality, hash and representation by slots, and no assignment after construction."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.__slots__])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        values = ", ".join([repr(value) for value in self._values()])
        return f"{type(self).__name__}({values})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._values()


@final
class Ok(_Frozen, ResultTypes[T_co]):
    """The result of an operation that went well, for an event's metadata: `Ok(value)`."""

    __match_args__ = ("value",)
    if TYPE_CHECKING:  # no checker takes a slot for read-only

        @property
        def value(self) -> T_co: ...

    else:
        __slots__ = ("value",)

    def __init__(self, value: T_co = None) -> None:  # type: ignore[assignment]  # Ok() is Ok[None]
        _set_value(self, value)


# As `object.__setattr__`, without looking the slot up: results are made with every operation.
_set_value: Final = Ok.__dict__["value"].__set__


@final
class Error(_Frozen, ResultTypes[T_co]):
    """The result of an operation that failed, for an event's metadata: `Error(reason)`.

    The reason may be an exception or any value that says what went wrong. It is no exception
    itself: what is raised to the caller is for the operation to choose.
    """

    __match_args__ = ("reason",)
    if TYPE_CHECKING:  # no checker takes a slot for read-only

        @property
        def reason(self) -> T_co: ...

    else:
        __slots__ = ("reason",)

    def __init__(self, reason: T_co) -> None:
        object.__setattr__(self, "reason", reason)


@final
class HandlerInfo(_Frozen):
    """One event that one handler is attached to, as `list_handlers` saw it.

    Attributes:
        handler_id: The id it was attached under.
        event: The event's name.
        handler: The callable.
        config: What it gets as its fourth argument.
        on_failure: `"detach"`, `"keep"` or `"quarantine"`.
        state: `"attached"`, or `"quarantined"` while it is paused.
        failures: How often it raised since it was attached.
        events: All events that this id is attached to.
    """

    __slots__ = __match_args__ = (
        "handler_id",
        "event",
        "handler",
        "config",
        "on_failure",
        "state",
        "failures",
        "events",
    )
    handler_id: Hashable
    event: str
    handler: Handler
    config: Any
    on_failure: OnFailure
    state: Literal["attached", "quarantined"]
    failures: int
    events: tuple[str, ...]

    def __init__(
        self,
        handler_id: Hashable,
        event: str,
        handler: Handler,
        config: Any,
        on_failure: OnFailure,
        state: Literal["attached", "quarantined"],
        failures: int,
        events: tuple[str, ...],
    ) -> None:
        values = (handler_id, event, handler, config, on_failure, state, failures, events)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)
