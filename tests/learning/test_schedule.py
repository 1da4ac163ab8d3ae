"""Learning rates, costs and paces, against values worked out by hand."""

import io

import pytest
from rich.console import Console

from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.recipes import TINY_SCRATCH, with_recipe
from geospot.learning.costs import Prices, TokenCounts, cost_figures
from geospot.learning.display import TerminalRunView
from geospot.learning.schedule import adam_params, learning_rate
from tests.support.approx import approx


def test_cosine_with_a_ramp() -> None:
    config = SFTConfig(learning_rate=1.0, lr_schedule="cosine", warmup_steps=4)
    rates = [learning_rate(config, step, 100) for step in (0, 1, 3, 50, 99)]
    ramped = [0.25 * 1.0, 0.5 * 0.999753]
    assert rates == approx([*ramped, 0.997781, 0.5, 0.000247], abs=1e-6)


def test_linear_falls_to_nothing_behind_the_last_step() -> None:
    config = RLConfig(learning_rate=2.0, lr_schedule="linear", warmup_steps=0)
    assert [learning_rate(config, step, 4) for step in range(4)] == [2.0, 1.5, 1.0, 0.5]


def test_constant_is_constant() -> None:
    config = SFTConfig(learning_rate=3.0, lr_schedule="constant", warmup_steps=2)
    assert [learning_rate(config, step, 9) for step in (0, 1, 8)] == [1.5, 3.0, 3.0]


def test_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="gaps"):
        learning_rate(SFTConfig(), 0, 1)


def test_what_is_said_wins_over_the_recipe() -> None:
    config = with_recipe(SFTConfig(learning_rate=1e-4, batch_size=8), "sft", TINY_SCRATCH)
    assert (config.learning_rate, config.batch_size, config.lora_rank) == (1e-4, 8, 0)
    assert with_recipe(SFTConfig(), "sft", TINY_SCRATCH).batch_size > 8
    assert with_recipe(SFTConfig(), "sft", "Qwen/Qwen3.8-27B").lora_rank == 32


def test_the_optimiser_is_told_everything() -> None:
    config = SFTConfig(
        learning_rate=1.0,
        lr_schedule="constant",
        warmup_steps=0,
        weight_decay=0.1,
        adam_beta1=0.8,
        adam_beta2=0.7,
        adam_eps=1e-5,
        grad_clip_norm=2.0,
    )
    told = adam_params(config, 0, 1)
    assert told.model_dump() == {
        "learning_rate": 1.0,
        "beta1": 0.8,
        "beta2": 0.7,
        "eps": 1e-5,
        "weight_decay": 0.1,
        "grad_clip_norm": 2.0,
    }


def test_dollars_are_told_only_when_every_kind_used_has_a_price() -> None:
    used = TokenCounts(prefill=2_000_000, sample=1_000_000) + TokenCounts(train=500_000)
    known = Prices.of(SFTConfig(price_prefill=0.5, price_sample=2.0, price_train=4.0))
    assert known.usd(used) == approx(1.0 + 2.0 + 2.0)
    assert Prices.of(SFTConfig(price_prefill=0.5)).usd(used) is None
    assert cost_figures(used, known) == {
        "tokens/prefill": 2_000_000,
        "tokens/sample": 1_000_000,
        "tokens/train": 500_000,
        "cost/usd": 5.0,
    }
    assert TokenCounts.of(used.to_json()) == used
    assert TokenCounts.of(None) == TokenCounts()


def test_the_cache_costs_what_prompts_cost_unless_it_is_said() -> None:
    used = TokenCounts(cached_prefill=1_000_000)
    assert Prices.of(SFTConfig(price_prefill=0.5)).usd(used) == 0.5
    assert Prices.of(SFTConfig(price_prefill=0.5, price_cached_prefill=0.05)).usd(used) == 0.05


def test_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    view = TerminalRunView(Console(file=out, width=80))
    with view.live(10, 12) as draw:
        draw(11, {"NLL": "1.5"})
        draw(12, {"NLL": "1.25"})
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("step 11/12")
    assert lines[-1].startswith("step 12/12")
    assert lines[-1].endswith("NLL 1.25")


def test_the_panel_fits_a_terminal() -> None:
    out = io.StringIO()
    view = TerminalRunView(Console(file=out, width=80, force_terminal=True))
    with view.live(0, 4000) as draw:
        draw(1200, {f"figure number {n}": "12,345" for n in range(6)})
    drawn = [line for line in out.getvalue().split("\n") if "figure number" in line]
    assert drawn
    assert "1200/4000" in out.getvalue()
    assert "figure number 5 12,345" in out.getvalue()
