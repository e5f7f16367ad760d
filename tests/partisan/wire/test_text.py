# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import pytest

from heliograph.partisan.errors import LocalError, TermSyntaxError
from heliograph.partisan.wire import (
    Atom,
    BitString,
    Export,
    Fun,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    TermMap,
    same,
)
from heliograph.partisan.wire.text import format_term, parse_term

N = Atom("n@h")

READ: list[tuple[str, Term]] = [
    ("1", 1),
    ("-1", -1),
    ("+1", 1),
    ("1_000", 1000),
    ("16#FF", 255),
    ("-36#z_z", -1295),
    ("1.5", 1.5),
    ("-1.0e-3", -0.001),
    ("1.0E3", 1000.0),
    ("$a", 97),
    (r"$\n", 10),
    ("$ ", 32),
    ("ok", Atom("ok")),
    ("oK_1@h", Atom("oK_1@h")),
    ("été", Atom("été")),
    ("'hello world'", Atom("hello world")),
    (r"'it\'s'", Atom("it's")),
    ("'fun'", Atom("fun")),
    ("''", Atom("")),
    ("true", True),
    ("'false'", False),
    ('""', []),
    ('"hi"', [104, 105]),
    ('"a" "b"\n"c"', [97, 98, 99]),
    (r'"\b\d\e\f\n\r\s\t\v\\\"\x41\x{3bb}\101\^A\q"',
     [8, 127, 27, 12, 10, 13, 32, 9, 11, 92, 34, 65, 955, 65, 1, 113]),
    ("{}", ()),
    ("{ a , 1 }", (Atom("a"), 1)),
    ("[]", []),
    ("[1, [2]]", [1, [2]]),
    ("[1|2]", ImproperList((1,), 2)),
    ("[1|[2]]", [1, 2]),
    ("[1|[2|3]]", ImproperList((1, 2), 3)),
    ("#{}", {}),
    ("#{a => 1, b=>#{}}", {Atom("a"): 1, Atom("b"): {}}),
    ("#{1 => a, 1.0 => b}", TermMap([(1, Atom("a")), (1.0, Atom("b"))])),
    ("<<>>", b""),
    ("<< >>", b""),
    ('<<"hi">>', b"hi"),
    ('<<"λ"/utf8, "é">>', "λ".encode() + b"\xe9"),
    ("<<1, 2:16, -1, 256, $a>>", b"\x01\x00\x02\xff\x00a"),
    ("<<1:1>>", BitString(b"\x80", 1)),
    ("<<5:3, 255, 1:5>>", b"\xbf\xe1"),
    ("<<1:0>>", b""),
    ("fun lists:map/2", Export(Atom("lists"), Atom("map"), 2)),
    ("fun 'Elixir.Foo':'go!'/0", Export(Atom("Elixir.Foo"), Atom("go!"), 0)),
    (" % a comment\n ok % another\n . ", Atom("ok")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "term"), READ, ids=map(str, range(len(READ))))
def test_terms_are_read_as_erlang_reads_them(text: str, term: Term) -> None:
    assert same(parse_term(text), term)


