"""What a training would take, before it is started: photos, steps, tokens, dollars, time.

Tokens and times are those of an earlier run of the same model where there is one, and the forecast says of
which; without one, tokens are assumed, and it says what. What isn't known is said to be unknown.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Final

from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.config.recipes import TINY_MODELS
from geospot.durable import parse_row, parse_rows
from geospot.numbertext import roughly
from geospot.prompts import PROMPTS
from geospot.runs.catalogue import Catalogue
from geospot.runs.checkpoints import CONFIG
from geospot.runs.layout import METRICS

_CHARACTERS_A_TOKEN: Final = 4.0
_PIXELS_A_TOKEN: Final = 784.0
"""Qwen's vision models make a token of 28 × 28 pixels, the newer ones of 32 × 32."""
_ANSWER_TOKENS: Final = 60
"""Five lines take about so many."""
_TURNS: Final = {"geo": 1, "telescoping": 3}
_TAIL_BYTES: Final = 200_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run of the same kind and model took. `samples` is answers or examples a step."""

    folder: Path
    samples: float
    seconds: float | None
    """Of a step, the median of its last steps."""
    prompt_tokens: float | None
    answer_tokens: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a forecast; `is_known` where it holds a figure."""

    label: str
    text: str
    is_known: bool = True


def forecast(
    config: LearnConfig, model_name: str, earlier: Earlier | None = None
) -> tuple[Line, ...]:
    """What the run would take, in a few lines.

    Args:
        config: with the recipe's values filled in.
        model_name: base model, empty where it isn't known yet.
        earlier: a run of this kind and model, from `find_earlier`.
    """
    photos = _photos(config)
    steps = steps_of(config)
    lines = [photos, _steps_line(config, steps)]
    if steps is None:
        unknown = "unknown, as the number of steps is"
        return (
            *lines,
            Line("tokens", unknown, False),
            *_paid(config, None),
            Line("time", unknown, False),
        )
    tokens, basis = _tokens(config, steps, model_name, earlier)
    lines.append(_tokens_line(tokens, basis))
    return (*lines, *_paid(config, tokens), _time(config, steps, earlier))


def steps_of(config: LearnConfig) -> int | None:
    """Optimiser steps of the run; None where the number of photos isn't known before they are read."""
    photos = config.wanted_photos
    return config.max_steps if photos is None else config.steps_on(photos)


def find_earlier(folders: Sequence[Path], kind: str, service: str, model: str) -> Earlier | None:
    """The newest run below the folders of this kind, service and base model that has taken some steps."""
    for folder in Catalogue(folders).scan():
        try:
            config = parse_row((folder / CONFIG).read_bytes()) or {}
        except OSError:
            continue
        names = (config.get("kind"), config.get("service"), config.get("model_name"))
        if names == (kind, service, model) and (earlier := _read(folder, config)) is not None:
            return earlier
    return None


def _read(folder: Path, config: Mapping[str, Any]) -> Earlier | None:
    rows = _last_rows(folder / METRICS)
    seconds, samples = _middle(rows, "time/total"), _middle(rows, "num_sequences")
    if config.get("kind") == "rl":
        samples = _middle(rows, "env/all/total_episodes")
        prompt, answer = (_middle(rows, f"env/all/{who}_tokens_per_turn") for who in ("ob", "ac"))
    else:
        tokens, of_answer = _middle(rows, "num_tokens"), _middle(rows, "num_loss_tokens")
        answer = of_answer / samples if of_answer and samples else None
        prompt = tokens / samples - (answer or 0) if tokens and samples else None
    if not samples:
        return None
    return Earlier(folder, samples, seconds, prompt, answer)


def _last_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            return parse_rows(file.read())
    except OSError:
        return []


