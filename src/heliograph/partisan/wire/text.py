# SPDX-License-Identifier: Apache-2.0
"""Terms as one writes them in Erlang, to be typed and to be read.

`parse_term` reads literals of the Erlang reference manual: numbers with bases and `_`, `$c`, atoms,
strings, binaries with sizes and `/utf8`, tuples, lists, maps, `fun m:f/1`, and comments.
`format_term` writes on one line what `io:format("~0tp")` writes, but for maps, whose order is their
own, and binaries, whose text is shown where it is UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Final, NoReturn

from heliograph.partisan.errors import TermSyntaxError
from heliograph.partisan.wire.limits import DEFAULT_LIMITS
from heliograph.partisan.wire.terms import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    term_map,
)

if TYPE_CHECKING:
    from heliograph.partisan.wire.terms import Term

__all__ = ["Parser", "format_term", "parse_term"]

_RESERVED: Final = frozenset(
    [
        "after",
        "and",
        "andalso",
        "band",
        "begin",
        "bnot",
        "bor",
        "bsl",
        "bsr",
        "bxor",
        "case",
        "catch",
        "cond",
        "div",
        "else",
        "end",
        "fun",
        "if",
        "let",
        "maybe",
        "not",
        "of",
        "or",
        "orelse",
        "receive",
        "rem",
        "try",
        "when",
        "xor",
    ]
)
_PLAIN_ATOM: Final = re.compile(r"[a-zß-öø-ÿ][A-Za-z0-9_@À-ÖØ-öø-ÿ]*")
_SPACE: Final = re.compile(r"(?:\s|%[^\n]*)*")
_NUMBER: Final = re.compile(
    r"(?P<float>\d+(?:_\d+)*\.\d+(?:_\d+)*(?:[eE][+-]?\d+)?)"
    r"|(?P<base>\d+)#(?P<digits>[0-9A-Za-z]+(?:_[0-9A-Za-z]+)*)"
    r"|(?P<integer>\d+(?:_\d+)*)"
)
_OPAQUE: Final = re.compile(r"<(?P<pid>\d+\.\d+\.\d+)>|#(?P<kind>Ref|Port|Fun)<(?P<rest>[^<>]*)>")
_ESCAPED: Final = re.compile(
    r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})|\^([@-_a-z])|(.)", re.DOTALL
)
_SHOWN: Final = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
    "\\": "\\\\",
}
_ESCAPES: Final = {shown[1]: plain for plain, shown in _SHOWN.items()} | {"d": "\x7f", "s": " "}
# Beyond these Python does not write a number with decimal digits: it would take quadratic time.
_DECIMAL_BITS: Final = 4300 * 3
_SEGMENT_BITS: Final = 1 << 16


def parse_term(text: str) -> Term:
    """Return the term that the text is. A full stop may end it.

    Raises:
        TermSyntaxError: It is no literal term, or one that stands for something on a node, as
            `<0.1.0>` does.
    """
    return Parser(text).whole()


class Parser:
    """Reads one term. A subclass may take forms that are no literals: see `opaque` and `cut`.

    What these return may be no term; where that is the key of a map, `mapping` has to take it too.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._room = DEFAULT_LIMITS.depth

    def whole(self) -> Term:
        """Return the term that the whole text is."""
        term = self._term()
        self._skip()
        if self._text[self._pos : self._pos + 1] == ".":
            self._pos += 1
            self._skip()
        if self._pos != len(self._text):
            self._fail("the end of the term is due")
        return term

    def opaque(self, kind: str, rest: str) -> Term:
        """Return what stands for `<rest>` or `#kind<rest>`; here that is an error."""
        self._fail(f"a {kind} cannot be written, since it belongs to a node's run: {rest}")

    def cut(self) -> Term:
        """Return what stands for `...`; here that is an error."""
        self._fail("`...` is no term")

    def mapping(self, pairs: list[tuple[Term, Term]]) -> Term:
        """Return the map of the pairs.

        Raises:
            ValueError: Two have the same key.
        """
        return term_map(pairs)

    def _fail(self, reason: str) -> NoReturn:
        raise TermSyntaxError(reason, self._pos)

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._pos)
        assert found is not None  # nothing is space enough
        self._pos = found.end()

    def _take(self, token: str) -> bool:
        self._skip()
        if self._text.startswith(token, self._pos):
            self._pos += len(token)
            return True
        return False

    def _need(self, token: str) -> None:
        if not self._take(token):
            self._fail(f"`{token}` is due")

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._pos)
        if found is not None:
            self._pos = found.end()
        return found

    def _term(self) -> Term:
        self._skip()
        first = self._text[self._pos : self._pos + 1]
        if first in "+-" and first:
            self._pos += 1
            number = self._number()
            return -number if first == "-" else number
        if first.isdecimal() or first == "$":
            return self._number()
        if first == '"':
            return [*map(ord, self._strings())]
        if self._take("<<"):
            return self._binary()
        if found := self._match(_OPAQUE):
            return self.opaque(found["kind"] or "Pid", found["pid"] or found["rest"])
        if self._take("..."):
            return self.cut()
        if first and first in "{[#":
            return self._compound()
        name = self._name()
        if name == "fun" and self._text[self._pos - 1] != "'":
            return self._fun()
        return name == "true" if name in {"true", "false"} else name

    def _compound(self) -> Term:
        if not self._room:
            self._fail(f"terms are nested deeper than {DEFAULT_LIMITS.depth} levels")
        self._room -= 1
        try:
            if self._take("{"):
                return tuple(self._elements("}"))
            if self._take("["):
                return self._list()
            self._need("#{")
            return self._map()
        finally:
            self._room += 1

    def _elements(self, end: str) -> list[Term]:
        elements: list[Term] = []
        if self._take(end):
            return elements
        while True:
            elements.append(self._term())
            if self._take(end):
                return elements
            self._need(",")

    def _list(self) -> Term:
        elements: list[Term] = []
        if self._take("]"):
            return elements
        while True:
            elements.append(self._term())
            if self._take("]"):
                return elements
            if self._take("|"):
                break
            self._need(",")
        tail = self._term()
        self._need("]")
        if isinstance(tail, list):
            return elements + tail
        if isinstance(tail, ImproperList):
            return ImproperList((*elements, *tail.elements), tail.tail)
        return ImproperList(tuple(elements), tail)

    def _map(self) -> Term:
        pairs: list[tuple[Term, Term]] = []
        while not self._take("}"):
            if pairs:
                self._need(",")
            key = self._term()
            self._need("=>")
            pairs.append((key, self._term()))
        try:
            return self.mapping(pairs)
        except ValueError as error:
            self._fail(str(error))

    def _binary(self) -> Term:
        data = bytearray()
        held = count = 0  # bits that do not make a byte yet
        if self._take(">>"):
            return b""
        while True:
            for value, size in self._segment():
                if size == 8 and not count:
                    data.append(value & 255)
                    continue
                held = held << size | value & ((1 << size) - 1)
                count += size
                whole, count = divmod(count, 8)
                data += (held >> count).to_bytes(whole)
                held &= (1 << count) - 1
            if self._take(">>"):
                break
            self._need(",")
        if not count:
            return bytes(data)
        return BitString(bytes(data) + bytes([held << 8 - count]), count)

    def _segment(self) -> Iterable[tuple[int, int]]:
        """Read what stands between two commas of a binary: values, and how many bits of each."""
        self._skip()
        if self._text.startswith('"', self._pos):
            text = self._strings()
            if self._take("/utf8"):
                try:
                    return [(byte, 8) for byte in text.encode()]
                except UnicodeEncodeError as error:
                    self._fail(f"no UTF-8: {error}")
            return [(ord(character), 8) for character in text]
        negative = self._take("-")
        self._skip()
        value = self._number()
        if isinstance(value, float):
            self._fail("a float in a binary is not read here")
        size: int | float = 8
        if self._take(":"):
            self._skip()
            size = self._number()
        if isinstance(size, float) or size > _SEGMENT_BITS:
            self._fail(f"a segment of a binary has at most {_SEGMENT_BITS} bits")
        return [(-value if negative else value, size)]

    def _fun(self) -> Term:
        module = self._name()
        self._need(":")
        function = self._name()
        self._need("/")
        arity = self._number()
        if type(arity) is not int or arity > 255:
            self._fail("the arity of a function is 0 to 255")
        return Export(module, function, arity)

    def _name(self) -> Atom:
        self._skip()
        if self._text.startswith("'", self._pos):
            name = self._quoted("'")
        else:
            found = self._match(_PLAIN_ATOM)
            if found is None:
                self._fail("a term is due")
            name = found[0]
            if name in _RESERVED and name != "fun":
                self._fail(f"{name} is a reserved word; the atom is written '{name}'")
        if len(name) > 255:
            self._fail(f"an atom has at most 255 characters, not {len(name)}")
        return Atom(name)

    def _number(self) -> int | float:
        if self._take("$"):
            if self._text.startswith("\\", self._pos):
                self._pos += 1
                return ord(self._escaped())
            if self._pos == len(self._text):
                self._fail("a character is due")
            self._pos += 1
            return ord(self._text[self._pos - 1])
        found = self._match(_NUMBER)
        if found is None:
            self._fail("a number is due")
        try:
            if found["float"]:
                number = float(found["float"])
                if not isfinite(number):
                    self._fail("Erlang has no infinite floats")
                return number
            if found["base"]:
                base = int(found["base"])
                if not 2 <= base <= 36:
                    self._fail(f"the base of a number is 2 to 36, not {base}")
                return int(found["digits"], base)
            return int(found["integer"])
        except ValueError as error:
            self._fail(f"no number: {error}")

    def _strings(self) -> str:
        """Read a string, and those that follow it, as in C."""
        text = self._quoted('"')
        self._skip()
        while self._text.startswith('"', self._pos):
            text += self._quoted('"')
            self._skip()
        return text

    def _quoted(self, quote: str) -> str:
        start = self._pos
        self._pos += 1
        parts: list[str] = []
        while True:
            at = self._pos
            while self._text[at : at + 1] not in {quote, "\\", ""}:
                at += 1
            parts.append(self._text[self._pos : at])
            self._pos = at + 1
            if at >= len(self._text):
                self._pos = start
                self._fail(f"the closing {quote} is missing")
            if self._text[at] == quote:
                return "".join(parts)
            parts.append(self._escaped())

    def _escaped(self) -> str:
        found = self._match(_ESCAPED)
        if found is None:
            self._fail("an escape sequence is due")
        braced, pair, octal, control, plain = found.groups()
        if braced or pair:
            point = int(braced or pair, 16)
        elif octal:
            point = int(octal, 8)
        elif control:
            point = ord(control) & 31
        else:
            return _ESCAPES.get(plain, plain)
        if point > 0x10FFFF:
            self._fail(f"there is no character {point:#x}")
        return chr(point)


