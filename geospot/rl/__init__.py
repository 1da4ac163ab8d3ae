"""Reinforcement learning from distances: environment, reward, rollouts, GRPO."""

from geospot.completers import TinkerTokenCompleter
from geospot.rl.geo_dataset import GeoDatasetBuilder, GeoRLDataset
from geospot.rl.geo_env import GeoEnv, GeoGroupBuilder
from geospot.rl.geo_reward import GeoReward
from geospot.rl.types import Env, EnvGroupBuilder, RLDataset

__all__ = [
    "Env",
    "EnvGroupBuilder",
    "GeoDatasetBuilder",
    "GeoEnv",
    "GeoGroupBuilder",
    "GeoRLDataset",
    "GeoReward",
    "RLDataset",
    "TinkerTokenCompleter",
]
