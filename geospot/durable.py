"""Files that a kill at any moment leaves readable.

Lines are only appended, each row with its end in one write; whole files are replaced atomically. A line
that a kill or a full disk tore is passed over by readers and cut off by the next writer. A lock lets
one process write at a time, and is freed by the death of its holder.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson

from geospot.errors import EXHAUSTED, MORE_FILES, GeospotError, UsageError

LOCK: Final = ".lock"
_MAKE_ROOM: Final = (
    "Make room on the disk, or mend its permissions, and run the same command again; nothing written "
    "so far is lost."
)
ASIDE: Final = ".aside-"
"""In the name of a folder that was set aside, so that nobody takes it for a current one."""


class WriteError(GeospotError, OSError):
    """The disk is full, or gone, or may not be written."""


class BusyError(GeospotError, BlockingIOError):
    """Another process is writing there."""


class LineFile:
    """A JSON Lines file that is only appended to. Any thread may append.

    Opening it for the first row cuts off what a kill left of a line that wasn't written whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._broken: WriteError | None = None
        self._lock = threading.Lock()

    def append(self, *rows: Mapping[str, Any], sync: bool = False) -> tuple[int, int]:
        """Appends rows in one write. When this returns, a kill of the process can't lose them.

        Args:
            sync: also wait until the disk has them, so that a power cut can't lose them either.

        Returns:
            Offset of the first row and length of all, in bytes.

        Raises:
            WriteError: the disk is full; none of the rows was written.
        """
        return self.append_bytes(b"".join(map(json_line, rows)), sync=sync)

    def append_bytes(self, data: bytes, *, sync: bool = False) -> tuple[int, int]:
        """Like `append`, of lines that are already written out."""
        with self._lock:
            if self._broken is not None:
                raise self._broken  # what follows half a line would be lost with it
            if self._descriptor is None:
                self._descriptor = _open_for_append(self.path)
            start = os.lseek(self._descriptor, 0, os.SEEK_END)
            try:
                _write_all(self._descriptor, data)
                if sync:
                    os.fsync(self._descriptor)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, start)
                self._broken = unwritable(self.path, error)
                raise self._broken from error
            return start, len(data)

    def sync(self) -> None:
        """Waits until the disk has everything that was appended."""
        with self._lock:
            if self._descriptor is not None:
                try:
                    os.fsync(self._descriptor)
                except OSError as error:
                    raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Lets go of the file; a later row opens it again."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None


