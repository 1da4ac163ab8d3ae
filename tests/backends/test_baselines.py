"""The baselines: fixed answers that don't depend on order, and a default that is what it claims."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from geospot.config.evaluation import EvalConfig
from geospot.errors import UsageError
from geospot.evaluation.backend import Backend, BackendOptions, Question
from geospot.evaluation.opening import make_backend
from geospot.geo import geoscore, haversine_km, is_on_globe
from geospot.places import continent, reverse_geocode
from geospot.prompts import load_prompt
from geospot_backends.baselines import DEFAULT_POINT, create_constant, create_prior
from geospot_backends.population import best_constant, population


def _ask(backend: Backend, sample_id: str, draw: int = 0) -> tuple[float, float]:
    return _ask_all(backend, [sample_id], draw)[0]


def _ask_all(
    backend: Backend, sample_ids: Sequence[str], draw: int = 0
) -> list[tuple[float, float]]:
    prompt = load_prompt("coordinates")

    async def ask(sample_id: str) -> tuple[float, float]:
        reply = await backend.ask(Question(sample_id, draw, prompt, image=None))
        assert reply.text == ""
        assert reply.coordinates is not None
        return reply.coordinates

    async def asked() -> list[tuple[float, float]]:
        return [await ask(sample_id) for sample_id in sample_ids]

    return asyncio.run(asked())


def test_neither_needs_an_image_or_a_server() -> None:
    for create in (create_constant, create_prior):
        backend = create(BackendOptions())
        assert not backend.needs_image
        assert not backend.remote
        asyncio.run(backend.check())


def test_constant_says_its_point() -> None:
    backend = create_constant(BackendOptions(model=" -12.5, 98.25"))
    assert _ask(backend, "a") == _ask(backend, "b", 3) == (-12.5, 98.25)
    assert backend.model == "-12.5,98.25"


@pytest.mark.parametrize("text", ["Berlin", "1", "1,2,3", "91,0", "0,181", "nan,0", "1;2", ","])
def test_constant_refuses_what_is_no_point(text: str) -> None:
    with pytest.raises(UsageError, match=r"--model 48\.69,13\.03"):
        create_constant(BackendOptions(model=text))


def test_the_default_point_is_the_best_single_guess() -> None:
    found = best_constant()
    assert haversine_km(*found, *DEFAULT_POINT) < 5.0
    assert _ask(create_constant(BackendOptions()), "a") == DEFAULT_POINT
    people = population()

    def expected(latitude: float, longitude: float) -> float:
        distance_km_C = haversine_km(latitude, longitude, people.latitude_C, people.longitude_C)
        return float((geoscore(distance_km_C) * people.weight_C).sum())

    rivals = [(0.0, 0.0), (40.0, -90.0), (30.0, 110.0), (25.0, 80.0), (-20.0, -50.0), (46.0, 9.0)]
    assert all(expected(*DEFAULT_POINT) > expected(*rival) for rival in rivals)


def test_prior_is_a_function_of_seed_id_and_draw() -> None:
    ids = [str(number) for number in range(50)]
    first = create_prior(BackendOptions(seed=1))
    forwards = [_ask(first, i) for i in ids]
    backwards = [_ask(create_prior(BackendOptions(seed=1)), i) for i in reversed(ids)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == len(ids)
    assert _ask(first, "7", 1) != _ask(first, "7", 0)
    assert _ask(create_prior(BackendOptions(seed=2)), "7") != _ask(first, "7")


def test_the_seed_of_an_evaluation_is_the_one_that_draws() -> None:
    one, other = (
        _ask(make_backend(EvalConfig(backend="prior", seed=seed)), "7") for seed in (1, 2)
    )
    assert one == _ask(create_prior(BackendOptions(seed=1)), "7")
    assert one != other


def test_prior_draws_where_people_are() -> None:
    backend = create_prior(BackendOptions())
    points = np.array(_ask_all(backend, [f"photo-{number}" for number in range(4000)]))
    assert all(is_on_globe(*point) for point in points.tolist())
    found = reverse_geocode(points[:, 0], points[:, 1])
    shares = Counter(continent(code) for code in found.country_N.tolist())
    assert {"AF", "AS", "EU", "NA", "OC", "SA"} <= set(shares)
    people = population()
    expected = float(people.weight_C[people.latitude_C < 0].sum())
    assert abs(float((points[:, 0] < 0).mean()) - expected) < 0.03
    # Each draw is within the jitter of a city: nothing lies at sea or in a desert.
    near_km = haversine_km(
        points[:50, :1], points[:50, 1:], people.latitude_C[None], people.longitude_C[None]
    ).min(axis=1)
    assert near_km.max() < 5.1


def test_prior_takes_no_model() -> None:
    with pytest.raises(UsageError, match="Leave --model out"):
        create_prior(BackendOptions(model="gpt"))
