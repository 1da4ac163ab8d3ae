"""What the model is asked, by name or from a file, and the hash that goes into a result."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geospot.errors import UsageError

if TYPE_CHECKING:
    from geospot.data.sample import GeoSample

FIVE_LINES: Final = """\
Where on Earth was this photo taken? Use what you can see: vegetation, soil, light, architecture, \
road markings, side of the road, vehicles, signs and writing.
Answer in exactly these five lines and nothing else, with your best guess even if you are unsure:
City: <city or nearest town>
Region: <state, province or region>
Country: <country>
Latitude: <decimal degrees, north positive>
Longitude: <decimal degrees, east positive>"""

COORDINATES: Final = """\
Where on Earth was this photo taken? Give your single best guess even if you are unsure. \
Answer only with latitude and longitude in decimal degrees, like this: -12.3456, 98.7654"""

JSON_OBJECT: Final = """\
Where on Earth was this photo taken? Give your single best guess even if you are unsure. \
Answer only with one JSON object:
{"city": "…", "region": "…", "country": "…", "latitude": <decimal degrees>, "longitude": <decimal degrees>}"""

REASONED: Final = """\
Where on Earth was this photo taken? First describe, in a few sentences, the clues you see: \
vegetation, soil, light, architecture, road markings, side of the road, vehicles, signs and writing. \
Then end with exactly these five lines, with your best guess even if you are unsure:
City: <city or nearest town>
Region: <state, province or region>
Country: <country>
Latitude: <decimal degrees, north positive>
Longitude: <decimal degrees, east positive>"""

TINY: Final = "Where was this photo taken?"
"""What `geospot/tiny-vlm` was trained on: a long instruction would cost it more than the image."""

PROMPTS: Final = {
    "five-lines": FIVE_LINES,
    "coordinates": COORDINATES,
    "json": JSON_OBJECT,
    "reasoned": REASONED,
    "tiny": TINY,
}
DEFAULT_PROMPT: Final = "five-lines"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text put to the model and where it came from."""

    name: str
    text: str
    system: str | None = None

    @property
    def sha(self) -> str:
        """SHA-256 of system and user text, hexadecimal; two results with equal hashes asked alike."""
        return hashlib.sha256(f"{self.system or ''}\0{self.text}".encode()).hexdigest()


def load_prompt(name_or_file: str, system: str | None = None) -> Prompt:
    """The named prompt, the text of a file, or, if it has several words, the text itself.

    Raises:
        UsageError: neither a known name nor a readable, non-empty text file.
    """
    if name_or_file in PROMPTS:
        return Prompt(name_or_file, PROMPTS[name_or_file], system)
    path = Path(name_or_file)
    if not _is_file(path) and len(name_or_file.split()) > 1:
        return Prompt("inline", name_or_file, system)
    if not _is_file(path):
        raise UsageError(
            f"There is no prompt {name_or_file!r}.",
            f"Name one of {', '.join(PROMPTS)}, or a text file, or write the question itself.",
        )
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The prompt file {path} is not UTF-8 text.", "Save it as UTF-8."
        ) from error
    if not text:
        raise UsageError(f"The prompt file {path} is empty.", "Write the question into it.")
    return Prompt(path.name, text, system)


def target_text(sample: "GeoSample") -> str:
    """The answer that a supervised example teaches: five lines, without those the sample has no label for.

    Countries are written by their English names; coordinates have four decimals (11 metres).
    """
    from geospot.places import country_name

    country = sample.country and (country_name(sample.country) or sample.country)
    places = (("City", sample.city), ("Region", sample.region), ("Country", country))
    lines = [f"{label}: {name}" for label, name in places if name]
    lines += [f"Latitude: {sample.latitude:.4f}", f"Longitude: {sample.longitude:.4f}"]
    return "\n".join(lines)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a whole question is too long for a file's name
        return False