def json_line(row: Mapping[str, Any]) -> bytes:
    """The row as one line of ASCII. NaN and infinities, which JSON lacks, become null.

    ASCII, since some readers split lines at characters such as U+2028, and model text has them.
    """
    try:
        text = json.dumps(row, separators=(",", ":"), allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_finite(row), separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def plain_json(value: Any) -> Any:
    """`value` as it comes back when it has been written as JSON and read again."""
    return json.loads(json_line({"value": value}))["value"]


def replace_json(path: Path, value: Mapping[str, Any], *, sync: bool = True) -> None:
    """Replaces a file by a JSON object: readers see the old one or the new one, never a part.

    Raises:
        WriteError: the disk is full or read-only.
    """
    text = json.dumps(plain_json(value), indent=2, ensure_ascii=False) + "\n"
    replace_bytes(path, text.encode("utf-8", "backslashreplace"), sync=sync)


def replace_bytes(path: Path, data: bytes, *, sync: bool = True, mode: int | None = None) -> None:
    """Replaces a file atomically; see `replace_lines`."""
    replace_lines(path, (data,), sync=sync, mode=mode)


def replace_lines(
    path: Path, lines: Iterable[bytes], *, sync: bool = True, mode: int | None = None
) -> None:
    """Replaces a file atomically by lines that needn't be in memory together.

    Args:
        mode: who may read and write it; as for any new file by default.

    Raises:
        WriteError: the disk is full or read-only.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            if mode is not None:
                with contextlib.suppress(OSError):  # a file system that knows no modes
                    os.fchmod(out.fileno(), mode)
            out.writelines(lines)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def put_file(path: Path, data: bytes) -> None:
    """Writes a file that a person named: the old one or the new one is there, never a part.

    What is no plain file, such as a pipe or /dev/stdout, is written to; a link is followed. Who may read
    and write a file stays as it was.

    Raises:
        WriteError: its folder can't be made, its links go in a circle, the disk is full or read-only.
    """
    mode = None
    try:
        with contextlib.suppress(FileNotFoundError):
            mode = path.stat().st_mode
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(data)
            return
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    replace_bytes(target, data, mode=None if mode is None else stat.S_IMODE(mode))


def take_lock(folder: Path, advice: str) -> int:
    """Locks a folder for this process; closing the descriptor, or dying, frees it.

    Raises:
        BusyError: another process holds it; says what to do with `advice`.
        WriteError: no file can be made there.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise unwritable(path, error) from error
    busy = BusyError(f"Another process is writing into {folder}.", advice)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still(path, descriptor):
            raise busy  # the folder was renamed, or replaced, while we waited
    except BlockingIOError as error:
        os.close(descriptor)
        raise busy from error
    except OSError as error:  # a file system that has no locks
        os.close(descriptor)
        raise unwritable(path, error) from error
    return descriptor


def set_aside(folder: Path, advice: str) -> Path:
    """Renames a folder to `NAME.aside-DATE-TIME`; returns its new name. Nothing is destroyed.

    Raises:
        BusyError: another process is writing into it; says what to do with `advice`.
        UsageError: it can't be renamed.
    """
    folder = folder.absolute()  # "." has no name of its own
    plain = folder.with_name(f"{folder.name}{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}")
    target, taken = plain, 0
    while target.exists():
        taken += 1
        target = plain.with_name(f"{plain.name}-{taken}")
    lock = take_lock(folder, advice)  # nobody may be writing into what is renamed
    try:
        folder.rename(target)
    except OSError as error:
        raise UsageError(
            f"{folder} can't be set aside: {error.strerror}.", "Rename it yourself."
        ) from error
    finally:
        os.close(lock)
    return target


def mend_torn_end(path: Path) -> None:
    """Cuts off what a kill left of a line that wasn't written whole.

    Raises:
        WriteError: the file may not be written.
    """
    if not path.is_file():
        return
    try:
        with path.open("r+b") as file:
            _cut_to_last_line(file)
    except OSError as error:
        raise unwritable(path, error) from error


def _cut_to_last_line(file: IO[bytes]) -> None:
    end = file.seek(0, os.SEEK_END)
    keep = last_line_end(file, end)
    if keep < end:
        file.truncate(keep)


def last_line_end(file: IO[bytes], size: int) -> int:
    """Where the last whole line of the first `size` bytes ends; 0 where there is none."""
    end = size
    while end > 0:
        start = max(0, end - 65_536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def parse_rows(data: bytes) -> list[dict[str, Any]]:
    """The JSON objects of whole lines; a torn end and lines that are no objects are passed over.

    Integers beyond 64 bits become floats.
    """
    rows: list[dict[str, Any]] = []
    for line in data[: data.rfind(b"\n") + 1].split(b"\n"):
        try:
            row: Any = orjson.loads(line) if line else None
        except orjson.JSONDecodeError:  # NaN and half surrogate pairs, which Python's json writes
            row = parse_row(line)
        if isinstance(row, dict):
            rows.append(cast(dict[str, Any], row))
    return rows


def parse_row(line: bytes) -> dict[str, Any] | None:
    """The JSON object of one line, None where it is none."""
    if not line.strip():
        return None
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def number(value: object) -> float:
    """What a row holds as a number; NaN for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def is_left_at_start(name: str, file: str) -> bool:
    """Whether a process leaves a file of this name that is killed before `file`, its folder's first."""
    return name == LOCK or (name.startswith(f".{file}.") and name.endswith(".tmp"))


def unwritable(path: Path, error: OSError) -> WriteError:
    """The sentence for a file that can't be written."""
    advice = "Name a file in it." if error.errno == errno.EISDIR else _MAKE_ROOM
    return WriteError(
        f"{path} can't be written: {error.strerror or type(error).__name__}.",
        MORE_FILES if error.errno in EXHAUSTED else advice,
    )


def _open_for_append(path: Path) -> int:
    mend_torn_end(path)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise unwritable(path, error) from error


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _plain(value: Any) -> Any:
    """What json doesn't know: numpy's numbers and arrays become Python's, paths their text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {str(key): _finite(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast(Iterable[Any], value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return _finite(_plain(value))
