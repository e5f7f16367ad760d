# SPDX-License-Identifier: Apache-2.0
"""The reference of schemas names what there is, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from heliograph.modboss import codecs, definition, files

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "reference" / "modbus-schemas.md").read_text(encoding="utf-8")
SOURCE: Final = ROOT / "src" / "heliograph" / "modboss"


def section(title: str) -> str:
    """The text under a heading, up to the next one of any level."""
    return re.split(r"(?m)^#+ ", PAGE.split(f"# {title}\n", 1)[1])[0]


def named(title: str) -> set[str]:
    """What stands in code in the first column of a section's tables."""
    rows = re.findall(r"(?m)^\| (`.*?) \|", section(title))
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def sources(*names: str) -> str:
    return "\n".join(
        [path.read_text(encoding="utf-8") for name in names for path in SOURCE.glob(name)]
    )


def test_every_codec_is_there() -> None:
    assert named("Codecs") - {"enum", "flags"} == set(codecs.NAMES)


def test_every_option_is_there() -> None:
    options = set(definition.OPTIONS) - codecs.CODEC_OPTIONS
    assert named("Mappings") == options | {"name", "type", "address", "codec"}
    assert named("Options of codecs") | {"enum", "flags", "bits"} == codecs.CODEC_OPTIONS


def test_every_fault_of_a_definition_is_there() -> None:
    text = sources("definition.py", "schema.py", "files.py", "fields.py")
    given = set(re.findall(r"""(?:\b_?fault|Fault)\(\s*"(\w+)",""", text))

    assert named("Faults") == given


def test_every_code_of_a_refused_value_is_there() -> None:
    given = {"bad_codec_return", "not_a_date", "not_a_datetime"}  # which are put together elsewhere
    for call in ast.walk(ast.parse(sources("codecs/*.py", "mapping.py"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in RAISING:
            codes = [str(arg.value) for arg in call.args if isinstance(arg, ast.Constant)]
            given |= {code for code in codes if re.fullmatch("[a-z]+(_[a-z0-9]+)+", code)}

    assert named("What is refused") == given


RAISING: Final = ("CodecError", "EncodeError", "DecodeError", "self._refusal")


def test_every_key_and_column_of_a_file_is_there() -> None:
    assert named("YAML") == set(files.KEYS)
    assert set(re.findall(r"`(\w+)`", section("CSV"))) - {"yes", "no"} == set(files.COLUMNS)
