# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, told what to do over its DevTools protocol.

Over a pair of pipes, as `--remote-debugging-pipe` has it: messages are JSON, each ended by a zero
byte. So neither a library nor a port is needed, and nobody else can reach the browser.

Source of the methods: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

__all__ = ["Browser", "Page"]

_PATIENCE: Final = 60.0
_FLAGS: Final = (
    "--headless=new",
    "--disable-dev-shm-usage",  # a container's is small
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-backgrounding-occluded-windows",  # a page that nobody sees is drawn all the same
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-pipe",
)


class Browser:
    """A browser, until it is closed.

    Args:
        program: Chromium.
        folder: Where it may keep its profile and what it says.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        theirs_in, ours_out = _pipe()
        ours_in, theirs_out = _pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = [*_FLAGS, *sandbox, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        log = os.open(folder / "chromium.log", os.O_WRONLY | os.O_CREAT, 0o600)
        # The protocol's descriptors are 3 and 4. The pipes' own are above, the log's may be one of
        # them: it is taken first.
        self._pid = os.posix_spawn(
            program,
            [str(program), *flags],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, theirs_in, 3),
                (os.POSIX_SPAWN_DUP2, theirs_out, 4),
            ],
            setpgroup=0,
        )
        for each in (theirs_in, theirs_out, log):
            os.close(each)
        self._in, self._out = ours_in, ours_out
        self._rest = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def page(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
        """Open a page in a window of its own."""
        window = {"url": "about:blank", "newWindow": True}
        target = self.call("Target.createTarget", window)["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, target, session["sessionId"])
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.prefer(dark=dark)
        page.call("Page.navigate", {"url": url})
        return page

    def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Call a method of the protocol and return its result.

        Raises:
            RuntimeError: The browser refuses.
            TimeoutError: It does not answer.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        until = time.monotonic() + _PATIENCE
        while True:
            answer = self._next(until, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            page = self._pages.get(answer.get("sessionId", ""))
            if page is not None:
                page.told(answer)

    def _next(self, until: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError(f"no answer to {method}")
            part = os.read(self._in, 2**16)
            if not part:
                raise RuntimeError("the browser is gone")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def forget(self, page: Page) -> None:
        """Close a page."""
        del self._pages[page.session]
        self.call("Target.closeTarget", {"targetId": page.target})

    def close(self) -> None:
        """End the browser."""
        ended = os.pidfd_open(self._pid)
        with suppress(RuntimeError, OSError):  # it may go before it answers
            self.call("Browser.close")
        if not select.select([ended], [], [], _PATIENCE)[0]:
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        for each in (ended, self._in, self._out):
            os.close(each)


class Page:
    """One page.

    Attributes:
        session: The protocol's session.
        target: The protocol's target.
        errors: What went wrong on the page, as it was told on its console.
    """

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self.target = target
        self.session = session
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._browser.forget(self)

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return self._browser.call(method, parameters, self.session)

    def told(self, message: dict[str, Any]) -> None:
        """Take an event of the protocol."""
        said = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = said["exceptionDetails"]
                self.errors.append(details.get("exception", details).get("description", str(said)))
            case "Runtime.consoleAPICalled" if said["type"] in {"error", "warning", "assert"}:
                self.errors.append(str([each.get("value") for each in said["args"]]))
            case "Log.entryAdded" if said["entry"]["level"] in {"error", "warning"}:
                entry = said["entry"]
                self.errors.append(f"{entry['text']} {entry.get('url', '')}".strip())

    def resize(self, width: int, height: int) -> None:
        """Give the page a window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640}
        self.call("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, *, dark: bool) -> None:
        """Let the user prefer dark colours, or light ones."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})

    def do(self, script: str) -> Any:
        """Run an expression of JavaScript on the page and return its value, or its promise's.

        Raises:
            AssertionError: It throws.
        """
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", {"expression": script, **options})
        details = answer.get("exceptionDetails")
        if details is not None:
            said = details.get("exception", {}).get("description", details["text"])
            raise AssertionError(f"{script}: {said}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Return the value of an expression as soon as it is true; it is looked at with each frame.

        Raises:
            AssertionError: It did not come true; the message has what the page shows.
        """
        self.call("Page.bringToFront")  # what nobody can see is not drawn
        limit = 1000 * (_PATIENCE - 5)
        looked = f"""new Promise((resolve) => {{
            const until = performance.now() + {limit};
            const look = () => {{
                let value = null;
                try {{ value = {condition}; }} catch (error) {{ value = null; }}
                if (value || performance.now() > until) resolve(value instanceof Node || value);
                else requestAnimationFrame(look);
            }};
            look();
        }})"""
        found = self.do(looked)
        if not found:
            shown = str(self.do("document.body.innerText"))[:2000]
            raise AssertionError(f"in vain waited for {condition}; errors {self.errors}; {shown}")
        return found

    def text(self, selector: str) -> str:
        """The text that is shown of the first element that a selector finds."""
        found = f"document.querySelector({json.dumps(selector)})"
        return str(self.do(f"{found}.innerText ?? {found}.textContent"))

    def count(self, selector: str) -> int:
        """How many elements a selector finds."""
        return int(self.do(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click on the middle of an element with the mouse."""
        place = self.do(
            f"""(() => {{
                const found = document.querySelector({json.dumps(selector)});
                found.scrollIntoView({{block: "center"}});
                const box = found.getBoundingClientRect();
                return {{x: box.x + box.width / 2, y: box.y + box.height / 2}};
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, **place, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", event)

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        codes = {"Tab": 9, "Enter": 13, "Home": 36, "End": 35, "ArrowUp": 38, "ArrowDown": 40}
        for key in keys:
            event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
            if key == "Enter":
                event["text"] = "\r"
            self.call("Input.dispatchKeyEvent", {"type": "keyDown", **event})
            self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def write(self, selector: str, text: str) -> None:
        """Write into a field, in place of what is in it."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.do(f"({found}.focus(), {found}.select())")
        if text:
            self.call("Input.insertText", {"text": text})
        else:
            self.press_delete()

    def press_delete(self) -> None:
        """Delete what is selected."""
        event = {"key": "Delete", "code": "Delete", "windowsVirtualKeyCode": 46}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, **event})

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        self.do(
            f"""(() => {{
                const found = document.querySelector({json.dumps(selector)});
                found.value = {json.dumps(value)};
                found.dispatchEvent(new Event("change", {{bubbles: true}}));
            }})()"""
        )

    def picture(self, *, whole: bool = False) -> bytes:
        """What is seen, as PNG; the whole page on demand."""
        self.call("Page.bringToFront")
        options = {"format": "png", "captureBeyondViewport": whole}
        return base64.b64decode(self.call("Page.captureScreenshot", options)["data"])


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are out of the way of the standard ones."""
    ends = []
    for each in os.pipe():
        ends.append(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(each)
    reading, writing = ends
    return reading, writing
