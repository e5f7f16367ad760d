# SPDX-License-Identifier: Apache-2.0
"""Erlang terms for hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from heliograph.partisan.wire import (
    Atom,
    BitString,
    Export,
    ImproperList,
    Pid,
    Port,
    Reference,
    Term,
    exact,
)
from heliograph.partisan.wire.terms import term_map

__all__ = ["atoms", "leaves", "terms"]

u32 = st.integers(0, 2**32 - 1)

atoms = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=255)
    .filter(lambda text: text not in {"true", "false"})
    .map(Atom)
)
identifiers = st.one_of(
    st.builds(Pid, atoms, u32, u32, u32),
    st.builds(Port, atoms, st.integers(0, 2**64 - 1), u32),
    st.builds(Reference, atoms, u32, st.lists(u32, min_size=1, max_size=5).map(tuple)),
    st.builds(Export, atoms, atoms, st.integers(0, 255)),
)
leaves: st.SearchStrategy[Term] = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(0, 255),
    st.integers(-(2**2100), 2**2100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(),
    st.builds(BitString, st.binary(min_size=1), st.integers(1, 7)),
    st.lists(st.integers(0, 255), max_size=300),
    atoms,
    identifiers,
)


def _improper(elements: Sequence[Term], tail: Term) -> Term:
    if isinstance(tail, list):
        return [*elements, *tail]
    if isinstance(tail, ImproperList):
        return ImproperList((*elements, *tail.elements), tail.tail)
    return ImproperList(tuple(elements), tail)


def _unlike(pairs: list[tuple[Term, Term]]) -> list[tuple[Term, Term]]:
    return list({exact(key): (key, value) for key, value in pairs}.values())


def _containers(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    return st.one_of(
        st.lists(inner, max_size=6).map(tuple),
        st.lists(inner, max_size=6),
        st.builds(_improper, st.lists(inner, min_size=1, max_size=3), inner),
        st.lists(st.tuples(inner, inner), max_size=6).map(_unlike).map(term_map),
    )


terms = st.recursive(leaves, _containers, max_leaves=25)
