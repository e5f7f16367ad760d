# SPDX-License-Identifier: Apache-2.0
r"""References to processes of other nodes, in the three formats that Partisan can be told to use.

| of          | `improper_list`, the default     | `tuple`                                             | `uri`                               |
| ----------- | -------------------------------- | --------------------------------------------------- | ----------------------------------- |
| a process   | `[Node\|<<"#Pid<0.1.0>">>]`      | `{partisan_remote_ref,Node,{encoded_pid,"<0.1.0>"}}` | `<<"partisan:pid:Node:0.1.0">>`     |
| a reference | `[Node\|<<"#Ref<0.1.2.3>">>]`    | `{..., {encoded_ref,"#Ref<0.1.2.3>"}}`              | `<<"partisan:ref:Node:0.1.2.3">>`   |
| a name      | `[Node\|<<"#Namesink">>]`        | `{..., {encoded_name,"sink"}}`                      | `<<"partisan:name:Node:sink">>`     |

An alias is a reference behind the atom `alias`: `[alias,Node|<<"#Ref<0.1.2.3>">>]`. As the destination
of a message the node is left out: `{encoded_pid,"<0.1.0>"}`.
"""  # noqa: E501 - a table

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

from heliograph.partisan.wire.terms import Atom, ImproperList

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = ["RefFormat", "RefKind", "RemoteRef", "Target", "target"]

RefKind: TypeAlias = Literal["pid", "ref", "name"]
RefFormat: TypeAlias = Literal["improper_list", "tuple", "uri"]

_TAG: Final = Atom("partisan_remote_ref")
_ALIAS: Final = Atom("alias")
_ENCODED: Final[dict[str, Atom]] = {
    "pid": Atom("encoded_pid"),
    "ref": Atom("encoded_ref"),
    "name": Atom("encoded_name"),
}
_NUMBERS: Final[dict[str, re.Pattern[str]]] = {
    "pid": re.compile(r"[0-9]{1,10}(\.[0-9]{1,10}){2}"),
    "ref": re.compile(r"[0-9]{1,10}(\.[0-9]{1,10}){1,5}"),
}
_URI: Final = re.compile(r"partisan:(pid|ref|name):([^:]+):([^:]*)(:.*)?", re.DOTALL)
_BINARY: Final = re.compile(r"#(?:Pid<(.*)>|Ref<(.*)>|Name(.*))", re.DOTALL)
# Where the padding of a URI begins, in the original: `$\31`, which is octal there.
_PADDING: Final = "\31"


