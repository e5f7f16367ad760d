# SPDX-License-Identifier: Apache-2.0
"""Which versions there are, and which extras are complete."""

from __future__ import annotations

from importlib.metadata import metadata, version

import pytest

from heliograph.apps.doctor import Finding, extras, versions


def test_versions_are_those_of_what_is_installed() -> None:
    found = {each.subject: each for each in versions()}

    assert found["heliograph"].text == version("heliograph")
    assert found["pymodbus"].text == version("pymodbus")
    assert {each.status for each in found.values()} == {"ok"}
    assert "blinker" not in found, "that is no dependency"


def test_all_extras_are_looked_at() -> None:
    found = {each.subject: each for each in extras()}

    assert sorted(found) == sorted(metadata("heliograph").get_all("Provides-Extra") or ())
    assert found["catalog"] == Finding("extra", "catalog", "ok", "complete")


@pytest.mark.parametrize(
    ("requirements", "text"),
    [
        (["click>=8,<99"], "complete"),
        (["click"], "complete"),
        (["nobody-has-this>=1"], "lacks nobody-has-this"),
        (["click>=99"], rf"lacks click>=99 ({version('click')} is installed)"),
        (["click>=1,<2.0"], rf"lacks click<2.0 ({version('click')} is installed)"),
        (["heliograph[other]"], "lacks nobody-has-this"),
        (["heliograph[other, wanted]", "rich[jupyter]"], "lacks nobody-has-this"),
    ],
)
def test_an_extra_is_complete_if_all_it_needs_is_there(requirements: list[str], text: str) -> None:
    found = {
        each.subject: each
        for each in extras({"wanted": requirements, "other": ["nobody-has-this"]})
    }

    assert found["wanted"].text == text
    complete = text == "complete"
    assert found["wanted"].status == ("ok" if complete else "absent")
    assert found["wanted"].mend == ("" if complete else 'pip install "heliograph[wanted]"')
