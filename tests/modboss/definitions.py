# SPDX-License-Identifier: Apache-2.0
"""Recorded definitions of schemas, compared with ours: `python -m tests.modboss.definitions`.

A line of such a file is one definition and what became of it: mappings and limits, or an error. Of
an error, its code and parameters must be among those of the faults that we report, for the original
stops at its first fault. Each definition is made twice, as a class and of data.

What the recording calls an accident, a definition that was taken since nobody looked, we refuse;
`ACCIDENTS` says as what.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import heliograph.modboss
from heliograph.modboss import Schema, SchemaError
from heliograph.modboss.mapping import OBJECT_TYPES

__all__ = ["ACCIDENTS", "MAKERS", "definitions", "difference", "main"]

ACCIDENTS: Final = {
    "range.empty": "empty_range",
    "address.negative": "address_out_of_range",
    "address.above_65535": "address_out_of_range",
    "address.range_over_65535": "address_out_of_range",
    "opts.value_smuggled": "unknown_mapping_option",
    "opts.type_overridden": "unknown_mapping_option",
    "ok.max_batch_unknown_key": "unknown_limit",
    "ok.max_batch_string": "invalid_limit",
    "ok.max_batch_negative": "invalid_limit",
    "ok.use_unknown_option": "unknown_schema_option",
}
"""What the original took by accident, and the code of our refusal."""

Result = dict[str, Any]


def definitions(path: Path) -> Iterator[dict[str, Any]]:
    """The definitions that a file holds."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


# -- Making ---------------------------------------------------------------------------------------


def of_data(given: dict[str, Any]) -> type[Schema]:
    """Make a schema by `from_mappings`."""
    mappings: list[Any] = []
    for each in every_mapping(given):
        options = translated(each)
        if options["type"] not in OBJECT_TYPES:
            options |= {"type": "holding_register", "kind": options["type"]}
        # The original takes options as a list of pairs alone; what is no mapping for us is alike.
        mappings.append(tuple(options) if options.pop("options_as_map", False) else options)
    codecs: dict[str, types.SimpleNamespace] = {}
    for name, function in codec_functions(given):
        way, _, codec = name.partition("_")
        setattr(codecs.setdefault(codec, types.SimpleNamespace()), way, function)
    if given.get("not_enabled"):
        return outside(given)
    return Schema.from_mappings("recorded", mappings, codecs=codecs, **options_of(given))


def as_class(given: dict[str, Any]) -> type[Schema]:
    """Make a schema as a class statement does."""

    def body(names: dict[str, Any]) -> None:
        for each in every_mapping(given):
            options = translated(each)
            if (object_type := options["type"]) in OBJECT_TYPES:
                del options["type"]
            else:  # an option of a mapping whose type is recorded in the result alone
                object_type = "holding_register"
            field = getattr(heliograph.modboss, object_type)
            if options.pop("options_as_map", False):
                field(options.pop("address"), None, options)
            name = options.pop("name")
            if not isinstance(name, str):
                options["name"], name = name, "field"
            names[name] = field(options.pop("address"), options.pop("codec", None), **options)
        for name, function in codec_functions(given):
            names[name] = staticmethod(function)

    if given.get("not_enabled"):
        return outside(given)
    return types.new_class("Recorded", (Schema,), options_of(given), body)


MAKERS: Final[list[Callable[[dict[str, Any]], type[Schema]]]] = [as_class, of_data]


def outside(_given: dict[str, Any]) -> type[Schema]:
    """Use fields where they do not belong."""
    try:
        return type("Plain", (), {"a": heliograph.modboss.holding_register(1)})
    except RuntimeError as wrapped:  # Python 3.11 wraps what comes from __set_name__
        raise (wrapped.__cause__ or wrapped) from None


