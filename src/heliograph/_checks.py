# SPDX-License-Identifier: Apache-2.0
"""What is refused before it can do harm, and the errors that say so."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without the import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType
    from typing import Any, Final

__all__ = [
    "ASYNC_GENERATOR",
    "COROUTINE",
    "GENERATOR",
    "EventNameError",
    "HandlerExistsError",
    "HandlerNotFoundError",
    "check_callable",
    "check_handler_id",
    "check_name",
    "check_names",
    "check_policy",
    "code_flags",
]

# The flags of a code object that inspect names, without importing it.
GENERATOR: Final = 0x20
COROUTINE: Final = 0x80
ASYNC_GENERATOR: Final = 0x200

_SEGMENT: Final = "abcdefghijklmnopqrstuvwxyz0123456789_"


class EventNameError(ValueError):
    """An event name is not made of dotted segments `[a-z][a-z0-9_]*`."""


class HandlerExistsError(ValueError):
    """A handler id is taken; ids are unique in a dispatcher, whatever the event."""


class HandlerNotFoundError(LookupError):
    """No handler is attached under an id."""


def check_name(name: object, what: str = "event name") -> str:
    """Return `name` if it is well-formed.

    Raises:
        EventNameError: It is not.
        TypeError: It is no string.
    """
    if not isinstance(name, str):
        mend = ""
        if isinstance(name, (list, tuple)) and all(isinstance(part, str) for part in name):
            mend = f"; write {'.'.join(name)!r}"
        raise TypeError(f"{what} {name!r} is not a string{mend}")
    for segment in name.split("."):
        # A segment begins with a letter; strip leaves nothing of one that has only allowed ones.
        if not segment or not "a" <= segment[0] <= "z" or segment.strip(_SEGMENT):
            raise EventNameError(
                f"{what} {name!r} is malformed at {segment!r}: it must be segments of a-z, 0-9 "
                "and _, each beginning with a letter, joined by dots, such as 'shop.order.placed'"
            )
    return name


def check_names(events: Iterable[object], what: str) -> tuple[str, ...]:
    """Return several names, each once, if all are well-formed.

    Raises:
        EventNameError: One is not.
        TypeError: They are a single string, or nothing that can be iterated over.
        ValueError: There are none.
    """
    if isinstance(events, str):
        raise TypeError(
            f"attach_many takes several event names, not the string {events!r}; "
            "use attach for a single event"
        )
    try:
        given = iter(events)
    except TypeError:
        raise TypeError(
            f"attach_many takes several event names, not {events!r}; give it a list of them"
        ) from None
    names = tuple(dict.fromkeys([check_name(name) for name in given]))
    if not names:
        raise ValueError(f"attach_many: no events for {what}; name at least one")
    return names


def check_callable(function: object, what: str) -> None:
    """Refuse what can't be called, or would do nothing when called.

    Raises:
        TypeError: It is not callable, or a coroutine or generator function.
    """
    if not callable(function):
        raise TypeError(f"{what} is not callable: {function!r}")
    if code_flags(function) & (COROUTINE | ASYNC_GENERATOR | GENERATOR):
        raise TypeError(
            f"{what} is a coroutine or generator function, which nobody would run: {function!r}; "
            "pass a plain function, or consume events with heliograph.stream"
        )


def check_handler_id(handler_id: object) -> None:
    """Refuse an id that can't be looked up.

    Raises:
        TypeError: It is not hashable.
    """
    try:
        hash(handler_id)
    except TypeError:
        raise TypeError(
            f"handler id {handler_id!r} is not hashable; use a string or a tuple"
        ) from None


def check_policy(on_failure: object, what: str, *allowed: str) -> None:
    """Refuse what is none of the things that may follow a failure.

    Raises:
        ValueError: It is not.
    """
    if on_failure not in allowed:
        *others, last = map(repr, allowed)
        raise ValueError(
            f"{what}: on_failure is {on_failure!r}; it must be {', '.join(others)} or {last}"
        )


def code_flags(function: Any) -> int:
    """Return the code flags of whatever would run if `function` were called."""
    # Bounded, because partials and callable objects may be nested without end.
    for _ in range(8):
        # A method answers for its function.
        code: CodeType | None = getattr(function, "__code__", None)
        if code is not None:
            return code.co_flags
        partial = getattr(sys.modules.get("functools"), "partial", None)
        if partial is not None and isinstance(function, partial):
            function = function.func
        else:
            function = getattr(type(function), "__call__", None)  # noqa: B004 - it is read, not asked for
    return 0
