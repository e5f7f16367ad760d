# SPDX-License-Identifier: Apache-2.0
"""Who polls what: all agree, little moves, and nothing is taken before it was given up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.gateway import Sharing, owner, weight

DEVICES = [f"device-{number}" for number in range(300)]
THREE = ("g1@a", "g2@b", "g3@c")

names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=8)
fleets = st.sets(names, min_size=1, max_size=8)


@given(names, fleets)
def test_the_order_of_gateways_does_not_matter(device: str, gateways: set[str]) -> None:
    assert owner(device, sorted(gateways)) == owner(device, sorted(gateways, reverse=True))


@given(st.lists(names, max_size=20), fleets, names)
def test_a_gateway_that_goes_takes_only_its_own_devices_along(
    devices: list[str], gateways: set[str], gone: str
) -> None:
    everybody = gateways | {gone}
    for device in devices:
        before = owner(device, everybody)
        if before != gone:
            assert owner(device, gateways - {gone}) == before


def test_without_gateways_nobody_polls() -> None:
    assert owner("boiler-1", []) is None


def test_the_shares_are_about_equal() -> None:
    counts = Counter(owner(device, THREE) for device in DEVICES)

    assert set(counts) == set(THREE)
    assert all(70 <= count <= 130 for count in counts.values())


def test_weights_are_the_same_in_every_version_and_process() -> None:
    # A fleet is updated one gateway after another: all of them must go on agreeing.
    assert weight("boiler-1", "g1@127.0.0.1") == 0x9B351F29AE84CB06


def test_what_is_lost_is_given_up_at_once_and_what_is_won_is_taken_later() -> None:
    sharing = Sharing("g1@a", settle=500)
    assert sharing.see(DEVICES, [], 0) == frozenset()
    assert sharing.due == 500
    assert sharing.take(499) == frozenset()
    assert sharing.take(500) == frozenset(DEVICES)
    assert sharing.take(501) == frozenset()

    lost = sharing.see(DEVICES, ["g2@b", "g3@c"], 1000)

    assert lost == {each for each in DEVICES if owner(each, THREE) != "g1@a"}
    assert sharing.mine == frozenset(DEVICES) - lost
    assert not sharing.due

    assert sharing.see(DEVICES, ["g2@b"], 2000) == frozenset()
    assert sharing.take(2500) == {
        each
        for each in DEVICES
        if owner(each, THREE) == "g3@c" and owner(each, THREE[:2]) == "g1@a"
    }


def test_every_change_begins_the_wait_anew() -> None:
    sharing = Sharing("g1@a", settle=500)
    sharing.see(DEVICES, ["g2@b"], 0)
    sharing.see(DEVICES, ["g2@b", "g3@c"], 400)

    assert sharing.take(899) == frozenset()
    assert sharing.take(900) == {each for each in DEVICES if owner(each, THREE) == "g1@a"}


@given(st.lists(st.tuples(st.sampled_from(THREE), st.sets(st.sampled_from(THREE))), max_size=12))
def test_no_device_is_polled_twice_by_those_who_know_of_each_other(
    steps: list[tuple[str, set[str]]],
) -> None:
    """Views come in any order; two who see each other within the settling time never overlap."""
    fleet = {name: Sharing(name, settle=10) for name in THREE}
    now = 0
    for name, _ in steps:
        now += 1
        fleet[name].see(DEVICES[:20], set(THREE) - {name}, now)
    for name in THREE:  # whoever has not heard yet hears before the others have settled
        fleet[name].see(DEVICES[:20], set(THREE) - {name}, now + 5)
    for name in THREE:
        fleet[name].take(now + 15)

    polled = [device for each in fleet.values() for device in each.mine]
    assert sorted(polled) == sorted(DEVICES[:20])


def test_what_is_dropped_is_taken_anew() -> None:
    sharing = Sharing("g1@a", settle=0)
    sharing.see(["a", "b"], [], 0)
    sharing.take(0)

    assert sharing.drop(["b", "c"]) == {"b"}

    assert sharing.see(["a", "b"], [], 1) == frozenset()
    assert sharing.take(1) == {"b"}
