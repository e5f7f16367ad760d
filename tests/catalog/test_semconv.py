# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import pkgutil

import pytest

from heliograph.catalog import semconv


def test_the_names_taken_state_their_source_and_version() -> None:
    conventions = semconv.load()

    assert conventions.source == "https://github.com/open-telemetry/semantic-conventions"
    assert conventions.version.count(".") == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("server.address", "string"),
        ("server.port", "int"),
        ("http.request.header", "string[]"),
        ("http.request.header.accept", "string[]"),
        ("server.rack", None),
        ("server", None),
    ],
)
def test_types_of_attributes(name: str, expected: str | None) -> None:
    assert semconv.load().attribute_type(name) == expected


@pytest.mark.parametrize("namespace", ["server", "http", "otel", "hw", "network", "telemetry"])
def test_namespaces_are_first_segments(namespace: str) -> None:
    assert namespace in semconv.load().namespaces


@pytest.mark.parametrize("package", ["attributes", "_incubating.attributes"])
def test_every_name_of_the_installed_conventions_is_known(package: str) -> None:
    parent = importlib.import_module(f"opentelemetry.semconv.{package}")
    names = {
        value
        for found in pkgutil.iter_modules(parent.__path__)
        for name, value in vars(importlib.import_module(f"{parent.__name__}.{found.name}")).items()
        if name.isupper() and isinstance(value, str)
    }

    unknown = {name for name in names if semconv.load().attribute_type(name) is None}

    assert unknown == set()