class _Full(Exception):
    """The text is as long as was allowed."""


def format_term(term: Term, *, limit: int | None = None) -> str:
    """Return the term as one would write it in Erlang, on one line.

    Args:
        term: Any term. What is none is shown as Python shows it.
        limit: How many characters to return at most, three dots at the end standing for the rest;
            None for all.
    """
    writer = _Writer(limit)
    try:
        writer.write(term)
    except _Full:
        return "".join(writer.parts)[:limit] + "..."
    return "".join(writer.parts)


class _Writer:
    def __init__(self, limit: int | None) -> None:
        self.parts: list[str] = []
        self._left = limit

    def _add(self, text: str) -> None:
        self.parts.append(text)
        if self._left is not None:
            self._left -= len(text)
            if self._left < 0:
                raise _Full

    def write(self, term: Term) -> None:
        if isinstance(term, bool):
            self._add("true" if term else "false")
        elif isinstance(term, str):
            self._add(_shown_atom(term))
        elif isinstance(term, int):
            self._add(str(term) if term.bit_length() < _DECIMAL_BITS else _hexadecimal(term))
        elif isinstance(term, float):
            self._add(_shown_float(term))
        elif isinstance(term, bytes):
            self._binary(term)
        elif isinstance(term, tuple):
            self._between("{", term, "}")
        elif isinstance(term, list):
            if term and all(map(_is_character, term)):
                self._add('"')
                for point in term:
                    self._add(_shown_character(chr(point), '"'))
                self._add('"')
            else:
                self._between("[", term, "]")
        elif isinstance(term, Mapping):
            self._map(term)
        elif isinstance(term, ImproperList):
            self._between("[", term.elements, "|")
            self.write(term.tail)
            self._add("]")
        else:
            self._add(_shown_other(term))

    def _between(self, begin: str, elements: Iterable[Term], end: str) -> None:
        self._add(begin)
        comma = ""
        for each in elements:
            self._add(comma)
            self.write(each)
            comma = ","
        self._add(end)

    def _map(self, term: Mapping[Term, Term]) -> None:
        comma = "#{"
        for key, value in term.items():
            self._add(comma)
            self.write(key)
            self._add(" => ")
            self.write(value)
            comma = ","
        self._add("}" if term else "#{}")

    def _binary(self, data: bytes) -> None:
        if not data:
            self._add("<<>>")
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = "\0"
        if all(each.isprintable() or each in _SHOWN for each in text):
            end = '">>' if text.isascii() else '"/utf8>>'
            self._add('<<"')
            for each in text:
                self._add(_shown_character(each, '"'))
            self._add(end)
        else:
            self._between("<<", data, ">>")


