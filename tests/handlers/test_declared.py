# SPDX-License-Identifier: Apache-2.0
"""What handlers are told by a catalog and by a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from heliograph.catalog import load
from heliograph.handlers import declared
from heliograph.handlers.declared import Declared, Made, Traits


@pytest.mark.parametrize(
    "given",
    [lambda path: path, str, lambda path: [path], load, lambda path: load(path).documents[0]],
    ids=["path", "string", "list", "catalog", "document"],
)
def test_traits_come_from_a_catalog_however_it_is_given(shop: Path, given: Any) -> None:
    traits = Declared(given(shop)).of("shop.order.placed")
    assert traits == Traits(
        severity="warn",
        kind="point",
        hidden_measurements=frozenset({"margin"}),
        hidden_metadata=frozenset({"card"}),
        nanoseconds=frozenset({"wait"}),
    )


def test_a_spans_exception_is_an_error_and_its_duration_in_nanoseconds(shop: Path) -> None:
    declared = Declared(shop)
    exception = declared.of("shop.checkout.exception")
    assert exception.severity == "error"
    assert exception.hidden_metadata == {"card"}
    assert exception.nanoseconds == {"duration"}
    assert declared.of("shop.checkout.stop").kind == "stop"
    assert declared.of("shop.checkout.exception") is exception


@pytest.mark.parametrize("with_catalog", [True, False])
@pytest.mark.parametrize(
    ("event", "kind", "severity"),
    [
        ("other.event", "point", None),
        ("other.span.start", "start", None),
        ("other.span.stop", "stop", None),
        ("other.span.exception", "exception", "error"),
    ],
)
def test_an_undeclared_event_is_told_by_its_name(
    shop: Path, with_catalog: bool, event: str, kind: str, severity: str | None
) -> None:
    traits = Declared(shop if with_catalog else None).of(event)
    assert (traits.kind, traits.severity) == (kind, severity)
    assert not traits.hidden_measurements | traits.hidden_metadata


class Recording:
    """A handler that remembers how it was made."""

    def __init__(self, name: str = "default") -> None:
        self.name = name

    def __call__(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
    ) -> None:
        raise AssertionError


class TestMade:
    def test_a_handler_is_made_once_for_each_configuration(self) -> None:
        made = Made(Recording, ("name",))
        one, two = {"name": "one"}, {"name": "two"}
        first, second = made.by(one), made.by(two)
        assert isinstance(first, Recording)
        assert isinstance(second, Recording)
        assert (first.name, second.name) == ("one", "two")
        assert made.by(one) is first
        default = made.by(None)
        assert isinstance(default, Recording)
        assert default.name == "default"

    def test_only_so_many_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(declared, "_REMEMBERED", 2)
        made = Made(Recording, ("name",))
        configs = [{"name": str(number)} for number in range(3)]
        handlers = [made.by(config) for config in configs]
        assert made.by(configs[2]) is handlers[2]
        assert made.by(configs[0]) is not handlers[0]

    @pytest.mark.parametrize(
        ("config", "error", "message"),
        [
            (17, TypeError, "the configuration is int, not a mapping; its keys may be name, size"),
            ("text", TypeError, "the configuration is str"),
            ({"name": 1, "nmae": 2}, ValueError, "unknown option 'nmae'; there are name, size"),
            ({"size": 1}, ValueError, "the option 'name' is missing; there are name, size"),
            (None, ValueError, "the option 'name' is missing"),
        ],
    )
    def test_a_wrong_configuration_is_refused_each_time(
        self, config: Any, error: type[Exception], message: str
    ) -> None:
        made = Made(Recording, ("name", "size"), required=("name",))
        for _ in range(2):
            with pytest.raises(error, match=message):
                made.by(config)
