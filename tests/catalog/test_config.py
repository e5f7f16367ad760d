# SPDX-License-Identifier: Apache-2.0
"""Handlers attached as a file says, all or none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import heliograph
from heliograph import Telemetry
from heliograph._located import parse, plain
from heliograph.catalog import Catalog, ConfigError, attach_from_config, load_text
from heliograph.catalog.config import HANDLERS, plan_handlers
from heliograph.catalog.errors import Faults
from heliograph.catalog.shapes import Key, Record, Text, check_file

SHOP = """\
catalog: shop
version: 1.0.0
brief: A shop
events:
  shop.order.placed: {brief: Placed}
  shop.order.paid: {brief: Paid}
  shop.ordre.paid: {deprecated: {renamed_to: shop.order.paid}}
"""

MODULE = """\
SEEN = []
NUMBER = 3

def remember(event, measurements, metadata, config):
    SEEN.append((event, config))

async def coroutine(event, measurements, metadata, config):
    pass

class Inner:
    remember = staticmethod(remember)
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "watch_pkg").mkdir()
    (tmp_path / "watch_pkg" / "__init__.py").write_text("")
    (tmp_path / "watch_pkg" / "watch.py").write_text(MODULE)
    (tmp_path / "watch_pkg" / "broken.py").write_text("raise RuntimeError('not today')")
    (tmp_path / "watch_pkg" / "needs.py").write_text("import surely_not_installed")
    (tmp_path / "shop.yaml").write_text(SHOP)
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "watch_pkg"]:
        del sys.modules[name]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "handlers.yaml"
    path.write_text(text)
    return path


def seen() -> list[Any]:
    return list(importlib.import_module("watch_pkg.watch").SEEN)


GOOD = """\
catalogs: [shop.yaml, modboss]
handlers:
  - id: orders
    events: [shop.order.*, shop.ordre.paid]
    handler: watch_pkg.watch:remember
    config: {limit: 3, names: [a, b]}
    on_failure: quarantine
  - {id: reads, events: modboss.read.stop, handler: "watch_pkg.watch:Inner.remember"}
"""


def test_a_file_attaches_what_it_says(tmp_path: Path, telemetry: Telemetry) -> None:
    attached = attach_from_config(write(tmp_path, GOOD), telemetry=telemetry)

    telemetry.execute("shop.order.paid", {})
    telemetry.execute("modboss.read.stop", {})

    assert attached.handler_ids == ("orders", "reads")
    assert dict(attached.events) == {
        "orders": ("shop.order.placed", "shop.order.paid"),
        "reads": ("modboss.read.stop",),
    }
    assert seen() == [
        ("shop.order.paid", {"limit": 3, "names": ["a", "b"]}),
        ("modboss.read.stop", None),
    ]
    assert {(str(each.handler_id), each.on_failure) for each in telemetry.list_handlers()} == {
        ("orders", "quarantine"),
        ("reads", "detach"),
    }


def test_closing_detaches(tmp_path: Path, telemetry: Telemetry) -> None:
    with attach_from_config(write(tmp_path, GOOD), telemetry=telemetry) as attached:
        telemetry.detach("reads")  # by somebody else, or because it failed

    assert telemetry.list_handlers() == []
    attached.close()


def test_the_default_dispatcher_is_the_default(tmp_path: Path) -> None:
    with attach_from_config(write(tmp_path, GOOD)):
        assert "orders" in {each.handler_id for each in heliograph.list_handlers("shop")}

    assert heliograph.list_handlers("shop") == []


def test_handlers_may_stand_in_a_larger_file(tmp_path: Path, telemetry: Telemetry) -> None:
    write(tmp_path, GOOD)
    whole = Record("whole", "A larger file", (*HANDLERS.keys, Key("more", Text(), "More")))
    path = tmp_path / "larger.yaml"
    path.write_text(GOOD + "more: of it\n", encoding="utf-8")
    faults = Faults()
    entry = check_file(path, whole, faults)
    assert entry is not None

    handlers = plan_handlers(entry, tmp_path, faults)

    assert not faults
    assert repr(handlers) == "<2 handlers of a file>"
    for _ in range(2):
        with handlers.attach(telemetry) as attached:
            assert attached.handler_ids == ("orders", "reads")
        assert telemetry.list_handlers() == []


def test_a_catalog_may_be_given(tmp_path: Path, telemetry: Telemetry) -> None:
    path = write(
        tmp_path,
        "handlers: [{id: a, events: other.e, handler: 'watch_pkg.watch:remember'}]\n",
    )
    head = "catalog: other\nversion: 1.0.0\nbrief: Other\n"
    catalog = Catalog([load_text(head + "events: {other.e: {brief: E}}")])

    with attach_from_config(str(path), catalog=catalog, telemetry=telemetry) as attached:
        assert attached.events["a"] == ("other.e",)


