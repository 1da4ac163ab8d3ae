"""Opens hub data sets in a process of its own, as the clients read the endpoint when imported.

Each line of standard input is one request, a JSON list of the arguments of `main`. Prints one JSON
object a line: what was selected, and the SHA-256 of every image; or the error's sentence.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from geospot.data.hub import open_hub
from geospot.errors import GeospotError, ImageError


def main(repo_id: str, split: str, limit: str, cache: str, columns: str) -> None:
    try:
        dataset = open_hub(repo_id, split, columns=json.loads(columns), cache_dir=Path(cache))
        selection = dataset.select(None if limit == "all" else int(limit))
    except GeospotError as error:
        _print({"error": str(error), "type": type(error).__name__})
        return
    images: list[str] = []
    for sample in selection.table:
        try:
            images.append(hashlib.sha256(dataset.read_image(sample)).hexdigest())
        except ImageError as error:
            images.append(str(error))
    rows = selection.table.arrow.drop_columns(["image"]).to_pylist()
    dataset.close()
    _print(
        {
            "rows": rows,
            "images": images,
            "dropped": selection.table.dropped,
            "fingerprint": selection.fingerprint,
            "order": selection.order,
            "name": selection.dataset,
            "available": selection.available,
        }
    )


def _print(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for line in sys.stdin:
        main(*json.loads(line))
