# SPDX-License-Identifier: Apache-2.0
"""The one word that says what went wrong."""

from __future__ import annotations

import asyncio
from enum import Enum

import pytest

from heliograph import Error, Ok
from heliograph.catalog.exported import OTHER, error_type


class Fault(Enum):
    BUSY = 6


class DeviceGoneError(Exception):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Ok(1), None),
        (17, None),
        (None, None),
        (Error("timeout"), "timeout"),
        (Error("illegal_address"), "illegal_address"),
        (Error("x" * 64), "x" * 64),
        (Error("x" * 65), OTHER),
        (Error("device 7 is gone"), OTHER),
        (Error(""), OTHER),
        (Error(404), OTHER),
        (Error(("timeout", 3)), OTHER),
        (Error(Fault.BUSY), "BUSY"),
        (Error(TimeoutError("after 3 s")), "TimeoutError"),
        (ValueError("no"), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (DeviceGoneError(), f"{__name__}.DeviceGoneError"),
    ],
)
def test_an_error_becomes_one_word_out_of_few(value: object, expected: str | None) -> None:
    assert error_type(value) == expected


@pytest.mark.parametrize("reason", ["timeout", Fault.BUSY, 404])
def test_of_a_sensitive_error_only_the_class_of_an_exception_is_told(reason: object) -> None:
    assert error_type(Error(reason), sensitive=True) == OTHER
    assert error_type(Error(OSError()), sensitive=True) == "OSError"