def test_without_catalogs_all_that_are_installed_are_meant(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    path = write(
        tmp_path,
        "handlers: [{id: a, events: modboss.read.*, handler: 'watch_pkg.watch:remember'}]\n",
    )

    with attach_from_config(path, telemetry=telemetry) as attached:
        assert attached.events["a"] == tuple(
            f"modboss.read.{stage}" for stage in ("start", "stop", "exception")
        )


def faults(path: Path, telemetry: Telemetry) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        attach_from_config(path, telemetry=telemetry)
    assert telemetry.list_handlers() == []
    return str(caught.value).replace(f"{path}:", "").splitlines()


def handler(
    handler: str = "watch_pkg.watch:remember", events: str = "shop.order.paid", rest: str = ""
) -> str:
    return (
        "catalogs: [shop.yaml]\n"
        f"handlers:\n  - {{id: a, events: {events}, handler: '{handler}'{rest}}}\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            handler("no_such_module:f"),
            (
                "3:38: there is no module 'no_such_module' in handlers[0].handler; correct its "
                "name, or make it importable"
            ),
        ),
        (
            handler("watch_pkg.wacth:remember"),
            (
                "3:38: there is no module 'watch_pkg.wacth' in handlers[0].handler; correct its "
                "name, or make it importable"
            ),
        ),
        (
            handler("no_such_module.inner:f"),
            (
                "3:38: there is no module 'no_such_module' in handlers[0].handler; correct its "
                "name, or make it importable"
            ),
        ),
        (
            handler("watch_pkg.needs:f"),
            (
                "3:38: importing 'watch_pkg.needs' fails: ModuleNotFoundError: No module named "
                "'surely_not_installed' in handlers[0].handler; mend that module"
            ),
        ),
        (
            handler("watch_pkg.broken:f"),
            (
                "3:38: importing 'watch_pkg.broken' fails: RuntimeError: not today in "
                "handlers[0].handler; mend that module"
            ),
        ),
        (
            handler("watch_pkg.watch:rememmber"),
            (
                "3:38: 'watch_pkg.watch' has no 'rememmber' in handlers[0].handler; did you mean "
                "'remember'?"
            ),
        ),
        (
            handler("watch_pkg.watch:Inner.xyz"),
            "3:38: 'Inner' has no 'xyz' in handlers[0].handler; correct its name, or define it",
        ),
        (
            handler("watch_pkg.watch:SEEN.xyz"),
            "3:38: 'list' has no 'xyz' in handlers[0].handler; correct its name, or define it",
        ),
        (
            handler("watch_pkg.watch:NUMBER"),
            (
                "3:38: 'watch_pkg.watch:NUMBER' is of type int in handlers[0].handler; name "
                "something callable"
            ),
        ),
        (
            handler("watch_pkg.watch"),
            (
                "3:38: 'watch_pkg.watch' is not a path to a function in handlers[0].handler; "
                'write it like "package.module:function"'
            ),
        ),
        (
            handler(events="shop.order.payd"),
            (
                "3:13: no event matches 'shop.order.payd' in handlers[0].events; did you mean "
                "'shop.order.paid' or 'shop.order.placed'?"
            ),
        ),
        (
            handler(events="[shop.order.paid, shop.oder.*]"),
            (
                "3:39: no event matches 'shop.oder.*' in handlers[0].events[1]; at 'oder': did you "
                "mean 'order'?"
            ),
        ),
        (
            handler(events="'shop order'"),
            (
                "3:13: 'shop order' is not a pattern of event names in handlers[0].events; write "
                "it like shop.order.*"
            ),
        ),
        (
            handler(events="[]"),
            "3:13: the list is empty in handlers[0].events; name at least 1",
        ),
        (
            handler(rest=", on_failure: kep"),
            "3:75: unknown policy 'kep' in handlers[0].on_failure; did you mean 'keep'?",
        ),
        (
            handler(rest=", confg: 1"),
            "3:75: unknown key 'confg' in handlers[0]; did you mean 'config'?",
        ),
        (
            "catalogs: [shop.yaml]\nhandlers: [{id: a, events: '**'}]\n",
            "2:12: missing 'handler' in handlers[0]; add handler: the function",
        ),
        (
            (
                "catalogs: [shop.yaml]\nhandlers: [{events: '**', handler: "
                "'watch_pkg.watch:remember'}]\n"
            ),
            "2:12: missing 'id' in handlers[0]; add id: its id, unique in the dispatcher",
        ),
        (
            "catalogs: [shop.yaml]\n",
            "1:1: missing 'handlers'; add handlers: the functions",
        ),
        (
            "catalogs: [shop.yaml]\nhandlers: [3]\n",
            (
                "2:12: expected a mapping, found the number 3 in handlers[0]; its keys are id, "
                "events, handler ..."
            ),
        ),
        (
            "catalogs: []\nhandlers: []\n",
            "1:1: the list is empty in catalogs; name at least 1",
        ),
        ("- a\n", "1:1: the file holds a list, not a mapping; write 'key: value' lines"),
        ("", "1:1: the file is empty; write 'key: value' lines"),
    ],
)
def test_what_is_wrong_has_its_one_line(
    text: str, expected: str, tmp_path: Path, telemetry: Telemetry
) -> None:
    assert faults(write(tmp_path, text), telemetry) == [expected]


