"""The programs in docs/engine.md and docs/renderers.md run as they are written there."""

import re
from pathlib import Path
from typing import Any

import pytest

from geospot.services.archive import new_folder
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.local.tiny_export import export_tiny
from tests.support.photos import make_photo

DOCS = Path(__file__).parents[2] / "docs"


def run_page(name: str) -> dict[str, Any]:
    """The names that the page's only program leaves."""
    page = DOCS / name
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(page), "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def photo_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photo.jpg").write_bytes(make_photo("docs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_the_engine_page_s_program_trains_and_samples(
    photo_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalEngine(photo_here / "state", device="cpu")
    with EmbeddedServer(engine, engine.checkpoints) as server:
        monkeypatch.setenv("TINKER_BASE_URL", server.base_url)
        monkeypatch.setenv("TINKER_API_KEY", "tml-anything")
        names = run_page("engine.md")
    assert 0 < names["loss_nats"] < 20
    assert names["reply"].text.startswith(("City", "Latitude"))
    (saved,) = CheckpointStore(photo_here / "state").all()
    assert str(saved.path) == names["path"]


def test_the_renderers_page_s_program_renders(photo_here: Path) -> None:
    with new_folder(photo_here / "tiny") as draft:
        export_tiny("geospot/tiny-vlm", draft)
    names = run_page("renderers.md")
    assert names["answer"].text == "Latitude: 48.8566"
    assert names["answer"].truncated is False
    assert names["prompt"].length > 9
