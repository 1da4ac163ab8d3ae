"""Opens a hub data set in a process of its own, as the clients read the endpoint when imported.

Prints one JSON object: what was selected, and the SHA-256 of every image; or the error's sentence.
"""

import hashlib
import json
import sys
from pathlib import Path

from geospot.data.hub import open_hub
from geospot.errors import GeospotError, ImageError


def main(repo_id: str, split: str, limit: str, cache: str, columns: str) -> None:
    try:
        dataset = open_hub(repo_id, split, columns=json.loads(columns), cache_dir=Path(cache))
        selection = dataset.select(None if limit == "all" else int(limit))
    except GeospotError as error:
        sys.stdout.write(json.dumps({"error": str(error), "type": type(error).__name__}))
        return
    images: list[str] = []
    for sample in selection.table:
        try:
            images.append(hashlib.sha256(dataset.read_image(sample)).hexdigest())
        except ImageError as error:
            images.append(str(error))
    rows = selection.table.arrow.drop_columns(["image"]).to_pylist()
    sys.stdout.write(
        json.dumps(
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
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
