"""Names of places and countries, and offline reverse geocoding as OSV-5M defines it.

Two names are the same place when they are equal after normalisation, never when one contains the
other. Countries are compared by ISO 3166-1 alpha-2 code; an unknown name equals nothing.
"""

from geospot.places.continents import continent
from geospot.places.countries import country_code, country_name, same_country
from geospot.places.geocode import (
    Place,
    PlaceColumns,
    city_table,
    reverse_geocode,
)
from geospot.places.labels import UniqueLabels, unique_labels
from geospot.places.names import normalise, same_place

__all__ = [
    "Place",
    "PlaceColumns",
    "UniqueLabels",
    "city_table",
    "continent",
    "country_code",
    "country_name",
    "normalise",
    "reverse_geocode",
    "same_country",
    "same_place",
    "unique_labels",
]
