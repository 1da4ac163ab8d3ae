"""geospot: train vision-language models to say where a photo was taken, and measure how good they are.

The names below are imported when they are first used, so that `import geospot` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geospot.data import open_dataset
    from geospot.geo import geoscore, haversine_km
    from geospot.outcomes import Outcome
    from geospot.parsing import parse_geo_response

__version__ = "0.1.0"

_HOMES = {
    "Outcome": "geospot.outcomes",
    "geoscore": "geospot.geo",
    "haversine_km": "geospot.geo",
    "open_dataset": "geospot.data",
    "parse_geo_response": "geospot.parsing",
}

__all__ = [
    "Outcome",
    "__version__",
    "geoscore",
    "haversine_km",
    "open_dataset",
    "parse_geo_response",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
