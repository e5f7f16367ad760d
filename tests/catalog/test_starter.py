# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.catalog.lint import lint
from heliograph.catalog.loader import load_text
from heliograph.catalog.starter import render, write


@pytest.mark.parametrize("name", ["shop", "x", "night_train_2", "a" * 60])
def test_the_starter_loads_and_nothing_is_questionable_about_it(name: str) -> None:
    document = load_text(render(name), f"{name}.yaml")

    assert document.name == name
    assert lint(document) == ()


def test_the_starter_shows_every_kind_of_entry() -> None:
    document = load_text(render("shop"), "shop.yaml")

    assert {event.kind for event in document.events.values()} == {
        "point",
        "start",
        "stop",
        "exception",
    }
    assert document.events["shop.order.created"].alias_of == "shop.order.placed"
    assert {metric.instrument for metric in document.metrics.values()} == {
        "sum",
        "last_value",
        "histogram",
    }
    assert any(metric.alert is not None for metric in document.metrics.values())
    assert any(metric.error_type for metric in document.metrics.values())
    assert any(field.sensitive for field in document.fields.values())
    assert any(field.high_cardinality for field in document.fields.values())
    assert any(field.values for field in document.fields.values())
    assert any(not use.required for use in document.events["shop.order.placed"].metadata)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Shop", "'shop' would do"),
        ("my-shop", "'my_shop' would do"),
        ("my__shop", "'my_shop' would do"),
        ("2shop", "'shop' would do"),
        ("shop.events", "'shop_events' would do"),
        ("../shop", "'shop' would do"),
        ("", "a letter first"),
        ("12", "a letter first"),
        ("class", "a word of Python's; 'my_class' would do"),
        ("http", "semantic conventions use http"),
        ("otel", "semantic conventions use otel"),
        ("modboss", "is installed; 'my_modboss' would do"),
    ],
)
def test_names_that_cannot_be_a_catalogs(name: str, words: str) -> None:
    with pytest.raises(ValueError, match="cannot be a catalog's name") as caught:
        render(name)

    assert words in str(caught.value)


def test_it_is_written_into_a_new_file(tmp_path: Path) -> None:
    path = write("shop", tmp_path / "catalogs")

    assert path == tmp_path / "catalogs" / "shop.yaml"
    assert path.read_text(encoding="utf-8") == render("shop")


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("mine", encoding="utf-8")

    with pytest.raises(FileExistsError, match="left as it is"):
        write("shop", tmp_path)

    assert (tmp_path / "shop.yaml").read_text(encoding="utf-8") == "mine"


def test_a_bad_name_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="catalog's name"):
        write("Shop", tmp_path / "catalogs")

    assert list(tmp_path.iterdir()) == []
