"""The map in CONTRIBUTING.md is the code as it is: rooms that have a section have all their modules in it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCAL = ("The server in `local/`", "Models in `local/`")
ROOMS = {
    "geospot/data": ("Inside `data/`",),
    "geospot/parsing": ("Inside `parsing/`",),
    "geospot/renderers": ("Inside `renderers/`",),
    "geospot/services": ("Inside `services/`",),
    "geospot/rl": ("Inside `rl/`",),
    "geospot/evaluation": ("Inside `evaluation/`",),
    "geospot/runs": ("Inside `runs/`",),
    "geospot/learning": ("Inside `learning/`",),
    "geospot/tui": ("Inside `tui/`",),
    "geospot/cli": ("Inside `cli/`",),
    "leaderboard/geospot_leaderboard": ("Inside `leaderboard/`",),
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


SMALL = re.findall(
    r"^\| `([\w/]+)/` \| (.*) \|$", sections()["Inside the small rooms"], re.MULTILINE
)


@pytest.mark.parametrize(("room", "text"), SMALL, ids=[room for room, _ in SMALL])
def test_a_small_room_has_a_line(room: str, text: str) -> None:
    there = {path.stem for path in (ROOT / "geospot" / room).glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)\.py`", text)) ^ there == set()


def test_only_screens_and_widgets_are_mapped_by_their_own_first_lines() -> None:
    """They are a module a screen, and a module a part: sixty names that say what they are."""
    rooms = {
        str(path.parent.relative_to(ROOT / "geospot"))
        for path in (ROOT / "geospot").rglob("__init__.py")
        if any(one.stem != "__init__" for one in path.parent.glob("*.py"))
    }
    mapped = {room.removeprefix("geospot/") for room in ROOMS} | {room for room, _ in SMALL}
    assert rooms - mapped == {".", "tui/screens", "tui/widgets"}


def test_the_map_has_every_room() -> None:
    tree = sections()["The rooms"].partition("backends/")[0]
    there = {path.stem for path in (ROOT / "geospot").iterdir() if path.suffix in (".py", "")}
    named = set(re.findall(r"(?:^  |, )(\w+)(?:\.py|/)", tree, re.MULTILINE))
    assert {name for name in there if not name.startswith("_")} ^ named == set()


def test_the_line_of_the_backends_has_each_of_them() -> None:
    line = sections()["The rooms"].partition("geospot_backends/")[2].partition("leaderboard/")[0]
    named = {name.strip(" \n/") for name in re.sub(r"\(.*?\)", "", line).split(",")}
    folder = ROOT / "backends" / "geospot_backends"
    there = {path.stem for path in folder.iterdir() if path.suffix in (".py", "")}
    assert {name for name in there if not name.startswith("_")} ^ named == set()


def test_who_may_import_whom_is_the_contract() -> None:
    project: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    said = sections()["Who may import whom"].partition(": ")[2].partition(".")[0]
    layers = [{name.strip() for name in layer.split("|")} for layer in said.split("→")]
    kept = [
        {re.sub(r"^geospot[._]", "", name.strip()) for name in layer.split("|")}
        for layer in contract
    ]
    assert layers == kept
