"""Going back to a checkpoint: rows of steps that will be done again leave the files.

They are kept beside them as `NAME.pre_resume_NNNNNN`, the way tinker-cookbook does it. Files are replaced
and not cut, so that whoever is reading them notices.
"""

import os
from pathlib import Path

from geospot.durable import mend_torn_end, parse_rows, replace_lines, unwritable
from geospot.runs.tail import step_of


def rewind_rows(path: Path, step: int) -> int:
    """Takes the rows of `step` and later out of a JSON Lines file; the whole old file is kept beside it.

    Rows without a step stay. Returns how many left. Months of them are read line by line.
    """
    if not path.is_file():
        return 0
    mend_torn_end(path)
    with path.open("rb") as old:
        gone = sum(not _stays(line, step) for line in old)
        if gone:
            old.seek(0)
            replace_lines(beside(path, step), old)
            old.seek(0)
            replace_lines(path, (line for line in old if _stays(line, step)))
    return gone


def _stays(line: bytes, step: int) -> bool:
    """Whether it is of an earlier step, or of none."""
    own = next(map(step_of, parse_rows(line)), None)
    return own is None or own < step


def move_end(path: Path, offset: int, step: int) -> None:
    """Moves everything from `offset` on into the file beside it. For files too large to be copied."""
    if not path.is_file() or path.stat().st_size <= offset:
        return
    try:
        with path.open("r+b") as file, beside(path, step).open("wb") as out:
            file.seek(offset)
            while block := file.read(1 << 20):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
            file.truncate(offset)
    except OSError as error:
        raise unwritable(path, error) from error


def rewind_folders(folder: Path, step: int) -> int:
    """Renames `iteration_NNNNNN`, what a step sampled, of steps that are done again; returns how many."""
    gone = [path for path in folder.glob("iteration_*") if _number(path) >= step]
    for path in gone:
        try:
            path.rename(beside(path, step))
        except OSError as error:
            raise unwritable(path, error) from error
    return len(gone)


def _number(path: Path) -> int:
    """The number at the end of a folder's name, −1 where it has none."""
    digits = path.name.removeprefix("iteration_")
    return int(digits) if digits.isascii() and digits.isdigit() else -1


def beside(path: Path, step: int) -> Path:
    """Where what `path` held before the run went on at `step` is kept; never a file that is there."""
    plain = path.with_name(f"{path.name}.pre_resume_{step:06d}")
    if not plain.exists():
        return plain
    taken = 1
    while (other := plain.with_name(f"{plain.name}.{taken}")).exists():
        taken += 1
    return other
