# SPDX-License-Identifier: Apache-2.0
"""Generic for type checkers, plain at run time.

`typing` takes longer to import than the whole core, so nothing that `import heliograph` needs may
import it. This module gives the core's classes their type parameters all the same: a type checker
reads the first branch, the interpreter the second, where `Event[M, D]` is merely `Event`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without the import
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Generic, final, overload

    from typing_extensions import TypeVar

    M = TypeVar("M", bound=Mapping[str, Any], default=Mapping[str, Any])
    D = TypeVar("D", bound=Mapping[str, Any], default=Mapping[str, Any])
    # What a body fills is a dict unless a generated module knows better.
    SM = TypeVar("SM", bound=Mapping[str, Any], default=dict[str, Any])
    SD = TypeVar("SD", bound=Mapping[str, Any], default=dict[str, Any])
    T_co = TypeVar("T_co", covariant=True)

    class EventTypes(Generic[M, D]):
        """Base of what is generic in an event's measurements and metadata."""

    class SpanTypes(Generic[SM, SD]):
        """Base of what is generic in what a span's body fills: measurements and metadata."""

    class ResultTypes(Generic[T_co]):
        """Base of what is generic in a result's value."""

else:
    from types import GenericAlias

    class _Subscriptable:
        __slots__ = ()
        __class_getitem__ = classmethod(GenericAlias)

    EventTypes = SpanTypes = ResultTypes = _Subscriptable
    M = D = SM = SD = T_co = object

    def final(cls):
        return cls

    def overload(_function):
        return None


__all__ = [
    "SD",
    "SM",
    "D",
    "EventTypes",
    "M",
    "ResultTypes",
    "SpanTypes",
    "T_co",
    "final",
    "overload",
]
