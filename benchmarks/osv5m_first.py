"""The first image of OSV-5M's test split with its label, from nothing: `python -m … ours|download CACHE`."""

import csv
import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

_HUB = "osv5m/osv5m"


def ours(cache: Path) -> bytes:
    """By the split's directory and one range of a zip."""
    from geospot.data.osv5m import open_hub_osv5m

    dataset = open_hub_osv5m("test", cache_dir=cache)
    (sample,) = dataset.select(1).table
    assert sample.country
    return dataset.read_image(sample)


def download(cache: Path) -> bytes:
    """By downloading the CSV and a zip, as one does who has no reader for it."""
    hub: Any = importlib.import_module("huggingface_hub")

    def fetch(name: str) -> str:
        return hub.hf_hub_download(_HUB, name, repo_type="dataset", cache_dir=cache)

    with Path(fetch("test.csv")).open(newline="", encoding="utf-8") as file:
        labels = {row["id"]: row for row in csv.DictReader(file)}
    with zipfile.ZipFile(fetch("images/test/00.zip")) as archive:
        name = archive.namelist()[0]
        assert labels[Path(name).stem]["country"]
        return archive.read(name)


if __name__ == "__main__":
    print(len({"ours": ours, "download": download}[sys.argv[1]](Path(sys.argv[2]))))
