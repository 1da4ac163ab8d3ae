"""Makes the outlines' file from Natural Earth's shapes: `python -m geospot.tui.atlas.pack SOURCE`.

SOURCE is a zip archive or a folder with a shapefile of countries (.shp and .dbf). Only needed when the
outlines change; docs/map.md says where the source is.
"""

import argparse
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.errors import DataError, GeospotError
from geospot.places import country_code
from geospot.places.outlines import PATH, packed

_POLYGON: Final = 5
_NAMES: Final = {"N. Cyprus": "CY", "Somaliland": "SO"}
"""Drawn apart in the source, and without a code; GeoNames and OSV-5M count them to these."""


def main(arguments: list[str] | None = None) -> None:
    """Packs the shapes that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m geospot.tui.atlas.pack", description=__doc__)
    parser.add_argument("source", type=Path, help="zip archive or folder with .shp and .dbf")
    parser.add_argument("--layer", default="naturalearth_lowres", help="name of the shapefile")
    parser.add_argument("--out", type=Path, default=PATH)
    options = parser.parse_args(arguments)
    try:
        rings = read_rings(options.source, options.layer)
    except GeospotError as error:
        sys.exit(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **packed(rings))  # pyright: ignore[reportArgumentType]
    corners = sum(len(ring) for _, ring in rings)
    size = options.out.stat().st_size
    sys.stdout.write(f"{len(rings)} rings, {corners:,} corners, {size:,} bytes: {options.out}\n")


def read_rings(source: Path, layer: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Alpha-2 and corners (longitude, latitude, degrees) of every ring of the layer.

    Raises:
        DataError: the layer isn't there, or is no shapefile of polygons.
    """
    shapes = list(_polygons(_read(source, f"{layer}.shp")))
    rows = list(_rows(_read(source, f"{layer}.dbf")))
    if len(shapes) != len(rows):
        raise DataError(
            f"{layer} has {len(shapes)} shapes but {len(rows)} rows.", "Fetch it again."
        )
    return [(_code(row), ring) for row, rings in zip(rows, shapes, strict=True) for ring in rings]


def _code(row: dict[str, str]) -> str:
    name = row.get("name", "")
    known = _NAMES.get(name) or country_code(row.get("iso_a3", "")) or country_code(name)
    return known or "--"


def _read(source: Path, name: str) -> bytes:
    if source.is_dir():
        found = next(iter(sorted(source.rglob(name))), None)
        if found is not None:
            return found.read_bytes()
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for member in archive.namelist():
                if member.rsplit("/", 1)[-1] == name:
                    return archive.read(member)
    raise DataError(f"{source} has no {name}.", "Give the archive or the folder that has it.")


def _polygons(data: bytes) -> Iterator[list[NDArray[np.float64]]]:
    """The rings of each record of a .shp file (ESRI Shapefile Technical Description, 1998)."""
    if data[:4] != b"\x00\x00\x27\x0a":
        raise DataError("This is no shapefile.", "Fetch it again.")
    at = 100
    while at < len(data):
        (words,) = struct.unpack(">i", data[at + 4 : at + 8])
        record, at = data[at + 8 : at + 8 + 2 * words], at + 8 + 2 * words
        kind, parts, points = struct.unpack("<i32xii", record[:44])
        if kind != _POLYGON:
            raise DataError(
                f"A shape of kind {kind} isn't a polygon.", "Give a layer of countries."
            )
        starts = np.frombuffer(record, "<i4", parts, 44)
        corners = np.frombuffer(record, "<f8", 2 * points, 44 + 4 * parts).reshape(-1, 2)
        yield np.split(corners, starts[1:])


def _rows(data: bytes) -> Iterator[dict[str, str]]:
    """The rows of a .dbf file (dBase III), as text by the column's name."""
    count, header, length = struct.unpack("<IHH", data[4:12])
    columns = [
        (data[at : at + 11].split(b"\0")[0].decode("ascii"), data[at + 16])
        for at in range(32, header - 1, 32)
    ]
    for number in range(count):
        at = header + number * length + 1
        row: dict[str, Any] = {}
        for name, width in columns:
            row[name] = data[at : at + width].decode("latin-1").strip()
            at += width
        yield row


if __name__ == "__main__":
    main()
