"""Does the model still look at the photo? A collapsed one says the same wherever it was taken.

Reward alone shows that late: an answer that fits all photos a little is better than none. So the
coordinates themselves are watched, beside those where the photos were taken: how often the most
frequent ones are given, how many different ones there are, their entropy, and how many are a capital
or a megacity. The figures count coordinates as an evaluation does, equal only if they are the very
same. The warning takes those in one cell of 0.1° (11 km) for equal: at temperature 1 the last digits
are noise, and would make one place look like many.

A model can also stop giving coordinates at all. That is told too, and ends a run where no rollout of
many steps gave any.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.geo import EARTH_RADIUS_KM, FloatArray
from geospot.greatcircle import unit_vectors
from geospot.outcomes import Outcome
from geospot.places.capitals import big_cities
from geospot.rl.types import TrajectoryGroup

NEAR_KM: Final = 25.0
"""An answer this near to a capital or megacity counts as naming it."""

_CELLS_A_DEGREE: Final = 10.0  # for the warning
_WINDOW: Final = 512  # rollouts
_FEWEST: Final = 64  # answers, below which nothing is said
_SAME_ANSWER: Final = 0.5
_SAME_PHOTO: Final = 0.25
_VARIETY: Final = 0.1
_PLACES: Final = 30.0
_BIG_CITIES: Final = 0.8
_TRUE_BIG_CITIES: Final = 0.3
_FAILURES: Final = 0.9
_DEAD_STEPS: Final = 10
_DEAD_ROLLOUTS: Final = 256
_BACK: Final = (
    "Go back to an earlier checkpoint with a lower learning_rate, a longer warm-up, or a "
    "kl_penalty_coef."
)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What N answers gave and where their photos were taken: D = (latitude, longitude) in degrees.

    Failures aren't among them.
    """

    given_N_D: FloatArray
    true_N_D: FloatArray

    def __len__(self) -> int:
        return len(self.given_N_D)


@dataclass(frozen=True, slots=True)
class Variety:
    """How varied coordinates are.

    Attributes:
        top_share: share of the most frequent one.
        top: that one, latitude and longitude in degrees.
        distinct: how many different ones there are.
        entropy: of their distribution, in nats; exp(entropy) is as many equally frequent ones.
        big_city_share: share within 25 km of a capital or a megacity.
    """

    top_share: float
    top: tuple[float, float]
    distinct: int
    entropy: float
    big_city_share: float

    @property
    def effective(self) -> float:
        """As many equally frequent coordinates would have the same entropy."""
        return float(np.exp(self.entropy))


class CollapseWatch:
    """Watches the newest rollouts of a run: those of the last steps, about 512 of them.

    It warns when a run collapses, and again only after it has recovered. A resumed run begins with
    an empty window.
    """

    def __init__(self) -> None:
        self._window: deque[tuple[int, Answers]] = deque()
        self._warned = False

    def observe(self, groups: Sequence[TrajectoryGroup]) -> str | None:
        """Takes in the rollouts of a step; a sentence where the run has just collapsed."""
        answers = answers_of(groups)
        self._window.append((len(answers) + failures_of(groups), answers))
        while sum(rollouts for rollouts, _ in self._window) - self._window[0][0] >= _WINDOW:
            self._window.popleft()
        answers = Answers(
            np.concatenate([one.given_N_D for _, one in self._window]),
            np.concatenate([one.true_N_D for _, one in self._window]),
        )
        rollouts = sum(rollouts for rollouts, _ in self._window)
        said = failing_warning(rollouts, len(answers)) or collapse_warning(answers)
        is_news = said is not None and not self._warned
        self._warned = said is not None
        return said if is_news else None


