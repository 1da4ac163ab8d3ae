"""How a configuration is filled, and what is said when it can't be."""

from pathlib import Path
from typing import Any

import pytest

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build, read_toml
from geospot.errors import UsageError


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "eval.toml"
    file.write_text('limit = "all"\nmax-tokens = 99\nseed = 7\n[extra_body]\ntop_p = 0.5\n')
    config = build(EvalConfig, read_toml(file), {"seed": 8})
    assert (config.limit_or_none, config.max_tokens, config.seed) == (None, 99, 8)
    assert config.extra_body == {"top_p": 0.5}
    assert config.concurrency == EvalConfig().concurrency


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lmit": 3}, "Did you mean 'limit'"),
        ({"zzz": 3}, "Known: "),
        ({"limit": 0}, "limit: "),
        ({"limit": "many"}, "should be 'all'"),
        ({"temperature": -1}, "temperature: "),
        ({"max_cost": 3}, "price-in"),
        ({"base_url": "example.com"}, "no http address"),
        ({"base_url": "https://user:pass@example.com/v1"}, "environment variable"),
        ({"base_url": "htp://user:pass@example.com/v1"}, "environment variable"),
        ({"base_url": "https://example.com/v1?key=abc"}, "environment variable"),
        ({"samples": 0}, "samples: "),
    ],
)
def test_what_makes_no_sense_gets_one_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        build(EvalConfig, values)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "pass@" not in str(refusal.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "eval.toml"
    file.write_text("limit = = 3")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_toml(file)
    with pytest.raises(UsageError, match="can't be read"):
        read_toml(tmp_path / "none.toml")


def test_numbers_and_words_of_limit_and_temperature() -> None:
    config = build(EvalConfig, {"limit": "12", "temperature": "0.7"})
    assert (config.limit_or_none, config.temperature_or_none) == (12, 0.7)
    assert build(EvalConfig, {"temperature": "none"}).temperature_or_none is None
