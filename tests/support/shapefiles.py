"""Shapefiles of polygons (ESRI Shapefile Technical Description, 1998), with a dBase table of countries."""

import struct
from pathlib import Path


def shapefile(
    folder: Path, rings: list[list[tuple[float, float]]], names: list[str], layer: str = "layer"
) -> None:
    """A layer of one polygon a ring, with columns iso_a3 and name."""
    records = b""
    for ring in rings:
        body = struct.pack("<i32xiii", 5, 1, len(ring), 0)
        body += b"".join(struct.pack("<2d", *corner) for corner in ring)
        records += struct.pack(">2i", 1, len(body) // 2) + body
    (folder / f"{layer}.shp").write_bytes(struct.pack(">i96x", 9994) + records)
    columns = b"".join(
        name.ljust(11, b"\0") + b"C" + bytes(4) + bytes([width]) + bytes(15)
        for name, width in ((b"iso_a3", 3), (b"name", 20))
    )
    header = struct.pack("<4xIHH20x", len(names), 32 + len(columns) + 1, 24)
    rows = b"".join(
        b" " + code.encode().ljust(3) + name.encode("latin-1").ljust(20)
        for code, name in (text.split("/") for text in names)
    )
    (folder / f"{layer}.dbf").write_bytes(header + columns + b"\r" + rows)