def every_mapping(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [*given["mappings"], *given.get("second_block", ())]


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    options = ("max_batch_reads", "max_batch_writes", "bogus")
    return {option: given[option] for option in options if option in given}


def translated(mapping: dict[str, Any]) -> dict[str, Any]:
    """The mapping as we write it.

    The original's constants are our strings, so its strings, which it refuses where constants
    belong, are bytes here. Its constant `nil` is a name like any other.
    """
    options = {key: value_of(value) for key, value in mapping.items()}
    if "range" in options:
        span = options.pop("range")
        step = span["step"]
        options["address"] = range(span["first"], span["last"] + (1 if step > 0 else -1), step)
    if mapping["name"] is None:
        options["name"] = "nil"
    if "as" in options:
        options["codec"] = options.pop("as")
    return options


def value_of(value: Any) -> Any:
    match value:
        case {"$string": str(text)}:
            return text.encode()
        case {"local": str(name)} | {"builtin": str(name)}:
            return name
        case {"external": str(), "name": str()}:
            return object()
        case {"$odd_tuple": int(length)}:
            return ("codec",) * length
    return value


def codec_functions(given: dict[str, Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for function in given["codec_functions"]:
        yield function["name"], OF_ARITY[function["arity"]]


OF_ARITY: Final[dict[int, Callable[..., Any]]] = {
    0: lambda: None,
    1: lambda value: value,
    2: lambda value, metadata: value,
    3: lambda value, metadata, more: value,
}

# -- Comparing ------------------------------------------------------------------------------------


def difference(row: dict[str, Any], make: Callable[[dict[str, Any]], type[Schema]]) -> str | None:
    """How what we do differs from what is recorded; None if it does not."""
    recorded: Result = row["result"]
    refusal = ACCIDENTS.get(row["id"])
    try:
        made = make(row["schema"])
    except SchemaError as error:
        found = [{"code": fault.code, **fault.parameters} for fault in error.faults]
        if refusal is not None:
            codes = [each["code"] for each in found]
            return None if refusal in codes else f"{codes} where {refusal} belongs"
        if "error" not in recorded:
            return f"refused: {error}"
        wanted = {**recorded["error"], "type": None, "when": None}
        if any(covers(each, wanted) for each in found):
            return None
        return f"{wanted} is not among {found}"
    except TypeError as error:  # Python itself refuses such a call
        if refusal is not None or recorded.get("error", {}).get("code") == "bad_argument":
            return None
        return f"raises {error!r}"
    if refusal is not None:
        return "taken, though it is an accident"
    if "ok" not in recorded:
        return f"taken where {recorded} is recorded"
    return compared(made, recorded["ok"])


def covers(fault: Result, wanted: Result) -> bool:
    """Whether a fault says all that was recorded; lists in any order."""
    return all(alike(fault.get(key), value) for key, value in wanted.items() if value is not None)


def alike(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return sorted(map(repr, map(tuple, left))) == sorted(map(repr, map(tuple, right)))
    return bool(left == right)


def compared(made: type[Schema], recorded: Result) -> str | None:
    mappings = [
        {
            "name": each.name,
            "type": each.object_type,
            "start": each.starting_address,
            "count": each.address_count,
            "mode": each.mode,
            "gap_safe": each.gap_safe,
        }
        for each in sorted(made.mappings.values(), key=lambda each: each.name)
    ]
    limits = {
        "read_holding": made.read_limits["holding_register"],
        "write_coil": made.write_limits["coil"],
    }
    wanted = sorted(recorded["mappings"], key=lambda each: str(each["name"]))
    if mappings != wanted or limits != recorded["limits"]:
        return f"{mappings}, {limits} where {recorded} is recorded"
    return None


def main(paths: list[str]) -> int:
    """Run files of definitions; print how many pass and the first that do not."""
    passed, failed = 0, []
    for path in paths:
        for row in definitions(Path(path)):
            if row["demand"] == "no":
                continue
            found = [*filter(None, map(partial(difference, row), MAKERS))]
            if found:
                failed.append(f"{row['id']}: {found[0]}")
            else:
                passed += 1
    refused = f"{len(ACCIDENTS)} accidents of the original are to be refused"
    print(f"{passed} passed, {len(failed)} failed; {refused}")
    print("\n".join(failed[:20]))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
