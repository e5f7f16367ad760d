# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import heliograph
import heliograph.catalog

Call = Callable[..., Result]


def test_everything_about_an_event(call: Call) -> None:
    result = call("catalog", "show", "shop.order.placed", "shop.yaml")

    assert (
        result.stdout
        == """\
shop.order.placed
  An order came in
  catalog    shop 1.0.0, shop.yaml
  log event  severity info
  stability  development
  old names  shop.order.made

measurements
  items  int in {item}  shop.items  Items ordered

metadata
  order  string  shop.order.id  Order (such as A1)

metrics
  shop.orders  counter in {order}  Orders

execute
  heliograph.execute("shop.order.placed", {"items": 1}, {"order": "A1"})

listen
  def handle(event, measurements, metadata, config):
      print(event, measurements, metadata)

  heliograph.attach("mine", "shop.order.placed", handle)
"""
    )


def test_everything_about_one_event_of_a_span(call: Call) -> None:
    lines = call("catalog", "show", "shop.payment.stop", "shop.yaml").stdout.splitlines()

    names = "shop.payment.start, shop.payment.stop, shop.payment.exception"
    assert f"  span       shop.payment, kind internal: {names}" in lines
    assert '  with heliograph.span("shop.payment") as span:' in lines
    assert '      span.metadata["result"] = heliograph.Ok(...)' in lines
    assert '  heliograph.attach("mine", "shop.payment.stop", handle)' in lines


def test_everything_about_a_span(call: Call) -> None:
    lines = call("catalog", "show", "shop.payment", "shop.yaml").stdout.splitlines()

    assert lines[:2] == ["shop.payment", "  An order is paid"]
    assert {"start: measurements", "stop: measurements", "exception: metadata"} <= {*lines}
    assert (
        '  heliograph.catalog.load("shop.yaml").attach("mine", "shop.payment.*", handle)' in lines
    )


def test_installed_catalogs_are_loaded_by_name(call: Call) -> None:
    lines = call("catalog", "show", "modboss.read").stdout.splitlines()

    assert '  heliograph.catalog.load("modboss").attach("mine", "modboss.read.*", handle)' in lines


def test_an_old_name_leads_to_the_new_one(call: Call) -> None:
    lines = call("catalog", "show", "shop.order.made", "shop.yaml").stdout.splitlines()

    assert lines[:3] == [
        "shop.order.made is an old name of shop.order.placed",
        "",
        "shop.order.placed",
    ]


def test_the_old_name_of_a_span_leads_to_the_new_one(call: Call, folder: Path) -> None:
    text = (
        (folder / "shop.yaml")
        .read_text()
        .replace("spans:\n", "spans:\n  shop.paying: {deprecated: {renamed_to: shop.payment}}\n")
    )
    (folder / "shop.yaml").write_text(text)

    lines = call("catalog", "show", "shop.paying", "shop.yaml").stdout.splitlines()

    assert lines[0] == "shop.paying is an old name of shop.payment"


ALL = """
catalog: all
version: 1.0.0
brief: Every kind of field
fields:
  a_string: {type: string, brief: A, values: [x, y], cardinality: high}
  an_int: {type: int, brief: B}
  a_float: {type: float, brief: B}
  a_bool: {type: bool, brief: B}
  some_bytes: {type: bytes, brief: B, examples: [ab]}
  a_list: {type: "string[]", brief: B, examples: [[a, b]]}
  a_long_list: {type: "int[]", brief: B}
  secret: {type: string, brief: C, sensitivity: sensitive, attribute: none}
  old: {type: string, brief: D, deprecated: {note: Rarely there}}
  extra: {type: string, brief: E}
events:
  all.happened:
    brief: It did
    measurements: [an_int, a_float]
    metadata: [a_string, a_bool, some_bytes, a_list, a_long_list, secret, old, "extra?"]
    log: false
    note: Mind the gap
    deprecated: {note: Nobody needs it}
  all.quiet: {brief: Nothing}
spans:
  all.work: {brief: Work, metadata: [old], stop: {measurements: [an_int]}}
  all.rest: {brief: Rest}
metrics:
  all.worked:
    brief: Work
    instrument: histogram
    event: all.work.stop
    measurement: duration
    unit: s
    tags: [old]
"""


def test_what_a_field_is_like_is_said(call: Call, folder: Path) -> None:
    (folder / "all.yaml").write_text(ALL)

    text = call("catalog", "show", "all.happened", "all.yaml").stdout

    for words in (
        "log event   none",
        "deprecated  Nobody needs it",
        "note        Mind the gap",
        "A (high cardinality; one of x, y)",
        "C (sensitive)",
        "D (deprecated)",
        "E (may be absent)",
        "(such as a, b)",
    ):
        assert words in text


@pytest.mark.parametrize("name", ["all.happened", "all.quiet", "all.work", "all.rest"])
def test_the_examples_run_and_conform(
    call_json: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (folder / "all.yaml").write_text(ALL)
    examples = call_json("catalog", "show", name, "all.yaml")["examples"]

    exec(examples["attach"], scope := {"heliograph": heliograph})
    try:
        with heliograph.catalog.load("all.yaml").enforce():
            exec(examples["execute"], scope)
    finally:
        heliograph.detach("mine")

    assert capsys.readouterr().out.startswith(name)


def test_for_people_headings_stand_out(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    result = call("catalog", "show", "shop.order.placed", "shop.yaml")

    assert "\x1b[1mshop.order.placed\x1b[0m" in result.stdout


def test_json(call_json: Callable[..., Any]) -> None:
    document = call_json("catalog", "show", "shop.order.made", "shop.yaml")

    assert document["asked"] == "shop.order.made"
    assert document["name"] == "shop.order.placed"
    assert document["aliases"] == ["shop.order.made"]
    assert [each["name"] for each in document["events"]] == ["shop.order.placed"]
    assert document["span"] is None
    assert document["metrics"] == [
        {
            "name": "shop.orders",
            "catalog": "shop",
            "brief": "Orders",
            "instrument": "counter",
            "unit": "{order}",
            "events": ["shop.order.placed"],
            "measurement": None,
            "tags": [],
            "stability": "development",
            "deprecated": None,
            "note": None,
        }
    ]


def test_json_of_a_span(call_json: Callable[..., Any]) -> None:
    document = call_json("catalog", "show", "shop.payment", "shop.yaml")

    assert [each["kind"] for each in document["events"]] == ["start", "stop", "exception"]
    assert document["span"] == {
        "name": "shop.payment",
        "catalog": "shop",
        "kind": "internal",
        "span_name": "shop.payment",
        "brief": "An order is paid",
        "events": ["shop.payment.start", "shop.payment.stop", "shop.payment.exception"],
        "stability": "development",
        "deprecated": None,
        "note": None,
    }


def test_an_unknown_event_is_a_negative_answer_with_suggestions(call: Call) -> None:
    result = call("catalog", "show", "shop.order.plaecd", "shop.yaml")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "heliograph: no event 'shop.order.plaecd' in shop; did you mean 'shop.order.placed' or "
        "'shop.order.made'?\n"
    )


def test_an_unknown_event_unlike_any(call: Call) -> None:
    result = call("catalog", "show", "zzz", "shop.yaml")

    assert result.stderr == "heliograph: no event 'zzz' in shop\n"
