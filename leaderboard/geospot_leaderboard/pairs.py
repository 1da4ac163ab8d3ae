"""Two results on the images that both were asked, pair by pair; says nothing of chance.

With several answers an image, an image has the mean GeoScore and the median distance of its answers.
What server or network lost is no answer of a model: it is left out, and because a server may fail
just on the hard images, `lost_counted` says what it could come to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.errors import UsageError
from geospot.evaluation.metrics import BoolArray
from geospot.geo import FloatArray
from geospot_leaderboard.asked import Asked, Images, read_asked
from geospot_leaderboard.collect import Result, read_result

IndexArray = npt.NDArray[np.intp]

_SAME_TRUTH_DEGREES: Final = 1e-6


@dataclass(frozen=True, slots=True)
class LostCounted:
    """GeoScores where every answer that server or network lost is a failure; the worst case."""

    images: int
    """Images that both were asked, with or without an answer."""
    lost_answers_a: int
    """How many answers of these images A lost."""
    lost_answers_b: int
    a: float
    b: float

    @property
    def difference(self) -> float:
        """B − A, in GeoScore points."""
        return self.b - self.a


@dataclass(frozen=True)
class Pairs:
    """Two results on the images in common, in the order of the ids.

    Those are the images that both were asked, with equal truth, and lost to neither server nor network.
    """

    a: Result
    b: Result
    images_a: Images
    images_b: Images
    """Row by row the same images as `images_a`."""
    only_a: int
    only_b: int
    other_truth: int
    lost_a: int
    lost_b: int
    lost_counted: LostCounted | None

    @property
    def gain_N(self) -> FloatArray:
        """GeoScore points by which B is better on each image; below 0 is a regression."""
        return self.images_b.scores.geoscore_N - self.images_a.scores.geoscore_N

    def swapped(self) -> "Pairs":
        """The same pairs with A as B and B as A; nothing is read again."""
        counted = self.lost_counted
        return Pairs(
            a=self.b,
            b=self.a,
            images_a=self.images_b,
            images_b=self.images_a,
            only_a=self.only_b,
            only_b=self.only_a,
            other_truth=self.other_truth,
            lost_a=self.lost_b,
            lost_b=self.lost_a,
            lost_counted=None
            if counted is None
            else LostCounted(
                counted.images, counted.lost_answers_b, counted.lost_answers_a, counted.b, counted.a
            ),
        )


def pair_up(a: Path, b: Path) -> Pairs:
    """Reads two result directories and finds their common images.

    Raises:
        ResultFormatError: one of them can't be read.
        UsageError: they have no image in common.
    """
    result_a, result_b = read_result(a), read_result(b)
    asked_a, asked_b = read_asked(a), read_asked(b)
    index_a, index_b = _common(asked_a.images.ids, asked_b.images.ids)
    same = _same_truth(asked_a.images.true_N_C[index_a], asked_b.images.true_N_C[index_b])
    if not same.any():
        raise UsageError(
            f"{a} and {b} have no image in common.",
            "Compare two evaluations of the same data set; an equal --seed chooses the same images.",
        )
    return Pairs(
        a=result_a,
        b=result_b,
        images_a=asked_a.images.take(index_a[same]),
        images_b=asked_b.images.take(index_b[same]),
        only_a=_lacking(asked_a.images.ids, asked_b.ids),
        only_b=_lacking(asked_b.images.ids, asked_a.ids),
        other_truth=int(np.count_nonzero(~same)),
        lost_a=asked_a.lost,
        lost_b=asked_b.lost,
        lost_counted=_lost_counted(asked_a, asked_b),
    )


def _common(a: Sequence[str], b: Sequence[str]) -> tuple[IndexArray, IndexArray]:
    """Where the ids that both have stand in each, in the order of the ids."""
    row_b = {name: row for row, name in enumerate(b)}
    rows_a = [row for row in sorted(range(len(a)), key=a.__getitem__) if a[row] in row_b]
    return np.array(rows_a, np.intp), np.array([row_b[a[row]] for row in rows_a], np.intp)


def _lacking(ids: Sequence[str], others: Sequence[str]) -> int:
    """How many of the ids are not among the others."""
    known = set(others)
    return sum(name not in known for name in ids)


def _same_truth(a_N_C: FloatArray, b_N_C: FloatArray) -> BoolArray:
    return np.abs(a_N_C - b_N_C).max(axis=1, initial=0.0) <= _SAME_TRUTH_DEGREES


def _lost_counted(a: Asked, b: Asked) -> LostCounted | None:
    if not (a.lost_M.any() or b.lost_M.any()):
        return None
    index_a, index_b = _common(a.ids, b.ids)
    same = _same_truth(a.true_M_C[index_a], b.true_M_C[index_b])
    index_a, index_b = index_a[same], index_b[same]
    lost_a, lost_b = int(a.lost_M[index_a].sum()), int(b.lost_M[index_b].sum())
    if lost_a == lost_b == 0:
        return None
    return LostCounted(
        images=index_a.size,
        lost_answers_a=lost_a,
        lost_answers_b=lost_b,
        a=float(np.mean(a.worst_M[index_a])),
        b=float(np.mean(b.worst_M[index_b])),
    )
