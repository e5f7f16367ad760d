# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.partisan.errors import DecodeError
from heliograph.partisan.wire import (
    Atom,
    BitString,
    Limits,
    Term,
    TermMap,
    decode,
    decode_forward,
    encode,
    encode_forward,
    exact,
    messages,
    same,
)
from heliograph.partisan.wire.text import format_term, parse_term
from tests.partisan.wire.strategies import atoms, leaves, terms


@given(terms)
@example([True])
@example([1, True])
@example([0, 255, 256])
@example(TermMap([(1, 0), (1.0, 1), (True, 2), ([], 3), ({}, 4)]))
def test_what_is_encoded_decodes_to_the_same(term: Term) -> None:
    assert same(decode(encode(term)), term)


@given(terms, st.integers(1, 9))
def test_compression_changes_nothing_but_the_size(term: Term, level: int) -> None:
    packed = encode(term, compression=level)

    assert len(packed) <= len(encode(term))
    assert same(decode(packed), term)


@given(terms)
def test_limits_of_ones_own_change_nothing_within_them(term: Term) -> None:
    assert same(decode(encode(term), limits=Limits(elements=100_000)), term)


@given(terms, st.data())
def test_no_prefix_of_a_term_is_a_term(term: Term, data: st.DataObject) -> None:
    raw = encode(term)
    cut = data.draw(st.integers(0, len(raw) - 1))

    with pytest.raises(DecodeError) as caught:
        decode(raw[:cut])
    assert 0 <= caught.value.offset <= cut


@given(atoms, terms, st.binary(max_size=8), st.binary(max_size=8))
def test_the_fast_path_gives_what_the_other_gives(
    name: Atom, message: Term, before: bytes, after: bytes
) -> None:
    raw = encode((Atom("forward_message"), name, message))

    assert encode_forward(name, message) == raw
    found = decode_forward(before + raw + after, len(before), len(before) + len(raw))
    assert found is not None
    assert same(found, (name, message))
    assert same(decode_forward(raw), (name, message))


@given(terms)
def test_any_term_is_a_message_and_is_it_again(term: Term) -> None:
    assert same(messages.parse(term).term(), term)
    assert same(messages.parse_payload(term).term(), term)


@given(terms, terms)
def test_two_terms_are_spelled_alike_only_if_they_are_the_same(a: Term, b: Term) -> None:
    assert (exact(a) == exact(b)) is (encode(a) == encode(b) or same(a, b))
    assert exact(a) == exact(decode(encode(a)))


literals = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.integers(-(2**2100), 2**2100),
        st.floats(allow_nan=False, allow_infinity=False),
        st.binary(),
        st.builds(BitString, st.binary(min_size=1), st.integers(1, 7)),
        st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: [*map(ord, text)]),
        atoms,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.lists(inner, max_size=5).map(tuple)),
    max_leaves=12,
)


@given(literals)
def test_what_is_written_in_erlangs_syntax_reads_the_same(term: Term) -> None:
    assert same(parse_term(format_term(term)), term)


@given(leaves, st.integers(0, 40))
def test_what_is_shown_can_be_cut(term: Term, limit: int) -> None:
    whole = format_term(term)
    shown = format_term(term, limit=limit)

    assert shown == (whole if len(whole) <= limit else whole[:limit] + "...")
