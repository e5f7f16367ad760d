# SPDX-License-Identifier: Apache-2.0
"""Whatever a file holds, it is a catalog or it has located faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from heliograph._located import parse, plain
from heliograph.catalog import CatalogError, json_schema, load_text
from heliograph.catalog.errors import Faults
from heliograph.catalog.grammar import CATALOG
from heliograph.catalog.model import Where
from heliograph.catalog.shapes import Either, ListOf, MapOf, Record, Shape

SHOP = Path(__file__).parents[1].joinpath("data", "catalogs", "shop.yaml").read_text("utf-8")
EVERYTHING = Path(__file__).parents[1].joinpath("data", "everything.yaml").read_text("utf-8")
SCHEMA = jsonschema.Draft202012Validator(json_schema())


def load_or_explain(text: str | bytes) -> None:
    """Load the text, or see that there is at least one fault and each has a place."""
    try:
        load_text(text, "any.yaml")
        return
    except CatalogError as failure:
        faults = failure.faults
    assert faults
    for fault in faults:
        assert fault.file == "any.yaml"
        assert fault.line is not None
        assert fault.line >= 1
        assert fault.column is not None
        assert fault.column >= 1
        assert fault.message
        assert "\n" not in str(fault)
        assert len(str(fault)) < 1000


@given(st.binary())
def test_any_bytes(raw: bytes) -> None:
    load_or_explain(raw)


@given(st.text(st.characters(codec=None)))
def test_any_text(text: str) -> None:
    load_or_explain(text)


@given(st.text("ab:-[]{}&*!|>'\"%@`#,?~\n\t 01.", max_size=60))
def test_any_text_that_looks_like_yaml(text: str) -> None:
    load_or_explain(text)


WORDS = sorted(set(SHOP.replace("[", " ").replace("]", " ").replace(",", " ").split()))
POOL = st.sampled_from(
    [*WORDS, "", "~", "[]", "{}", "3", "-1.5", ".nan", "yes", "true", "*a", "&a"]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A sound catalog with a few words, characters or lines changed."""
    lines = draw(st.sampled_from([SHOP, EVERYTHING])).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.sampled_from(["drop", "double", "swap", "word", "char", "indent"])):
            case "drop":
                lines[at] = ""
            case "double":
                lines.insert(at, line)
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], line
            case "word":
                words = line.split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(POOL)
                lines[at] = " ".join(words)
            case "char":
                column = draw(st.integers(0, len(line)))
                lines[at] = line[:column] + draw(st.characters(codec="utf-8")) + line[column + 1 :]
            case _:
                lines[at] = " " * draw(st.integers(0, 8)) + line.lstrip()
    return "\n".join(lines)


@given(mutated())
def test_a_sound_catalog_with_slips(text: str) -> None:
    load_or_explain(text)


SCALARS = st.one_of(
    POOL,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["a", "shop.order", "shop.sale.stop", "1.0.0", "counter", "int", "s", "ns"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(POOL.filter(bool), inner, max_size=3)
    ),
    max_leaves=6,
)


def of_shape(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that are of a shape, but for a few."""
    match shape:
        case Record():
            fixed = {key.name: of_shape(key.shape) for key in shape.keys if key.required}
            others = {key.name: of_shape(key.shape) for key in shape.keys if not key.required}
            return st.fixed_dictionaries(fixed, optional=others)
        case MapOf():
            names = st.sampled_from([shape.name.example, "a", "b", "A!"])
            return st.dictionaries(names, of_shape(shape.value) | ANYTHING, max_size=2)
        case ListOf():
            return st.lists(of_shape(shape.item), max_size=2)
        case Either():
            return of_shape(shape.first) | of_shape(shape.second)
        case _:
            return of_scalar(shape)


def of_scalar(shape: Shape) -> st.SearchStrategy[Any]:
    schema = shape.schema()
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "nothing"])
    match schema["type"]:
        case "string":
            ascii_only = st.characters(codec="ascii")
            return st.from_regex(schema["pattern"], fullmatch=True, alphabet=ascii_only)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers()
        case "number":
            return st.floats() | st.integers()
        case _:
            return SCALARS


@given(of_shape(CATALOG) | ANYTHING)
def test_what_the_table_accepts_the_schema_accepts(catalog: Any) -> None:
    text = yaml.safe_dump(catalog, sort_keys=False, allow_unicode=True)
    faults = Faults()
    tree = parse(text.encode(), "any.yaml", faults)
    if tree is not None and not faults:
        CATALOG.check(tree, Where("any.yaml", 1, 1, ""), faults)
        if not faults:
            event("accepted")
            SCHEMA.validate(plain(tree))
    load_or_explain(text)
