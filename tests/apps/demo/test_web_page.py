# SPDX-License-Identifier: Apache-2.0
"""The page in a browser: what is seen of what it is told, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliograph.apps.collect import Source
from heliograph.apps.collect.model import Scope
from tests.apps.collect.samples import histogram, log, metric, number, span
from tests.apps.demo.browser import Browser, Page
from tests.apps.demo.stage import NAMES, Stage, event, reading, source

MARKUP = "<img src=x onerror=\"document.title='broken'\"><b>&amp;"
SIZES = pytest.mark.parametrize("width", [1280, 400])


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        made.run()
        yield made


@pytest.fixture
def page(chromium: Browser, stage: Stage) -> Iterator[Page]:
    with chromium.page(stage.url) as made:
        made.wait("document.querySelectorAll('.tile').length === 3")
        made.wait("document.querySelectorAll('#entry-list button').length > 50")
        yield made
        # Read while the server is still there: that a stream is lost is told on the console.
        assert made.errors == []


def event_names(page: Page) -> list[str]:
    found: list[str] = page.do(
        "[...document.querySelectorAll('#event-list .what')].map((each) => each.innerText)"
    )
    return found


# -- What is seen ----------------------------------------------------------------------------------


def test_members_their_connections_and_their_devices_are_drawn(page: Page) -> None:
    assert page.count("#graph .member") == 3
    assert page.count("#graph .link.up") == 3
    assert page.count("#graph .poll") == 3
    drawing = page.do("document.querySelector('#graph svg').getAttribute('aria-label')")
    assert f"{NAMES[0]} is running, polls boiler." in drawing
    assert f"{NAMES[0]} with {NAMES[1]}" in drawing
    assert page.text("#cluster-said") == "3 of 3 members running"


def test_who_is_killed_is_seen_dead_and_their_devices_with_others(page: Page, stage: Stage) -> None:
    scene = stage.demo.scene
    stage.do(lambda: scene.killed(NAMES[1]))

    page.wait("document.querySelector('#graph .member.dead')")
    assert page.text("#graph .member.dead .said") == "killed"
    page.wait("document.querySelectorAll('#graph .link.down').length === 2")
    page.wait("document.querySelector('.tile.lonely .chip.none')")
    assert page.text(".tile.lonely h3") == "chiller"

    stage.do(lambda: scene.told(NAMES[2], event("gateway.device.taken", device="chiller")))

    page.wait("!document.querySelector('.tile.lonely')")
    assert page.do("document.querySelectorAll('.tile .chip')[1].innerText") == "g3"
    assert "2 of 3 members running" in page.text("#cluster-said")


def test_devices_show_what_they_measure_and_their_alarms(page: Page, stage: Stage) -> None:
    for value in (60.0, 70.5, 76.25):
        stage.measure("boiler", temperature=value)

    page.wait("document.querySelector('.tile b').innerText === '76.3'")
    assert page.text(".tile .value").split() == ["temperature", "76.3", "°C"]
    path = page.do("document.querySelector('.tile .spark .line').getAttribute('d')")
    assert path.count("L") == 2

    raised = event("gateway.alarm.raised", device="boiler", mapping="temperature", told_by=NAMES[0])
    stage.do(lambda: stage.demo.scene.told(NAMES[0], raised))

    page.wait("document.querySelector('.tile .chip.warn')")
    assert page.text("#devices-said") == "3 devices, 1 alarm"
    assert page.do("document.querySelector('.tile .limit').hasAttribute('hidden')") is False


def test_what_is_done_and_promised_is_told(page: Page, stage: Stage) -> None:
    stage.do(lambda: stage.viewer.say("Gateway g2 is killed", 25.2))

    page.wait("document.querySelector('#story li')")
    assert page.text("#story li").split("\n") == ["25.2 s", "Gateway g2 is killed"]
    assert page.count("#promise-list li") == 10
    assert page.text("#stage") == "On stage"
    assert page.text("#clock").endswith("0 spans, 0 metric points, 6 log events")

    stage.demo.endpoint = "http://collector.example:4318"
    stage.demo.scene.looking = False
    stage.do(lambda: None)

    page.wait("document.querySelectorAll('#promise-list .skipped').length === 3")
    assert page.text("#clock").endswith("the telemetry is at http://collector.example:4318")


def test_whatever_others_call_things_is_text(chromium: Browser) -> None:
    named = source(MARKUP)
    attributes = {MARKUP: MARKUP}
    with Stage([MARKUP]) as stage:
        stage.run()
        stage.measure(MARKUP, **{MARKUP: 1.5})
        one = span("a", name=MARKUP, source=named, attributes=attributes, status="error")
        stage.take(
            spans=[one],
            logs=[log(event_name=MARKUP, body=MARKUP, source=named, attributes=attributes)],
            metrics=[metric(number(1, **attributes), name=MARKUP, unit=MARKUP, source=named)],
        )
        stage.do(lambda: stage.viewer.say(MARKUP, 1.0))
        with chromium.page(stage.url) as page:
            page.wait("document.querySelector('.tile .value') && document.querySelector('.span')")
            page.wait("document.querySelector('#event-list details')")
            page.wait("document.querySelector('#metric-list details')")
            page.do("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            page.wait("document.querySelector('#event-list .about dd')")

            assert page.text(".tile h3") == MARKUP
            assert page.text(".tile .value span") == MARKUP
            assert page.text("#waterfall h3") == MARKUP
            assert page.text(".span dd") == MARKUP
            assert MARKUP in event_names(page)
            assert page.text("#story li").endswith(MARKUP)
            assert page.count("main img") == 0
            assert page.do("document.title") == "heliograph"
            assert page.errors == []


def test_the_page_may_run_nothing_but_its_own(page: Page) -> None:
    """What the policy is there for, should something be wrong with the page."""
    refused = page.do(
        """(() => {
            try { document.body.innerHTML = "<p>new</p>"; } catch (error) { return error.name; }
        })()"""
    )
    assert refused == "TypeError"
    ran = page.do(
        """new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => {
                resolve([event.effectiveDirective, window.ran ?? false]);
            });
            const made = document.createElement("a");
            made.setAttribute("href", "#");
            const script = document.createElement("script");
            script.async = false;
            try { script.text = "window.ran = true"; } catch { }
            document.body.append(script);
            fetch("http://127.0.0.1:9/").catch(() => {});
        })"""
    )
    assert ran[1] is False
    page.errors.clear()  # the refusals


# -- Traces ----------------------------------------------------------------------------------------


@SIZES
def test_a_trace_is_chosen_and_read(page: Page, stage: Stage, width: int) -> None:
    page.resize(width, 800)
    stage.take(spans=reading("t1", NAMES[0], at=10**9))
    page.wait("document.querySelector('#trace-list button[aria-current]')")
    assert page.count("#waterfall .span") == 2

    stage.take(spans=reading("t2", NAMES[1], at=2 * 10**9, failed=True))
    # Until somebody chooses, what had to be done again is of more interest.
    page.wait("document.querySelectorAll('#waterfall .span').length === 3")
    assert page.count("#waterfall .span.failed") == 1
    assert page.text("#waterfall .whole").startswith("modboss.read\nerror\nretry")

    page.click("#trace-list button[data-id=t1]")
    page.wait("document.querySelectorAll('#waterfall .span').length === 2")
    stage.take(spans=reading("t3", NAMES[1], at=3 * 10**9, failed=True))
    page.wait("document.querySelector('#traces-said').innerText.startsWith('3 of 3')")
    assert page.count("#waterfall .span.failed") == 0


def test_spans_are_where_they_were_in_time(page: Page, stage: Stage) -> None:
    stage.take(spans=reading("t1", NAMES[0], failed=True))
    page.wait("document.querySelectorAll('#waterfall .span').length === 3")
    track, *bars = page.do(
        """[...document.querySelectorAll("#waterfall .track, #waterfall .bar")]
            .map((each) => each.getBoundingClientRect()).map((box) => [box.left, box.width])"""
    )[0::1]
    tracks, shares = [track, *bars][0::2], [track, *bars][1::2]
    found = [
        (round(9 * (bar[0] - whole[0]) / whole[1]), round(9 * bar[1] / whole[1]))
        for whole, bar in zip(tracks, shares, strict=True)
    ]

    assert found == [(0, 9), (1, 1), (7, 1)]


def test_a_span_is_opened_by_the_keyboard(page: Page, stage: Stage) -> None:
    stage.take(spans=reading("t1", NAMES[0], failed=True))
    page.wait("document.querySelectorAll('#waterfall .span').length === 3")
    page.do("document.querySelector('#waterfall summary').focus()")
    page.press("ArrowDown", "Enter")

    page.wait("document.querySelectorAll('#waterfall details')[1].open")
    about = page.text("#waterfall details[open] .about")
    assert about.startswith("device_busy")
    assert "server.port\n502" in about


def test_traces_are_filtered(page: Page, stage: Stage) -> None:
    stage.take(
        spans=[
            *reading("t1", NAMES[0], at=10**9),
            *reading("t2", NAMES[1], at=2 * 10**9, failed=True),
            span("x", trace_id="t3", name="partisan.message.send", source=source(NAMES[2])),
        ]
    )
    page.wait("document.querySelectorAll('#trace-list button').length === 3")
    page.choose("#trace-kind", "retries")
    assert page.do("document.querySelector('#trace-list button').dataset.id") == "t2"
    assert page.count("#trace-list button") == 1

    page.choose("#trace-kind", "")
    page.write("#trace-name", "message")
    assert page.do("document.querySelector('#trace-list button').dataset.id") == "t3"
    assert page.count("#trace-list button") == 1


def test_a_list_stands_still_while_somebody_chooses_from_it(page: Page, stage: Stage) -> None:
    stage.take(spans=reading("t1", NAMES[0], at=10**9))
    page.wait("document.querySelectorAll('#trace-list button').length === 1")
    page.do("document.querySelector('#trace-list button').focus()")
    stage.take(spans=reading("t2", NAMES[0], at=2 * 10**9))

    page.wait("document.querySelector('#traces-said').innerText === '2 of 2 traces, held still'")
    assert page.count("#trace-list button") == 1

    page.do("document.activeElement.blur()")
    page.wait("document.querySelectorAll('#trace-list button').length === 2")


# -- Log events ------------------------------------------------------------------------------------


@SIZES
def test_events_are_filtered_by_name_and_severity(page: Page, stage: Stage, width: int) -> None:
    page.resize(width, 800)
    stage.take(
        logs=[
            log(event_name="gateway.alarm.raised", severity=17, time=10**18),
            log(event_name="gateway.device.taken", severity=9, time=10**18 + 10**9),
            log(event_name="partisan.socket.close", severity=13, time=10**18 + 2 * 10**9),
        ]
    )
    page.wait("document.querySelectorAll('#event-list details').length === 9")
    assert event_names(page).count("partisan.membership.peer.up") == 6

    page.choose("#event-severity", "13")
    assert event_names(page) == ["partisan.socket.close", "gateway.alarm.raised"]
    page.choose("#event-severity", "0")
    page.write("#event-name", "GATEWAY -device")
    assert event_names(page) == ["gateway.alarm.raised"]
    page.write("#event-name", "-partisan")
    assert event_names(page) == ["gateway.device.taken", "gateway.alarm.raised"]
    page.write("#event-name", "")
    assert len(event_names(page)) == 9


def test_an_event_leads_to_its_entry_in_the_catalog(page: Page, stage: Stage) -> None:
    attributes = {"gateway.device.name": "boiler", "big": 2**60}
    stage.take(logs=[log(event_name="gateway.device.taken", time=10**18, attributes=attributes)])
    page.write("#event-name", "taken")
    page.wait("document.querySelectorAll('#event-list details').length === 1")
    page.click("#event-list summary")
    page.wait("document.querySelector('#event-list .about button')")
    assert str(2**60) in page.text("#event-list .about")

    page.click("#event-list .about button")
    page.wait("document.querySelector('#entry h3')")
    assert page.text("#entry h3") == "gateway.device.taken"


def test_no_more_is_held_and_drawn_than_can_be_read(page: Page, stage: Stage) -> None:
    for part in range(10):
        stage.take(
            logs=[log(event_name=f"event.e{part * 200 + each}", time=part) for each in range(200)]
        )
    page.wait("document.querySelector('#events-said').innerText.includes('500 events')")
    page.wait("document.querySelector('#event-list .what').innerText === 'event.e1999'")

    assert page.count("#event-list details") == 200


# -- Metrics ---------------------------------------------------------------------------------------


def test_metrics_open_to_their_series(page: Page, stage: Stage) -> None:
    spread = histogram((0, 100), (0.001,), sum=0.4, max=0.004)
    stage.take(
        metrics=[
            metric(number(3, tag="a"), name="shop.orders"),
            metric(number(4, tag="b"), name="shop.orders"),
            metric(
                spread, name="modboss.read.duration", unit="s", kind="histogram", monotonic=None
            ),
        ]
    )
    page.wait("document.querySelectorAll('#metric-list details').length === 2")
    shown = page.text("#metric-list").split()
    assert shown[:4] == ["modboss.read.duration", "histogram", "100", "times"]
    assert shown[-5:] == ["shop.orders", "counter", "2", "series", "7"]

    page.write("#metric-name", "orders")
    page.wait("document.querySelectorAll('#metric-list details').length === 1")
    assert page.text("#metric-list summary").split() == [
        "shop.orders",
        "counter",
        "2",
        "series",
        "7",
    ]
    page.click("#metric-list summary")
    page.wait("document.querySelectorAll('#metric-list tr').length === 2")
    assert page.text("#metric-list tr").split() == ["shop", "tag=a", "3"]


# -- Catalog ---------------------------------------------------------------------------------------


@SIZES
def test_the_catalog_is_searched_and_read(page: Page, stage: Stage, width: int) -> None:
    page.resize(width, 800)
    page.write("#catalog-search", "modbus.client.retries")
    assert page.count("#entry-list button") == 1
    page.click("#entry-list button")
    page.wait("document.querySelector('#entry h3')")
    assert page.text("#entry h3") == "modbus.client.retries"
    assert "counter in {retry}" in page.text("#entry")

    page.click("#entry .links button")  # the event that it is made of
    page.wait("document.querySelector('#entry h4').innerText === 'Measurements'")
    event_name = page.text("#entry h3")
    assert event_name.startswith("modboss.")
    stage.do(lambda: stage.viewer.count({event_name: 41}))
    page.wait("document.querySelector('#entry-count').innerText.includes('41 times')")


def test_entries_are_found_by_what_they_carry(page: Page) -> None:
    page.choose("#catalog-kind", "event")
    page.choose("#catalog-of", "gateway")
    page.write("#catalog-search", "gateway.alarm.limit")
    names = page.do("[...document.querySelectorAll('#entry-list .what')].map((e) => e.innerText)")

    assert names == ["gateway.alarm.raised", "gateway.alarm.cleared"]
    page.write("#catalog-search", "there is no such thing")
    assert page.count("#entry-list button") == 0
    assert page.text("#catalog-said").startswith("0 of ")


# -- The stream ------------------------------------------------------------------------------------


def test_a_lost_stream_is_seen_and_comes_again_by_itself(chromium: Browser) -> None:
    with Stage() as first:
        first.run()
        port = first.port
        with chromium.page(first.url) as page:
            page.wait("document.querySelector('#stream').innerText === 'live'")
            page.wait("document.querySelectorAll('#event-list details').length === 6")
            page.wait("document.querySelectorAll('.tile').length === 3")
            first.close()
            page.wait("document.body.className === 'lost'")
            assert page.text("#stream") == "stream lost, trying again"
            assert page.count(".tile") == 3  # what was seen stays

            with Stage(viewer=first.viewer, port=port) as second:
                second.run()
                page.wait("document.body.className === 'live'")
                # The six that are new come on top of the six that are known.
                page.wait("document.querySelectorAll('#event-list details').length === 12")


def test_a_stream_that_is_silent_is_lost_too(page: Page, stage: Stage) -> None:
    thawed = stage.freeze()
    page.wait("document.body.className === 'lost'")
    thawed.set()
    page.wait("document.body.className === 'live'")
    stage.do(lambda: stage.viewer.say("It goes on", 9.0))
    page.wait("document.querySelector('#story').innerText.includes('It goes on')")


def test_after_a_restart_the_page_begins_anew(chromium: Browser) -> None:
    with Stage(["old"]) as first:
        first.run()
        port = first.port
        page = chromium.page(first.url)
        page.wait("document.querySelector('.tile')")
    page.wait("document.body.className === 'lost'")
    with Stage(["new", "newer"], port=port) as second:
        second.run()
        page.wait("document.querySelectorAll('.tile').length === 2")
        page.wait("document.querySelectorAll('#event-list details').length === 6")
        assert page.text(".tile h3") == "new"
        chromium.forget(page)


def test_the_end_is_no_loss(chromium: Browser) -> None:
    with Stage() as stage:
        stage.run()
        page = chromium.page(stage.url)
        page.wait("document.querySelector('.tile')")
        stage.do(lambda: None)
        stage.end(kept=False)
    page.wait("document.body.className === 'ended'")
    assert page.text("#stage") == "It has ended: not all that was promised was seen"
    page.wait("document.querySelectorAll('#promise-list .missed').length === 9")
    assert page.count("#promise-list .kept") == 1  # each device is polled by one
    chromium.forget(page)


# -- Its looks -------------------------------------------------------------------------------------

BOXES = """[...document.querySelectorAll("header, section")]
    .map((each) => each.getBoundingClientRect())
    .map((box) => [box.top, box.left, box.width, box.height])"""


def test_nothing_is_wider_than_the_window(page: Page, stage: Stage) -> None:
    fill(stage)
    page.wait("document.querySelectorAll('#waterfall .span').length === 3")
    page.wait("document.querySelectorAll('#event-list details').length === 200")
    page.do("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.wait("document.querySelector('#event-list .about')")
    page.do("document.querySelector('#entry-list button').click()")

    for width in (1280, 1000, 700, 400, 320):
        page.resize(width, 800)
        page.wait(f"window.innerWidth === {width}")
        assert page.do("document.documentElement.scrollWidth") <= width
        parts = "#waterfall, .list, .tiles, .promises, .story, .entry"
        clipped = page.do(
            f"""[...document.querySelectorAll("{parts}")]
                .filter((each) => each.scrollWidth > each.clientWidth + 1)
                .map((each) => each.id || each.className)"""
        )
        assert (width, clipped) == (width, [])


@SIZES
def test_nothing_moves_when_things_arrive(chromium: Browser, width: int) -> None:
    with Stage() as stage, chromium.page(stage.url, width=width) as page:
        stage.do(lambda: None)
        page.wait("document.querySelectorAll('.tile').length === 3")
        page.wait("document.querySelectorAll('#entry-list button').length > 50")
        before = page.do(BOXES)
        stage.run()
        fill(stage)
        page.wait("document.querySelectorAll('#waterfall .span').length === 3")
        page.wait("document.querySelectorAll('#metric-list details').length > 1")
        page.wait("document.querySelector('#events-said').innerText.includes('206 events')")

        assert page.do(BOXES) == before


def test_it_is_dark_for_those_who_like_it_dark(page: Page) -> None:
    def colour(name: str) -> list[int]:
        found: list[int] = page.do(
            f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)"
        )
        return found

    assert min(colour("backgroundColor")) > 200
    assert max(colour("color")) < 80
    page.prefer(dark=True)
    assert max(colour("backgroundColor")) < 60
    assert min(colour("color")) > 200


def test_it_can_be_used_without_a_mouse(page: Page) -> None:
    page.press("Tab")
    assert page.do("document.activeElement.className") == "skip"
    page.press("Tab", "Tab")
    assert page.do("document.activeElement.hash") == "#devices"

    page.do("document.querySelector('#entry-list button').focus()")
    page.press("ArrowDown", "ArrowDown", "ArrowUp", "Enter")
    page.wait("document.querySelector('#entry h3')")
    assert page.do("document.activeElement === document.querySelectorAll('#entry-list button')[1]")
    assert page.text("#entry h3") == page.do(
        "document.activeElement.querySelector('.what').innerText"
    )
    page.press("End", "ArrowDown", "Home", "ArrowUp")
    assert page.do("document.activeElement === document.querySelector('#entry-list button')")


def fill(stage: Stage) -> None:
    """Show much, some of it long."""
    long = "a.very.long.name.that.no.one.expected." * 5
    who = Source({"service.instance.id": long}, "", Scope("x", "1", "", {}))
    stage.measure("boiler", temperature=76.0, the_long_name_of_a_value_that_goes_on=123456.7)
    stage.take(
        spans=reading("t1", NAMES[0], failed=True),
        logs=[log(event_name=long, body=long, source=who, attributes={long: long})] * 200,
        metrics=[metric(number(1, **{long: long}), name=long, source=who)],
    )
    stage.do(lambda: stage.viewer.say(long, 100.0))
