# SPDX-License-Identifier: Apache-2.0
"""Lists, files, and how sources are written."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from heliograph.partisan.discovery import (
    DnsSource,
    FileSource,
    Found,
    KubernetesSource,
    ListSource,
    SrvSource,
    parse_source,
)
from tests.partisan.node.conftest import Run


def test_a_list_with_names_and_without(run: Run) -> None:
    source = ListSource(["127.0.0.1:7000", " py1@127.0.0.1=[::1]:7001"])

    assert run(source.find) == [Found("127.0.0.1:7000"), Found("[::1]:7001", "py1@127.0.0.1")]
    assert source.text == "list:127.0.0.1:7000,py1@127.0.0.1=[::1]:7001"
    assert repr(source) == f"<ListSource {source.text}>"


def test_a_list_never_changes(run: Run) -> None:
    async def main() -> bool:
        with anyio.move_on_after(0.01) as scope:
            await ListSource(["127.0.0.1:7000"]).changed()
        return scope.cancelled_caught

    assert run(main)


@pytest.mark.parametrize("wrong", [[], [""], ["127.0.0.1"], ["py1=127.0.0.1:1"], ["a@b="]])
def test_a_list_of_what_is_no_node(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="host"):
        ListSource(wrong)


def test_a_file_is_read_as_it_is_now(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    source = FileSource(path, interval=0.01)

    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await source.find()
        path.write_text("127.0.0.1:7000  # the first\n\n# others\npy1@127.0.0.1=127.0.0.1:7001\n")
        await source.changed()
        assert await source.find() == [
            Found("127.0.0.1:7000"),
            Found("127.0.0.1:7001", "py1@127.0.0.1"),
        ]
        with anyio.move_on_after(0.05) as scope:
            await source.changed()
        assert scope.cancelled_caught
        # Replaced by another file, as editors and Kubernetes do it.
        (tmp_path / "new").write_text("127.0.0.1:7002\n")
        (tmp_path / "new").replace(path)
        await source.changed()
        assert await source.find() == [Found("127.0.0.1:7002")]

    run(main)


def test_a_file_says_in_which_line_it_is_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.write_text("127.0.0.1:7000\nnonsense\n")

    with pytest.raises(ValueError, match=r"nodes, line 2: address 'nonsense'"):
        run(FileSource(path).find)


def test_a_file_that_is_far_too_large(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.write_bytes(b"")
    os.truncate(path, (1 << 20) + 1)

    with pytest.raises(ValueError, match="is it the right file"):
        run(FileSource(path).find)


def test_the_look_at_a_file_takes_time() -> None:
    with pytest.raises(ValueError, match="above 0 seconds"):
        FileSource("nodes", interval=0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("list:127.0.0.1:7000,py1@127.0.0.1=127.0.0.1:7001", ListSource),
        ("file:/etc/orders/nodes", FileSource),
        ("dns:orders.example:7000", DnsSource),
        ("a:orders.example:7000", DnsSource),
        ("aaaa:orders.example:7000", DnsSource),
        ("srv:_partisan._tcp.orders.example", SrvSource),
        ("k8s:orders.shop:7000", KubernetesSource),
        ("k8s:orders.shop:partisan", KubernetesSource),
    ],
)
def test_what_is_written_is_what_events_call_it(text: str, kind: type) -> None:
    source = parse_source(text)

    assert type(source) is kind
    assert source.text == text


@pytest.mark.parametrize(
    "wrong",
    ["", "dns", "dns:orders", "dns:orders:x", "dns::1", "mdns:orders:1", "k8s:orders:", "file:"],
)
def test_what_is_no_source_is_told_what_there_is(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"none of list:HOST:PORT.* and k8s:SERVICE"):
        parse_source(wrong)


def test_other_mistakes_of_a_source_are_told_as_they_are() -> None:
    with pytest.raises(ValueError, match="has no name"):
        parse_source("srv:")
    with pytest.raises(ValueError, match="the list of nodes to find is empty"):
        parse_source("list:")
