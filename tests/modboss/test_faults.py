# SPDX-License-Identifier: Apache-2.0
"""The errors of devices and links: one word each, and a sentence."""

from __future__ import annotations

import copy
import pickle

import pytest

from heliograph.modboss import DeviceError, ExceptionReplyError, LinkError, faults
from heliograph.modboss.faults import exception_reply

LINK_ERRORS = [
    cls
    for cls in vars(faults).values()
    if isinstance(cls, type) and issubclass(cls, LinkError) and cls is not LinkError
]
EVERY: list[DeviceError] = [
    *(exception_reply(code, "reading") for code in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 99)),
    *(cls("something happened") for cls in LINK_ERRORS),
]
IDS = [type(error).__name__ for error in EVERY]


def test_each_says_a_word_of_its_own() -> None:
    assert len({error.reason for error in EVERY}) == len(EVERY)
    assert all(str(error.reason).isidentifier() for error in EVERY)


@pytest.mark.parametrize("error", EVERY, ids=IDS)
def test_each_survives_being_copied_and_sent(error: DeviceError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert (str(again), again.reason, again.details) == (
            str(error),
            error.reason,
            error.details,
        )


@pytest.mark.parametrize("error", EVERY, ids=IDS)
def test_each_says_what_was_written_before_it(error: DeviceError) -> None:
    again = copy.copy(error)
    again.written, again.not_written = ("setpoint",), ("mode",)

    assert str(again).startswith(str(error))
    assert "setpoint" in str(again).removeprefix(str(error))
    assert "mode" in str(again).removeprefix(str(error))


def test_codes_without_a_class_keep_their_number() -> None:
    error = exception_reply(99, "reading")

    assert type(error) is ExceptionReplyError
    assert (error.code, error.reason) == (99, "exception_99")


@pytest.mark.parametrize("cls", LINK_ERRORS)
def test_another_that_says_the_same_is_another(cls: type[LinkError]) -> None:
    error = cls("the line is cut")
    again = error.again()

    assert again is not error
    assert (type(again), str(again)) == (cls, "the line is cut")
