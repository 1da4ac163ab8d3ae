"""`world`: an embedded, procedural data set of small street scenes at real places."""

from geospot.data.world.dataset import SPLITS, WorldDataset, open_world

__all__ = ["SPLITS", "WorldDataset", "open_world"]
