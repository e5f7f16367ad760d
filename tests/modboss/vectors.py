# SPDX-License-Identifier: Apache-2.0
"""Recorded calls of ModBoss's own codecs, compared with ours: `python -m tests.modboss.vectors`.

A line of such a file is one call: codec, direction, input, perhaps metadata, and the result, which
is a value, an error or a raise. A recorded raise is any exception that is no `CodecError`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heliograph.modboss import CodecError, Metadata
from heliograph.modboss.codecs import codec
from tests.modboss.golden.tagged import Atom, differences

__all__ = ["call", "difference", "main", "text_of", "vectors"]


def vectors(path: Path) -> Iterator[dict[str, Any]]:
    """The calls that a file holds."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def difference(vector: dict[str, Any]) -> str | None:
    """How what we do differs from what is recorded; None if it does not."""
    got, recorded = call(vector), vector["result"]
    if "raise" in recorded:
        return None if "raise" in got else f"{got} where it raised"
    return "; ".join(differences(untagged(recorded), got)) or None


def call(vector: dict[str, Any]) -> dict[str, Any]:
    """The result of a call, as the recording writes results."""
    about: dict[str, Any] = {"name": "t", "type": "holding_register", "address_count": 1}
    about |= vector.get("metadata", {})
    metadata = Metadata(about["name"], about["type"], about["address_count"], {})
    given = untagged(vector["input"])
    try:
        return {"ok": getattr(codec(vector["codec"]), vector["direction"])(given, metadata)}
    except CodecError as error:
        parameters = dict(error.parameters)
        if "value" in parameters:
            parameters["value_text"] = text_of(parameters.pop("value"))
        return {"error": {"code": error.code, **parameters}}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a raise
        return {"raise": repr(error)}


def untagged(value: Any) -> Any:
    """A recorded value in Python, with constants that are no strings."""
    if isinstance(value, list):
        return [untagged(each) for each in value]
    match value:
        case {"$atom": str(name)}:
            return Atom(name)
        case {"$tuple": list(elements)}:
            return tuple(map(untagged, elements))
        case {"$bytes": str(digits)}:
            return bytes.fromhex(digits)
        case dict():
            return {key: untagged(each) for key, each in value.items()}
    return value


def text_of(value: Any) -> str:
    """What the original prints of a value in an error: nothing of nil, a list as characters."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return "".join(map(chr, value))
        case Atom(name):
            return name
    return str(value)


def main(paths: list[str]) -> int:
    """Run files of vectors; print how many pass and the first that do not."""
    passed, failed = 0, []
    for path in paths:
        for vector in vectors(Path(path)):
            if vector["demand"] == "no":
                continue
            found = difference(vector)
            if found is None:
                passed += 1
            else:
                failed.append(f"{vector['id']}: {found}")
    print(f"{passed} passed, {len(failed)} failed")
    print("\n".join(failed[:20]))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
