# SPDX-License-Identifier: Apache-2.0
"""The original's own codecs: every recorded call, and where ours mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.modboss import CodecError, Metadata
from heliograph.modboss.codecs import codec
from tests.modboss.vectors import call, difference, main, vectors

RECORDED = Path(__file__).parents[1] / "data" / "modboss" / "encoding_vectors.jsonl"
VECTORS = list(vectors(RECORDED))
DEMANDED = [each for each in VECTORS if each["demand"] == "strict"]
REGISTER = Metadata("t", "holding_register", 1, {})


def test_the_recording_is_whole() -> None:
    assert (len(VECTORS), len(DEMANDED)) == (386, 380)


@pytest.mark.parametrize("vector", DEMANDED, ids=lambda vector: vector["id"])
def test_a_codec_of_the_original_does_as_recorded(vector: dict[str, Any]) -> None:
    assert difference(vector) is None


@pytest.mark.parametrize("negative", [-1, -2, -32767, -32768])
def test_a_negative_integer_is_encoded_as_twos_complement(negative: int) -> None:
    assert codec("signed_int").encode(negative, REGISTER) == 0x10000 + negative


@pytest.mark.parametrize("value", [1.0, 1.5])
def test_a_float_is_no_unsigned_integer(value: float) -> None:
    with pytest.raises(CodecError, match=r"not an integer from 0 to 65535"):
        codec("unsigned_int").encode(value, REGISTER)


def test_the_runner_counts_what_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDED)]) == 0
    assert capsys.readouterr().out.startswith("380 passed, 0 failed")


@pytest.mark.parametrize(
    "recorded",
    [
        {"ok": 1},
        {"ok": 5.0},
        {"raise": {"code": "no_clause"}},
        {"error": {"code": "out_of_range"}},
    ],
)
def test_the_runner_sees_another_result(recorded: dict[str, Any]) -> None:
    vector = {"codec": "raw", "direction": "decode", "input": 5}

    assert call(vector) == {"ok": 5}
    assert difference(vector | {"result": {"ok": 5}}) is None
    assert difference(vector | {"result": recorded}) is not None


def test_the_runner_tells_codes_and_parameters_apart() -> None:
    (vector,) = [each for each in VECTORS if each["id"] == "ascii.encode.317"]
    error = vector["result"]["error"]

    for key, value in {"code": "not_ascii", "max_chars": 3, "registers": 2}.items():
        assert difference(vector | {"result": {"error": error | {key: value}}}) is not None
