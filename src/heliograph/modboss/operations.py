# SPDX-License-Identifier: Apache-2.0
"""Reads, writes and encodes by mapping name, over any function that reads or writes a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from heliograph.spans import EMPTY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from heliograph.modboss.mapping import ObjectType
    from heliograph.modboss.refusals import Reading, Refusals
    from heliograph.modboss.retrying import RetryPolicy
    from heliograph.modboss.schema import Schema

    ReadFunc: TypeAlias = Callable[[ObjectType, int, int], Any]
    """`(object_type, starting_address, count)` -> the values."""
    WriteFunc: TypeAlias = Callable[[ObjectType, int, Any], object]
    """`(object_type, starting_address, value or list of values)`; what it returns is ignored."""
    AsyncReadFunc: TypeAlias = Callable[[ObjectType, int, int], Awaitable[Any]]
    AsyncWriteFunc: TypeAlias = Callable[[ObjectType, int, Any], Awaitable[object]]
    MaxGap: TypeAlias = int | None | Mapping[ObjectType, int]
    OnRefusal: TypeAlias = Literal["raise", "split"]

__all__ = ["aread", "awrite", "encode", "read", "write"]


def read(
    schema: type[Schema],
    names: str | Iterable[str],
    read_func: ReadFunc,
    *,
    max_gap: MaxGap = 0,
    max_attempts: int = 1,
    decode: bool = True,
    debug: bool = False,
    context: Mapping[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
) -> Any:
    """Read mappings by name."""
    raise NotImplementedError


async def aread(
    schema: type[Schema],
    names: str | Iterable[str],
    read_func: AsyncReadFunc,
    *,
    max_gap: MaxGap = 0,
    max_attempts: int = 1,
    decode: bool = True,
    debug: bool = False,
    context: Mapping[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
) -> Any:
    """Do what `read` does, awaiting the read function."""
    raise NotImplementedError


def write(
    schema: type[Schema],
    values: Mapping[str, Any] | Iterable[tuple[str, Any]],
    write_func: WriteFunc,
    *,
    max_attempts: int = 1,
    context: Mapping[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
) -> None:
    """Write values by mapping name."""
    raise NotImplementedError


async def awrite(
    schema: type[Schema],
    values: Mapping[str, Any] | Iterable[tuple[str, Any]],
    write_func: AsyncWriteFunc,
    *,
    max_attempts: int = 1,
    context: Mapping[str, Any] = EMPTY,
    retry: RetryPolicy | None = None,
    on_refusal: OnRefusal = "raise",
    refusals: Refusals | None = None,
) -> None:
    """Do what `write` does, awaiting the write function."""
    raise NotImplementedError


def encode(
    schema: type[Schema],
    values: Mapping[str, Any] | Iterable[tuple[str, Any]],
    *,
    context: Mapping[str, Any] = EMPTY,
) -> dict[tuple[ObjectType, int], Any]:
    """Encode values by mapping name: `(object_type, address)` -> what would be written there."""
    raise NotImplementedError
