# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of the demo's page in the documentation, anew.

`python -m tests.apps.demo.pictures docs/images` plays the demo, for as long as it takes a busy
machine, and writes them with as few colours as will do, for which it needs Debian's `pngquant`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.apps.demo.browser import Browser, Page


def main(folder: Path) -> None:
    """Play, look, and keep what is seen."""
    program = shutil.which("chromium")
    assert program is not None, "Chromium is needed: Debian's package chromium"
    command = [sys.executable, "-m", "heliograph", "demo", "--headless", "--seconds", "60"]
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen(
            [*command, "--web", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as demo,
    ):
        assert demo.stdout is not None
        found = re.search(r"http://\S+", demo.stdout.readline())
        assert found is not None
        browser = Browser(Path(program), Path(profile))
        wide = browser.page(found[0])
        dark = browser.page(found[0], height=960, dark=True)
        narrow = browser.page(found[0], width=400, height=860)

        wide.wait("document.querySelector('#waterfall .span.again')")
        wide.wait(
            "document.querySelector('.member.dead') && document.querySelector('.tile.lonely')"
        )
        _keep(wide, folder / "demo-page.png")
        narrow.wait("document.querySelector('#story').innerText.includes('taken its devices')")
        _keep(narrow, folder / "demo-page-narrow.png")

        dark.wait("document.querySelector('#story').innerText.includes('has its devices again')")
        dark.choose("#event-severity", "13")
        dark.write("#catalog-search", "client.retries")
        dark.do("document.querySelector('#entry-list button').click()")
        dark.do("document.activeElement.blur()")
        dark.do("document.querySelector('#events').scrollIntoView()")
        dark.do("document.querySelector('#metrics').style.height = '156px'")  # to show the next
        _keep(dark, folder / "demo-page-dark.png")
        browser.close()
        demo.terminate()


def _keep(page: Page, file: Path) -> None:
    file.write_bytes(page.picture())
    command = ["pngquant", "--force", "--speed=1", "--strip", "--ext=.png", "128", str(file)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
