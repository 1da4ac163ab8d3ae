"""The watch for models that say the same whatever they are shown."""

import math
import random
from collections.abc import Callable

import pytest

from geospot.data import GeoSample
from geospot.places import city_table, normalise
from geospot.places.capitals import CAPITALS, MEGACITIES, big_cities
from geospot.rl.collapse import CollapseWatch, answers_of, collapse_figures
from geospot.rl.types import TrajectoryGroup
from tests.support.approx import approx
from tests.support.geo_rollouts import group_of, located

Guess = Callable[[GeoSample, random.Random], tuple[float, float]]


def photo(index: int, rng: random.Random) -> GeoSample:
    name = f"p{index}"
    return GeoSample(name, rng.uniform(-50, 60), rng.uniform(-170, 170), name)


def near_the_truth(sample: GeoSample, rng: random.Random) -> tuple[float, float]:
    return sample.latitude + rng.gauss(0, 3), sample.longitude + rng.gauss(0, 3)


def paris(sample: GeoSample, rng: random.Random) -> tuple[float, float]:
    """Always the same, but for noise in the digits."""
    del sample
    return 48.86 + rng.uniform(0, 0.03), 2.36 + rng.uniform(0, 0.03)


def one_of_three(sample: GeoSample, rng: random.Random) -> tuple[float, float]:
    del sample
    return rng.choice([(10.0, 10.0), (20.0, 20.0), (30.0, 30.0)])


def nearest_capital(sample: GeoSample, rng: random.Random) -> tuple[float, float]:
    del rng
    latitude_C, longitude_C = big_cities()
    away_C = abs(latitude_C - sample.latitude) + abs(longitude_C - sample.longitude)
    return float(latitude_C[away_C.argmin()]), float(longitude_C[away_C.argmin()])


def step(guess: Guess, seed: int, groups: int = 16, size: int = 8) -> list[TrajectoryGroup]:
    rng = random.Random(seed)
    photos = [photo(index, rng) for index in range(groups)]
    return [
        group_of(one, [located(*guess(one, rng)) for _ in range(size)], lost=1) for one in photos
    ]


def warnings(guess: Guess, steps: int = 6) -> list[str]:
    watch = CollapseWatch()
    said = [watch.observe(step(guess, seed)) for seed in range(steps)]
    return [sentence for sentence in said if sentence is not None]


def test_nothing_is_said_of_a_model_that_looks() -> None:
    assert warnings(near_the_truth) == []


@pytest.mark.parametrize(
    ("guess", "word"),
    [
        (paris, "100% of its last 128 answers are 48.9, 2.4"),
        (one_of_three, "as varied as 3.0 places"),
        (nearest_capital, "100% of its last 128 answers are a capital or a megacity"),
    ],
)
def test_a_collapse_is_told_once_with_what_it_looks_like(guess: Guess, word: str) -> None:
    said = warnings(guess)
    assert len(said) == 1
    assert word in said[0]
    assert "learning_rate" in said[0]


def test_fewer_than_64_answers_say_nothing() -> None:
    assert CollapseWatch().observe(step(paris, 0, groups=7, size=9)) is None
    assert CollapseWatch().observe(step(paris, 0, groups=8, size=8)) is not None


def test_answers_that_are_alike_because_the_photos_are_say_nothing() -> None:
    rng = random.Random(0)
    spot = GeoSample("spot", 48.875, 2.375, "spot")
    groups = [group_of(spot, [located(*paris(spot, rng)) for _ in range(8)]) for _ in range(16)]
    assert CollapseWatch().observe(groups) is None


def test_failures_are_not_answers() -> None:
    groups = [group_of(photo(index, random.Random(index)), ["no"] * 8) for index in range(16)]
    assert len(answers_of(groups)) == 0
    assert "hardly answers" in (CollapseWatch().observe(groups) or "")
    assert collapse_figures(answers_of(groups)) == {}


def test_a_model_that_stops_answering_is_told_when_failures_fill_the_window() -> None:
    looking = step(near_the_truth, 0)
    failing = [group_of(photo(index, random.Random(index)), ["no"] * 8) for index in range(16)]
    watch = CollapseWatch()
    assert [watch.observe(looking) for _ in range(6)] == [None] * 6
    assert [watch.observe(failing) for _ in range(3)] == [None] * 3
    assert "of its last 512 rollouts 512 gave no coordinates" in (watch.observe(failing) or "")
    assert watch.observe(failing) is None


def test_a_run_that_recovers_and_collapses_again_is_warned_of_again() -> None:
    looking, collapsed = step(near_the_truth, 0), step(paris, 1)
    watch = CollapseWatch()
    said = [watch.observe(groups) for groups in [looking] * 3 + [collapsed] * 8 + [looking] * 8]
    when = [number for number, sentence in enumerate(said) if sentence]
    assert len(when) == 1
    assert 3 < when[0] < 11  # not before half of the window has collapsed
    assert sum(watch.observe(collapsed) is not None for _ in range(8)) == 1


def test_the_window_forgets() -> None:
    """A collapse late in a long run shows as soon as one early in it."""
    looking, collapsed = step(near_the_truth, 0), step(paris, 1)
    watch = CollapseWatch()
    assert [watch.observe(looking) for _ in range(12)] == [None] * 12
    assert any(watch.observe(collapsed) for _ in range(4))


def test_figures_count_the_very_same_coordinates() -> None:
    sample = GeoSample("a", 0.0, 0.0, "a")
    other = GeoSample("b", 50.0, 50.0, "b")
    texts = [located(48.8500, 2.3500)] * 4 + [located(48.8501, 2.3500)] * 2
    figures = collapse_figures(
        answers_of([group_of(sample, [*texts, "no"]), group_of(other, [located(-80.0, 0.0)] * 2)])
    )
    assert figures["collapse/top_share"] == 0.5
    assert figures["collapse/distinct"] == 3.0
    assert figures["collapse/entropy"] == approx(0.5 * math.log(2) + 0.5 * math.log(4))
    assert figures["collapse/big_city_share"] == 0.75
    true = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert figures["collapse/true_entropy"] == approx(true)
    assert figures["collapse/true_big_city_share"] == 0.0


def test_capitals_and_megacities_are_where_geonames_has_them() -> None:
    """Within half a degree of a city of that country; most by its very name."""
    table = city_table()
    lines = (CAPITALS + MEGACITIES).splitlines()
    assert len(lines) == len(set(lines)) == 228
    for line in lines:
        name, latitude, longitude = line[3:].split(", ")
        here_C = (abs(table.latitude_C - float(latitude)) < 0.5) & (
            abs(table.longitude_C - float(longitude)) < 0.5
        )
        here = table.places.take(here_C.nonzero()[0])
        names = {
            normalise(city)
            for city, country in zip(here.city_N, here.country_N, strict=True)
            if country == line[:2]
        }
        assert names, line
        assert normalise(name) in names or name in NAMED_OTHERWISE, line


NAMED_OTHERWISE = {
    "Naypyidaw", "Ngerulmud", "Nuku'alofa", "Palikir", "Port of Spain", "Ulaanbaatar", "Washington",
    "Osaka", "Nagoya",
}  # fmt: skip
