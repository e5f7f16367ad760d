# SPDX-License-Identifier: Apache-2.0
"""YAML read with places, by YAML 1.2's rules, within limits."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph import _located as located
from heliograph._located import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse, plain, read
from heliograph.catalog.errors import Faults


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's parsers, of which only one need be installed."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader")
    return str(request.param)


def value(text: str | bytes) -> Any:
    faults = Faults()
    tree = parse(text.encode() if isinstance(text, str) else text, "a.yaml", faults)
    assert not faults
    assert tree is not None
    return plain(tree)


def faults_of(text: str | bytes) -> list[str]:
    faults = Faults()
    parse(text.encode() if isinstance(text, str) else text, "a.yaml", faults)
    return [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("0o10", 8),
        ("0x1f", 31),
        ("1" * 40, int("1" * 40)),
        ("1" * 41, float("1" * 41)),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("+.INF", math.inf),
        (".inf", math.inf),
        ("1.0.0", "1.0.0"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int 12", 12),
        ("!!float 1.5", 1.5),
        ("!!bool true", True),
        ("!!null ~", None),
        ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(written: str, expected: object, parser: str) -> None:
    found = value(f"a: {written}\n")["a"]

    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("written", [".nan", ".NaN", ".NAN"])
def test_nan_is_a_number(written: str) -> None:
    assert math.isnan(value(f"a: {written}")["a"])


def test_every_node_knows_its_place(parser: str) -> None:
    tree = parse(b"\xef\xbb\xbfa: 1\nb:\n  - x\n  - {c: \xc3\xa4, d: 2}\n", "a.yaml", Faults())

    assert tree is not None
    assert (tree.line, tree.column) == (1, 1)
    b = tree.members["b"]
    assert (b.line, b.column) == (2, 1)
    assert isinstance(b.node, located.Items)
    x, inner = b.node.nodes
    assert (x.line, x.column) == (3, 5)
    assert isinstance(inner, located.Table)
    assert (inner.members["d"].line, inner.members["d"].column) == (4, 12)


def test_an_alias_stands_for_its_anchor_and_has_its_own_place() -> None:
    tree = parse(b"a: &one {x: 1}\nb: *one\n*one : 3\n", "a.yaml", faults := Faults())

    assert tree is not None
    assert tree.members["b"].node is tree.members["a"].node
    assert [str(fault) for fault in faults] == [
        "a.yaml:3:1: a mapping as a key; write a name before the colon"
    ]
    assert value("a: &n k\n*n : 1\n") == {"a": "k", "k": 1}


def test_of_a_key_that_stands_twice_the_first_is_kept() -> None:
    faults = Faults()
    tree = parse(b"a: {b: 1, b: 2}\n", "a.yaml", faults)

    assert tree is not None
    assert plain(tree) == {"a": {"b": 1}}
    assert [str(fault) for fault in faults] == [
        "a.yaml:1:11: second key 'b' (first in line 1) in a; remove or rename one of them"
    ]


def deep(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.yaml:1:1: the file is empty; write 'key: value' lines"),
        ("# only this\n", "a.yaml:1:1: the file is empty; write 'key: value' lines"),
        ("---\n", "a.yaml:1:1: the file is empty; write 'key: value' lines"),
        (
            "- a\n",
            "a.yaml:1:1: the file holds a list, not a mapping; write 'key: value' lines",
        ),
        (
            "\nabc\n",
            "a.yaml:2:1: the file holds a single value, not a mapping; write 'key: value' lines",
        ),
        ("a: 1\n---\nb: 2\n", "a.yaml:2:1: a second document; keep one document in a file"),
        (
            "a: 1\nb:\n  - x: 1\n    c: {d: 1, d: 2}\n",
            "a.yaml:4:15: second key 'd' (first in line 4) in b[0].c; remove or rename one of them",
        ),
        (
            "a: &x {b: 1}\nc: {<<: *x}\n",
            (
                "a.yaml:2:5: merge key '<<' in c; write the keys out; merging hides where a "
                "key came from"
            ),
        ),
        ("[a, b]: 1\n", "a.yaml:1:1: a list as a key; write a name before the colon"),
        (
            "? {a: {b: 1, b: 2}}\n: 1\n",
            (
                "a.yaml:1:14: second key 'b' (first in line 1) in ?.a; remove or rename one "
                "of them\na.yaml:1:3: a mapping as a key; write a name before the colon"
            ),
        ),
        ("?\n: 1\n", "a.yaml:1:2: an empty key; write a name before the colon"),
        (
            "a: *b\n",
            (
                "a.yaml:1:4: alias *b has no anchor, or lies within it; write &b before the "
                "value it stands for"
            ),
        ),
        (
            "a: &b [*b]\n",
            (
                "a.yaml:1:8: alias *b has no anchor, or lies within it; write &b before the value "
                "it stands for"
            ),
        ),
        ("a: !secret b\n", "a.yaml:1:4: tag '!secret'; remove it; tags are not used here"),
        (
            "a: !!python/name:os.system x\n",
            (
                "a.yaml:1:4: tag 'tag:yaml.org,2002:python/name:os.system'; remove it; tags are "
                "not used here"
            ),
        ),
        (
            "a: !!set {b}\n",
            ("a.yaml:1:4: tag 'tag:yaml.org,2002:set'; remove it; tags are not used here"),
        ),
        ("a: !!int b\n", "a.yaml:1:4: 'b' is not what its tag says; remove the tag"),
        (deep(64), "a.yaml:1:67: nested deeper than 64 levels; flatten it"),
        (
            "a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 30 + "*x" + "]" * 30,
            "a.yaml:2:34: nested deeper than 64 levels; flatten it",
        ),
        (
            "a: \x07\n",
            ("a.yaml:1:4: control character U+0007; remove it, or escape it in double quotes"),
        ),
        (b"a: 1\nb: \xff\n", "a.yaml:2:4: byte 0xff is not UTF-8; save it as UTF-8"),
        (b"\xef\xbb\xbfab: \xff\n", "a.yaml:1:5: byte 0xff is not UTF-8; save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "a.yaml:1:1: byte 0xff is not UTF-8; save it as UTF-8"),
        ("a:\n\tb: 1\n", "a.yaml:2:1: not YAML: a tab where spaces belong; indent with spaces"),
    ],
)
def test_what_is_no_yaml_of_ours_has_its_one_line(
    text: str | bytes, expected: str, parser: str
) -> None:
    assert "\n".join(faults_of(text)) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\n", "a.yaml:2"),
        ("a: 'b\n", "a.yaml:2"),
        ("a: b: c\n", "a.yaml:1"),
        ("a: 1\n b: 2\n", "a.yaml:2"),
        ('a: "\\q"\n', "a.yaml:1"),
        ("%YAML 3.0\n---\na: 1\n", "a.yaml:1"),
        ("a: 1\n\x85b", "a.yaml"),  # beyond the last line, if newlines are counted
    ],
)
def test_a_slip_in_the_syntax_is_located(text: str, place: str, parser: str) -> None:
    [fault] = faults_of(text)

    # The two parsers differ in the column by one now and then.
    assert fault.startswith(f"{place}:")
    assert ": not YAML: " in fault
    assert fault.endswith("; check quotes, colons and indentation here")


def test_as_deep_as_allowed_is_read() -> None:
    assert faults_of(deep(MAX_DEPTH - 1)) == []


def test_a_bomb_of_aliases_is_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.process_time()

    [fault] = faults_of("\n".join(lines))

    assert fault == (
        "a.yaml:6:10: more than 200,000 values, with every alias written out; split the file, or "
        "remove aliases"
    )
    assert time.process_time() - began < 2


def test_a_bomb_of_brackets_is_not_followed() -> None:
    [fault] = faults_of("a: " + "[" * 1_000_000)

    assert fault == "a.yaml:1:67: nested deeper than 64 levels; flatten it"


def test_too_many_values_are_refused() -> None:
    [fault] = faults_of("a:\n" + "- 1\n" * MAX_NODES)

    assert fault.startswith("a.yaml:199999:3: more than 200,000 values")


def test_of_many_faults_the_first_are_told() -> None:
    faults = faults_of("a: 1\n" * 1000)

    assert len(faults) == Faults.LIMIT + 1
    assert faults[-1] == "a.yaml:101:1: there are more faults; mend these first"


def test_a_file_of_50_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    faults = Faults()

    assert read(path, faults) is None
    assert [str(fault) for fault in faults] == [
        f"{path}:1:1: larger than the 4 MiB that are read; split it into several files"
    ]


def test_a_file_as_large_as_allowed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: 1\n#".ljust(MAX_BYTES, b"x"))
    faults = Faults()

    assert read(path, faults) is not None
    assert not faults


@pytest.mark.skipif(os.name != "posix", reason="devices are POSIX's")
def test_a_device_without_end_is_refused() -> None:
    faults = Faults()

    assert read("/dev/zero", faults) is None
    assert "larger than" in str(faults[0])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.yaml", "No such file or directory"),
        ("folder", "Is a directory"),
        ("nul\0.yaml", "embedded null byte"),
    ],
)
def test_an_unreadable_file_says_why(path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    where = f"{tmp_path}{os.sep}{path}"
    faults = Faults()

    assert read(where, faults) is None
    assert [str(fault) for fault in faults] == [
        f"{where}:1:1: cannot be read: {reason}; name a readable YAML file"
    ]


def test_without_pyyaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ImportError, match=r"pip install heliograph\[catalog\]") as caught:
        parse(b"a: 1", "a.yaml", Faults())

    assert caught.value.name == "yaml"