class FailingStreak:
    """Counts the steps in a row that came to nothing: every rollout failed, and nothing was learned.

    No gradient leads out of there: all rewards are equal, so the weights stay as they are, and only
    the photos differ. A person with a month of compute would rather have the rest of it than a run
    that ends as if all were well; so after ten such steps with 256 rollouts or more it is time to end.
    A model that answers one time in a hundred comes so far one time in thirteen. Equal rewards alone
    are no such sign: they are what a task that is too easy or too hard looks like.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._rollouts = 0

    def observe(self, groups: Sequence[TrajectoryGroup], *, learns: bool) -> str | None:
        """Takes in the rollouts of a step; a sentence where it is time to end.

        Args:
            learns: whether the step changes the weights, as it may with a divergence in the reward.
        """
        if learns or len(answers_of(groups)) or not (failures := failures_of(groups)):
            self.steps = self._rollouts = 0
            return None
        self.steps += 1
        self._rollouts += failures
        if self.steps < _DEAD_STEPS or self._rollouts < _DEAD_ROLLOUTS:
            return None
        return (
            f"In {self.steps} steps not one of {self._rollouts} rollouts gave coordinates that could be "
            "read, so there is nothing left to learn from."
        )


def failures_of(groups: Sequence[TrajectoryGroup]) -> int:
    """How many rollouts came back without coordinates."""
    outcomes = [
        trajectory.transitions[-1].logs.get("outcome")
        for group in groups
        for trajectory in group.trajectories
    ]
    return sum(outcome not in (None, Outcome.OK) for outcome in outcomes)


def answers_of(groups: Sequence[TrajectoryGroup]) -> Answers:
    """The final answers of all rollouts that gave coordinates."""
    rows = [
        [logs["latitude"], logs["longitude"], logs["true_latitude"], logs["true_longitude"]]
        for group in groups
        for trajectory in group.trajectories
        if (logs := trajectory.transitions[-1].logs).get("outcome") == Outcome.OK
    ]
    rows_N_F = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Answers(rows_N_F[:, :2], rows_N_F[:, 2:])


def collapse_figures(answers: Answers) -> dict[str, float]:
    """`collapse/*` of the answers, and `collapse/true_*` of their photos; empty where there are none."""
    if not len(answers):
        return {}
    given, true = variety(answers.given_N_D), variety(answers.true_N_D)
    return {
        "collapse/top_share": given.top_share,
        "collapse/distinct": float(given.distinct),
        "collapse/entropy": given.entropy,
        "collapse/big_city_share": given.big_city_share,
        "collapse/true_entropy": true.entropy,
        "collapse/true_big_city_share": true.big_city_share,
    }


def variety(place_N_D: FloatArray, *, cells_a_degree: float | None = None) -> Variety:
    """How varied N ≥ 1 coordinates in degrees are.

    Args:
        cells_a_degree: coordinates that round to the same cell are equal; None: only the very same.
    """
    counted_N_D = place_N_D
    if cells_a_degree is not None:
        counted_N_D = np.round(place_N_D * cells_a_degree) / cells_a_degree
    different, counts = np.unique(counted_N_D, axis=0, return_counts=True)
    share_K: FloatArray = counts / counts.sum()
    top = int(np.argmax(counts))
    latitude, longitude = different[top].tolist()
    return Variety(
        top_share=float(share_K[top]),
        top=(latitude, longitude),
        distinct=len(different),
        entropy=float((share_K * -np.log(share_K)).sum()),
        big_city_share=float(near_big_city(place_N_D).mean()),
    )


def near_big_city(place_N_D: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each of N coordinates in degrees is within 25 km of a capital or a megacity."""
    # Products of unit vectors tell what is near, for less than haversine costs.
    place_N_X, city_X_C = unit_vectors(place_N_D).T, unit_vectors(np.column_stack(big_cities()))
    cosine_N_C: FloatArray = place_N_X @ city_X_C
    is_near_N_C = cosine_N_C > math.cos(NEAR_KM / EARTH_RADIUS_KM)
    return np.asarray(is_near_N_C.any(axis=1), dtype=np.bool_)


def failing_warning(rollouts: int, answers: int) -> str | None:
    """What a person must be told where hardly a rollout gives coordinates."""
    if rollouts < _FEWEST or rollouts - answers < _FAILURES * rollouts:
        return None
    return (
        f"The model hardly answers: of its last {rollouts} rollouts {rollouts - answers} gave no "
        f"coordinates that could be read. {_BACK} If it never answered, begin with `geospot sft` or a "
        "larger max_tokens."
    )


def collapse_warning(answers: Answers) -> str | None:
    """What a person must be told of a collapse; None where answers are few, or varied enough."""
    if len(answers) < _FEWEST:
        return None
    given, true = (
        variety(places, cells_a_degree=_CELLS_A_DEGREE)
        for places in (answers.given_N_D, answers.true_N_D)
    )
    if given.top_share >= _SAME_ANSWER and true.top_share < _SAME_PHOTO:
        what = (
            f"{given.top_share:.0%} of its last {len(answers)} answers are {given.top[0]:.1f}, "
            f"{given.top[1]:.1f}, whatever the photo"
        )
    elif true.effective >= _PLACES and given.effective < _VARIETY * true.effective:
        what = (
            f"its last {len(answers)} answers are as varied as {given.effective:.1f} places, and the "
            f"photos as {true.effective:.0f}"
        )
    elif given.big_city_share >= _BIG_CITIES and true.big_city_share < _TRUE_BIG_CITIES:
        what = (
            f"{given.big_city_share:.0%} of its last {len(answers)} answers are a capital or a megacity, "
            f"and {true.big_city_share:.0%} of the photos are from one"
        )
    else:
        return None
    return f"The model seems to have collapsed: {what}. {_BACK}"
