"""The order in which photos are seen: whole epochs, random access, countries drawn evenly."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.learning.order import SampleOrder


def stream(order: SampleOrder, batch_size: int, batches: int) -> list[int]:
    return [index for step in range(batches) for index in order.batch(step, batch_size)]


@settings(deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(-5, 5), batch_size=st.integers(1, 17))
def test_an_epoch_sees_every_sample_once(n: int, seed: int, batch_size: int) -> None:
    steps = SFTConfig(batch_size=batch_size, num_epochs=3).steps_on(n)
    seen = stream(SampleOrder(n, seed), batch_size, steps)
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))


@settings(deadline=None)
@given(
    strata=st.one_of(st.none(), st.lists(st.integers(0, 5), min_size=30, max_size=30)),
    step=st.integers(0, 200),
    batch_size=st.integers(1, 16),
)
def test_a_step_is_the_same_whatever_was_asked_before(
    strata: list[int] | None, step: int, batch_size: int
) -> None:
    walked = SampleOrder(30, seed=3, strata=strata)
    for before in (*range(step % 7), step + 1, step - 1):
        walked.batch(max(before, 0), batch_size)
    assert walked.batch(step, batch_size) == SampleOrder(30, 3, strata=strata).batch(
        step, batch_size
    )


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    order = SampleOrder(25, seed=1)
    assert stream(order, 4, 10) == stream(order, 8, 5) == stream(order, 40, 1)


def test_seeds_and_epochs_are_shuffled_differently() -> None:
    order, other = SampleOrder(50, seed=0), SampleOrder(50, seed=1)
    assert order.batch(0, 50) != list(range(50))
    assert order.batch(0, 50) != order.batch(1, 50)
    assert order.batch(0, 50) != other.batch(0, 50)


def test_the_shuffle_is_fair() -> None:
    """Each of 6 samples comes first in a sixth of 3,000 epochs (chi-squared, 5 degrees of freedom)."""
    order = SampleOrder(6, seed=0)
    counts = Counter(order.batch(epoch, 6)[0] for epoch in range(3000))
    chi_squared = sum((counts[index] - 500) ** 2 / 500 for index in range(6))
    assert chi_squared < 20.5  # one in a thousand


def test_the_order_is_written_down() -> None:
    """A run that is resumed on another machine, or with another numpy, goes on with the same photos."""
    assert SampleOrder(10, seed=0).batch(0, 10) == WRITTEN
    assert SampleOrder(6, seed=0, strata=[4, 4, 4, 4, 9, 7]).batch(0, 9) == WRITTEN_BY_STRATUM


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    seed=st.integers(0, 9),
    rounds=st.integers(1, 30),
)
def test_strata_are_drawn_evenly_and_each_runs_through_its_samples(
    sizes: list[int], seed: int, rounds: int
) -> None:
    rng = np.random.default_rng(seed)
    strata = rng.permutation(np.repeat(np.arange(len(sizes)) * 3 - 2, sizes)).tolist()
    order = SampleOrder(len(strata), seed, strata=strata)
    seen = order.batch(0, rounds * len(sizes))
    for number in range(rounds):
        drawn = seen[number * len(sizes) : (number + 1) * len(sizes)]
        assert len({strata[index] for index in drawn}) == len(sizes)
    for stratum in set(strata):
        of_stratum = [index for index in seen if strata[index] == stratum]
        size = strata.count(stratum)
        for start in range(0, len(of_stratum) - size + 1, size):
            assert len(set(of_stratum[start : start + size])) == size


@pytest.mark.parametrize(
    ("config", "n", "expected"),
    [
        (SFTConfig(batch_size=5), 10, 2),
        (SFTConfig(batch_size=5), 11, 3),
        (SFTConfig(batch_size=5, num_epochs=2), 11, 5),
        (SFTConfig(batch_size=5, num_epochs=2, max_steps=4), 11, 4),
        (SFTConfig(batch_size=5, num_epochs=2, max_steps=9), 11, 5),
        (SFTConfig(batch_size=16), 1, 1),
        (RLConfig(batch_size=5, replay_hard=0.4), 10, 4),
    ],
)
def test_an_epoch_has_steps_for_all_photos(config: LearnConfig, n: int, expected: int) -> None:
    assert config.steps_on(n) == expected


def test_strata_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 strata were given for 3 samples"):
        SampleOrder(3, 0, strata=[1, 2])
    with pytest.raises(ValueError, match="no order"):
        SampleOrder(0, 0)


WRITTEN = [7, 8, 9, 0, 4, 1, 3, 6, 2, 5]
WRITTEN_BY_STRATUM = [0, 5, 4, 4, 2, 5, 5, 1, 4]
