"""Chromium without a window, driven over its own debugging pipe: no package is needed for it."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLAYWRIGHTS = ".cache/ms-playwright/chromium-*/chrome-linux*/chrome"
SLOWEST = 60.0  # seconds until an answer


def find_chromium() -> str | None:
    """A Chromium on this machine; None where there is none."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    found += [str(path) for path in sorted(Path.home().glob(PLAYWRIGHTS))]
    return found[0] if found else None


class Page:
    """A tab, what it has asked for, and what it has complained of."""

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self.read = read
        self.write = write
        self.rest = b""
        self.sent = 0
        self.session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.loaded = False

        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its answer."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            new = self.read.read(1 << 16)
            assert new, "Chromium has ended"
            self.rest += new

        line, _, self.rest = self.rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        content = message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(content["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(content["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(str(content["entry"]["text"]))
        elif method == "Page.loadEventFired":
            self.loaded = True

    def open(self, path: Path, *, width: int, height: int, dark: bool) -> None:
        """Load a file in a window of that size, as a light or a dark page."""
        scheme = "dark" if dark else "light"
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.loaded = False
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._next()

    def value(self, script: str) -> Any:
        """What an expression comes to."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what is seen, or the whole page, as PNG."""
        more: dict[str, Any] = {}
        if whole:
            size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            width, height = self.value(size)
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            more = {"clip": clip, "captureBeyondViewport": True}
        found = self.ask("Page.captureScreenshot", **more)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """A page in a Chromium of its own, which ends with the block."""
    to_it, ours = os.pipe()
    mine, from_it = os.pipe()
    with tempfile.TemporaryDirectory() as profile:
        flags = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",  # the tests run as root, in containers
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
        ]
        # It reads from descriptor 3 and writes to 4
        command = f'exec 3<&{to_it} 4>&{from_it}; exec "$0" "$@"'
        process = subprocess.Popen(
            ["bash", "-c", command, program, *flags],
            pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        try:
            with os.fdopen(mine, "rb", 0) as read, os.fdopen(ours, "wb", 0) as write:
                page = Page(read, write)
                yield page
                page.session = None
                page.ask("Browser.close")
                process.wait(SLOWEST)
        finally:
            process.kill()
            process.wait()
