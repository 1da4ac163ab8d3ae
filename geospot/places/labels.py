"""OSV-5M's composed labels: `Region_CC`, `Sub_Region_CC`, `City_Sub_Region_CC`.

The data set writes `City_NaN_Region_CC` where the sub-region is missing; the official evaluation
composes `City__Region_CC` for a prediction, which is never equal: 42% of the geocoder's cities have no
sub-region. `fixed=False` repeats that, for figures comparable with the papers.
"""

from dataclasses import dataclass
from typing import Final

from geospot.places.geocode import Place

_MISSING: Final = "NaN"
"""How OSV-5M's labels write a part that is missing."""


@dataclass(frozen=True, slots=True)
class UniqueLabels:
    """A place's labels that are unique in the world. None: the place has no such part."""

    unique_city: str | None
    unique_sub_region: str | None
    unique_region: str | None
    country: str | None


def unique_labels(place: Place, *, fixed: bool) -> UniqueLabels:
    """`City_Sub_Region_CC`, `Sub_Region_CC`, `Region_CC` and `CC` of a place.

    `fixed=False` composes as the official code does a prediction: an empty part stays empty. With
    `fixed=True` an empty part is written `NaN`, as OSV-5M's labels do, and a label whose own first
    part is missing is None.
    """
    city, sub, region, country = place.city, place.sub_region, place.region, place.country
    if not fixed:
        return UniqueLabels(
            unique_city=f"{city}_{sub}_{region}_{country}",
            unique_sub_region=f"{sub}_{region}_{country}",
            unique_region=f"{region}_{country}",
            country=country,
        )
    parts = [part or _MISSING for part in (city, sub, region, country)]
    return UniqueLabels(
        unique_city="_".join(parts) if city else None,
        unique_sub_region="_".join(parts[1:]) if sub else None,
        unique_region="_".join(parts[2:]) if region else None,
        country=country or None,
    )
