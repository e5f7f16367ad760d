# SPDX-License-Identifier: Apache-2.0
"""Which Python values a type admits."""

from __future__ import annotations

import math
from traceback import StackSummary
from types import MappingProxyType

import pytest

from heliograph import Error, Ok
from heliograph.catalog.model import TYPES
from heliograph.catalog.values import fits

VALUES = {
    "text": "a",
    "whole": 1,
    "real": 1.5,
    "nan": math.nan,
    "truth": True,
    "octets": b"a",
    "view": memoryview(b"a"),
    "array": bytearray(b"a"),
    "mapping": {},
    "proxy": MappingProxyType({}),
    "list": [],
    "tuple": (),
    "set": set(),
    "ok": Ok(1),
    "error": Error("why"),
    "exception": ValueError(),
    "exit": SystemExit(),
    "stack": StackSummary(),
    "nothing": None,
}


@pytest.mark.parametrize(
    ("kind", "admitted"),
    [
        ("string", "text"),
        ("int", "whole"),
        ("float", "whole real nan"),
        ("number", "whole real nan"),
        ("bool", "truth"),
        ("bytes", "octets view array"),
        ("map", "mapping proxy"),
        ("any", " ".join(VALUES)),
        ("result", "ok error"),
        ("exception", "exception exit"),
        ("stacktrace", "stack list"),
        ("string[]", "list tuple stack"),
        ("bytes[]", "list tuple stack"),
    ],
)
def test_a_type_admits(kind: str, admitted: str) -> None:
    found = {name for name, value in VALUES.items() if fits(kind, value)}

    # A stack summary is a list.
    assert found - {"list", "stack"} == set(admitted.split()) - {"list", "stack"}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_has_a_test(kind: str) -> None:
    assert fits(kind, object()) == (kind == "any")
