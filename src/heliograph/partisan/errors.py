# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a cluster, in pairs: the caller misused us, or the peer misbehaved.

```text
PartisanError
├── LocalError          the caller asked for what cannot be done
│   ├── EncodeError     (ValueError) a term that Erlang has no form for
│   ├── TermSyntaxError (ValueError) a text that is no Erlang term
│   ├── InboxClosedError    (LookupError) the inbox takes no more, and is empty
│   ├── ListenError     (OSError) the node cannot listen where it was told to
│   ├── NameTakenError  (ValueError) the name is registered, or the node runs
│   ├── NodeClosedError (RuntimeError) the node does not run
│   ├── QueueFullError  (BlockingIOError) no room now, and the caller would not wait
│   ├── UnknownHandlerError (LookupError) the node takes no part in these broadcasts
│   └── UnknownNodeError    (LookupError) no member has this name
└── RemoteError         a peer sent what it should not, or is not there
    ├── CallError       (RuntimeError) a function called elsewhere failed, or is not there
    ├── DecodeError     (ValueError) bytes that are no External Term Format
    ├── FrameError      (ValueError) a frame longer than allowed
    ├── JoinError       (ConnectionError) the node asked to join through cannot be joined
    ├── MismatchError   (ValueError) the peer is configured otherwise
    ├── NoReplyError    (TimeoutError) no reply came in time
    ├── NotConnectedError   (ConnectionError) the member cannot be reached now
    └── StateError      (ValueError) a membership state that is none, or too large
```
"""

from __future__ import annotations

__all__ = [
    "CallError",
    "DecodeError",
    "EncodeError",
    "FrameError",
    "InboxClosedError",
    "JoinError",
    "ListenError",
    "LocalError",
    "MismatchError",
    "NameTakenError",
    "NoReplyError",
    "NodeClosedError",
    "NotConnectedError",
    "PartisanError",
    "QueueFullError",
    "RemoteError",
    "StateError",
    "TermSyntaxError",
    "UnknownHandlerError",
    "UnknownNodeError",
]

_SHOWN = 200  # characters of a term that an error repeats


class PartisanError(Exception):
    """Anything that `heliograph.partisan` raises on purpose."""


class LocalError(PartisanError):
    """The caller asked for what cannot be done."""


class RemoteError(PartisanError):
    """A peer sent what it should not, or is not there."""


class InboxClosedError(LocalError, LookupError):
    """The inbox was closed, and nothing is left in it."""


class ListenError(LocalError, OSError):
    """The node cannot listen at the address it was given."""


class NameTakenError(LocalError, ValueError):
    """Somebody else has this name already."""


class NodeClosedError(LocalError, RuntimeError):
    """The node does not run: it was not entered yet, or it was left."""


class QueueFullError(LocalError, BlockingIOError):
    """There is no room for a message now, and the caller did not want to wait."""


class UnknownHandlerError(LocalError, LookupError):
    """The node takes no part in broadcasts of this name."""


class UnknownNodeError(LocalError, LookupError):
    """No member of the cluster has this name."""


class MismatchError(RemoteError, ValueError):
    """A peer is configured otherwise than this node, so that they cannot be of one cluster.

    Args:
        setting: What differs.
        own: What it is here.
        theirs: What it is there.
    """

    def __init__(self, setting: str, own: str, theirs: str) -> None:
        super().__init__(f"its {setting} is {theirs}, and this node's is {own}; they must agree")
        self.setting = setting
        self.own = own
        self.theirs = theirs


class JoinError(RemoteError, ConnectionError):
    """The node to join through is not there, is another one, or does not speak the protocol."""


class NotConnectedError(RemoteError, ConnectionError):
    """The node is a member, but there is no connection to it now."""


class CallError(RemoteError, RuntimeError):
    """A function that was called at another node failed, or there is none of the name.

    Attributes:
        reason: Why, as a term: `Atom("undef")` of one that is not there.
    """

    def __init__(self, text: str, reason: object) -> None:
        super().__init__(text)
        self.text: str = text
        self.reason: object = reason

    def __reduce__(self) -> tuple[type[CallError], tuple[str, object]]:
        return type(self), (self.text, self.reason)


class NoReplyError(RemoteError, TimeoutError):
    """A request got no reply before its deadline."""


class EncodeError(LocalError, ValueError):
    """A value that no Erlang term stands for, or one beyond a limit of the format."""


class TermSyntaxError(LocalError, ValueError):
    """A text that is no literal Erlang term.

    Attributes:
        reason: What is wrong.
        position: At which character, the first being 0.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} (at character {position})")
        self.reason = reason
        self.position = position

    def __reduce__(self) -> tuple[type[TermSyntaxError], tuple[str, int]]:
        return type(self), (self.reason, self.position)


class DecodeError(RemoteError, ValueError):
    """Bytes that are no term in the External Term Format, or one beyond our limits.

    Attributes:
        reason: What is wrong.
        offset: At which byte of what was given the trouble was noticed.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at byte {offset})")
        self.reason = reason
        self.offset = offset

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, int]]:
        return type(self), (self.reason, self.offset)


class FrameError(RemoteError, ValueError):
    """A frame that announces more bytes than are allowed.

    Attributes:
        length: What it announces, in bytes.
        limit: What is allowed.
    """

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(
            f"a frame announces {length} bytes, allowed are {limit}: the peer speaks another"
            " protocol, or the limit is too low"
        )
        self.length = length
        self.limit = limit

    def __reduce__(self) -> tuple[type[FrameError], tuple[int, int]]:
        return type(self), (self.length, self.limit)


class StateError(RemoteError, ValueError):
    """A membership state that is none, or larger than allowed.

    Attributes:
        reason: What is wrong.
        term: The part of it that is.
    """

    def __init__(self, reason: str, term: object) -> None:
        shown = repr(term)
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "..."
        super().__init__(f"{reason}: {shown}")
        self.reason = reason
        self.term = term

    def __reduce__(self) -> tuple[type[StateError], tuple[str, object]]:
        return type(self), (self.reason, self.term)
