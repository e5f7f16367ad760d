# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.partisan import vectors

DATA = Path(__file__).parents[2] / "data" / "partisan"
FILES = sorted(DATA.glob("*.jsonl"))
VECTORS = DATA / "etf_vectors.jsonl"


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """The runner lets Python write integers of any size."""
    limit = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recorded_term_decodes_and_survives_our_encoding(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vectors.main([str(path)]) == 0

    count = sum('"hex"' in line for line in path.read_text(encoding="utf-8").splitlines())
    assert capsys.readouterr().out == f"{count} passed, 0 failed\n"


def test_broken_vectors_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert vectors.main(["--self-test", str(VECTORS)]) == 0

    noticed, missed = capsys.readouterr().out.splitlines()[-1].split(" broken ones noticed, ")
    assert int(noticed) > 3000
    assert missed == "0 missed"


def test_a_vector_that_fails_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.jsonl"
    lines = [
        {"name": "right", "hex": "836101", "term": "1"},
        {"name": "wrong", "hex": "836101", "term": "2"},
        {"event": "eof"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    assert vectors.main([str(path)]) == 1
    assert capsys.readouterr().out == (
        f"{path}: wrong: decoded 1, expected 2\n1 passed, 1 failed\n"
    )


@pytest.mark.parametrize(
    ("hexed", "shown"),
    [
        ("836b0003010203", "[1|...]"),
        ("836b0003010203", "[1,2,...]"),
        ("83680361016102610 3".replace(" ", ""), "{1,...}"),
        ("836d00000005 68656c6c6f".replace(" ", ""), '<<"hel"...>>'),
        ("8374000000026101610261036104", "#{1 => 2,...}"),
        ("836b0003010203", "..."),
        ("8368036d00000001b66b0001616101", '{<<"\xb6">>,"a...'),
    ],
)
def test_what_is_cut_counts_up_to_the_cut(hexed: str, shown: str) -> None:
    assert vectors.check(vectors.Vector("cut", hexed, shown)) is None
    assert vectors.check(vectors.Vector("cut", "8361ff", shown.replace("...", "9,..."))) is not None
