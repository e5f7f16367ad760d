# SPDX-License-Identifier: Apache-2.0
"""Several catalogs as one: loading, selection, registration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import heliograph
from heliograph import HandlerExistsError, Telemetry
from heliograph.catalog import (
    Catalog,
    CatalogError,
    PatternError,
    UnknownCatalogError,
    load,
    load_text,
)

HEAD = "catalog: {}\nversion: 1.0.0\nbrief: A catalog\n"
SHOP = f"""\
{HEAD.format("shop")}
spans:
  shop.sale: {{brief: A sale}}
  shop.trade: {{deprecated: {{renamed_to: shop.sale}}}}
events:
  shop.order.placed: {{brief: Placed}}
  shop.ordre.placed: {{deprecated: {{renamed_to: shop.order.placed}}}}
  shop.order.paid: {{brief: Paid}}
metrics:
  shop.orders: {{brief: Orders, instrument: counter, event: shop.order.placed}}
"""

Seen = list[tuple[str, Mapping[str, Any], Mapping[str, Any], Any]]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([load_text(SHOP)])


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def test_a_catalog_has_what_its_documents_have(catalog: Catalog) -> None:
    other = load_text(HEAD.format("other") + "events: {other.e: {brief: E}}")
    both = Catalog([other, *catalog.documents])

    assert [document.name for document in both.documents] == ["other", "shop"]
    assert next(iter(both.events)) == "other.e"
    assert list(both.events)[1:] == list(catalog.events)
    assert list(both.spans) == ["shop.sale", "shop.trade"]
    assert list(both.metrics) == ["shop.orders"]
    assert dict(both.aliases) == {
        "shop.trade.start": "shop.sale.start",
        "shop.trade.stop": "shop.sale.stop",
        "shop.trade.exception": "shop.sale.exception",
        "shop.ordre.placed": "shop.order.placed",
    }


def test_a_catalog_shows_itself(catalog: Catalog) -> None:
    assert repr(catalog) == "<catalog of shop: 5 events>"
    assert repr(Catalog([])) == "<catalog of nothing: 0 events>"


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        (["shop.order.paid"], ["shop.order.paid"]),
        (["shop.order.*"], ["shop.order.placed", "shop.order.paid"]),
        (["shop.order.paid", "shop.order.*"], ["shop.order.placed", "shop.order.paid"]),
        (["shop.*.stop"], ["shop.sale.stop"]),
        (["shop.sale.**"], ["shop.sale.start", "shop.sale.stop", "shop.sale.exception"]),
        (["shop.ordre.placed"], ["shop.order.placed"]),
        (["shop.trade.stop", "shop.sale.stop"], ["shop.sale.stop"]),
        (
            ["**"],
            [
                "shop.sale.start",
                "shop.sale.stop",
                "shop.sale.exception",
                "shop.order.placed",
                "shop.order.paid",
            ],
        ),
    ],
)
def test_select_gives_names_in_catalog_order_once(
    patterns: list[str], selected: list[str], catalog: Catalog
) -> None:
    assert catalog.select(*patterns) == tuple(selected)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        (
            "shop.order.payed",
            (
                "no event matches 'shop.order.payed'; did you mean 'shop.order.placed' or "
                "'shop.order.paid'?"
            ),
        ),
        ("shop.ordr.*", "no event matches 'shop.ordr.*'; at 'ordr': did you mean 'order'?"),
        (
            "shop.trade.sto*",
            (
                "no event matches 'shop.trade.sto*'; it matches old names only; the present ones "
                "are shop.sale.stop"
            ),
        ),
        ("store.**", "no event matches 'store.**'; names begin with shop"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(
    pattern: str, error: str, catalog: Catalog
) -> None:
    with pytest.raises(PatternError) as caught:
        catalog.select("**", pattern)

    assert str(caught.value) == error
    assert caught.value.pattern == pattern


def test_no_pattern_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match=r"no pattern is given; '\*\*' means every event"):
        catalog.select()


def test_a_pattern_is_a_string(catalog: Catalog) -> None:
    with pytest.raises(TypeError, match="pattern 3 is not a string"):
        catalog.select(3)  # type: ignore[arg-type]  # the mistake under test


def test_attach_attaches_one_handler_to_all_that_match(
    catalog: Catalog, telemetry: Telemetry
) -> None:
    seen: Seen = []

    names = catalog.attach(
        "orders",
        ["shop.order.*", "shop.trade.stop"],
        lambda *args: seen.append(args),
        "config",
        on_failure="keep",
        telemetry=telemetry,
    )
    telemetry.execute("shop.order.paid", {"count": 1}, {"a": 2})
    telemetry.execute("shop.sale.stop", {})
    telemetry.execute("shop.sale.start", {})

    assert names == ("shop.sale.stop", "shop.order.placed", "shop.order.paid")
    assert seen == [
        ("shop.order.paid", {"count": 1}, {"a": 2}, "config"),
        ("shop.sale.stop", {}, {}, "config"),
    ]
    assert {info.on_failure for info in telemetry.list_handlers()} == {"keep"}


def test_attach_takes_a_single_pattern(catalog: Catalog, telemetry: Telemetry) -> None:
    assert catalog.attach("a", "shop.order.paid", print, telemetry=telemetry) == (
        "shop.order.paid",
    )


def test_attach_refuses_what_the_dispatcher_refuses(catalog: Catalog, telemetry: Telemetry) -> None:
    catalog.attach("a", "**", print, telemetry=telemetry)

    with pytest.raises(HandlerExistsError):
        catalog.attach("a", "**", print, telemetry=telemetry)
    with pytest.raises(PatternError):
        catalog.attach("b", ["**", "nothing"], print, telemetry=telemetry)
    assert len({info.handler_id for info in telemetry.list_handlers()}) == 1


def test_without_a_dispatcher_it_is_the_default_one(catalog: Catalog) -> None:
    catalog.attach("test_catalog", "shop.order.paid", print)
    try:
        assert [info.handler_id for info in heliograph.list_handlers("shop")] == ["test_catalog"]
    finally:
        heliograph.detach("test_catalog")


def test_on_attaches_the_decorated_function(catalog: Catalog, telemetry: Telemetry) -> None:
    seen: Seen = []

    @catalog.on("shop.order.*", telemetry=telemetry)
    def remember(event: str, measurements: Any, metadata: Any, config: Any) -> None:
        seen.append((event, measurements, metadata, config))

    @catalog.on("shop.order.paid", id="mine", config=3, on_failure="keep", telemetry=telemetry)
    def remember_too(event: str, measurements: Any, metadata: Any, config: Any) -> None:
        remember(event, measurements, metadata, config)

    telemetry.execute("shop.order.paid", {})

    assert sorted(seen, key=str) == [
        ("shop.order.paid", {}, {}, 3),
        ("shop.order.paid", {}, {}, None),
    ]
    assert {str(info.handler_id) for info in telemetry.list_handlers()} == {
        f"{__name__}.{remember.__qualname__}",
        "mine",
    }


def test_on_refuses_at_the_function(catalog: Catalog, telemetry: Telemetry) -> None:
    with pytest.raises(PatternError):
        catalog.on("nothing", telemetry=telemetry)(print)


def test_stream_gives_snapshots_of_what_matches(catalog: Catalog, telemetry: Telemetry) -> None:
    async def read() -> list[str]:
        with_names = catalog.stream("shop.order.*", capacity=2, name="s", telemetry=telemetry)
        async with with_names as stream:
            for number in range(3):
                telemetry.execute("shop.order.paid", {"number": number})
            telemetry.execute("shop.sale.start", {})
            stream.close()
            return [str(snapshot.measurements) async for snapshot in stream]

    assert asyncio.run(read()) == ["{'number': 1}", "{'number': 2}"]


def test_two_documents_may_not_claim_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(SHOP)
    second.write_text(SHOP)

    with pytest.raises(CatalogError) as caught:
        load(first, second)

    told = str(caught.value).splitlines()
    assert told[0] == (
        f"{second}: catalog 'shop' is in {first} already; load one of them, or rename one"
    )
    assert told[1] == (
        f"{second}:6:3: event 'shop.sale.start' is declared at {first}:6:3 already in "
        "spans.shop.sale; let one catalog declare it"
    )
    assert told[-1] == (
        f"{second}:13:3: metric 'shop.orders' is declared at {first}:13:3 already in "
        "metrics.shop.orders; let one catalog declare it"
    )
    assert len(told) == 1 + 9 + 1


def test_load_finds_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "no_suffix").write_text(HEAD.format("other"))
    (tmp_path / "third.yml").write_text(HEAD.format("third"))
    monkeypatch.chdir(tmp_path)

    catalog = load("modboss", "shop.yaml", "./no_suffix", Path("third.yml"))

    assert [document.name for document in catalog.documents] == [
        "modboss",
        "shop",
        "other",
        "third",
    ]


def test_load_without_names_loads_all_that_are_installed() -> None:
    names = [document.name for document in load().documents]

    assert names[:4] == ["gateway", "heliograph", "modboss", "partisan"]


def test_what_is_given_twice_is_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)

    assert len(load(path, str(path), "modboss", "modboss").documents) == 2


def test_an_unknown_name_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownCatalogError) as caught:
        load("modbos", "xyz")

    first, second = str(caught.value).splitlines()
    assert first == "no catalog 'modbos' is installed; did you mean 'modboss'?"
    assert second.startswith("no catalog 'xyz' is installed; installed are gateway, heliograph, ")
    assert second.endswith("; a file's name must end in .yaml or have a slash")


def test_all_faults_of_all_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("catalog: a\n")

    with pytest.raises(CatalogError) as caught:
        load(path, tmp_path / "missing.yaml", "modbos")

    assert [fault.message for fault in caught.value.faults] == [
        "no catalog 'modbos' is installed",
        "missing 'version'",
        "missing 'brief'",
        "cannot be read: No such file or directory",
    ]
    assert not isinstance(caught.value, UnknownCatalogError)
