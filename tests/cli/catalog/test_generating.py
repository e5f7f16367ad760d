# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from heliograph.catalog import json_schema, load_document
from heliograph.catalog.outputs import alerts, grafana, markdown, python, weaver

Call = Callable[..., Result]
CallJson = Callable[..., Any]

TEXTS: dict[str, Callable[[Path], str]] = {
    "python": lambda path: python.render(load_document(path)),
    "markdown": lambda path: markdown.render(load_document(path)),
    "grafana": lambda path: grafana.render(load_document(path)),
    "alerts": lambda path: alerts.render(load_document(path)),
}

PROJECT = """
[tool.heliograph]
schema = "catalog.schema.json"

[[tool.heliograph.catalogs]]
catalog = "shop.yaml"
python = "src/shop/events.py"
licence = "MIT"
markdown = "docs/events.md"
weaver = "registry"

[[tool.heliograph.catalogs]]
catalog = "other.yaml"
markdown = "docs/other.md"
"""


@pytest.fixture
def project(folder: Path) -> Path:
    (folder / "other.yaml").write_text("{catalog: other, version: 1.0.0, brief: Another}")
    (folder / "pyproject.toml").write_text(PROJECT)
    return folder


@pytest.mark.parametrize("kind", TEXTS)
class TestOneFile:
    def test_it_is_printed(self, call: Call, kind: str) -> None:
        assert call("catalog", kind, "shop.yaml").stdout == TEXTS[kind](Path("shop.yaml"))

    def test_it_is_written(self, call: Call, folder: Path, kind: str) -> None:
        result = call("catalog", kind, "shop.yaml", "--output", "out/file")

        assert (result.exit_code, result.stdout) == (0, "out/file\n")
        assert result.stderr == "1 file: 1 written\n"
        assert (folder / "out" / "file").read_text("utf-8") == TEXTS[kind](Path("shop.yaml"))

    def test_what_is_up_to_date_is_not_written_again(self, call: Call, kind: str) -> None:
        call("catalog", kind, "shop.yaml", "--output", "out/file")

        result = call("catalog", kind, "shop.yaml", "--output", "out/file")

        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "1 file: 0 written\n"

    def test_the_check_passes_until_something_changes(
        self, call: Call, folder: Path, kind: str
    ) -> None:
        arguments = ("catalog", kind, "shop.yaml", "--output", "file", "--check")
        assert call(*arguments).stdout == "file is missing\n"
        assert not (folder / "file").exists()

        call(*arguments[:-1])
        assert call(*arguments).exit_code == 0
        assert call(*arguments).stderr == "1 file: up to date\n"

        text = (folder / "file").read_text("utf-8")
        (folder / "file").write_text(f"{text}drift\n", encoding="utf-8")
        result = call(*arguments)
        assert result.exit_code == 1
        assert result.stdout.startswith("file is out of date\n")
        assert "-drift" in result.stdout
        assert result.stderr == "1 file: 1 out of date\n"
        assert (folder / "file").read_text("utf-8") == f"{text}drift\n"

    def test_json(self, call_json: CallJson, folder: Path, kind: str) -> None:
        text = TEXTS[kind](folder / "shop.yaml")
        written = ("catalog", kind, "shop.yaml", "--output", "file")

        assert call_json("catalog", kind, "shop.yaml")["files"] == [{"path": None, "text": text}]
        assert call_json(*written, "--check", code=1)["files"] == [
            {"path": "file", "state": "missing", "diff": ""}
        ]
        assert call_json(*written)["files"] == [{"path": "file", "state": "written"}]
        assert call_json(*written)["files"] == [{"path": "file", "state": "up to date"}]
        assert call_json(*written, "--check")["files"] == [
            {"path": "file", "state": "up to date", "diff": ""}
        ]
        (folder / "file").write_text("drift\n")
        [file] = call_json(*written, "--check", code=1)["files"]
        assert file["state"] == "out of date"
        assert "-drift" in file["diff"]


class TestRegistry:
    def test_it_is_a_folder_of_files(self, call: Call, folder: Path) -> None:
        result = call("catalog", "weaver", "shop.yaml", "--output", "registry")

        texts = weaver.render(load_document("shop.yaml"))
        assert result.stdout.splitlines() == [f"registry/{name}" for name in texts]
        found = {path.name: path.read_text("utf-8") for path in (folder / "registry").iterdir()}
        assert found == texts

    def test_printed_its_files_are_told_apart(self, call: Call) -> None:
        lines = call("catalog", "weaver", "shop.yaml").stdout.splitlines()

        assert lines[0] == "# --- manifest.yaml ---"
        assert "# --- attributes.yaml ---" in lines

    def test_json_of_its_files(self, call_json: CallJson) -> None:
        files = call_json("catalog", "weaver", "shop.yaml")["files"]

        assert {file["path"]: file["text"] for file in files} == weaver.render(
            load_document("shop.yaml")
        )


def test_a_module_begins_with_its_licence(call: Call) -> None:
    result = call("catalog", "python", "shop.yaml", "--licence", "MIT")

    assert result.stdout.startswith("# SPDX-License-Identifier: MIT\n")


