# SPDX-License-Identifier: Apache-2.0
"""The pages for readers: whoever does what they say, in an empty folder, sees what they show.

What a fenced block means is told by its language:

*   `console`: lines with `$` are commands, the lines below are what they print; a line `...` stands
    for any number of lines. Every command must succeed.
*   `heliograph collect` is a command that goes on, in a terminal of its own, while others export to
    it; a block `text` is what it shows until it is interrupted, in whatever order that arrives.
    So is `heliograph modbus serve`, which others ask.
*   `diff`: an edit of the file named in its first line.
*   Any other whose first line is `# path`: that file.
*   `python` otherwise: part of the page's program, which is run when all else is done.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/tutorial/index.md",
    "docs/explanation/modbus-protocol.md",
    "docs/explanation/otlp.md",
    "docs/explanation/partisan-protocol.md",
    "docs/how-to/attach-handlers.md",
    "docs/how-to/broadcast.md",
    "docs/how-to/describe-a-modbus-device.md",
    "docs/how-to/detect-failures.md",
    "docs/how-to/export-over-otlp.md",
    "docs/how-to/find-the-cluster.md",
    "docs/how-to/generate-outputs.md",
    "docs/how-to/join-a-cluster.md",
    "docs/how-to/metrics.md",
    "docs/how-to/modbus-from-the-command-line.md",
    "docs/how-to/poll-measurements.md",
    "docs/how-to/poll-modbus-devices.md",
    "docs/how-to/read-and-write-by-name.md",
    "docs/how-to/scale-out.md",
    "docs/how-to/see-it-without-a-collector.md",
    "docs/how-to/send-and-acknowledge-messages.md",
    "docs/how-to/simulate-a-modbus-device.md",
    "docs/how-to/stream-events.md",
    "docs/how-to/talk-to-a-modbus-device.md",
    "docs/how-to/test-under-faults.md",
    "docs/how-to/write-a-catalog.md",
)

BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")
FILE_NAME = re.compile(r"# ([\w/.-]+\.(?:csv|py|toml|yaml))")
# What this machine has already, or is not the reader's to run here.
NOT_HERE = (
    "pip install ",
    "opentelemetry-instrument ",
    "python3 -m venv ",
    ". .venv/",
    "make ",
    "git clone ",
)

# What is different each time: the time of day, how long things took, and the bars that say so.
VARYING = (
    (re.compile(r"\d\d:\d\d:\d\d\.\d{3}"), "TIME"),
    (re.compile(r"duration=[\d.]+ [µm]?s"), "duration=TIME"),
    (re.compile(r"trace [0-9a-f]+"), "trace ID"),
    (re.compile(r" {2,}[\d.]+ [nµm]?s(?= |$)", re.MULTILINE), "  TIME"),
    (re.compile(r"TIME {2}[ ━]{12}"), "TIME  BAR"),
    (re.compile(r"(sum|p\d\d|max) ≈?\d[\d.e-]*"), r"\1 TIME"),
    (re.compile(r"=* (\d passed) in [\d.]+s =*"), r"= \1 ="),
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(re.findall(r"(?m)^```\w", text)) == len(blocks)
    with Reader(tmp_path) as reader:
        for language, block in blocks:
            if language == "console":
                reader.run(block)
            elif language == "diff":
                reader.edit(block)
            elif named := FILE_NAME.fullmatch(block.partition("\n")[0]):
                reader.write(named[1], block)
            elif language == "python":
                reader.program += block + "\n"
            elif language == "text" and reader.other is not None:
                reader.interrupt(block)
        if reader.program:
            reader.write("the_page.py", reader.program)
            print(reader.call("python the_page.py"))


# What this run has set for itself.
IGNORED = ("PYTEST", "COVERAGE", "COV_", "FORCE_COLOR", "HELIOGRAPH", "OTEL_")
# Pages may export; without a collector of their own they must not find somebody else's.
NOWHERE = "http://127.0.0.1:9"


class Reader:
    """Does in a folder what the blocks of a page say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = ""
        self.other: subprocess.Popen[str] | None = None
        """What goes on in the other terminal."""
        self.addresses: dict[str, str] = {}
        """Where it is said to listen, and where it does."""
        self.environment = {
            # Neither this run's options and coverage nor a terminal's habits count for a reader.
            name: value
            for name, value in os.environ.items()
            if not name.startswith(IGNORED)
        } | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",  # so that the two outputs come in the order of writing
            "PYTHONUTF8": "1",
            "PYTHONWARNINGS": "error",
        }

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, block: str) -> None:
        """Lines with `-` go, lines with `+` come, all others must be there already."""
        first, *lines = block.splitlines(keepends=True)
        path = self.folder / first.removeprefix("--- ").strip()
        before = "".join([line[1:] or line for line in lines if line[0] in " -\n"])
        after = "".join([line[1:] or line for line in lines if line[0] in " +\n"])
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"there is not one place for this edit:\n{block}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def run(self, block: str) -> None:
        for session in re.split(r"(?m)^\$ ", block)[1:]:
            command, _, shown = session.partition("\n")
            if command.startswith("heliograph collect"):
                self.go_on(f"{command} --http 127.0.0.1:0", shown, "127.0.0.1:4318")
                (address,) = self.addresses.values()
                self.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{address}"
            elif command.startswith("heliograph modbus serve"):
                self.go_on(f"{command} --port 0", shown, "127.0.0.1:1502")
            elif not command.startswith(NOT_HERE):
                compare(command, shown, self.call(command))

    def go_on(self, command: str, shown: str, said: str) -> None:
        """Start a command in the other terminal, and learn where it listens."""
        self.other = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        assert self.other.stdout is not None
        line = self.other.stdout.readline()
        address = re.search(r"127\.0\.0\.1:\d+", line)
        assert address, line
        self.addresses[said] = address[0]
        compare(command, shown, self.as_said(line))

    def as_said(self, printed: str) -> str:
        for said, real in self.addresses.items():
            printed = printed.replace(real, said)
        return printed

    def interrupt(self, shown: str) -> None:
        assert self.other is not None
        self.other.send_signal(signal.SIGINT)
        printed, _ = self.other.communicate()
        status, self.other = self.other.returncode, None
        assert status == 0
        compare("what goes on", in_order(shown), in_order(printed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.other is not None:
            self.other.kill()
            self.other.communicate()

    def call(self, command: str) -> str:
        for said, real in self.addresses.items():
            command = command.replace(said, real)
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            pytest.fail(f"$ {command}\nends with {done.returncode}:\n{done.stdout}", False)
        return self.as_said(done.stdout)


def compare(command: str, shown: str, printed: str) -> None:
    parts = re.split(r"(?m)^\.\.\.\n", settled(shown))
    pattern = "(?s:.*)".join([re.escape(part) for part in parts])
    if not re.fullmatch(pattern, settled(printed)):
        pytest.fail(f"$ {command}\nis shown to print\n{shown}\nbut prints\n{printed}", False)


def in_order(output: str) -> str:
    return "".join(sorted(settled(output).splitlines(keepends=True)))


def settled(output: str) -> str:
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return output


def test_every_page_that_shows_programs_or_commands_is_run() -> None:
    # These are run by tests of their own, or by whoever has what they need.
    elsewhere = {
        "docs/explanation/overlays.md",
        "docs/how-to/export-modbus.md",
        "docs/how-to/run-a-gateway.md",
        "docs/how-to/test-your-events.md",
    }
    pages = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "docs").rglob("*.md")
        if "_build" not in path.parts
        and re.search(r"(?m)^```(console|diff|python)$", path.read_text(encoding="utf-8"))
    }

    assert pages - elsewhere - set(PAGES) == set(), "name it in PAGES"
