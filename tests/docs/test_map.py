"""The map in CONTRIBUTING.md is the code as it is: rooms that have a section have all their modules in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCAL = ("The server in `local/`", "Models in `local/`")
ROOMS = {
    "geospot/evaluation": ("Inside `evaluation/`",),
    "geospot/runs": ("Inside `runs/`",),
    "geospot/learning": ("Inside `learning/`",),
    "geospot/tui": ("Inside `tui/`",),
    "backends/geospot_backends/local": LOCAL,
}


def sections() -> dict[str, str]:
    """Heading → text, of every section of the page."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_is_named_and_none_that_is_gone(room: str) -> None:
    text = "".join(sections()[heading] for heading in ROOMS[room])
    there = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)\.py`", text)) ^ there == set()


def test_the_map_has_every_room() -> None:
    tree = sections()["The rooms"].partition("backends/")[0]
    there = {path.stem for path in (ROOT / "geospot").iterdir() if path.suffix in (".py", "")}
    named = set(re.findall(r"(?:^  |, )(\w+)(?:\.py|/)", tree, re.MULTILINE))
    assert {name for name in there if not name.startswith("_")} - named == set()
