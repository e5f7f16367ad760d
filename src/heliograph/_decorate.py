# SPDX-License-Identifier: Apache-2.0
"""Spans around functions of every kind; imported when the first one is decorated."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from heliograph._checks import ASYNC_GENERATOR, COROUTINE, GENERATOR, code_flags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliograph.spans import Span

__all__ = ["decorate"]

_F = TypeVar("_F", bound="Callable[..., Any]")


def decorate(function: _F, handle: Span[Any, Any], metadata: Mapping[str, Any]) -> _F:
    if not callable(function):
        raise TypeError(f"{handle.prefix!r} can only decorate a function, not {function!r}")
    # Annotated loosely: wraps gives each wrapper the signature of what it wraps.
    call: Callable[..., Any] = function
    flags = code_flags(function)
    wrapper: Callable[..., Any]
    if flags & COROUTINE:

        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with handle(metadata):
                return await call(*args, **kwargs)

        wrapper = run_coroutine
    elif flags & GENERATOR:

        def run_generator(*args: Any, **kwargs: Any) -> Any:
            with handle(metadata):
                return (yield from call(*args, **kwargs))

        wrapper = run_generator
    elif flags & ASYNC_GENERATOR:

        async def run_async_generator(*args: Any, **kwargs: Any) -> Any:
            # There is no `async yield from`: hand values, throws and the close on by hand.
            with handle(metadata):
                inner = call(*args, **kwargs)
                try:
                    step = inner.__anext__()
                    while True:
                        try:
                            value = await step
                        except StopAsyncIteration:
                            return
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as thrown:  # noqa: BLE001 - whatever it is, the inner one decides
                            step = inner.athrow(thrown)
                        else:
                            step = inner.asend(sent)
                finally:
                    await inner.aclose()

        wrapper = run_async_generator
    else:

        def run(*args: Any, **kwargs: Any) -> Any:
            with handle(metadata):
                return call(*args, **kwargs)

        wrapper = run
    return wraps(call)(wrapper)  # type: ignore[return-value]  # it has the signature of _F
