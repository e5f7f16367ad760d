# SPDX-License-Identifier: Apache-2.0
"""What a device or its link did instead of what it was asked to do.

    DeviceError
     ├── ExceptionReplyError          the device refused, with a code that has no class of its own
     │    ├── IllegalFunctionError         1  it does not know the function
     │    ├── IllegalDataAddressError      2  it has not all of these addresses
     │    ├── IllegalDataValueError        3  it does not take this value, or this count
     │    ├── DeviceFailureError           4  it failed in doing it
     │    ├── AcknowledgedError            5  it has begun, and will take long
     │    ├── DeviceBusyError              6  it is busy; ask again later
     │    ├── NegativeAcknowledgeError     7  it cannot do this program function
     │    ├── MemoryParityError            8  its memory is damaged
     │    ├── GatewayPathError            10  a gateway has no path to it
     │    └── GatewayTargetError          11  a gateway got no answer of it
     └── LinkError                    no valid answer came
          ├── ReplyTimeoutError (TimeoutError)      nothing came in time
          ├── UnreachableError (ConnectionError)    no connection could be made
          ├── LinkLostError (ConnectionError)       the connection ended before the answer came
          ├── LinkClosedError (ConnectionError)     the link has been closed here
          ├── CorruptReplyError                     what came was no frame
          └── DesyncError                           what came answers something else

`reason` is one word, which is the same for all errors of a class: it is what events carry, and what
`error.type` of spans and metrics becomes.

The codes and their meanings are those of the MODBUS Application Protocol Specification V1.1b3,
section 7, and of Modicon's reference guide PI-MBUS-300 for 7.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from heliograph.modboss.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AcknowledgedError",
    "CorruptReplyError",
    "DesyncError",
    "DeviceBusyError",
    "DeviceFailureError",
    "ExceptionReplyError",
    "GatewayPathError",
    "GatewayTargetError",
    "IllegalDataAddressError",
    "IllegalDataValueError",
    "IllegalFunctionError",
    "LinkClosedError",
    "LinkError",
    "LinkLostError",
    "MemoryParityError",
    "NegativeAcknowledgeError",
    "ReplyTimeoutError",
    "UnreachableError",
    "exception_reply",
]


class _ToldError(DeviceError):
    """A device error that says in a sentence what happened, and to a program in a word."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(reason)
        self.args: tuple[Any, ...] = (text,)
        self.text = text

    def __str__(self) -> str:
        # What was written and what was not is said as for every device error.
        return self.text + super().__str__().removeprefix(str(self.reason))


# -- The device said no ---------------------------------------------------------------------------


class ExceptionReplyError(_ToldError):
    """A device answered with an exception code.

    Attributes:
        code: The code, 1 to 255.
        reason: `illegal_function` and the like; `exception_12` where the code has no name.
    """

    word: ClassVar[str] = ""
    meaning: ClassVar[str] = "which the standard gives no meaning"

    def __init__(self, code: int, what: str) -> None:
        word = self.word or f"exception_{code}"
        super().__init__(f"{what}: the device answered with exception {code}, {self.meaning}", word)
        self.code = code
        self.details: Mapping[str, Any] = {"exception_code": code}

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.text, self.reason, self.__dict__)


class IllegalFunctionError(ExceptionReplyError):
    """Code 1: the device does not know the function, or not in its present state."""

    word = "illegal_function"
    meaning = "illegal function: it does not know this function"


class IllegalDataAddressError(ExceptionReplyError):
    """Code 2: the device has not all of the addresses."""

    word = "illegal_data_address"
    meaning = "illegal data address: it has not all of these addresses"
    refusal = True


class IllegalDataValueError(ExceptionReplyError):
    """Code 3: the device does not take the value, or so many addresses at once."""

    word = "illegal_data_value"
    meaning = "illegal data value: it does not take this value, or so many addresses at once"
    refusal = True


class DeviceFailureError(ExceptionReplyError):
    """Code 4: the device failed while it did what was asked for."""

    word = "device_failure"
    meaning = "server device failure: it failed while doing it"


class AcknowledgedError(ExceptionReplyError):
    """Code 5: the device has begun, and will take a long time."""

    word = "acknowledged"
    meaning = "acknowledge: it has begun, and will take a long time"


class DeviceBusyError(ExceptionReplyError):
    """Code 6: the device is busy with something that takes long."""

    word = "device_busy"
    meaning = "server device busy: ask again later"


class NegativeAcknowledgeError(ExceptionReplyError):
    """Code 7: the device cannot perform the program function."""

    word = "negative_acknowledge"
    meaning = "negative acknowledge: it cannot perform this function"


class MemoryParityError(ExceptionReplyError):
    """Code 8: the device found its extended memory damaged."""

    word = "memory_parity"
    meaning = "memory parity error: its memory is damaged"


class GatewayPathError(ExceptionReplyError):
    """Code 10: a gateway has no path to the device: it is misconfigured or overloaded."""

    word = "gateway_path"
    meaning = "gateway path unavailable: the gateway is misconfigured or overloaded"


class GatewayTargetError(ExceptionReplyError):
    """Code 11: a gateway got no answer of the device; mostly it is not there."""

    word = "gateway_target"
    meaning = "gateway target device failed to respond: is the device there, and its id right?"


_BY_CODE: Final = MappingProxyType(
    {
        1: IllegalFunctionError,
        2: IllegalDataAddressError,
        3: IllegalDataValueError,
        4: DeviceFailureError,
        5: AcknowledgedError,
        6: DeviceBusyError,
        7: NegativeAcknowledgeError,
        8: MemoryParityError,
        10: GatewayPathError,
        11: GatewayTargetError,
    }
)


def exception_reply(code: int, what: str) -> ExceptionReplyError:
    """Make the error of an exception code.

    Args:
        code: As the device sent it.
        what: What it was asked for, as the beginning of a sentence.
    """
    return _BY_CODE.get(code, ExceptionReplyError)(code, what)


# -- No valid answer came -------------------------------------------------------------------------


class LinkError(_ToldError):
    """No valid answer came; each way in which that happens has a class of its own."""

    word: ClassVar[str] = "link"

    def __init__(self, text: str) -> None:
        super().__init__(text, self.word)

    def again(self) -> LinkError:
        """Make another error that says the same, for another caller."""
        return type(self)(self.text)


class ReplyTimeoutError(LinkError, TimeoutError):
    """Nothing came in time."""

    word = "timeout"


class UnreachableError(LinkError, ConnectionError):
    """No connection could be made."""

    word = "unreachable"


class LinkLostError(LinkError, ConnectionError):
    """The connection ended before the answer came; whether it was done is not known."""

    word = "lost"


class LinkClosedError(LinkError, ConnectionError):
    """The link has been closed on this side, for good."""

    word = "closed"


class CorruptReplyError(LinkError):
    """What came was no frame: damaged, cut, or no Modbus at all."""

    word = "corrupt"


class DesyncError(LinkError):
    """A frame came, but it answers something else: another device's, or an earlier request."""

    word = "desync"


def _restored(
    cls: type[ExceptionReplyError], text: str, reason: str, state: dict[str, Any]
) -> ExceptionReplyError:
    made = cls.__new__(cls)
    _ToldError.__init__(made, text, reason)
    made.__dict__.update(state)
    return made
