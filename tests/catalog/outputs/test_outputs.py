# SPDX-License-Identifier: Apache-2.0
"""Writing outputs, telling drift, and the outputs that lie in this repository."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from heliograph.catalog.model import Document
from heliograph.catalog.outputs import (
    alerts,
    drift,
    grafana,
    markdown,
    python,
    to_yaml,
    weaver,
    write,
)


def test_writing_makes_folders_and_reports_what_changed(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "a" / "b" / "new.txt"
    old.write_text("same\n")

    changed = write({old: "same\n", new: "ä\n"})

    assert changed == [new]
    assert new.read_bytes() == "ä\n".encode()


def test_a_file_that_is_up_to_date_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write({path: "text\n"})
    path.chmod(0o444)
    before = path.stat()

    assert write({path: "text\n"}) == []
    assert path.stat() == before


def test_files_that_hold_what_they_should_have_not_drifted(tmp_path: Path) -> None:
    files = {tmp_path / "file": "text\n"}
    write(files)

    assert drift(files) == []


def test_a_missing_file_is_drift(tmp_path: Path) -> None:
    (found,) = drift({tmp_path / "file": "text\n"})

    assert found.missing
    assert str(found) == f"{tmp_path / 'file'} is missing"


def test_drift_shows_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one\ntwo\n")

    (found,) = drift({path: "one\nthree\n"})

    assert not found.missing
    assert found.path == path
    assert found.diff.splitlines()[-2:] == ["-two", "+three"]
    assert str(found).startswith(f"{path} is out of date\n--- ")


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")

    (found,) = drift({path: "line\n" * 100}, lines=5)

    assert len(found.diff.splitlines()) == 6
    assert found.diff.endswith("... 98 more lines")


def test_a_file_that_is_no_text_has_drifted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff\xfe")

    (found,) = drift({path: "text\n"})

    assert not found.missing


def test_an_unreadable_path_is_an_error_not_drift(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        drift({tmp_path: "text\n"})


def test_yaml_keeps_order_and_says_what_python_said() -> None:
    data = {"b": [1, 2], "a": "two\nlines", "c": [{"d": "{}"}], "e": "no"}

    text = to_yaml(data, "One comment.", "Another.")

    assert text.startswith("# One comment.\n# Another.\nb: [1, 2]\na: |-\n  two\n  lines\n")
    assert yaml.safe_load(text) == data


def test_every_output_is_the_same_every_time(any_document: Document) -> None:
    def render_all() -> list[object]:
        modules = (python, markdown, weaver, grafana, alerts)
        return [module.render(any_document) for module in modules]

    assert render_all() == render_all()


def test_the_outputs_in_this_repository_are_up_to_date(ours: Document, root: Path) -> None:
    name = ours.name
    package = root / "src" / "heliograph"
    places = {"heliograph": package, "gateway": package / "apps" / "gateway"}
    package = places.get(name, package / name)
    shown = root / "examples" / "observability"

    files = {
        package / "events.py": python.render(ours, licence="Apache-2.0"),
        root / "docs" / "reference" / "events" / f"{name}.md": markdown.render(ours),
        shown / "grafana" / f"{name}.json": grafana.render(ours),
        shown / "alerts" / f"{name}.yaml": alerts.render(ours),
    }
    files |= {shown / "weaver" / name / k: text for k, text in weaver.render(ours).items()}

    assert [str(found) for found in drift(files)] == []
