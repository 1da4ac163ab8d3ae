"""WebDataset tars for tests."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

Member = tuple[str, bytes | dict[str, object]]


def write_tar(path: Path, members: Iterable[Member], *, mode: str = "w") -> Path:
    """A tar of these files in this order; objects are written as JSON. `mode` as in `tarfile`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if mode == "w:gz" else "w") as tar:
        for name, content in members:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
