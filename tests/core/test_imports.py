# SPDX-License-Identifier: Apache-2.0
"""What `import heliograph` brings with it: the standard library, and little of that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import heliograph

SOURCE = Path(heliograph.__file__).parents[1]

# What is slow to import and must wait until somebody needs it.
SLOW = {
    "asyncio",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "inspect",
    "logging",
    "re",
    "threading",
    "traceback",
    "typing",
    "weakref",
}

USES = {
    "importing it": "",
    "executing": "heliograph.execute('a.b', {})",
    "attaching": """
heliograph.attach("h", "a.b", lambda *_: None)
heliograph.execute("a.b", {}); heliograph.Event("a.b").execute({}); heliograph.detach("h")
""",
    "opening a span": """
heliograph.attach_many("h", ["a.b.start", "a.b.stop"], lambda *_: None)
with heliograph.span("a.b"): pass
""",
    "observing": "heliograph.observe(lambda *_: None).close()",
}


def loaded_by(code: str) -> set[str]:
    """The modules that running it loads, in an interpreter that begins with hardly any.

    Isolated and without `site`, so that what an environment loads by itself hides nothing.
    """
    program = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
before = set(sys.modules)
import heliograph
{code}
loaded = sorted(set(sys.modules) - before)
import json
print(json.dumps(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], check=True, capture_output=True, text=True
    )
    loaded: list[str] = json.loads(done.stdout)
    return set(loaded)


@pytest.mark.parametrize("use", USES)
def test_it_loads_the_standard_library_only_and_nothing_slow_of_it(use: str) -> None:
    loaded = loaded_by(USES[use])
    roots = {name.partition(".")[0] for name in loaded}

    assert "heliograph.telemetry" in loaded
    assert roots <= {"heliograph", *sys.stdlib_module_names}
    assert roots & SLOW == set()


def test_it_loads_no_other_part_of_the_house() -> None:
    core = {
        "heliograph",
        "heliograph._checks",
        "heliograph._generics",
        "heliograph.propagation",
        "heliograph.spans",
        "heliograph.telemetry",
        "heliograph.values",
    }

    assert {name for name in loaded_by("") if name.startswith("heliograph")} == core


def test_what_is_slow_comes_when_it_is_needed() -> None:
    failing = """
def fail(*_): raise RuntimeError
heliograph.attach("h", "a.b", fail)
heliograph.execute("a.b", {})
"""

    assert {"logging", "traceback"} <= loaded_by(failing)
    assert "functools" in loaded_by("heliograph.traced('a.b')(len)")
