"""Where the app is tested: nobody's keys, and nobody's folder."""

from pathlib import Path

import pytest

from tests.support.screens import handled


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Textual waits after each key until the process is idle: 40 ms, or 2 s where its threads have work."""
    monkeypatch.setattr("textual.app.wait_for_idle", handled)
    monkeypatch.setattr("textual.pilot.wait_for_idle", handled)


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of a service is set, and whoever looks around finds an empty folder."""
    for name in ("TINKER_API_KEY", "TINKER_BASE_URL", "OPENAI_API_KEY", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
