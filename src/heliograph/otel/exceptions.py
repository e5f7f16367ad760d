# SPDX-License-Identifier: Apache-2.0
"""What is told of an exception; none of it raises, whatever the exception's own methods do."""

from __future__ import annotations

from traceback import format_exception

__all__ = ["class_name", "encodable", "message_of", "stacktrace_of"]


def class_name(exception: BaseException) -> str:
    """The name of its class, with the module unless that is builtins."""
    cls = type(exception)
    qualified = cls.__qualname__
    return qualified if cls.__module__ == "builtins" else f"{cls.__module__}.{qualified}"


def message_of(exception: BaseException) -> str:
    """Its message; empty if it has none, or cannot tell it."""
    try:
        return encodable(str(exception))
    except Exception:  # noqa: BLE001 - its own __str__ is broken; its class must do
        return ""


def stacktrace_of(exception: BaseException) -> str:
    """Its frames, causes and notes as Python prints them; its class alone if they can't be told."""
    try:
        return encodable("".join(format_exception(exception)))
    except Exception:  # noqa: BLE001 - its own __str__ is broken, or that of a cause
        return class_name(exception)


def encodable(text: str) -> str:
    """The text without lone surrogates, for one of which the encoder would fail a whole batch."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