class Target(NamedTuple):
    """Whom a message is for, on the node that gets it."""

    kind: RefKind
    id: str
    """A registered name, or the numbers of a process or reference: `0.151.0`."""

    def term(self) -> Term:
        """Return its form as a destination; a registered name is an atom then."""
        if self.kind == "name":
            return Atom(self.id)
        return _encoded(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class RemoteRef:
    """A process, reference or registered name of some node.

    Raises:
        ValueError: The numbers are none, or the name is empty or longer than an atom can be.
    """

    node: Atom
    kind: RefKind
    id: str
    """The registered name, or the numbers between the angle brackets: `0.151.0`."""
    alias: bool = False
    """Whether the reference is an alias, to be used as a process once."""

    def __post_init__(self) -> None:
        _check(self.kind, self.id)

    def term(self, form: RefFormat = "improper_list") -> Term:
        """Return its form on the wire."""
        if form == "tuple":
            term: Term = (_TAG, self.node, _encoded(self.kind, self.id))
        elif form == "uri":
            term = f"partisan:{self.kind}:{self.node}:{self.id}".encode()
        else:
            term = ImproperList((self.node,), _bracketed(self.kind, self.id, "#Pid").encode())
        if not self.alias:
            return term
        if isinstance(term, ImproperList):
            return ImproperList((_ALIAS, *term.elements), term.tail)
        return ImproperList((_ALIAS,), term)

    def padded(self, padding: str) -> bytes:
        """Return the form of a URI with a padding behind it, which whoever reads it takes off."""
        uri = f"partisan:{self.kind}:{self.node}:{self.id}"
        return f"{uri}{_PADDING}{padding}".encode()

    @property
    def target(self) -> Target:
        """What is left of it for the node it belongs to."""
        return Target(self.kind, self.id)

    @classmethod
    def parse(cls, term: Term) -> RemoteRef:
        """Read what `term` gives, in any format.

        Raises:
            ValueError: It is no reference.
        """
        match term:
            case ImproperList(("alias", Atom(node)), bytes(tail)):
                return cls(node, *_from_binary(tail), alias=True)
            case ImproperList(("alias",), inner):
                plain = cls.parse(inner)
                return cls(plain.node, plain.kind, plain.id, alias=True)
            case ImproperList((Atom(node),), bytes(tail)):
                return cls(node, *_from_binary(tail))
            case ("partisan_remote_ref", Atom(node), encoded):
                return cls(node, *_from_encoded(encoded))
            case bytes(uri):
                return _from_uri(uri)
            case _:
                raise ValueError("no remote reference")


def target(destination: Term) -> Target | None:
    """Return whom a message is for, given what it is addressed to; None if that is nobody here.

    Destinations are registered names and remote references, with or without their node. Those by
    way of a registry, `{global, Name}` and `{via, Module, Name}`, are nobody.
    """
    if isinstance(destination, Atom):
        return Target("name", destination)
    try:
        match destination:
            case (Atom(), _):
                kind, text = _from_encoded(destination)
                _check(kind, text)
                return Target(kind, text)
            case _:
                return RemoteRef.parse(destination).target
    except ValueError:
        return None


def _check(kind: RefKind, text: str) -> None:
    if kind == "name":
        if not 1 <= len(text) <= 255:
            raise ValueError(f"a registered name has 1 to 255 characters, not {len(text)}")
    elif not _NUMBERS[kind].fullmatch(text):
        raise ValueError(f"no numbers of a {kind}: {text[:80]!r}")


def _bracketed(kind: RefKind, text: str, pid: str) -> str:
    if kind == "name":
        return f"#Name{text}"
    return f"#Ref<{text}>" if kind == "ref" else f"{pid}<{text}>"


def _encoded(kind: RefKind, text: str) -> tuple[Atom, list[int]]:
    return _ENCODED[kind], [*map(ord, text if kind == "name" else _bracketed(kind, text, ""))]


def _from_encoded(term: Term) -> tuple[RefKind, str]:
    match term:
        case ("encoded_pid", list(points)):
            kind, text = "pid", f"#Pid{_string(points)}"
        case ("encoded_ref", list(points)):
            kind, text = "ref", _string(points)
        case ("encoded_name", list(points)):
            kind, text = "name", f"#Name{_string(points)}"
        case _:
            raise ValueError("no encoded process, reference or name")
    found = _split(text)
    if found[0] != kind:
        raise ValueError(f"no encoded {kind}")
    return found


def _string(points: list[Any]) -> str:
    try:
        return "".join(map(chr, points))
    except (TypeError, OverflowError):
        raise ValueError("no string") from None


def _from_binary(tail: bytes) -> tuple[RefKind, str]:
    return _split(tail.decode())


def _split(text: str) -> tuple[RefKind, str]:
    found = _BINARY.fullmatch(text)
    if found is None:
        raise ValueError("no #Pid<...>, #Ref<...> or #Name...")
    pid, ref, name = found.groups()
    if pid is not None:
        return "pid", pid
    return ("ref", ref) if ref is not None else ("name", name)


def _from_uri(uri: bytes) -> RemoteRef:
    text, _, _ = uri.decode().partition(_PADDING)
    found = _URI.fullmatch(text)
    if found is None:
        raise ValueError("no URI of a remote reference")
    kind, node, rest = found[1], found[2], found[3]
    return RemoteRef(Atom(node), cast("RefKind", kind), rest)
