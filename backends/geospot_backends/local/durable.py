"""A folder of files and the description that names it: how both reach the disk, and leave it.

    <place>/checkpoint.json        says which folder holds the files
    <place>/geospot-…/             the files

The description is replaced in one step. What bears the prefix and isn't named by it is litter: a draft
whose writer died, or files that were replaced.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, cast

DESCRIPTION: Final = "checkpoint.json"
_PREFIX: Final = "geospot-"


def described(place: Path) -> dict[str, Any]:
    """The description; `files` is the name of the folder that holds the files.

    Raises:
        OSError: there is none.
        ValueError: it can't be read.
    """
    found: Any = json.loads((place / DESCRIPTION).read_bytes())
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    content = cast(dict[str, Any], found)
    # Format 1 had the files beside their description.
    name: Any = content.setdefault("files", ".")
    if not isinstance(name, str) or "/" in name or not (name == "." or name.startswith(_PREFIX)):
        raise ValueError("files must be the name of a folder")
    return content


def new_files(place: Path) -> Path:
    """An empty folder for files. Until the description names it, it is litter."""
    files = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    files.chmod(0o755)
    return files


def put_description(place: Path, content: dict[str, Any]) -> None:
    """Describes the place, or describes it anew, in one step."""
    handle, draft = tempfile.mkstemp(prefix=_PREFIX, dir=place)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    sync(place)  # the folder that it names is on the disk before the description is
    Path(draft).replace(place / DESCRIPTION)
    sync(place)


def remove(place: Path) -> None:
    """Removes the description, in one step, and then the rest."""
    (place / DESCRIPTION).unlink()
    sync(place)
    shutil.rmtree(place, ignore_errors=True)  # what stays is litter, and cleared another time


def clear(place: Path) -> None:
    """Removes litter. Where there is a description that can't be read, nothing is known to be litter."""
    litter = list(place.glob(f"{_PREFIX}*"))
    if not litter:
        return
    has_description = (place / DESCRIPTION).exists()
    try:
        named = described(place)["files"] if has_description else None
    except (OSError, ValueError):
        return
    for item in litter:
        if item.name == named:
            continue
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)
    if not has_description and not any(place.iterdir()):
        place.rmdir()


def size_bytes(folder: Path) -> int:
    """Of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def flush(folder: Path) -> None:
    """Everything in the folder, and the folder, is on the disk."""
    for place in [*folder.rglob("*"), folder]:
        sync(place)


def sync(place: Path) -> None:
    """The file, or the folder's list of names, is on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
