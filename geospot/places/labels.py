"""OSV-5M's composed labels, and administrative accuracy as the paper has it and as it should be.

The official code has two faults. It fills missing labels with `NaN` but masks them as `nan`, so that
a sample without a label counts as wrong. And its labels write `City_NaN_Region_CC` where the
sub-region is missing, while it composes `City__Region_CC` for a prediction: never equal, for 42% of
the geocoder's cities. `fixed=False` keeps both, for figures comparable with the papers; `fixed=True`
leaves unlabelled samples out and takes an empty part for a missing one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class LabelScore:
    """Which of N samples are right, and which of them count at all. Accuracy: right / counted."""

    right_N: npt.NDArray[np.bool_]
    counted_N: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float | None:
        """Fraction 0 to 1, None where no sample counts."""
        counted = int(self.counted_N.sum())
        return float(self.right_N.sum()) / counted if counted else None


def score_labels(
    truth: Sequence[str | None], predicted: Sequence[str | None], *, fixed: bool
) -> LabelScore:
    """Compares N composed labels. A prediction of None (a failure) is wrong.

    `fixed=False`: a missing truth is the text `NaN`, counts, and is never right. `fixed=True`: it
    doesn't count.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} labels, but {len(predicted)} predictions.")
    pairs = zip(truth, predicted, strict=True)
    right_N = np.fromiter((bool(t) and t == p for t, p in pairs), dtype=bool, count=len(truth))
    known_N = np.fromiter((bool(t) for t in truth), dtype=bool, count=len(truth))
    return LabelScore(right_N, known_N if fixed else np.ones(len(truth), dtype=bool))
