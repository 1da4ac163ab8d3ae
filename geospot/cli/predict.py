"""`geospot predict`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from geospot.cli.options import options_from
from geospot.config.evaluation import AskConfig
from geospot.config.load import build
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Photos = Annotated[
    list[Path], typer.Argument(metavar="PHOTO…", help="Image files.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object a photo.")]


@app.command(epilog="Exit codes: 0 every photo was located, 3 some were not.")
@options_from(AskConfig)
def predict(photos: Photos, as_json: AsJson = False, *, said: dict[str, Any]) -> None:
    """Ask a backend where your own photos were taken.

    Prints place, coordinates and a map link. The photo's EXIF is never sent; where it holds a
    position, the distance to it is shown.

    \b
    geospot predict holiday.jpg --backend openai --model gpt-5-mini
    geospot predict *.jpg --base-url http://127.0.0.1:8000/v1 --model some-vlm --json
    """
    from geospot.evaluation.locate import Located, locate
    from geospot.outcomes import Outcome

    def row(found: Located) -> dict[str, Any]:
        record = found.record
        if record is None:
            return {"photo": str(found.photo), "outcome": None}
        return {
            "photo": str(found.photo),
            "outcome": str(record.outcome),
            **{level: record.place.get(level) for level in ("city", "region", "country")},
            "latitude": record.latitude,
            "longitude": record.longitude,
            "map": map_link(record.latitude, record.longitude),
            "exif_distance_km": found.exif_distance_km,
            "text": record.text,
            "error": record.error,
        }

    asked = locate(
        photos, build(AskConfig, said), lambda line: typer.echo(printable(line), err=True)
    )
    rows = [row(found) for found in asyncio.run(asked)]
    for fields in rows:
        typer.echo(json.dumps(fields, ensure_ascii=True) if as_json else "\n".join(lines(fields)))
    if any(fields["outcome"] != Outcome.OK for fields in rows):
        raise typer.Exit(3)


def lines(fields: dict[str, Any]) -> list[str]:
    """What a person reads about one photo."""
    head = printable(fields["photo"])
    if fields.get("latitude") is None:
        reason = fields.get("error") or fields.get("text") or ""
        return [f"{head}: {fields['outcome'] or 'not asked'}", f"  {printable(reason, limit=300)}"]
    named = [fields[level] for level in ("city", "region", "country") if fields[level]]
    place = printable(", ".join(named)) if named else nearest(fields)
    shown = [f"{head}: {place}", f"  {fields['latitude']:.5f}, {fields['longitude']:.5f}"]
    shown.append(f"  {fields['map']}")
    if fields["exif_distance_km"] is not None:
        shown.append(f"  {fields['exif_distance_km']:,.1f} km from the position in its EXIF")
    return shown


def nearest(fields: dict[str, Any]) -> str:
    """The nearest town to the coordinates, for an answer that names no place."""
    from geospot import places

    town = places.reverse_geocode([fields["latitude"]], [fields["longitude"]])[0]
    return "near " + ", ".join(part for part in (town.city, town.region, town.country) if part)


def map_link(latitude: float | None, longitude: float | None) -> str | None:
    """OpenStreetMap with a marker; None without coordinates."""
    if latitude is None or longitude is None:
        return None
    place = f"{latitude:.5f}/{longitude:.5f}"
    return f"https://www.openstreetmap.org/?mlat={latitude:.5f}&mlon={longitude:.5f}#map=10/{place}"
