"""The reference of the Python code, made from docstrings by pdoc: `make docs`."""

import sys
from pathlib import Path

import geospot

PUBLIC = ("geospot", "geospot.rl", "geospot.evaluation", "geospot.data", "geospot.plugins")
"""The rooms that a program of one's own calls; what is in them is in the reference, too."""


def build(folder: Path) -> None:
    """Writes the reference as HTML."""
    import pdoc  # only those who make it need it

    for name in geospot.__all__:  # imported when first used, and pdoc looks without using
        setattr(geospot, name, getattr(geospot, name))
    pdoc.pdoc(*PUBLIC, output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
