"""Photos with coordinates, from wherever they are, as one kind of data set."""

from geospot.data.dataset import GeoDataset
from geospot.data.open import open_dataset
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import Selection

__all__ = ["GeoDataset", "GeoSample", "SampleTable", "Selection", "open_dataset"]
