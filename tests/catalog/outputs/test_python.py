# SPDX-License-Identifier: Apache-2.0
"""Event modules: formatters and type checkers leave them alone, and users get what they need."""

from __future__ import annotations

import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from heliograph.catalog.loader import load_document, load_text
from heliograph.catalog.model import Document
from heliograph.catalog.outputs import python
from heliograph.telemetry import Event, Span

ROOT = Path(__file__).parents[3]


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def executed(document: Document) -> ModuleType:
    module = ModuleType(f"{document.name}_events")
    # On this interpreter's own terms: annotations are evaluated, not postponed as in this file.
    code = compile(python.render(document), module.__name__, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the awkward catalog's module."""
    folder = tmp_path_factory.mktemp("sources")
    document = load_document(ROOT / "tests" / "data" / "everything.yaml")
    (folder / "everything.py").write_text(python.render(document, licence="Apache-2.0"))
    return folder


def test_a_formatter_and_a_linter_leave_it_alone(sources: Path) -> None:
    run("ruff", "format", "--check", "--config", ROOT / "pyproject.toml", sources)
    run("ruff", "check", "--no-cache", "--config", ROOT / "pyproject.toml", sources)


USE = '''
"""Uses of a generated module, right ones and wrong ones."""

from typing import Literal, assert_type

from everything import EVERYTHING, QUIET, REST, WORK, QuietMetadata


def right(host: str) -> None:
    with WORK(host=host, flag=True, level=1) as work:
        work.measurements["number"] = 2.5
        assert_type(work.metadata["colour"], Literal["red", "light blue", "LIGHT-BLUE", "1st"])
        work.metadata["colour"] = "red"
    with WORK({"host": host, "flag": False}):
        pass
    with REST():
        pass
    if WORK.stop.handlers:
        QUIET.execute({}, {})


@REST
def rest(hours: int) -> int:
    return hours


assert_type(rest(8), int)
assert_type(EVERYTHING.name, str)


def wrong(host: str) -> None:
    WORK(host=host)  # WRONG: flag is missing
    with WORK(host=host, flag=True) as work:
        work.measurements["numbr"] = 1  # WRONG: no such measurement
        work.metadata["colour"] = "pink"  # WRONG: no such colour
    with WORK(host=host, flag=True, level=7):  # WRONG: no such level
        pass
    QUIET.execute({"count": 1}, {})  # WRONG: no such measurement
    EVERYTHING.execute({"number": "1"}, {})  # WRONG: text for a number


@WORK  # WRONG: needs a host
def work() -> None: ...


wrong_metadata: QuietMetadata = {"x": 1}  # WRONG: has none
'''


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_accept_it_and_know_what_is_wrong_with_its_uses(
    sources: Path, checker: str, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "everything.py").write_text((sources / "everything.py").read_text())
    (folder / "use.py").write_text(USE.lstrip())
    if checker == "mypy":
        command: list[str | Path] = ["mypy", "--strict", "--no-error-summary", "--cache-dir"]
        command += [tmp_path / "cache", "everything.py", "use.py"]
    else:
        settings = f'{{"typeCheckingMode": "standard", "extraPaths": ["{ROOT / "src"}"]}}'
        (folder / "pyrightconfig.json").write_text(settings)
        command = ["pyright", "--pythonpath", sys.executable]

    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "HOME": str(tmp_path)},
    )

    reports = [line for line in done.stdout.splitlines() if "error" in line]
    complained = {
        int(line.split("use.py:")[1].split(":")[0]) for line in reports if "use.py:" in line
    }
    expected = {
        number for number, line in enumerate(USE.lstrip().splitlines(), 1) if "WRONG" in line
    }
    assert not [line for line in reports if "everything.py:" in line], done.stdout
    assert complained == expected, done.stdout


def test_the_module_of_a_strangers_catalog(shop: Document) -> None:
    assert python.render(shop) == (ROOT / "tests" / "data" / "shop_events.txt").read_text()