def test_names_that_cannot_be_told_apart_are_the_catalogs_fault(call: Call, folder: Path) -> None:
    (folder / "odd.yaml").write_text(
        "{catalog: odd, version: 1.0.0, brief: Odd, events: {odd.a__b: {brief: A},"
        " odd.a.b: {brief: B}, odd.a_b: {brief: C}}}"
    )

    result = call("catalog", "python", "odd.yaml")

    assert result.exit_code == 3
    assert result.stderr.startswith("heliograph: odd.yaml: ")


def test_the_schema_is_printed_and_written(call: Call, folder: Path) -> None:
    assert json.loads(call("catalog", "schema").stdout) == json_schema()

    call("catalog", "schema", "--output", "catalog.schema.json")

    assert json.loads((folder / "catalog.schema.json").read_text("utf-8")) == json_schema()
    assert call("catalog", "schema", "-o", "catalog.schema.json", "--check").exit_code == 0


class TestProject:
    def test_one_command_generates_everything(self, call: Call, project: Path) -> None:
        result = call("catalog", "generate")

        texts = [f"registry/{name}" for name in weaver.render(load_document("shop.yaml"))]
        expected = ["src/shop/events.py", "docs/events.md", *texts, "docs/other.md"]
        paths = [Path(line).relative_to(project) for line in result.stdout.splitlines()]
        assert [path.as_posix() for path in paths] == [*expected, "catalog.schema.json"]
        module = (project / "src" / "shop" / "events.py").read_text("utf-8")
        assert module.startswith("# SPDX-License-Identifier: MIT\n")
        assert call("catalog", "generate", "--check").exit_code == 0

    def test_a_folder_further_down_will_do(
        self, call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project / "src" / "deep").mkdir(parents=True)
        monkeypatch.chdir(project / "src" / "deep")

        assert call("catalog", "generate").exit_code == 0
        assert (project / "docs" / "events.md").exists()

    def test_drift_anywhere_fails_the_check(self, call: Call, project: Path) -> None:
        call("catalog", "generate")
        (project / "registry" / "manifest.yaml").unlink()
        (project / "docs" / "other.md").write_text("drift\n")

        result = call("catalog", "generate", "--check")

        assert result.exit_code == 1
        assert f"{project / 'registry' / 'manifest.yaml'} is missing" in result.stdout
        assert f"{project / 'docs' / 'other.md'} is out of date" in result.stdout
        assert result.stderr.endswith(" files: 2 out of date\n")

    def test_one_kind_alone(self, call: Call, project: Path) -> None:
        result = call("catalog", "markdown")

        assert len(result.stdout.splitlines()) == 2
        assert not (project / "src").exists()
        assert call("catalog", "markdown", "--check").exit_code == 0

    def test_a_kind_that_the_project_does_not_want(self, call: Call, project: Path) -> None:
        result = call("catalog", "grafana")

        assert result.exit_code == 2
        assert "sets no 'grafana' for any" in result.stderr

    def test_a_project_that_wants_nothing(self, call: Call, project: Path) -> None:
        (project / "pyproject.toml").write_text("[tool.heliograph]\n")

        result = call("catalog", "generate")

        assert result.exit_code == 2
        assert "asks for nothing" in result.stderr

    def test_faults_of_all_its_catalogs_are_told(self, call: Call, project: Path) -> None:
        (project / "shop.yaml").write_text("[]")
        (project / "other.yaml").write_text("catalog: x\n")

        result = call("catalog", "generate")

        assert result.exit_code == 3
        assert "heliograph: shop.yaml:1:1: " in result.stderr
        assert "heliograph: other.yaml:1:1: " in result.stderr

    def test_a_missing_catalog(self, call: Call, project: Path) -> None:
        (project / "other.yaml").unlink()

        assert call("catalog", "generate").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["python"], "there is no pyproject.toml with [tool.heliograph]"),
        (["generate"], "there is no pyproject.toml with [tool.heliograph]"),
        (["python", "--output", "x.py"], "--output needs a CATALOG"),
        (["python", "shop.yaml", "--check"], "--check needs --output"),
        (["schema", "--check"], "--check needs --output"),
    ],
)
def test_wrong_usage(call: Call, arguments: list[str], words: str) -> None:
    result = call("catalog", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_file_that_cannot_be_written(call: Call) -> None:
    result = call("catalog", "python", "shop.yaml", "--output", "shop.yaml/x.py")

    assert result.exit_code == 4


def test_what_this_project_generates_is_up_to_date(
    call: Call, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(request.config.rootpath)

    result = call("catalog", "generate", "--check")

    assert result.exit_code == 0, result.stdout


def test_a_pipe_gets_what_a_file_would(call: Call, folder: Path) -> None:
    (folder / "odd.yaml").write_text('catalog: odd\nversion: 1.0.0\nbrief: "a\\e[31mb"\n')

    printed = call("catalog", "markdown", "odd.yaml").stdout
    call("catalog", "markdown", "odd.yaml", "--output", "odd.md")

    assert printed == (folder / "odd.md").read_text("utf-8")
    assert "\x1b" in printed
