"""What a result was asked, an image a row: read into columns, since there may be hundreds of thousands."""

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.evaluation import results
from geospot.evaluation.metrics import Scores
from geospot.evaluation.records import SampleRecord
from geospot.geo import HALF_CIRCUMFERENCE_KM, FloatArray
from geospot.outcomes import OUTCOMES, Outcome

IntArray = npt.NDArray[np.int64]

_OK: Final = OUTCOMES.index(Outcome.OK)
_NOTHING_YET: Final = 255
_NUMBER: Final[Mapping[str, int]] = {outcome: i for i, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True)
class Images:
    """The images of one result that there is an answer for, a row each; `true_N_C` are degrees."""

    ids: list[str]
    scores: Scores
    true_N_C: FloatArray
    said_N_C: FloatArray
    """Where the first answer with coordinates lies; NaN where there is none."""
    outcomes: list[str]

    def take(self, index_N: npt.NDArray[np.intp]) -> "Images":
        """Some of the images."""
        rows: list[int] = index_N.tolist()
        return Images(
            [self.ids[row] for row in rows],
            Scores(
                self.scores.distance_km_N[index_N],
                self.scores.geoscore_N[index_N],
                self.scores.answered_N[index_N],
            ),
            self.true_N_C[index_N],
            self.said_N_C[index_N],
            [self.outcomes[row] for row in rows],
        )


@dataclass(frozen=True)
class Asked:
    """Every image that was asked, also those without any answer: M of them."""

    ids: list[str]
    images: Images
    """Those with an answer, in the same order."""
    true_M_C: FloatArray
    answers_M: IntArray
    lost_M: IntArray
    """How many answers server or network lost."""
    worst_M: FloatArray
    """Mean GeoScore of the answers, a lost one a failure."""

    @property
    def lost(self) -> int:
        """How many images have no answer at all."""
        return int(np.count_nonzero(self.answers_M == 0))


def read_asked(folder: Path) -> Asked:
    """Reads the answers of a result; several answers to an image become one row.

    Raises:
        ResultFormatError: a line that is no record.
    """
    columns = _Columns()
    for record in results.read_records(folder / results.SAMPLES):
        columns.add(record)
    return columns.gathered()


@dataclass(slots=True)
class _Columns:
    """Numbers of images (by the order in which they came) and of answers, as they are read."""

    row: dict[str, int] = field(default_factory=dict[str, int])
    truth: "array[float]" = field(default_factory=lambda: array("d"))
    said: "array[float]" = field(default_factory=lambda: array("d"))
    outcome: bytearray = field(default_factory=bytearray)
    """The last one of an image's; `ok` where some answer is."""
    lost: "array[int]" = field(default_factory=lambda: array("q"))
    image: "array[int]" = field(default_factory=lambda: array("q"))
    """Of each answer, which image it is to."""
    distance_km: "array[float]" = field(default_factory=lambda: array("d"))
    geoscore: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, record: SampleRecord) -> None:
        """Counts an answer in."""
        # The other result has the same ids: kept once, they take half the memory.
        place = self.row.setdefault(sys.intern(record.id), len(self.lost))
        if place == len(self.lost):
            self.truth.extend((record.true_latitude, record.true_longitude))
            self.said.extend((np.nan, np.nan))
            self.outcome.append(_NOTHING_YET)
            self.lost.append(0)
        if record.outcome is Outcome.TRANSPORT_ERROR:
            self.lost[place] += 1
            return
        is_answered = record.outcome is Outcome.OK
        self.image.append(place)
        self.distance_km.append(record.distance_km if is_answered else HALF_CIRCUMFERENCE_KM)
        self.geoscore.append(record.geoscore if is_answered else 0.0)
        if self.outcome[place] == _OK:
            return
        self.outcome[place] = _NUMBER[record.outcome]
        if record.latitude is not None and record.longitude is not None:
            self.said[2 * place : 2 * place + 2] = array("d", (record.latitude, record.longitude))

    def gathered(self) -> Asked:
        """Everything as arrays, an image a row."""
        ids = list(self.row)
        image_A = np.frombuffer(self.image, np.int64)
        geoscore_A, distance_km_A = np.array(self.geoscore), np.array(self.distance_km)
        answers_M = np.bincount(image_A, minlength=len(ids))
        points_M = np.bincount(image_A, geoscore_A, minlength=len(ids))
        lost_M = np.array(self.lost, np.int64)
        there = np.flatnonzero(answers_M)
        outcome_M = np.frombuffer(self.outcome, np.uint8)
        true_M_C, said_M_C = (np.array(one).reshape(-1, 2) for one in (self.truth, self.said))
        images = Images(
            ids=[ids[row] for row in there.tolist()],
            scores=Scores(
                distance_km_N=_medians(image_A, distance_km_A, answers_M[there]),
                geoscore_N=points_M[there] / answers_M[there],
                answered_N=outcome_M[there] == _OK,
            ),
            true_N_C=true_M_C[there],
            said_N_C=said_M_C[there],
            outcomes=[OUTCOMES[number] for number in outcome_M[there].tolist()],
        )
        return Asked(ids, images, true_M_C, answers_M, lost_M, points_M / (answers_M + lost_M))


def _medians(image_A: IntArray, value_A: FloatArray, count_N: IntArray) -> FloatArray:
    """The median of each image's values, of images that have `count_N` of them each, in their order."""
    value_A = value_A[np.lexsort((value_A, image_A))]
    first_N = np.cumsum(count_N) - count_N
    low_N, high_N = first_N + (count_N - 1) // 2, first_N + count_N // 2
    return (value_A[low_N] + value_A[high_N]) / 2
