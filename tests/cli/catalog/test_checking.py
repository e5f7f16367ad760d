# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Call = Callable[..., Result]
CallJson = Callable[..., Any]


@pytest.fixture
def edit(folder: Path) -> Callable[..., Path]:
    """Writes shop.yaml under another name, with pairs of words replaced."""

    def write(name: str, *pairs: tuple[str, str]) -> Path:
        text = (folder / "shop.yaml").read_text("utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


Edit = Callable[..., Path]


class TestCheck:
    def test_a_sound_catalog(self, call: Call) -> None:
        result = call("catalog", "check", "shop.yaml")

        assert result.exit_code == 0
        assert result.stdout == ""
        assert result.stderr == "1 catalog: all is well\n"

    def test_five_faults_are_told_at_once_each_with_its_place_and_mend(
        self, call: Call, edit: Edit
    ) -> None:
        edit(
            "bad.yaml",
            ("type: string", "type: strng"),
            ("metadata: [order]", "metadata: [oder]"),
            ("version: 1.0.0", "version: one"),
            ("instrument: counter", "instrument: countr"),
            ("renamed_to: shop.order.placed", "renamed_to: shop.order.plaecd"),
        )

        result = call("catalog", "check", "bad.yaml")

        assert result.exit_code == 3
        lines = result.stdout.splitlines()
        assert len(lines) == 5
        assert all(line.startswith("bad.yaml:") and ": fault: " in line for line in lines)
        assert lines[1].startswith("bad.yaml:6:11: fault: unknown type 'strng'")
        assert result.stderr == "1 catalog: 5 faults\n"

    def test_findings_name_their_rule(self, call: Call, edit: Edit) -> None:
        edit("odd.yaml", ("shop.order.id", "server.rack"), (", examples: [A1]", ""))

        result = call("catalog", "check", "odd.yaml")

        assert result.exit_code == 0
        warning, info = result.stdout.splitlines()
        assert warning.startswith("odd.yaml:6:3: warning: attribute 'server.rack' extends the")
        assert warning.endswith("name it 'shop.order' [attribute-namespace]")
        assert info.startswith("odd.yaml:6:3: info: field 'order' has neither examples nor values")
        assert info.endswith(" [field-example]")
        assert result.stderr == "1 catalog: 1 warning, 1 info\n"

    @pytest.mark.parametrize(
        ("attribute", "options", "code"),
        [
            ("Bad.Name", [], 1),
            ("Bad.Name", ["--ignore", "attribute-name"], 0),
            ("server.rack", [], 0),
            ("server.rack", ["--strict"], 1),
            ("server.rack", ["--strict", "--ignore", "attribute-namespace:server.rack"], 0),
            ("server.rack", ["--strict", "--ignore", "attribute-namespace:server.x"], 1),
            ("store.order", ["--strict"], 0),
        ],
    )
    def test_what_fails(
        self, call: Call, edit: Edit, attribute: str, options: list[str], code: int
    ) -> None:
        edit("odd.yaml", ("shop.order.id", attribute))

        assert call("catalog", "check", "odd.yaml", *options).exit_code == code

    def test_an_unknown_rule_is_wrong_usage(self, call: Call) -> None:
        result = call("catalog", "check", "shop.yaml", "--ignore", "metric-toatl")

        assert result.exit_code == 2
        assert "did you mean 'metric-total'" in result.stderr

    def test_several_catalogs(self, call: Call, edit: Edit) -> None:
        edit("bad.yaml", ("type: string", "type: strng"))
        edit("odd.yaml", ("shop.order.id", "server.rack"))

        result = call("catalog", "check", "odd.yaml", "bad.yaml", "shop.yaml")

        assert result.exit_code == 3
        assert result.stderr == "3 catalogs: 1 fault, 1 warning\n"

    def test_installed_catalogs_go_by_name(self, call: Call) -> None:
        assert call("catalog", "check", "heliograph", "partisan", "--strict").exit_code == 0

    def test_a_missing_file_is_no_fault_of_a_catalog(self, call: Call) -> None:
        assert call("catalog", "check", "nowhere.yaml").exit_code == 4

    def test_a_folder_is_no_fault_of_a_catalog(self, call: Call, folder: Path) -> None:
        (folder / "dir.yaml").mkdir()

        result = call("catalog", "check", "dir.yaml")

        assert result.exit_code == 4
        assert result.stderr == "heliograph: Is a directory: dir.yaml\n"

    def test_an_unreadable_file_is_no_fault_of_a_catalog(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.access", lambda *_: False)

        result = call("catalog", "check", "shop.yaml")

        assert result.exit_code == 4
        assert result.stderr == "heliograph: Permission denied: shop.yaml\n"

    def test_without_a_catalog_there_must_be_a_project(self, call: Call) -> None:
        result = call("catalog", "check")

        assert result.exit_code == 2
        assert "name a catalog to check" in result.stderr

    def test_the_projects_catalogs_and_exceptions_are_the_default(
        self, call: Call, edit: Edit, folder: Path
    ) -> None:
        edit("odd.yaml", ("shop.order.id", "server.rack"))
        (folder / "pyproject.toml").write_text(
            '[tool.heliograph]\nignore = ["attribute-namespace:server.rack"]\n'
            '[[tool.heliograph.catalogs]]\ncatalog = "odd.yaml"\n'
        )

        result = call("catalog", "check", "--strict")

        assert result.exit_code == 0
        assert result.stderr == "1 catalog: all is well\n"

    def test_a_projects_catalogs_must_not_contradict_each_other(
        self, call: Call, edit: Edit, folder: Path
    ) -> None:
        edit("other.yaml")
        (folder / "pyproject.toml").write_text(
            '[[tool.heliograph.catalogs]]\ncatalog = "shop.yaml"\n'
            '[[tool.heliograph.catalogs]]\ncatalog = "other.yaml"\n'
        )

        assert call("catalog", "check").exit_code == 3
        assert call("catalog", "check", "shop.yaml", "other.yaml").exit_code == 0

    def test_json(self, call_json: CallJson, edit: Edit) -> None:
        edit("bad.yaml", ("type: string", "type: strng"))
        edit("odd.yaml", ("shop.order.id", "Bad.Name"))

        document = call_json("catalog", "check", "bad.yaml", "odd.yaml", code=3)

        assert document["command"] == "catalog check"
        assert [each["name"] for each in document["catalogs"]] == ["shop"]
        [fault] = document["faults"]
        assert (fault["file"], fault["line"], fault["column"]) == ("bad.yaml", 6, 11)
        assert fault["message"].startswith("unknown type 'strng'")
        assert fault["mend"] == "did you mean 'string' or 'string[]'?"
        [finding] = document["findings"]
        assert finding["message"].startswith("attribute name 'Bad.Name' breaks")
        assert {**finding, "message": ""} == {
            "level": "error",
            "rule": "attribute-name",
            "subject": "Bad.Name",
            "message": "",
            "file": "odd.yaml",
            "line": 6,
            "column": 3,
        }

    def test_json_of_a_fault_that_lies_in_no_file(self, call_json: CallJson) -> None:
        [fault] = call_json("catalog", "check", "uninstalled", code=3)["faults"]

        assert (fault["file"], fault["line"], fault["column"]) == (None, None, None)

    def test_a_fault_that_lies_in_no_file(self, call: Call) -> None:
        result = call("catalog", "check", "uninstalled")

        assert result.stdout.startswith("fault: no catalog 'uninstalled' is installed; ")

    def test_for_people_levels_are_coloured(
        self, call: Call, edit: Edit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
        edit("odd.yaml", ("shop.order.id", "Bad.Name"))

        assert "\x1b[1;31merror: " in call("catalog", "check", "odd.yaml").stdout


class TestDiff:
    def test_nothing_changed(self, call: Call) -> None:
        result = call("catalog", "diff", "shop.yaml", "shop.yaml")

        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "nothing changed\n"

    @pytest.mark.parametrize(
        ("change", "version", "options", "code", "verdict"),
        [
            (
                ("metadata: [order]", "metadata: []"),
                "1.0.1",
                [],
                1,
                "1 breaking; version 1.0.1 does not say so, 2.0.0 would after 1.0.0\n",
            ),
            (
                ("metadata: [order]", "metadata: []"),
                "2.0.0",
                ["--strict"],
                1,
                "1 breaking; version 2.0.0 says so\n",
            ),
            (
                ("events:\n", "events:\n  shop.x: {brief: X}\n"),
                "1.0.1",
                [],
                0,
                "1 additive; version 1.0.1 does not say so, 1.1.0 would after 1.0.0\n",
            ),
            (
                ("events:\n", "events:\n  shop.x: {brief: X}\n"),
                "1.0.1",
                ["--strict"],
                1,
                "1 additive; version 1.0.1 does not say so, 1.1.0 would after 1.0.0\n",
            ),
            (
                ("brief: A shop", "brief: Shop"),
                "1.0.1",
                ["--strict"],
                0,
                "1 patch; version 1.0.1 says so\n",
            ),
        ],
    )
    def test_the_verdict(
        self,
        call: Call,
        edit: Edit,
        change: tuple[str, str],
        version: str,
        options: list[str],
        code: int,
        verdict: str,
    ) -> None:
        edit("new.yaml", change, ("version: 1.0.0", f"version: {version}"))

        result = call("catalog", "diff", "shop.yaml", "new.yaml", *options)

        assert result.exit_code == code
        assert result.stderr == verdict

    def test_every_change_has_its_reason(self, call: Call, edit: Edit) -> None:
        edit(
            "new.yaml",
            ("metadata: [order]", "metadata: []"),
            ("brief: A shop", "brief: Shop"),
            ("events:\n", "events:\n  shop.x: {brief: X}\n"),
        )

        result = call("catalog", "diff", "shop.yaml", "new.yaml")

        breaking, additive, patch = result.stdout.splitlines()
        assert breaking.startswith("breaking: events.shop.order.placed.metadata.order: removed: ")
        assert additive == "additive: events.shop.x: added"
        assert patch == "patch: brief: reworded"

    def test_json(self, call_json: CallJson, edit: Edit) -> None:
        edit("new.yaml", ("brief: A shop", "brief: Shop"))

        assert call_json("catalog", "diff", "shop.yaml", "new.yaml") == {
            "version": 1,
            "command": "catalog diff",
            "impact": "patch",
            "old_version": "1.0.0",
            "new_version": "1.0.0",
            "suggested_version": "1.0.1",
            "version_fits": False,
            "changes": [{"impact": "patch", "path": "brief", "reason": "reworded"}],
        }

    def test_a_faulty_catalog_cannot_be_compared(self, call: Call, edit: Edit) -> None:
        edit("bad.yaml", ("type: string", "type: strng"))

        result = call("catalog", "diff", "shop.yaml", "bad.yaml")

        assert result.exit_code == 3
        assert result.stderr.startswith("heliograph: bad.yaml:6:11: unknown type 'strng'")


SOURCE = """\
import heliograph
heliograph.execute("shop.order.placed", {"items": 1}, {"order": "A1"})
"""


class TestScan:
    @pytest.fixture(autouse=True)
    def source(self, folder: Path) -> Path:
        path = folder / "src" / "shop.py"
        path.parent.mkdir()
        path.write_text(SOURCE)
        return path

    def test_unknown_events_fail(self, call: Call) -> None:
        result = call("catalog", "scan", "src")

        assert result.exit_code == 1
        assert result.stdout == (
            "src/shop.py:2:1: error: the event 'shop.order.placed' is in no catalog; declare it, "
            "or name the catalog that does [unknown-event]\n"
        )
        assert result.stderr == "1 file: 1 error\n"

    def test_events_that_nothing_executes_are_warned_of(self, call: Call) -> None:
        result = call("catalog", "scan", "src", "--catalog", "shop.yaml")

        assert result.exit_code == 0
        assert result.stdout == (
            "shop.yaml:13:3: warning: nothing opens the span 'shop.payment' [unexecuted-event]\n"
        )
        assert call("catalog", "scan", "src", "--catalog", "shop.yaml", "--strict").exit_code == 1

    def test_installed_catalogs_are_known_too(self, call: Call, source: Path) -> None:
        source.write_text(SOURCE + 'heliograph.span("modboss.read")\n')

        result = call("catalog", "scan", "src", "--catalog", "shop.yaml")

        assert "modboss" not in result.stdout

    def test_the_projects_catalogs_are_at_hand(self, call: Call, folder: Path) -> None:
        (folder / "pyproject.toml").write_text(
            '[[tool.heliograph.catalogs]]\ncatalog = "shop.yaml"\n'
        )

        assert call("catalog", "scan", "src").exit_code == 0
        assert call("catalog", "scan", "src", "--catalog", "shop.yaml").exit_code == 0

    def test_json(self, call_json: CallJson) -> None:
        document = call_json("catalog", "scan", "src", "--catalog", "shop.yaml")

        assert document["files"] == ["src/shop.py"]
        assert document["executions"] == [
            {
                "name": "shop.order.placed",
                "kind": "event",
                "dynamic": False,
                "used": True,
                "certain": True,
                "file": "src/shop.py",
                "line": 2,
                "column": 1,
            }
        ]
        assert [each["rule"] for each in document["findings"]] == ["unexecuted-event"]

    def test_exceptions_of_the_command_line_and_of_the_project(
        self, call: Call, folder: Path
    ) -> None:
        assert call("catalog", "scan", "src", "--ignore", "unknown-event").exit_code == 0
        assert call("catalog", "scan", "src", "--ignore", "unknown").exit_code == 2

        (folder / "pyproject.toml").write_text(
            "[tool.heliograph]\n"
            'ignore = ["unknown-event:shop.order.placed", "metric-total:shop.total"]\n'
        )
        assert call("catalog", "scan", "src").exit_code == 0
        assert call("catalog", "check", "shop.yaml").exit_code == 0

    def test_a_missing_folder(self, call: Call) -> None:
        assert call("catalog", "scan", "nowhere").exit_code == 4

    def test_a_source_is_needed(self, call: Call) -> None:
        assert call("catalog", "scan").exit_code == 2

    def test_this_project_executes_nothing_that_its_catalogs_do_not_know(
        self, call: Call, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(request.config.rootpath)

        result = call("catalog", "scan", "src")

        assert result.exit_code == 0, result.stdout
