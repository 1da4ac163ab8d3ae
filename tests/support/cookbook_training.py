"""tinker-cookbook's own training programs on image data, unchanged: `python -m … URL FOLDER`.

Only what the cookbook leaves to its user is here: a data set for `supervised.train`, an environment for
`rl.train`. The reward is the share of digits in an answer. The environment logs the way a user would
who doesn't know geospot: the text, and the distance where there is one.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from tinker import types

from geospot.geo import haversine_km
from geospot.parsing import parse_geo_response
from geospot.renderers import get_renderer
from geospot_backends.tinker_target import load_tokenizer
from tests.support.datums import shifted
from tests.support.photos import make_photo

MODEL = "geospot/tiny-vlm-scratch"
PHOTOS = [make_photo(str(seed)) for seed in range(4)]
QUESTION = "Where is this?"
TRUTH = (12.0, -30.0)

_chz: Any = importlib.import_module("chz")
_sft: Any = importlib.import_module("tinker_cookbook.supervised.train")
_sft_types: Any = importlib.import_module("tinker_cookbook.supervised.types")
_rl: Any = importlib.import_module("tinker_cookbook.rl.train")
_rl_types: Any = importlib.import_module("tinker_cookbook.rl.types")
_tokenizers: Any = importlib.import_module("tinker_cookbook.tokenizer_utils")

_renderer = get_renderer(MODEL, load_tokenizer(MODEL))


def question(index: int) -> Any:
    """A photo and a question."""
    photo = {"type": "image", "image": PHOTOS[index % len(PHOTOS)]}
    return {"role": "user", "content": [photo, {"type": "text", "text": QUESTION}]}


class Examples(_sft_types.SupervisedDataset):
    """Eight photos a batch, each with an answer."""

    def get_batch(self, index: int) -> list[types.Datum]:
        answer = {"role": "assistant", "content": "12.5, -30.25"}
        messages: list[Any] = [[question(index + at), answer] for at in range(8)]
        return [shifted(*_renderer.build_supervised_example(turns)) for turns in messages]

    def __len__(self) -> int:
        return 6

    def set_epoch(self, seed: int = 0) -> None:
        del seed


class ExamplesBuilder(_sft_types.SupervisedDatasetBuilder):
    """What `supervised.train` asks for its data."""

    def __call__(self) -> tuple[Examples, None]:
        return Examples(), None


class Guess(_rl_types.Env):
    """One question, one answer."""

    def __init__(self, index: int) -> None:
        self._index = index

    async def initial_observation(self) -> tuple[types.ModelInput, Any]:
        prompt = _renderer.build_generation_prompt([question(self._index)])
        return prompt, _renderer.get_stop_sequences()

    async def step(self, action: Any, *, extra: Any = None) -> Any:
        del extra
        text = _renderer.parse_response(list(action)).text
        digits = sum(letter.isdigit() for letter in text)
        answer = parse_geo_response(text)
        metrics = {"digits": float(digits)}
        if answer.latitude is not None and answer.longitude is not None:
            away_km = haversine_km(answer.latitude, answer.longitude, *TRUTH)
            metrics["distance_km"] = float(away_km)
        return _rl_types.StepResult(
            reward=digits / max(1, len(text)),
            episode_done=True,
            next_observation=types.ModelInput.empty(),
            next_stop_condition=[],
            metrics=metrics,
            logs={"answer": text},
        )


class Group(_rl_types.EnvGroupBuilder):
    """Four answers to one question."""

    def __init__(self, index: int) -> None:
        self._index = index

    async def make_envs(self) -> list[Guess]:
        return [Guess(self._index) for _ in range(4)]

    def logging_tags(self) -> list[str]:
        return ["photos"]


class Groups(_rl_types.RLDataset):
    """Four questions a batch."""

    def get_batch(self, index: int) -> list[Group]:
        return [Group(index + at) for at in range(4)]

    def __len__(self) -> int:
        return 3


class GroupsBuilder(_rl_types.RLDatasetBuilder):
    """What `rl.train` asks for its data."""

    async def __call__(self) -> tuple[Groups, None]:
        return Groups(), None


def main(url: str, folder: Path) -> None:
    """Trains twice: supervised, and from there by reinforcement."""
    _tokenizers.register_tokenizer(MODEL, lambda: load_tokenizer(MODEL))
    common: dict[str, Any] = {
        "model_name": MODEL,
        "recipe_name": "geospot_test",
        "base_url": url,
        "lora_rank": 16,
        "eval_every": 0,
    }
    for name in ("sft", "rl"):
        (folder / name).mkdir()
    builder = _chz.chz(ExamplesBuilder)()
    settings = common | {"log_path": str(folder / "sft"), "learning_rate": 1e-2, "save_every": 4}
    asyncio.run(_sft.main(_sft.Config(dataset_builder=builder, **settings)))
    last = json.loads((folder / "sft" / "checkpoints.jsonl").read_text().splitlines()[-1])
    settings = common | {"log_path": str(folder / "rl"), "learning_rate": 1e-3, "save_every": 2}
    settings |= {"load_checkpoint_path": last["state_path"], "max_tokens": 12}
    asyncio.run(_rl.main(_rl.Config(dataset_builder=_chz.chz(GroupsBuilder)(), **settings)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
