# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.partisan.wire import Atom, ImproperList, Term
from heliograph.partisan.wire.refs import RefFormat, RefKind, RemoteRef, Target, target
from heliograph.partisan.wire.text import format_term, parse_term

NODE = Atom("n1@127.0.0.1")

FORMS: list[tuple[RefKind, str, RefFormat, str]] = [
    ("pid", "0.151.0", "improper_list", "['n1@127.0.0.1'|<<\"#Pid<0.151.0>\">>]"),
    (
        "pid",
        "0.151.0",
        "tuple",
        "{partisan_remote_ref,'n1@127.0.0.1',{encoded_pid,\"<0.151.0>\"}}",
    ),
    ("pid", "0.151.0", "uri", '<<"partisan:pid:n1@127.0.0.1:0.151.0">>'),
    ("ref", "0.1.2.3", "improper_list", "['n1@127.0.0.1'|<<\"#Ref<0.1.2.3>\">>]"),
    (
        "ref",
        "0.1.2.3",
        "tuple",
        "{partisan_remote_ref,'n1@127.0.0.1',{encoded_ref,\"#Ref<0.1.2.3>\"}}",
    ),
    ("ref", "0.1.2.3", "uri", '<<"partisan:ref:n1@127.0.0.1:0.1.2.3">>'),
    ("name", "sink", "improper_list", "['n1@127.0.0.1'|<<\"#Namesink\">>]"),
    ("name", "sink", "tuple", "{partisan_remote_ref,'n1@127.0.0.1',{encoded_name,\"sink\"}}"),
    ("name", "sink", "uri", '<<"partisan:name:n1@127.0.0.1:sink">>'),
    (
        "name",
        "λ",
        "tuple",
        "{partisan_remote_ref,'n1@127.0.0.1',{encoded_name,[955]}}",
    ),
]


@pytest.mark.parametrize(("kind", "numbers", "form", "text"), FORMS)
def test_references_have_three_formats(
    kind: RefKind, numbers: str, form: RefFormat, text: str
) -> None:
    ref = RemoteRef(NODE, kind, numbers)

    assert format_term(ref.term(form)) == text
    assert RemoteRef.parse(parse_term(text)) == ref
    assert target(parse_term(text)) == Target(kind, numbers) == ref.target


@pytest.mark.parametrize("form", ["improper_list", "tuple", "uri"])
def test_an_alias_is_a_reference_to_be_used_once(form: RefFormat) -> None:
    ref = RemoteRef(NODE, "ref", "0.1.2.3", alias=True)
    term = ref.term(form)

    assert isinstance(term, ImproperList)
    assert term.elements[0] == "alias"
    assert RemoteRef.parse(term) == ref


def test_an_alias_is_written_as_the_original_writes_it() -> None:
    ref = RemoteRef(NODE, "ref", "0.1.2.3", alias=True)

    assert format_term(ref.term()) == "[alias,'n1@127.0.0.1'|<<\"#Ref<0.1.2.3>\">>]"


def test_a_uri_may_be_padded_or_have_more_to_it() -> None:
    uri = b"partisan:pid:n1@127.0.0.1:0.9.0:"

    assert RemoteRef.parse(uri.ljust(65, b"\31")) == RemoteRef(NODE, "pid", "0.9.0")
    assert RemoteRef.parse(uri + b"more") == RemoteRef(NODE, "pid", "0.9.0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sink", Target("name", "sink")),
        ('{encoded_pid,"<0.151.0>"}', Target("pid", "0.151.0")),
        ('{encoded_ref,"#Ref<0.1.2.3>"}', Target("ref", "0.1.2.3")),
        ('{encoded_name,"sink"}', Target("name", "sink")),
        ("{global,sink}", None),
        ("{via,gproc,sink}", None),
        ("{1,2}", None),
        ("{}", None),
        ("7", None),
        ("{encoded_pid,sink}", None),
        ('{encoded_pid,"0.151.0"}', None),
        ('{encoded_pid,"<0.151>"}', None),
        ('{encoded_pid,"<0.1.2>>"}', None),
        ('{encoded_ref,"<0.1.2>"}', None),
        ('{encoded_ref,"#Pid<0.1.2>"}', None),
        ('{encoded_name,""}', None),
        ("{encoded_name,[-1]}", None),
        ("{encoded_name,[x]}", None),
        ("['n@h'|<<\"#Port<0.1>\">>]", None),
        ("['n@h'|<<255>>]", None),
        ("['n@h'|<<\"#Ref<0>\">>]", None),
        ('[1|<<"#Ref<0.1>">>]', None),
        ("[alias|sink]", None),
        ('<<"partisan:pid:n@h">>', None),
        ('<<"partisan:port:n@h:0.1">>', None),
        ("<<255>>", None),
        ("{partisan_remote_ref,'n@h',sink}", None),
    ],
)
def test_whom_a_message_is_for(text: str, expected: Target | None) -> None:
    assert target(parse_term(text)) == expected


def test_a_target_has_a_form_for_its_own_node() -> None:
    assert Target("name", "sink").term() == Atom("sink")
    for kind, numbers in (("pid", "0.1.0"), ("ref", "0.1.2.3")):
        term: Term = Target(kind, numbers).term()  # type: ignore[arg-type]  # both are kinds
        assert target(term) == (kind, numbers)


@pytest.mark.parametrize(
    ("kind", "text"), [("pid", "1"), ("ref", "0.x"), ("name", ""), ("name", "x" * 256)]
)
def test_a_reference_is_not_made_of_anything(kind: RefKind, text: str) -> None:
    with pytest.raises(ValueError, match=r"no numbers of a|1 to 255 characters"):
        RemoteRef(NODE, kind, text)
