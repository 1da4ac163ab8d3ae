"""A page of the world to look at: `python -m geospot.data.world.contact_sheet OUT.png`."""

import argparse
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from geospot.data.world.render import GRAIN, IMAGE_SIZE, paint
from geospot.data.world.scene import imagine
from geospot.places import reverse_geocode

Row = tuple[str, tuple[tuple[str, float, float], ...]]

ROWS: Final[tuple[Row, ...]] = (
    ("Cold", (
        ("Tromso", 69.65, 18.96), ("Fairbanks", 64.84, -147.72), ("Yakutsk", 62.03, 129.73),
        ("Helsinki", 60.17, 24.94), ("Ulaanbaatar", 47.92, 106.92), ("Ushuaia", -54.8, -68.3),
    )),
    ("Temperate", (
        ("London", 51.5, -0.13), ("Nantes", 47.22, -1.55), ("Zurich", 47.37, 8.54),
        ("Kyiv", 50.45, 30.52), ("Vancouver", 49.25, -123.1), ("Auckland", -36.85, 174.76),
    )),
    ("Dry summers", (
        ("Rome", 41.9, 12.5), ("Ankara", 39.93, 32.86), ("Denver", 39.74, -104.98),
        ("Santiago", -33.45, -70.67), ("Cape Town", -33.92, 18.42), ("Adelaide", -34.93, 138.6),
    )),
    ("Desert", (
        ("Cairo", 30.04, 31.24), ("Riyadh", 24.71, 46.68), ("Phoenix", 33.45, -112.07),
        ("Calama", -22.46, -68.93), ("Windhoek", -22.57, 17.08), ("Alice Springs", -23.7, 133.88),
    )),
    ("Savanna", (
        ("Nairobi", -1.29, 36.82), ("Bamako", 12.65, -8.0), ("Hyderabad", 17.38, 78.49),
        ("Brasilia", -15.79, -47.88), ("Lusaka", -15.42, 28.28), ("Guadalajara", 20.67, -103.35),
    )),
    ("Wet tropics", (
        ("Manaus", -3.1, -60.02), ("Kisangani", 0.52, 25.2), ("Bangkok", 13.75, 100.5),
        ("Singapore", 1.35, 103.82), ("Lae", -6.72, 146.98), ("San Jose", 9.93, -84.08),
    )),
    ("Far East", (
        ("Tokyo", 35.68, 139.69), ("Seoul", 37.57, 126.98), ("Shanghai", 31.23, 121.47),
        ("Kunming", 25.04, 102.71), ("Kathmandu", 27.7, 85.32), ("Taipei", 25.03, 121.57),
    )),
)  # fmt: skip

_LARGE: Final = 144
_GAP: Final = 6
_CAPTION: Final = 16
_MARGIN: Final = 84
_INK: Final = (40, 44, 52)


def contact_sheet() -> Image.Image:
    """Places by climate, drawn large; below, days at one place as a model sees them."""
    columns = max(len(places) for _, places in ROWS)
    across, down = _LARGE + _GAP, _LARGE + _CAPTION + _GAP
    width = _MARGIN + columns * across
    page = Image.new("RGB", (width, len(ROWS) * down + IMAGE_SIZE + 2 * _CAPTION), "white")
    for row, (title, places) in enumerate(ROWS):
        _write(page, (8, row * down + _LARGE // 2), title)
        for column, (name, latitude, longitude) in enumerate(places):
            corner = (_MARGIN + column * across, row * down)
            country = str(reverse_geocode(latitude, longitude).country_N[0])
            key = f"contact-sheet/{name}"
            scene = imagine(latitude, longitude, country, key)
            page.paste(paint(scene, key, _LARGE, grain=0.0), corner)
            _write(page, (corner[0] + 2, corner[1] + _LARGE + 1), f"{name}, {country}")
    _days(page, top=len(ROWS) * down)
    return page


def _days(page: Image.Image, top: int) -> None:
    """One place on several days, at the size and with the noise of the data set."""
    _write(page, (8, top + IMAGE_SIZE // 2 - 16), "Boston, US,")
    _write(page, (8, top + IMAGE_SIZE // 2), "as models see")
    across = IMAGE_SIZE + _GAP
    for day in range((page.width - _MARGIN) // across):
        key = f"contact-sheet/Boston {day}"
        scene = imagine(42.36, -71.06, "US", key)
        page.paste(paint(scene, key, grain=GRAIN), (_MARGIN + day * across, top))


def _write(page: Image.Image, corner: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(page).text(corner, text, fill=_INK, font=ImageFont.load_default(11))


def main() -> None:
    """Writes the sheet as a PNG, in steps of 8 of 255, which halves the file."""
    parser = argparse.ArgumentParser(description="Draws a contact sheet of the procedural world.")
    parser.add_argument("out", type=Path, metavar="OUT.png", help="the file to write")
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    steps = [min((level + 4) // 8 * 8, 255) for level in range(256)]
    contact_sheet().point(steps * 3).save(out, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
