# SPDX-License-Identifier: Apache-2.0
"""What is decoded by one `struct` a batch is what each mapping decodes by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import BadValueError, CodecError, DecodeError, Schema, read


class Halved:
    """A codec of somebody's own, which struct knows nothing of."""

    def decode(self, value: Any) -> Any:
        return [each // 2 for each in value] if isinstance(value, list) else value // 2


CODECS: list[tuple[str, int, dict[str, Any]]] = [
    ("raw", 1, {}),
    ("raw", 3, {}),
    ("unsigned_int", 1, {}),
    ("signed_int", 1, {}),
    ("int16", 1, {"scale": "0.1", "missing": 0}),
    ("uint32", 2, {"word_order": "little"}),
    ("uint64", 4, {}),
    ("float32", 2, {}),
    ("ascii", 2, {}),
    ("own", 1, {}),
    ("own", 2, {}),
]


@st.composite
def schemas(draw: st.DrawFn) -> type[Schema]:
    mappings: list[dict[str, Any]] = []
    address = dict.fromkeys(["holding_register", "input_register", "coil"], 0)
    for at in range(draw(st.integers(1, 12))):
        object_type = draw(st.sampled_from(sorted(address)))
        codec, count, options = draw(st.sampled_from(CODECS))
        if object_type == "coil":
            codec, options = draw(st.sampled_from([("raw", {}), ("own", {})]))
        address[object_type] += draw(st.sampled_from([0, 0, 1, 4]))
        start = address[object_type]
        address[object_type] += count
        mappings.append(
            {
                "name": f"n{at}",
                "type": object_type,
                "address": range(start, start + count) if count > 1 else start,
                "codec": codec,
                **options,
            }
        )
    return Schema.from_mappings("S", mappings, codecs={"own": Halved()})


@given(schemas(), st.data())
def test_decoding_a_batch_is_decoding_each_of_its_mappings(
    schema: type[Schema], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(list(schema.mappings)).map(lambda all_: all_[:7]))
    gap = data.draw(st.integers(0, 5))
    low, high = data.draw(st.sampled_from([(0, 0xFFFF), (0, 1), (-3, 0x1_0003)]))
    held: dict[tuple[str, int], int] = {}

    def read_func(object_type: str, start: int, count: int) -> list[int]:
        return [
            held.setdefault((object_type, address), data.draw(st.integers(low, high)))
            for address in range(start, start + count)
        ]

    try:
        values = read(schema, names, read_func, max_gap=gap)
    except BadValueError as error:
        # A float has no use for what is no register.
        assert low < 0
        mapping = schema.mappings[error.name]
        with pytest.raises(BadValueError):
            mapping.decode([held[mapping.object_type, each] for each in mapping.addresses])
        return

    assert list(values) == names
    for name in names:
        mapping = schema.mappings[name]
        alone = mapping.decode([held[mapping.object_type, each] for each in mapping.addresses])
        assert repr(values[name]) == repr(alone)


def test_own_codecs_are_called_once_and_in_the_order_of_the_request() -> None:
    calls: list[str] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        def decode(self, value: int) -> int:
            calls.append(self.name)
            if value == 13:
                raise CodecError("unlucky")
            return value

    schema = Schema.from_mappings(
        "S",
        [
            {"name": f"n{at}", "type": "input_register", "address": at, "codec": Noting(f"n{at}")}
            for at in range(3)
        ]
        + [{"name": "float", "type": "input_register", "address": 3, "codec": "float32"}],
    )

    with pytest.raises(DecodeError, match="unlucky"):
        read(schema, ["float", "n2", "n0", "n1"], lambda *_: [13, 1, 2, 0, 0])
    assert calls == ["n2", "n0"]
    calls.clear()
    # What is no register sends the float to its codec, and nobody twice.
    with pytest.raises(BadValueError):
        read(schema, ["n2", "n0", "n1", "float"], lambda *_: [0, 1, 2, 0, 70_000])
    assert calls == ["n2", "n0", "n1"]


def test_a_value_that_is_refused_after_unpacking_is_said_by_its_codec() -> None:
    class Mode(Schema):
        pass

    schema = Mode.from_mappings(
        "S",
        [
            {"name": "a", "type": "input_register", "address": 0, "codec": "unsigned_int"},
            {"name": "b", "type": "input_register", "address": 1, "codec": "bcd"},
        ],
    )

    with pytest.raises(DecodeError) as raised:
        read(schema, "all", lambda *_: [5, 0xFFFF])
    assert (raised.value.name, raised.value.address) == ("b", 1)
