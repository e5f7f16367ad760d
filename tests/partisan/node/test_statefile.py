# SPDX-License-Identifier: Apache-2.0
"""The file of the membership: a disk that takes nothing costs the file, and never the node."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from heliograph.partisan import Node, StateError, statefile
from heliograph.partisan.wire import encode
from heliograph.testing import capture
from tests.partisan.node.clusters import all_up, make, until
from tests.partisan.node.conftest import Run


def is_saved(node: Node, file: Path) -> bool:
    return node.unsaved is None and file.exists()


def test_a_node_outlives_a_disk_that_takes_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statefile, "_RETRY", 0.02)
    # As a full disk does, a folder that is not there lets each write fail with an OSError.
    folder = tmp_path / "later"
    file = folder / "state"

    async def main() -> None:
        with capture("partisan.membership.unsaved") as captured:
            async with make("a") as a, make("b", state=file) as b:
                await b.sync_join(a.name, a.listen_addrs[0])
                await all_up([a, b])
                await until(lambda: isinstance(b.unsaved, FileNotFoundError))
                assert a.unsaved is None
                folder.mkdir()
                await until(partial(is_saved, b, file))
                (address,) = b.listen_addrs
            async with (
                make("a", listen=a.listen_addrs[0]) as a,
                make("b", state=file, listen=address) as b,
            ):
                await all_up([a, b])
        for each in captured:
            assert each.metadata["node"] == "b@127.0.0.1"
            assert isinstance(each.metadata["failure"], FileNotFoundError)
        assert captured

    run(main)


def test_it_stops_in_time_though_its_membership_is_not_on_disk(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with make("a", state=tmp_path / "nowhere" / "state") as a:
            await until(lambda: a.unsaved is not None)

    run(main)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "the bytes end"), (b"\x83hello", "the bytes end"), (encode(5), "no state")],
)
def test_a_file_that_keeps_something_else_is_named_and_left_alone(
    run: Run, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "state"
    file.write_bytes(content)

    async def main() -> None:
        async with make("a", state=file):
            raise AssertionError("it began")

    with pytest.raises(StateError, match=f"{file} keeps no membership, remove it .*; {why}.*: "):
        run(main)
    assert file.read_bytes() == content
