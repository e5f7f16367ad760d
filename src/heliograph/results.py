# SPDX-License-Identifier: Apache-2.0
"""How an operation ended, as a value for an event's metadata: `Ok(value)` or `Error(reason)`."""

from __future__ import annotations

from heliograph._generics import ResultTypes, T_co, final

__all__ = ["Error", "Frozen", "Ok"]


class Frozen:
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
class Ok(Frozen, ResultTypes[T_co]):
    """The result of an operation that went well, for an event's metadata: `Ok(value)`."""

    __slots__ = __match_args__ = ("value",)
    value: T_co

    def __init__(self, value: T_co = None) -> None:  # type: ignore[assignment]  # Ok() is Ok[None]
        object.__setattr__(self, "value", value)


@final
class Error(Frozen, ResultTypes[T_co]):
    """The result of an operation that failed, for an event's metadata: `Error(reason)`.

    The reason may be an exception or any value that says what went wrong. It is no exception
    itself: what is raised to the caller is for the operation to choose.
    """

    __slots__ = __match_args__ = ("reason",)
    reason: T_co

    def __init__(self, reason: T_co) -> None:
        object.__setattr__(self, "reason", reason)
