"""The reference of the Python code, made from docstrings by pdoc: `make docs`."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import geospot

PUBLIC = (
    *(
        "geospot",
        "geospot.rl",
        "geospot.evaluation",
        "geospot.data",
        "geospot.renderers",
        "geospot.runs",
    ),
    "geospot.plugins",
)
"""The rooms that a program of one's own calls; what is in them is in the reference, too."""


def modules() -> Iterator[str]:
    """The public rooms and, but for `geospot` itself, the modules in them."""
    for name in PUBLIC:
        yield name
        path = getattr(importlib.import_module(name), "__path__", [])
        if name != "geospot":
            yield from (one.name for one in pkgutil.iter_modules(path, f"{name}."))


def build(folder: Path, *, sources: bool = True) -> None:
    """Writes the reference as HTML.

    Args:
        sources: whether the pages show the code, too. To colour it takes half of the time.
    """
    import pdoc  # only those who make it need it
    import pdoc.render

    pdoc.render.configure(show_source=sources)
    for name in geospot.__all__:  # imported when first used, and pdoc looks without using
        setattr(geospot, name, getattr(geospot, name))
    # Of a package that says what it offers, pdoc takes nothing else unless it is named.
    closed = [name for name in PUBLIC if hasattr(importlib.import_module(name), "__all__")]
    inside = [
        name for name in modules() if name not in PUBLIC and name.rpartition(".")[0] in closed
    ]
    pdoc.pdoc(*PUBLIC, *inside, output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]), sources="--without-sources" not in sys.argv)