def test_handles_are_the_cores_own(shop: Document) -> None:
    module = executed(shop)

    assert type(module.ORDER_PLACED) is Event
    assert module.ORDER_PLACED is Event("shop.order.placed")
    assert type(module.CHECKOUT) is Span
    assert module.CHECKOUT.stop is Event("shop.checkout.stop")


def test_typed_dictionaries_know_what_may_be_absent(shop: Document) -> None:
    module = executed(shop)

    assert module.OrderPlacedMeasurements.__required_keys__ == {"count"}
    assert module.OrderPlacedMeasurements.__optional_keys__ == {"amount"}
    hints = typing.get_type_hints(module.OrderPlacedMeasurements)
    assert hints == {"count": int, "amount": float}


def test_every_event_that_is_no_old_name_has_a_handle(any_document: Document) -> None:
    module = executed(any_document)
    names = python.constant_names(any_document)

    points = {e.name for e in any_document.events.values() if e.kind == "point"}
    old = {e.name for e in any_document.events.values() if e.alias_of is not None}
    assert set(names) >= points - old
    assert not set(names) & old
    assert {
        name: (handle.name if isinstance(handle, Event) else handle.prefix)
        for name, constant in names.items()
        for handle in [getattr(module, constant)]
    } == {name: name for name in names}


@pytest.mark.parametrize(
    ("event", "constant"),
    [
        ("all.everything", "EVERYTHING"),
        ("all.a.b", "A__B"),
        ("all.a_b", "A_B"),
        ("all.type_checking", "TYPE_CHECKING_"),
        ("elsewhere.happened", "ELSEWHERE_HAPPENED"),
        ("all.work", "WORK"),
    ],
)
def test_a_constant_is_the_name_in_capitals_without_the_catalogs(
    everything: Document, event: str, constant: str
) -> None:
    assert python.constant_names(everything)[event] == constant


def test_old_names_have_no_handle(everything: Document) -> None:
    assert not {"all.older", "all.worked"} & set(python.constant_names(everything))


def test_two_names_that_would_be_one_are_refused() -> None:
    document = load_text(
        "{catalog: shop, version: 1.0.0, brief: x, events: {shop.a_b: {brief: x}, "
        "shop.a.b: {brief: x}, shop.a_dot_b: {brief: x}}}"
    )

    with pytest.raises(ValueError, match=r"'shop\.a\.b' and 'shop\.a_dot_b' would be the same"):
        python.render(document)


def test_the_licence_is_the_first_line_if_there_is_one(shop: Document) -> None:
    assert python.render(shop, licence="MIT").startswith("# SPDX-License-Identifier: MIT\n# Gen")
    assert python.render(shop).startswith("# Generated by `heliograph catalog python`")


def test_keys_that_python_keeps_for_itself_are_keys_all_the_same(everything: Document) -> None:
    module = executed(everything)

    assert module.WordsMetadata.__required_keys__ == {"flag", "class", "self", "raw"}
    assert module.WordsMetadata.__optional_keys__ == {"one_of_very_many_words"}


def test_a_catalog_without_events_is_a_module_without_handles() -> None:
    document = load_text("{catalog: bare, version: 1.0.0, brief: Bare}")

    assert vars(executed(document)).keys() >= {"__doc__"}
    assert python.constant_names(document) == {}


def test_importing_a_module_imports_little(shop: Document, tmp_path: Path) -> None:
    (tmp_path / "events.py").write_text(python.render(shop))
    script = (
        "import sys, typing, heliograph; before = set(sys.modules); import events; "
        "print(*sorted(set(sys.modules) - before))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == ["events"]


def test_a_deprecated_field_says_so(everything: Document) -> None:
    source = python.render(everything)

    assert '"""An old text. Deprecated. Use text. Shorter."""' in source
    assert "Deprecated. Gone.\n" in source


def test_docstrings_hold_whatever_the_catalog_says(everything: Document) -> None:
    module = executed(everything)

    assert module.__doc__ is not None
    assert "back\\slash" in module.__doc__
    assert '"quotes"' in module.__doc__
    odd = replace(everything, brief='"All of it"')
    assert executed(odd).__doc__ == 'Events of the catalog `all`.\n\n"All of it".\n'