REFUSED: list[tuple[str, int, str]] = [
    ("", 0, "a term is due"),
    ("Variable", 0, "a term is due"),
    ("ok ok", 3, "the end of the term is due"),
    ("ok..", 3, "the end of the term is due"),
    ("{1", 2, "`,` is due"),
    ("[1 2]", 3, "`,` is due"),
    ("[1|2,3]", 4, "`]` is due"),
    ("[|1]", 1, "a term is due"),
    ("#{1}", 3, "`=>` is due"),
    ("#{1 => 2, 1 => 3}", 17, "same key twice"),
    ("#{1 => 2 1 => 3}", 9, "`,` is due"),
    ("#x", 0, "`#{` is due"),
    ("- ok", 2, "a number is due"),
    ("-", 1, "a number is due"),
    ("1#0", 3, "the base of a number is 2 to 36, not 1"),
    ("2#3", 3, "no number"),
    ("1.0e999", 7, "no infinite floats"),
    ("9" * 5000, 5000, "no number"),
    ("$", 1, "a character is due"),
    ("$\\", 2, "an escape sequence is due"),
    ('"abc', 0, 'the closing " is missing'),
    ("'abc", 0, "the closing ' is missing"),
    (r'"\x{110000}"', 11, "no character 0x110000"),
    ("when", 4, "when is a reserved word; the atom is written 'when'"),
    ("'" + "x" * 256 + "'", 258, "at most 255 characters, not 256"),
    ("<<1.5>>", 5, "a float in a binary"),
    ("<<a>>", 2, "a number is due"),
    ("<<1 2>>", 4, "`,` is due"),
    ("<<1:65537>>", 9, "at most 65536 bits"),
    ("<<1:1.5>>", 7, "at most 65536 bits"),
    (r'<<"\x{d800}"/utf8>>', 17, "no UTF-8"),
    ("fun lists/2", 9, "`:` is due"),
    ("fun lists:map/256", 17, "the arity of a function is 0 to 255"),
    ("fun lists:map/1.5", 17, "the arity of a function is 0 to 255"),
    ("<0.1.0>", 7, "a Pid cannot be written"),
    ("#Ref<0.1.2.3>", 13, "a Ref cannot be written"),
    ("[1|...]", 6, "`...` is no term"),
    ("[" * 129, 128, "deeper than 128"),
]


@pytest.mark.parametrize(("text", "position", "reason"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_what_is_no_term_is_an_error_with_its_position(
    text: str, position: int, reason: str
) -> None:
    with pytest.raises(TermSyntaxError) as caught:
        parse_term(text)

    assert reason in caught.value.reason
    assert caught.value.position == position
    assert isinstance(caught.value, LocalError | ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


SHOWN: list[tuple[Term, str]] = [
    (Atom("ok"), "ok"),
    (Atom("hello world"), "'hello world'"),
    (Atom("it's\n\x00"), "'it\\'s\\n\\x{0}'"),
    (Atom("when"), "'when'"),
    (Atom("λόγος"), "'λόγος'"),
    (Atom("Elixir.Foo"), "'Elixir.Foo'"),
    (True, "true"),
    (1e22, "1.0e22"),
    (5e-324, "5.0e-324"),
    (100.0, "100.0"),
    (-1e-05, "-1.0e-5"),
    (2**20000, "16#1" + "0" * 5000),
    (-(2**20000), "-16#1" + "0" * 5000),
    ([104, 105, 34, 10], '"hi\\"\\n"'),
    ([255], '"ÿ"'),
    ([955], "[955]"),
    ([127], "[127]"),
    ([True], "[true]"),
    (b"", "<<>>"),
    (b'hi"\\', '<<"hi\\"\\\\">>'),
    ("λ".encode(), '<<"λ"/utf8>>'),
    (b"\x00a", "<<0,97>>"),
    (b"\xff", "<<255>>"),
    (BitString(b"\x01\x80", 1), "<<1,1:1>>"),
    (BitString(b"\xa0", 3), "<<5:3>>"),
    ({Atom("a"): {}, 1: [()]}, "#{a => #{},1 => [{}]}"),
    (TermMap([([], 1)]), "#{[] => 1}"),
    (ImproperList((1, 2), 3), "[1,2|3]"),
    (Pid(N, 151, 2, 3), "<0.151.2>"),
    (Reference(N, 1, (3, 2, 1)), "#Ref<0.1.2.3>"),
    (Port(N, 5, 1), "#Port<0.5>"),
    (Export(Atom("lists"), Atom("map"), 2), "fun lists:map/2"),
    (Fun(Atom("m"), 1, 2, b""), "#Fun<m.1.2>"),
    (None, "None"),
    ((1.5, [None]), "{1.5,[None]}"),
    (float("inf"), "inf"),
]


@pytest.mark.parametrize(("term", "text"), SHOWN, ids=map(str, range(len(SHOWN))))
def test_terms_are_shown_as_erlang_shows_them(term: Term, text: str) -> None:
    assert format_term(term) == text
    assert format_term(term, limit=3) == (text[:3] + "..." if len(text) > 3 else text)


def test_long_terms_are_not_written_out_to_be_cut() -> None:
    assert format_term([[1000] * 1_000_000] * 1_000, limit=10) == "[[1000,100..."
