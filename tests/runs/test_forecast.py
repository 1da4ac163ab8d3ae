"""What a training is said to take, and what is said to be unknown."""

import json
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.config.recipes import TINY_SCRATCH, with_recipe
from geospot.runs.forecast import Earlier, Line, find_earlier, forecast, steps_of


def lines_of(config: LearnConfig, model: str, earlier: Earlier | None = None) -> dict[str, Line]:
    kind = "rl" if isinstance(config, RLConfig) else "sft"
    return {line.label: line for line in forecast(with_recipe(config, kind, model), model, earlier)}


def write_run(folder: Path, kind: str, rows: list[dict[str, Any]], **config: Any) -> None:
    folder.mkdir(parents=True)
    content = {"kind": kind, "service": "local", "model_name": TINY_SCRATCH} | config
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        (SFTConfig(max_samples=100, batch_size=8), 13),
        (SFTConfig(max_samples=100, num_epochs=3, batch_size=8), 38),
        (SFTConfig(max_samples=100, batch_size=8, max_steps=5), 5),
        (RLConfig(hf_repo="world"), 625),
        (RLConfig(max_samples=100, batch_size=8, replay_hard=0.25), 17),  # 6 of them are fresh
        (SFTConfig(), None),
        (SFTConfig(max_steps=9), 9),
    ],
)
def test_steps_are_counted_as_the_loop_counts_them(config: LearnConfig, steps: int | None) -> None:
    assert steps_of(config) == steps


def test_dollars_come_from_the_tokens_of_an_earlier_run_and_the_prices() -> None:
    earlier = Earlier(Path("runs/a"), 32.0, 2.0, 300.0, 50.0)
    config = RLConfig(
        max_samples=40,
        batch_size=4,
        group_size=8,
        eval_every=0,
        price_prefill=1.0,
        price_sample=2.0,
        price_train=3.0,
    )
    lines = lines_of(config, "Qwen/some-VL", earlier)
    # 10 steps of 4 photos: 40 prompts read, 280 from the cache, 320 answers, 320 of both trained.
    usd = (40 * 300 * 1.0 + 280 * 300 * 1.0 + 320 * 50 * 2.0 + 320 * 350 * 3.0) / 1e6
    assert lines["cost"].text == f"about ${usd:,.2f}"
    assert "12k read, 84k from the cache, 16k sampled, 112k trained" in lines["tokens"].text
    assert "runs/a" in lines["tokens"].text
    assert lines["time"].text.startswith("about 20 s (2 s a step, as in runs/a")


@pytest.mark.parametrize(
    ("more", "prefill", "cached", "answers"),
    [
        ({}, 40 * 300, 280 * 300, 320),
        # The reference of the divergence reads every prompt with its answer.
        ({"kl_penalty_coef": 0.1}, 40 * 300 + 320 * 350, 280 * 300, 320),
        # The second and the third question go on from an answer, and so each is read by itself.
        ({"env": "telescoping"}, (40 + 2 * 320) * 300, 280 * 300, 3 * 320),
    ],
)
def test_tokens_are_counted_as_the_loop_asks(
    more: dict[str, Any], prefill: int, cached: int, answers: int
) -> None:
    earlier = Earlier(Path("runs/a"), 32.0, 2.0, 300.0, 50.0)
    config = RLConfig(
        max_samples=40,
        batch_size=4,
        group_size=8,
        price_prefill=1.0,
        price_cached_prefill=0.1,
        price_sample=2.0,
        price_train=3.0,
        **more,
    )
    usd = (prefill + cached * 0.1 + answers * 50 * 2.0 + answers * 350 * 3.0) / 1e6
    assert lines_of(config, "Qwen/some-VL", earlier)["cost"].text.startswith(f"about ${usd:,.2f}")


def test_held_out_photos_are_read_before_the_first_step_and_after_the_last() -> None:
    earlier = Earlier(Path("runs/a"), 8.0, 2.0, 300.0, 50.0)
    config = SFTConfig(max_samples=320, batch_size=8, nll_every=20, test_size=100)
    # 40 steps: at 0, at 20, and when all are done.
    assert "105k read, 112k trained" in lines_of(config, "Qwen/some-VL", earlier)["tokens"].text


def test_a_smaller_earlier_batch_is_scaled_and_that_is_said() -> None:
    earlier = Earlier(Path("runs/a"), 16.0, 1.0, 300.0, 50.0)
    config = SFTConfig(max_samples=320, batch_size=32, eval_every=50)
    time = lines_of(config, "Qwen/some-VL", earlier)["time"].text
    assert time.startswith("about 20 s, without evaluations")
    assert "of 16 answers, scaled" in time


def test_what_is_not_known_is_said_to_be_unknown_and_why() -> None:
    lines = lines_of(SFTConfig(max_samples=100), "Qwen/some-VL")
    assert not lines["cost"].is_known
    assert "price_prefill, price_train" in lines["cost"].text
    assert not lines["time"].is_known
    assert "assumed" in lines["tokens"].text
    all_of_it = lines_of(SFTConfig(), "Qwen/some-VL")
    assert not all_of_it["photos"].is_known
    assert not all_of_it["steps"].is_known
    assert not any(line.is_known for line in all_of_it.values())
    as_they_are = lines_of(SFTConfig(max_samples=9, max_image_size=None), "Qwen/some-VL")
    assert "as they are" in as_they_are["tokens"].text


def test_an_engine_of_ones_own_costs_nothing() -> None:
    lines = lines_of(SFTConfig(service="local", hf_repo="world"), TINY_SCRATCH)
    assert lines["cost"].text.startswith("nothing")
    assert not lines["tokens"].is_known


def test_the_newest_run_of_the_same_kind_service_and_model_is_taken(tmp_path: Path) -> None:
    step = {"num_sequences": 16, "num_tokens": 1600, "num_loss_tokens": 800, "time/total": 0.5}
    write_run(tmp_path / "a" / "fits", "sft", [{"step": 0, **step}, {"step": 1, **step}])
    write_run(tmp_path / "other-kind", "rl", [{"step": 0, "time/total": 9.0}])
    write_run(tmp_path / "other-model", "sft", [{"step": 0, **step}], model_name="b")
    write_run(tmp_path / "other-service", "sft", [{"step": 0, **step}], service="tinker")
    write_run(tmp_path / "empty", "sft", [])
    (tmp_path / "empty" / "config.json").write_text('{"kind": "sft"')
    earlier = find_earlier([tmp_path], "sft", "local", TINY_SCRATCH)
    assert earlier is not None
    assert earlier.folder == tmp_path / "a" / "fits"
    assert (earlier.samples, earlier.seconds) == (16.0, 0.5)
    assert (earlier.prompt_tokens, earlier.answer_tokens) == (50.0, 50.0)
    assert find_earlier([tmp_path / "none"], "sft", "local", TINY_SCRATCH) is None


def test_figures_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"step": 0, "num_sequences": "many", "time/total": None},
        {"step": 1, "num_sequences": 8, "num_tokens": 80, "time/total": -1.0},
    ]
    write_run(tmp_path / "run", "sft", rows)
    earlier = find_earlier([tmp_path], "sft", "local", TINY_SCRATCH)
    assert earlier is not None
    assert earlier.seconds is None
    assert earlier.prompt_tokens == 10.0
    lines = lines_of(SFTConfig(service="local", max_samples=80), TINY_SCRATCH, earlier)
    assert not lines["time"].is_known