def _is_character(point: Term) -> bool:
    """Tell whether Erlang shows a list of such as a string: what Latin-1 has that can be seen."""
    return type(point) is int and (
        32 <= point <= 126 or 160 <= point <= 255 or 8 <= point <= 13 or point == 27
    )


def _shown_character(character: str, quote: str) -> str:
    if character == quote:
        return "\\" + quote
    return _SHOWN.get(character, character)


def _shown_atom(text: str) -> str:
    if _PLAIN_ATOM.fullmatch(text) and text not in _RESERVED:
        return text
    shown = "".join(
        [
            _shown_character(each, "'")
            if each.isprintable() or each in _SHOWN
            else f"\\x{{{ord(each):x}}}"
            for each in text
        ]
    )
    return f"'{shown}'"


def _hexadecimal(number: int) -> str:
    return f"{'-' if number < 0 else ''}16#{abs(number):X}"


def _shown_float(number: float) -> str:
    digits, e, exponent = repr(number).partition("e")
    if "." not in digits and isfinite(number):
        digits += ".0"
    return f"{digits}e{int(exponent)}" if e else digits


def _shown_other(term: Term) -> str:
    match term:
        case BitString(data, bits):
            *whole, last = data
            return f"<<{''.join([f'{byte},' for byte in whole])}{last >> 8 - bits}:{bits}>>"
        case Pid():
            return f"<0.{term.id}.{term.serial}>"
        case Reference():
            return f"#Ref<0.{'.'.join(map(str, reversed(term.words)))}>"
        case Port():
            return f"#Port<0.{term.id}>"
        case Export():
            names = f"{_shown_atom(term.module)}:{_shown_atom(term.function)}"
            return f"fun {names}/{term.arity}"
        case Fun():
            return f"#Fun<{_shown_atom(term.module)}.{term.index}.{term.unique}>"
        case _:
            return repr(term)
