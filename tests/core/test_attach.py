# SPDX-License-Identifier: Apache-2.0
"""Attaching, detaching, listing: what is taken, what is refused, and what the refusal says."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

from heliograph import (
    EventNameError,
    HandlerExistsError,
    HandlerInfo,
    HandlerNotFoundError,
    Telemetry,
)


def ignore(*_: object) -> None:
    pass


class Ignoring:
    def __repr__(self) -> str:
        return "Ignoring()"  # without its address, which would make a test's id differ each run

    def __call__(self, *_: object) -> None:
        pass

    def method(self, *_: object) -> None:
        pass

    @classmethod
    def class_method(cls, *_: object) -> None:
        pass

    @staticmethod
    def static_method(*_: object) -> None:
        pass


async def coroutine(*_: object) -> None:
    pass


def generator(*_: object) -> Generator[None]:
    yield


async def async_generator(*_: object) -> AsyncGenerator[None]:
    yield


class Awaitable:
    async def __call__(self, *_: object) -> None:
        pass

    async def method(self, *_: object) -> None:
        pass


WELL_FORMED = ["a", "a.b", "modboss.read.stop", "a1.b_2.c__", "z" * 1_000, ".".join(["a"] * 500)]
MALFORMED = [
    ("", "''"),
    (".", "''"),
    ("a.", "''"),
    (".a", "''"),
    ("a..b", "''"),
    ("A.b", "'A'"),
    ("a.B", "'B'"),
    ("a.1b", "'1b'"),
    ("a._b", "'_b'"),
    ("a b", "'a b'"),
    ("a-b.c", "'a-b'"),
    ("a.*", "'*'"),
    ("a.b\n", r"'b\n'"),
    ("a.é", "'é'"),
    ("ä.b", "'ä'"),
    ("a.²", "'²'"),
    ("a.b\0", r"'b\x00'"),
]


class TestNames:
    @pytest.mark.parametrize("name", WELL_FORMED, ids=lambda name: name[:20])
    def test_a_name_is_dotted_segments(self, telemetry: Telemetry, name: str) -> None:
        telemetry.attach("h", name, ignore)

        assert [info.event for info in telemetry.list_handlers()] == [name]

    @pytest.mark.parametrize(("name", "segment"), MALFORMED)
    @pytest.mark.parametrize(
        "use",
        [
            lambda t, name: t.attach("h", name, ignore),
            lambda t, name: t.attach_many("h", ["a.b", name], ignore),
            lambda t, name: t.event(name),
            lambda t, name: t.spanning(name),
            lambda t, name: t.span(name),
            lambda t, name: t.traced(name),
        ],
        ids=["attach", "attach_many", "event", "spanning", "span", "traced"],
    )
    def test_a_malformed_name_is_refused_with_its_bad_segment(
        self, telemetry: Telemetry, name: str, segment: str, use: Callable[[Telemetry, str], object]
    ) -> None:
        with pytest.raises(EventNameError) as caught:
            use(telemetry, name)

        assert repr(name) in str(caught.value)
        assert f"malformed at {segment}" in str(caught.value)
        assert "shop.order.placed" in str(caught.value)
        assert telemetry.list_handlers() == []

    def test_a_malformed_name_is_a_value_error(self) -> None:
        assert issubclass(EventNameError, ValueError)

    @pytest.mark.parametrize("name", [None, 1, b"a.b", ["a", 1], ("a", None)])
    def test_what_is_no_string_is_refused(self, telemetry: Telemetry, name: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.attach("h", name, ignore)

        assert str(caught.value) == f"event name {name!r} is not a string"

    @pytest.mark.parametrize("name", [["a", "b"], ("a", "b")])
    def test_a_list_of_segments_is_refused_with_the_name_it_means(
        self, telemetry: Telemetry, name: Any
    ) -> None:
        with pytest.raises(TypeError, match=r"is not a string; write 'a\.b'$"):
            telemetry.attach("h", name, ignore)

    def test_a_span_prefix_is_called_one(self, telemetry: Telemetry) -> None:
        with pytest.raises(EventNameError, match=r"^span prefix 'A' is malformed"):
            telemetry.spanning("A")


class TestHandlerIds:
    @pytest.mark.parametrize(
        "handler_id", ["h", "", None, 0, ("module", 7), frozenset({1}), Ignoring(), b"h"], ids=repr
    )
    def test_any_hashable_will_do(self, telemetry: Telemetry, handler_id: Any) -> None:
        telemetry.attach(handler_id, "a.b", ignore)
        assert [info.handler_id for info in telemetry.list_handlers()] == [handler_id]

        telemetry.detach(handler_id)
        assert telemetry.list_handlers() == []

    @pytest.mark.parametrize("handler_id", [[], {}, ("a", [])], ids=repr)
    def test_what_is_not_hashable_is_refused(self, telemetry: Telemetry, handler_id: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.attach(handler_id, "a.b", ignore)

        assert str(caught.value) == (
            f"handler id {handler_id!r} is not hashable; use a string or a tuple"
        )

    def test_a_taken_id_is_refused_with_what_it_is_attached_to(self, telemetry: Telemetry) -> None:
        telemetry.attach_many("h", ["a.b", "c.d"], ignore)

        with pytest.raises(HandlerExistsError) as caught:
            telemetry.attach("h", "e.f", ignore)

        assert str(caught.value) == (
            "handler id 'h' is already attached to a.b, c.d; detach it first or choose another id"
        )
        assert isinstance(caught.value, ValueError)
        assert {info.event for info in telemetry.list_handlers()} == {"a.b", "c.d"}

    def test_an_equal_id_is_the_same_id(self, telemetry: Telemetry) -> None:
        telemetry.attach(1, "a.b", ignore)

        with pytest.raises(HandlerExistsError):
            telemetry.attach(1.0, "c.d", ignore)

    def test_dispatchers_share_no_ids(self, telemetry: Telemetry) -> None:
        telemetry.attach("h", "a.b", ignore)
        Telemetry().attach("h", "a.b", ignore)

    def test_detaching_what_is_not_attached_is_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(HandlerNotFoundError) as caught:
            telemetry.detach("h")

        assert str(caught.value) == (
            "no handler is attached under the id 'h'; list_handlers() shows those that are"
        )
        assert isinstance(caught.value, LookupError)

    def test_nothing_is_attached_under_what_is_not_hashable(self, telemetry: Telemetry) -> None:
        with pytest.raises(HandlerNotFoundError):
            telemetry.detach([])  # type: ignore[arg-type]  # that is the point

    def test_a_failed_attach_leaves_nothing(self, telemetry: Telemetry) -> None:
        with pytest.raises(EventNameError):
            telemetry.attach_many("h", ["a.b", "C"], ignore)

        with pytest.raises(HandlerNotFoundError):
            telemetry.detach("h")
        assert not telemetry.event("a.b").handlers


class TestHandlers:
    @pytest.mark.parametrize(
        "handler",
        [
            ignore,
            lambda *_: None,
            functools.partial(ignore, 1),
            Ignoring(),
            Ignoring().method,
            Ignoring.class_method,
            Ignoring.static_method,
            print,
            [].append,
            dict,
        ],
    )
    def test_a_callable_will_do(self, telemetry: Telemetry, handler: Any) -> None:
        telemetry.attach("h", "a.b", handler)

        assert [info.handler for info in telemetry.list_handlers()] == [handler]

    @pytest.mark.parametrize("handler", [None, "print", 1, object()])
    def test_what_cannot_be_called_is_refused(self, telemetry: Telemetry, handler: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.attach("h", "a.b", handler)

        assert str(caught.value) == f"handler 'h' is not callable: {handler!r}"

    @pytest.mark.parametrize(
        "handler",
        [
            coroutine,
            generator,
            async_generator,
            Awaitable(),
            Awaitable().method,
            functools.partial(coroutine, 1),
            functools.partial(functools.partial(Awaitable(), 1), 2),
        ],
    )
    def test_what_nobody_would_run_is_refused(self, telemetry: Telemetry, handler: Any) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.attach("h", "a.b", handler)

        assert "handler 'h' is a coroutine or generator function" in str(caught.value)
        assert "heliograph.stream" in str(caught.value)
        assert telemetry.list_handlers() == []

    @pytest.mark.parametrize("policy", ["", "drop", None, "raise", "Detach"])
    def test_an_unknown_policy_is_refused(self, telemetry: Telemetry, policy: Any) -> None:
        with pytest.raises(ValueError, match="must be 'detach', 'keep' or 'quarantine'") as caught:
            telemetry.attach("h", "a.b", ignore, on_failure=policy)

        assert f"handler 'h': on_failure is {policy!r}" in str(caught.value)


class TestAttachMany:
    def test_any_iterable_of_names_will_do(self, telemetry: Telemetry) -> None:
        def names() -> Iterator[str]:
            yield from ("a.b", "c.d")

        telemetry.attach_many("h", names(), ignore)

        assert [info.event for info in telemetry.list_handlers()] == ["a.b", "c.d"]

    def test_a_single_string_is_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(TypeError) as caught:
            telemetry.attach_many("h", "a.b", ignore)

        assert str(caught.value) == (
            "attach_many takes several event names, not the string 'a.b'; "
            "use attach for a single event"
        )

    def test_what_is_no_collection_is_refused(self, telemetry: Telemetry) -> None:
        events: Any = None
        with pytest.raises(TypeError) as caught:
            telemetry.attach_many("h", events, ignore)

        assert str(caught.value) == (
            "attach_many takes several event names, not None; give it a list of them"
        )

    def test_no_names_are_refused(self, telemetry: Telemetry) -> None:
        with pytest.raises(ValueError, match="no events for handler 'h'; name at least one"):
            telemetry.attach_many("h", [], ignore)

    def test_an_event_named_twice_counts_once(self, telemetry: Telemetry) -> None:
        telemetry.attach_many("h", ["a.b", "c.d", "a.b"], ignore)

        assert [info.event for info in telemetry.list_handlers()] == ["a.b", "c.d"]
        assert telemetry.list_handlers()[0].events == ("a.b", "c.d")

    def test_one_handler_for_all_gets_one_configuration(
        self, telemetry: Telemetry, calls: list[Any], record: Callable[..., None]
    ) -> None:
        config = {"limit": 1}
        telemetry.attach_many("h", ["a.b", "c.d"], record, config)

        telemetry.execute("a.b", {})
        telemetry.execute("c.d", {})

        assert [call[3] for call in calls] == [config, config]
        assert all(call[3] is config for call in calls)


class TestListHandlers:
    def test_an_item_says_everything_about_one_event_of_one_handler(
        self, telemetry: Telemetry
    ) -> None:
        telemetry.attach_many("h", ["a.b", "c.d"], ignore, 7, on_failure="keep")

        assert telemetry.list_handlers("c") == [
            HandlerInfo("h", "c.d", ignore, 7, "keep", "attached", 0, ("a.b", "c.d"))
        ]

    def test_a_handler_is_detached_by_default_when_it_fails(self, telemetry: Telemetry) -> None:
        telemetry.attach("h", "a.b", ignore)
        telemetry.attach_many("i", ["a.b"], ignore)

        assert {info.on_failure for info in telemetry.list_handlers()} == {"detach"}

    @pytest.mark.parametrize(
        ("prefix", "found"),
        [
            ("", ["shop", "shop.order", "shop.order.placed", "shop.orders"]),
            ("shop", ["shop", "shop.order", "shop.order.placed", "shop.orders"]),
            ("shop.order", ["shop.order", "shop.order.placed"]),
            ("shop.order.placed", ["shop.order.placed"]),
            ("shop.ord", []),
            ("other", []),
        ],
    )
    def test_a_prefix_is_whole_segments(
        self, telemetry: Telemetry, prefix: str, found: list[str]
    ) -> None:
        for name in ("shop", "shop.order", "shop.order.placed", "shop.orders"):
            telemetry.attach(name, name, ignore)

        assert [info.event for info in telemetry.list_handlers(prefix)] == found

    def test_the_list_is_the_callers(self, telemetry: Telemetry) -> None:
        telemetry.attach("h", "a.b", ignore)
        telemetry.list_handlers().clear()

        assert len(telemetry.list_handlers()) == 1

    def test_it_counts_failures(self, telemetry: Telemetry) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError

        telemetry.attach("h", "a.b", fail, on_failure="keep")
        for _ in range(3):
            telemetry.execute("a.b", {})

        assert [info.failures for info in telemetry.list_handlers()] == [3]
