# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.cli.project import Project, ProjectError, find


def settings(folder: Path, text: str) -> Project | None:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return find(folder)


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    project = settings(
        tmp_path,
        """
        [tool.heliograph]
        ignore = ["metric-total"]
        schema = "schema.json"
        [[tool.heliograph.catalogs]]
        catalog = "shop.yaml"
        python = "events.py"
        licence = "MIT"
        markdown = "events.md"
        weaver = "registry"
        grafana = "shop.json"
        alerts = "alerts.yaml"
        """,
    )

    assert project is not None
    assert project.file == tmp_path / "pyproject.toml"
    assert project.ignore == ("metric-total",)
    assert project.schema == tmp_path / "schema.json"
    [catalog] = project.catalogs
    assert catalog.catalog == tmp_path / "shop.yaml"
    assert catalog.licence == "MIT"
    assert catalog.outputs == {
        "python": tmp_path / "events.py",
        "markdown": tmp_path / "events.md",
        "weaver": tmp_path / "registry",
        "grafana": tmp_path / "shop.json",
        "alerts": tmp_path / "alerts.yaml",
    }


def test_nothing_need_be_set(tmp_path: Path) -> None:
    assert settings(tmp_path, "[tool.heliograph]") == Project(tmp_path / "pyproject.toml")


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'", "[tool.other]", "tool = 1"])
def test_a_project_that_sets_nothing_is_none(tmp_path: Path, text: str) -> None:
    assert settings(tmp_path, text) is None


def test_the_nearest_file_with_the_table_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'")
    outer = settings(tmp_path, "[tool.heliograph]\nignore = ['outer']")

    assert find(inner) == outer


def test_the_working_directory_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert settings(tmp_path, "[tool.heliograph]") == find()


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[tool.heliograph", ["not TOML: "]),
        ("[tool]\nheliograph = 1", ["[tool.heliograph] must be a table"]),
        (
            "[tool.heliograph]\nignroe = []",
            ["unknown key 'ignroe' in tool.heliograph; did you mean 'ignore'?"],
        ),
        (
            "[tool.heliograph]\nzzz = 1",
            ["unknown key 'zzz' in tool.heliograph; it has catalogs, ignore, schema"],
        ),
        ("[tool.heliograph]\nignore = 'x'", ["tool.heliograph.ignore must be a list of rules"]),
        ("[tool.heliograph]\nignore = [1]", ["tool.heliograph.ignore must be a list of rules"]),
        ("[tool.heliograph]\nschema = ''", ["tool.heliograph.schema must be text"]),
        ("[tool.heliograph]\ncatalogs = 'x'", ["tool.heliograph.catalogs must be tables: [["]),
        ("[tool.heliograph]\ncatalogs = ['x']", ["tool.heliograph.catalogs must be tables: [["]),
        (
            "[[tool.heliograph.catalogs]]\npyhton = 'x'\nmarkdown = 1",
            [
                "unknown key 'pyhton' in tool.heliograph.catalogs[0]; did you mean 'python'?",
                'tool.heliograph.catalogs[0] names no catalog; add catalog = "FILE.yaml"',
                "tool.heliograph.catalogs[0].markdown must be text",
            ],
        ),
    ],
)
def test_every_fault_is_told(tmp_path: Path, text: str, faults: list[str]) -> None:
    with pytest.raises(ProjectError) as caught:
        settings(tmp_path, text)

    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"{tmp_path / 'pyproject.toml'}: {fault}")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")

    with pytest.raises(ProjectError, match="not TOML"):
        find(tmp_path)