def test_one_id_may_not_stand_twice(tmp_path: Path, telemetry: Telemetry) -> None:
    text = handler() + handler().splitlines()[-1] + "\n"

    assert faults(write(tmp_path, text), telemetry) == [
        "4:6: handler id 'a' stands twice in handlers[1].id; rename one of them"
    ]


def test_faults_of_the_catalogs_are_told_and_not_what_follows_from_them(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    (tmp_path / "shop.yaml").write_text("catalog: shop\nversion: 1.0.0\n")

    assert faults(write(tmp_path, handler()), telemetry) == [
        f"{tmp_path}/shop.yaml:1:1: missing 'brief'; add brief: what it is, in one line"
    ]


def test_an_unreadable_file_is_told(tmp_path: Path, telemetry: Telemetry) -> None:
    assert faults(tmp_path / "missing.yaml", telemetry) == [
        "1:1: cannot be read: No such file or directory; name a readable YAML file"
    ]


def test_faults_without_end_are_told_up_to_a_bound(tmp_path: Path, telemetry: Telemetry) -> None:
    text = "handlers:\n" + "- 3\n" * 1000

    assert len(faults(write(tmp_path, text), telemetry)) == Faults.LIMIT + 1


THREE = """\
catalogs: [shop.yaml]
handlers:
  - {id: first, events: shop.order.paid, handler: "watch_pkg.watch:remember"}
  - {id: second, events: shop.order.paid, handler: "watch_pkg.watch:remember"}
  - {id: third, events: shop.order.paid, handler: "watch_pkg.watch:remember"}
"""


def test_if_the_third_fails_the_first_two_are_detached(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    telemetry.attach("third", "shop.order.placed", print)
    path = write(tmp_path, THREE)

    with pytest.raises(ConfigError) as caught:
        attach_from_config(path, telemetry=telemetry)

    assert str(caught.value).startswith(f"{path}:5:5: ")
    assert "'third'" in str(caught.value)
    assert [each.handler_id for each in telemetry.list_handlers()] == ["third"]


def test_a_coroutine_function_is_refused_and_located(tmp_path: Path, telemetry: Telemetry) -> None:
    path = write(
        tmp_path,
        THREE.replace("remember", "coroutine").replace("coroutine", "remember", 1),
    )

    [fault] = faults(path, telemetry)

    assert fault.startswith("4:5: ")
    assert "coroutine" in fault


def test_an_interruption_leaves_nothing_attached(
    tmp_path: Path, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Telemetry):
        def attach_many(self, handler_id: object, *args: Any, **options: Any) -> None:
            if handler_id == "third":
                raise KeyboardInterrupt
            super().attach_many(handler_id, *args, **options)

    interrupted = Interrupted()

    with pytest.raises(KeyboardInterrupt):
        attach_from_config(write(tmp_path, THREE), telemetry=interrupted)

    assert interrupted.list_handlers() == []


def test_the_format_says_itself_as_json_schema_and_in_words(tmp_path: Path) -> None:
    schema = HANDLERS.schema()
    tree = parse(GOOD.encode(), "handlers.yaml", Faults())
    assert tree is not None

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plain(tree), schema, cls=jsonschema.Draft202012Validator)

    words = {key.name: key.shape.words() for record in HANDLERS.records() for key in record.keys}
    assert words["handlers"] == "[*handler*, ...]"
    assert words["config"] == "anything"


def test_a_config_that_is_no_single_value_is_handed_on(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    text = handler(rest=", config: [1, {a: yes}]")

    attach_from_config(write(tmp_path, text), telemetry=telemetry)

    assert [each.config for each in telemetry.list_handlers()] == [[1, {"a": "yes"}]]
