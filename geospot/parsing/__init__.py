"""Model text to outcome, coordinates and place names."""

from geospot.parsing.answer import GeoAnswer
from geospot.parsing.parse import parse_geo_response

__all__ = ["GeoAnswer", "parse_geo_response"]