def _middle(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [
        float(value)
        for row in rows
        if isinstance(value := row.get(key), int | float) and 0 < value < 1e12
    ]
    return median(values) if values else None


def _photos(config: LearnConfig) -> Line:
    times = f" × {config.num_epochs} epochs" if config.num_epochs > 1 else ""
    if config.wanted_photos is None:
        return Line("photos", f"all{times}; how many is known when they are read", False)
    return Line("photos", f"{config.wanted_photos:,}{times}")


def _steps_line(config: LearnConfig, steps: int | None) -> Line:
    if steps is None:
        return Line("steps", "unknown without max_samples or max_steps", False)
    answers = f" × {config.group_size} answers" if isinstance(config, RLConfig) else ""
    most = "at most " if config.wanted_photos is None else ""
    return Line(
        "steps", f"{most}{steps:,} of {config.batch_size} photos{answers}{_evals(config, steps)}"
    )


def _evals(config: LearnConfig, steps: int) -> str:
    if not config.eval_every:
        return ""
    count = 1 + ceil(steps / config.eval_every)
    return f"; {count} evaluations of {config.eval_limit} photos"


def _tokens(
    config: LearnConfig, steps: int, model_name: str, earlier: Earlier | None
) -> tuple[Mapping[str, float] | None, str]:
    """Tokens of each price, and what they are based on; None where the photos' size has no limit."""
    if earlier is not None and earlier.prompt_tokens is not None:
        prompt, answer = earlier.prompt_tokens, earlier.answer_tokens or 0.0
        basis = f"{prompt:,.0f} a prompt and {answer:,.0f} an answer, as in {earlier.folder}"
    elif model_name in TINY_MODELS:
        return None, "no earlier run of the tiny model to tell by"
    elif config.max_image_size is None:
        return None, "max_image_size=none sends photos as they are"
    else:
        text = PROMPTS.get(config.prompt or "", config.prompt or "")
        photo = 0.75 * config.max_image_size**2 / _PIXELS_A_TOKEN
        prompt = photo + len(text + (config.system_prompt or "")) / _CHARACTERS_A_TOKEN
        answer = float(min(_ANSWER_TOKENS, config.max_tokens or _ANSWER_TOKENS))
        basis = f"assumed: {prompt:,.0f} a prompt ({photo:,.0f} the photo, 4:3), {answer:,.0f} an answer"
    photos = float(steps * config.batch_size)
    if isinstance(config, RLConfig):
        rollouts = photos * config.group_size
        later = rollouts * (
            _TURNS[config.env] - 1
        )  # asked one by one: each goes on from its own answer
        told = rollouts + later
        scored = told if config.kl_penalty_coef else 0.0  # by the reference of the divergence
        return {
            "prefill": (photos + later) * prompt + scored * (prompt + answer),
            "cached_prefill": (rollouts - photos) * prompt,
            "sample": told * answer,
            "train": told * (prompt + answer),
        }, basis
    held_out = config.test_size if isinstance(config, SFTConfig) else 0
    every = config.nll_every if isinstance(config, SFTConfig) else 1
    times = ceil(steps / every) + 1  # the last one after the last step
    return {
        "prefill": held_out * times * (prompt + answer),
        "train": photos * (prompt + answer),
    }, basis


_CALLED: Final = {
    "prefill": "read",
    "cached_prefill": "from the cache",
    "sample": "sampled",
    "train": "trained",
}


def _tokens_line(tokens: Mapping[str, float] | None, basis: str) -> Line:
    if tokens is None:
        return Line("tokens", f"unknown: {basis}", False)
    parts = [f"{_short(count)} {_CALLED[kind]}" for kind, count in tokens.items() if count]
    return Line("tokens", f"about {', '.join(parts)} ({basis})")


def _paid(config: LearnConfig, tokens: Mapping[str, float] | None) -> tuple[Line, ...]:
    if config.service == "local":
        return (Line("cost", "nothing: this machine computes"),)
    price_of = {
        "prefill": config.price_prefill,
        "cached_prefill": config.price_prefill
        if config.price_cached_prefill is None
        else config.price_cached_prefill,
        "sample": config.price_sample,
        "train": config.price_train,
    }
    used = tokens or {"train": 1.0}
    missing = [f"price_{kind}" for kind in used if used[kind] and price_of[kind] is None]
    missing = [name for name in missing if name != "price_cached_prefill"]
    if missing:
        where = "the service's price list has it"
        return (
            Line(
                "cost",
                f"unknown: give {', '.join(missing)} in USD per million tokens; {where}",
                False,
            ),
        )
    if tokens is None:
        return (Line("cost", "unknown, as the tokens are", False),)
    usd = sum(count * (price_of[kind] or 0.0) for kind, count in tokens.items()) / 1e6
    beside = ", without its evaluations" if config.eval_every else ""
    return (Line("cost", f"about ${usd:,.2f}{beside}"),)


def _time(config: LearnConfig, steps: int, earlier: Earlier | None) -> Line:
    if earlier is None or earlier.seconds is None:
        return Line("time", "unknown: no earlier run of this kind, service and model here", False)
    samples = config.batch_size * (config.group_size if isinstance(config, RLConfig) else 1)
    scale = samples / earlier.samples
    seconds = steps * earlier.seconds * scale
    same = "" if abs(scale - 1) < 0.01 else f" of {earlier.samples:,.0f} answers, scaled"
    beside = ", without evaluations" if config.eval_every else ""
    return Line(
        "time",
        f"about {roughly(seconds)}{beside} ({earlier.seconds:.2g} s a step{same}, as in {earlier.folder})",
    )


def _short(count: float) -> str:
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{name}"
    return f"{count:.0f}"
