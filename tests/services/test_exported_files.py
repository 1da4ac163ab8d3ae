"""Names and addresses of the files that a service exports are not believed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from geospot.errors import UsageError
from geospot.services import archive
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer

download = archive._download  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An address that gives something."""
    engine = LocalEngine(tmp_path_factory.mktemp("state"), device="cpu")
    with EmbeddedServer(engine, engine.checkpoints) as server:
        yield f"{server.base_url}/api/v1/healthz"


def test_a_file_lies_where_its_name_says(url: str, tmp_path: Path) -> None:
    download(url, tmp_path, "adapter.json")
    download(url, tmp_path, "deep/er/adapter..json")
    assert (tmp_path / "adapter.json").stat().st_size
    assert (tmp_path / "deep" / "er" / "adapter..json").stat().st_size


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "{outside}/x",
        "a/../../x",
        "a/..",
        "a/../b",
        "",
        ".",
        "..",
        "a/",
        "a//b",
        "./a",
        "a\0b",
    ],
)
def test_a_name_that_is_none_of_a_file_in_the_folder_is_refused(
    name: str, url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"^The service names a file .*, which is no name"):
        download(url, folder, name.format(outside=tmp_path))
    assert [file.name for file in tmp_path.rglob("*")] == ["new"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://[::1", "InvalidURL"),
        ("http://host\0/x", "InvalidURL"),
        ("file:///etc/passwd", "UnsupportedProtocol"),
        ("adapter.json", "UnsupportedProtocol"),
        ("http://127.0.0.1:9/x", "ConnectError"),
    ],
)
def test_an_address_that_gives_nothing_is_said(url: str, why: str, tmp_path: Path) -> None:
    said = f"The file adapter.json can't be downloaded: {why}."
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        download(url, tmp_path, "adapter.json")
    assert not list(tmp_path.iterdir())
