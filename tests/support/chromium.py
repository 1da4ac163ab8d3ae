"""A headless Chromium that is asked over a pipe: what a page draws, says to its console and fetches."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--remote-debugging-pipe"),
)
_DEADLINE_S: Final = 120.0


def has_chromium() -> bool:
    """Whether Chromium is installed here."""
    return shutil.which("chromium") is not None


class Chromium:
    """A browser with one page. `events` has everything that it told, by name."""

    def __init__(self, folder: Path, *, width: int = 1200, height: int = 900) -> None:
        from_us, to_browser = os.pipe()
        from_browser, to_us = os.pipe()
        command = [
            *(shutil.which("chromium") or "chromium", *_FLAGS, f"--window-size={width},{height}"),
            f"--user-data-dir={folder / 'chromium'}",
        ]
        # It reads at descriptor 3 and writes at 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", *command]
        self._process = subprocess.Popen(
            shell, pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(from_us)
        os.close(to_us)
        self._to, self._from = to_browser, from_browser
        os.set_blocking(self._from, False)
        self._data = b""
        self._number = 0
        self._answers: dict[int, Mapping[str, Any]] = {}
        self._session: str | None = None
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    def __enter__(self) -> "Chromium":
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{part}.enable")
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=_DEADLINE_S)
        os.close(self._to)
        os.close(self._from)

    def open(self, page: Path) -> None:
        """Opens a file and waits until all of it is there."""
        self.ask("Page.navigate", url=page.as_uri())
        self._until(lambda: any(name == "Page.loadEventFired" for name, _ in self.events))

    def value_of(self, expression: str) -> Any:
        """What a script comes to in the page, whatever the page itself may run; a promise is waited for."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def requests(self) -> list[str]:
        """Every address that was asked for, those that hold their own content left out."""
        asked = [
            told["request"]["url"]
            for name, told in self.events
            if name == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """What stands in the console."""
        names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(told) for name, told in self.events if name in names]

    def ask(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """One command and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        number = self._number
        self._until(lambda: number in self._answers)
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def _until(self, holds: Any) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, "Chromium doesn't answer"
            assert self._process.poll() is None, "Chromium ended"
            try:
                self._data += os.read(self._from, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
            *messages, self._data = self._data.split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers[message["id"]] = message
                else:
                    self.events.append((message["method"], message["params"]))
