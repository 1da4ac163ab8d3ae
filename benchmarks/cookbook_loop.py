"""tinker-cookbook's own `rl/train.py`, unchanged, on our environments: what its user has to write."""

import asyncio
import importlib
import os
from typing import Any

from benchmarks.clock import MODEL
from benchmarks.training_loops import MAX_TOKENS, RANK, RATE, Measured, open_photos
from geospot.config.learning import RLConfig
from geospot.rl.geo_dataset import GeoRLDataset
from geospot.rl.geo_env import GeoGroupBuilder
from geospot.rl.types import Env
from geospot.services.loopback import bypass_proxy
from geospot_backends.local import tiny_vlm
from geospot_backends.local.models import load_tokenizer

_chz: Any = importlib.import_module("chz")
_train: Any = importlib.import_module("tinker_cookbook.rl.train")
_types: Any = importlib.import_module("tinker_cookbook.rl.types")
_tokenizers: Any = importlib.import_module("tinker_cookbook.tokenizer_utils")


class _OneTurn(_types.Env):
    def __init__(self, env: Env) -> None:
        self._env = env

    async def initial_observation(self) -> Any:
        return await self._env.initial_observation()

    async def step(self, action: Any, *, extra: Any = None) -> Any:
        del extra
        import tinker

        result = await self._env.step(list(action))
        return _types.StepResult(
            reward=result.reward,
            episode_done=True,
            next_observation=tinker.ModelInput.empty(),
            next_stop_condition=[],
            metrics=dict(result.metrics),
        )


class _Group(_types.EnvGroupBuilder):
    def __init__(self, builder: GeoGroupBuilder) -> None:
        self._builder = builder

    async def make_envs(self) -> list[_OneTurn]:
        return [_OneTurn(env) for env in await self._builder.make_envs()]

    def logging_tags(self) -> list[str]:
        return ["photos"]


class _Groups(_types.RLDataset):
    """The photos of each step; a step begins when they are asked for."""

    def __init__(self, photos: GeoRLDataset, measured: Measured) -> None:
        self._photos = photos
        self._measured = measured

    def get_batch(self, index: int) -> list[_Group]:
        self._measured.step_done()
        return [_Group(builder) for builder in self._photos.get_batch(index)]

    def __len__(self) -> int:
        return len(self._photos)


def _ahead(config: RLConfig) -> Any:
    """Its asynchronous mode, where ours samples ahead of the weights."""
    if not config.max_steps_off_policy:
        return None
    return _train.AsyncConfig(
        max_steps_off_policy=config.max_steps_off_policy, groups_per_batch=config.batch_size
    )


def run(config: RLConfig) -> Measured:
    """Trains as the configuration says, as far as the cookbook has the same settings."""
    measured = Measured()

    class Builder(_types.RLDatasetBuilder):
        async def __call__(self) -> tuple[_Groups, None]:
            return _Groups(await open_photos(config), measured), None

    bypass_proxy(config.service)
    os.environ["TINKER_API_KEY"] = "tml-bench"
    _tokenizers.register_tokenizer(MODEL, lambda: load_tokenizer(tiny_vlm.FOLDER))
    settings = _train.Config(
        dataset_builder=_chz.chz(Builder)(),
        model_name=MODEL,
        recipe_name="geospot_bench",
        base_url=config.service,
        learning_rate=RATE,
        lora_rank=RANK,
        max_tokens=MAX_TOKENS,
        log_path=str(config.log_path),
        eval_every=0,
        save_every=config.save_every,
        async_config=_ahead(config),
    )
    asyncio.run(_train.main(settings))
    return measured.end()
