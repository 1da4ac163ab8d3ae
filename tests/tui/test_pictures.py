"""The pictures in the documents: they load nothing, and show what the screen shows."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from tests.support.screens import drive, until_seen
from tests.support.svg import svg_of

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "recordings" / "runs" / "rl"
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def texts_of(svg: str) -> list[str]:
    return [node.text or "" for node in parsed(svg).iter(f"{SVG}text")]


def test_a_screen_becomes_a_picture() -> None:
    made: list[str] = []

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "finished", "Reward")
        made.append(svg_of(pilot.app.screen, "#14171c"))

    app = GeospotApp([RUN.parent], first=lambda app: app.open_run(RUN))
    drive(app, steps, (100, 30))
    (svg,) = made
    texts = texts_of(svg)
    assert {"Reward", "GeoScore", "Median", "Enlarge"} <= {text.strip() for text in texts}
    width, height = parsed(svg).attrib["viewBox"].split()[2:]
    assert (float(width), float(height)) == (100 * 9 + 20, 30 * 19 + 20)
    assert not any("⠁" <= letter <= "⣿" or letter == "█" for text in texts for letter in text)
    dots = next(path for path in parsed(svg).iter(f"{SVG}path") if path.get("opacity"))
    assert dots.attrib["d"].count("M") > 10


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pictures_ask_nothing_of_a_network(path: Path) -> None:
    svg = path.read_text(encoding="utf-8")
    assert svg.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert not any(
        word in svg for word in ("url(", "href", "@import", "@font-face", "<image", "<script")
    )
    assert len(texts_of(svg)) > 10


def test_every_picture_is_shown_somewhere() -> None:
    shown = "".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    )
    assert len(PICTURES) >= 7
    assert [path.name for path in PICTURES if path.name not in shown] == []
