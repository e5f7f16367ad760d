# SPDX-License-Identifier: Apache-2.0
"""The public names: each is there, is named once, in order, and says what it gives."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import heliograph

FOUND = tuple(pkgutil.walk_packages(heliograph.__path__, "heliograph."))
MODULES = ["heliograph", *(each.name for each in FOUND if not each.name.endswith("__main__"))]
PACKAGES = ["heliograph", *(each.name for each in FOUND if each.ispkg)]
# Where users import from; the modules inside a package are its own affair.
PUBLIC = [
    each for each in MODULES if "._" not in each and (each.count(".") < 2 or each in PACKAGES)
]


def public(name: str) -> dict[str, object]:
    module = importlib.import_module(name)
    return {each: getattr(module, each) for each in getattr(module, "__all__", ())}


def documented(name: str) -> Iterator[tuple[str, object]]:
    """The classes and functions a module exports, and the public methods of those classes."""
    for each, value in public(name).items():
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        yield each, value
        if inspect.isclass(value):
            for member, thing in vars(value).items():
                if not member.startswith("_") and (
                    inspect.isroutine(thing) or isinstance(thing, property | staticmethod)
                ):
                    yield f"{each}.{member}", getattr(value, member)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert inspect.getdoc(importlib.import_module(name))


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_exports_is_there_and_named_once(name: str) -> None:
    exported = getattr(importlib.import_module(name), "__all__", ())

    assert sorted(set(exported)) == sorted(exported)
    assert set(public(name)) == set(exported)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_exports_anything_states_what(name: str) -> None:
    package = importlib.import_module(name)
    names = {
        each
        for each, value in vars(package).items()
        if not (each.startswith("_") or inspect.ismodule(value) or each == "annotations")
    }

    assert hasattr(package, "__all__") or names == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_exported_class_function_and_method_has_a_docstring(name: str) -> None:
    assert [each for each, value in documented(name) if not inspect.getdoc(value)] == []
