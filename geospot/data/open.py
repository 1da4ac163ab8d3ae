"""The front door to every data source: one word says which, the rest follows."""

import difflib
import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from geospot.data.columns import refuse_overrides
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.errors import DataError, TooManyFilesError, UsageError
from geospot.textsafe import is_utf8, printable

FORMS: Final = (
    "world, osv5m/osv5m, another owner/name on the Hugging Face hub, a folder in OSV-5M's layout, "
    "a folder of photos, tars (*.tar), or a table (.csv, .tsv, .jsonl, .parquet)"
)
"""What a data set can be, in words."""

SPLITS: Final = ("train", "test", "val", "valid", "validation", "dev")
"""What people call the parts of a data set."""

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet")

_MOST_PARTS: Final = 50
_MOST_NAMES: Final = 1_000_000
_LONGEST_NAME: Final = 240  # bytes; a suffix follows, and file systems have 255
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def open_dataset(
    spec: str,
    split: str = "test",
    *,
    columns: Mapping[str, str] | None = None,
    revision: str | None = None,
    cache_dir: Path | None = None,
    progress: Progress = silent,
    most_files: int | None = None,
) -> GeoDataset:
    """Opens the split `split` of the data set that `spec` names.

    Args:
        spec: `world` or `world:seed=3,size=5000`; `osv5m/osv5m`; another `owner/name` on the hub; a
            folder in OSV-5M's layout (`{split}.csv` and `images/{split}/`, zips or extracted); a
            `.tar`, a pattern of them or a folder of them (WebDataset); a `.csv`, `.tsv`, `.jsonl` or
            `.parquet` with a column of paths or URLs, or a folder with such a file called
            `{split}.*`; a folder of photos with `metadata.csv`, `metadata.jsonl` or GPS in EXIF.
        split: which part of it, where the source has parts.
        columns: which column is what, where it can't be told by name: `{"latitude": "Breite"}`.
        revision: commit, tag or branch of a data set on the hub.
        cache_dir: where indexes and downloads are kept; `default_cache_dir()` by default.
        progress: is told how far a long piece of work is.
        most_files: how many files may be looked through to find those of a pattern or of a folder of
            photos, where somebody else says which; as many as there are by default.

    Raises:
        DataError: there is no such data set, or it can't be understood.
        TooManyFilesError: there are more than `most_files`.
        ColumnsError: image or coordinates can't be found among the columns.
        UsageError: `columns` was given for a source whose columns are fixed.
        SourceUnavailableError: the source is remote and doesn't answer.
    """
    cache_dir = cache_dir or default_cache_dir()
    if spec == "world" or spec.startswith("world:"):
        from geospot.data.world import open_world

        refuse_overrides(columns, "The procedural world")
        return open_world(split, **_world_options(spec.partition(":")[2]))
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - never raises
    if not is_utf8(str(path)):
        raise DataError(
            f"The name {printable(spec, limit=200)} is not UTF-8 text.",
            "Rename the file or folder.",
        )
    if spec and _is_folder(path):
        try:
            return _open_folder(path, split, columns, cache_dir, progress, most_files)
        except PermissionError as error:
            where = printable(os.fsdecode(error.filename or path))
            raise DataError(f"{where} can't be read ({error.strerror}).") from error
    if os.path.isfile(path):  # noqa: PTH113 - never raises
        return _open_file(path, split, columns, progress)
    if tars := _tars_of_pattern(str(path), most_files):
        from geospot.data.webdataset import open_webdataset

        return open_webdataset(tars, split, columns=columns, progress=progress)
    if spec == "osv5m/osv5m":
        from geospot.data.osv5m import open_hub_osv5m

        refuse_overrides(columns, "OSV-5M")
        return open_hub_osv5m(split, revision=revision, cache_dir=cache_dir, progress=progress)
    if _HUB_NAME.fullmatch(spec) and not spec.lower().endswith((*TABLE_SUFFIXES, ".tar")):
        return _open_hub(spec, split, columns, revision, cache_dir, progress)
    raise DataError(
        f"There is no data set {printable(spec, limit=200)!r}.", _advice_for_nothing(path)
    )


def is_here(spec: str, most_files: int) -> bool:
    """Whether `open_dataset` opens it without asking a server; a table in it may still name URLs."""
    if spec == "world" or spec.startswith("world:"):
        return True
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - never raises
    if not spec or not is_utf8(str(path)):
        return False
    if _is_folder(path) or os.path.isfile(path):  # noqa: PTH113 - never raises
        return True
    try:
        return bool(_tars_of_pattern(str(path), most_files))
    except (
        DataError,
        UsageError,
    ):  # a pattern with a hole in it or without end, as opening it says
        return True


def default_cache_dir() -> Path:
    """`$GEOSPOT_CACHE`, or `geospot` in the user's cache folder (XDG Base Directory)."""
    if chosen := os.environ.get("GEOSPOT_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")  # the standard says: ignore it unless absolute
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "geospot"


def _tars_of_pattern(pattern: str, most_files: int | None) -> list[Path]:
    """The tars that a pattern names; none where it is no pattern."""
    may_be_one = pattern.endswith((".tar", "}")) and "\0" not in pattern
    return expand_pattern(pattern, most_files) if may_be_one else []


def expand_pattern(pattern: str, most_files: int | None = None) -> list[Path]:
    """The files that a pattern names, sorted: `*`, `?`, `[…]`, `{a,b}` and `{000..003}`.

    Raises:
        DataError: a name that the braces spell out isn't there; a data set with a hole in it would
            be another data set.
        TooManyFilesError: more than `most_files` names would have to be compared with it.
        UsageError: it names more files than there can be, or folders deeper than any are.
    """
    if max(pattern.count("{"), pattern.count("/")) > _MOST_PARTS:
        raise UsageError(f"A pattern has {_MOST_PARTS} folders and pairs of braces at most.")
    found: dict[Path, None] = {}
    seen = 0
    for number, spelt in enumerate(_spelt_out(pattern)):
        if number >= _MOST_NAMES:
            raise UsageError(
                f"The pattern {printable(pattern, limit=200)} names more than a million files."
            )
        if most_files is not None:
            seen = _compared(spelt, seen + 1, most_files)
        matches = glob.glob(spelt, recursive=True)  # noqa: PTH207 - the pattern may be absolute
        if not matches and spelt != pattern and not glob.has_magic(spelt):
            raise DataError(
                f"{printable(spelt)} isn't there, though {printable(pattern)} names it.",
                "Get the missing file, or write a pattern of those that are there.",
            )
        found |= dict.fromkeys(Path(match) for match in matches)
    return sorted(found)


def _compared(pattern: str, seen: int, most: int) -> int:
    """`seen`, and how many names a pattern without braces is compared with.

    Raises:
        TooManyFilesError: together more than `most`.
    """
    if not glob.has_magic(pattern):
        return _at_most(seen, most)
    folder, name = os.path.split(pattern)
    is_deep = name == "**" or glob.has_magic(folder)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - a pattern is text
    return _found_in(folder or ".", seen, most, is_deep=is_deep, links=True)


def _found_in(
    folder: str | Path, seen: int, most: int, *, is_deep: bool = True, links: bool = False
) -> int:
    """`seen`, and how many files and folders are in a folder, and below it if `is_deep`.

    Raises:
        TooManyFilesError: together more than `most`; it doesn't go on then.
    """
    for _, folders, names in os.walk(folder, followlinks=links):  # as a pattern follows them
        seen = _at_most(seen + len(folders) + len(names), most)
        if not is_deep:
            break
    return seen


def _at_most(seen: int, most: int) -> int:
    if seen > most:
        raise TooManyFilesError(f"More than {most:,} files would have to be looked through.")
    return seen


def _spelt_out(pattern: str) -> Iterator[str]:
    """The pattern without braces, once for each of their choices."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        yield pattern
        return
    for choice in _brace_choices(braces[1]):
        yield from _spelt_out(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _brace_choices(inside: str) -> list[str]:
    """What a brace stands for: `a,b`, or `000..003` with the first number's width."""
    if span := re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", inside):
        first, last = int(span[1]), int(span[2])
        if last - first > _MOST_NAMES:
            raise UsageError(f"The pattern {{{inside}}} names more than a million files.")
        return [f"{number:0{len(span[1])}d}" for number in range(first, last + 1)]
    return inside.split(",")


def _world_options(text: str) -> dict[str, int]:
    """`seed=3,size=5000` as keyword arguments of `open_world`."""
    options: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in ("seed", "size") or not value.strip().isdecimal():
            raise UsageError(
                f"{printable(part)!r} is no option of the procedural world.",
                "Write for example world:seed=3,size=5000; both are whole numbers.",
            )
        options[name.strip()] = int(value)
    return options


def _open_hub(
    spec: str,
    split: str,
    columns: Mapping[str, str] | None,
    revision: str | None,
    cache_dir: Path,
    progress: Progress,
) -> GeoDataset:
    from geospot.data.hub import open_hub

    try:
        return open_hub(
            spec, split, columns=columns, revision=revision, cache_dir=cache_dir, progress=progress
        )
    except DataError as error:
        path = Path(spec)
        if _is_folder(path.parent):  # a path with a slip in it looks like a name on the hub
            error.advice += f" No {path.name} is in the folder {path.parent} here either."
        raise


def _open_folder(
    root: Path,
    split: str,
    columns: Mapping[str, str] | None,
    cache_dir: Path,
    progress: Progress,
    most_files: int | None,
) -> GeoDataset:
    """What is in the folder says what it is: OSV-5M, tars, a table, or photos, in this order."""
    if os.path.isabs(split) or _is_too_long(split):  # noqa: PTH117
        raise DataError(
            f"{printable(str(root))} has no split {printable(split, limit=80)!r}.",
            "A split is called as its table or its folder is; choose with --split.",
        )
    if (root / f"{split}.csv").is_file() and (root / "images").is_dir():
        from geospot.data.rows import names_an_image

        image = {said: name for said, name in (columns or {}).items() if said == "image"}
        if not names_an_image(root / f"{split}.csv", image):
            from geospot.data.osv5m import open_local_osv5m

            refuse_overrides(columns, f"{printable(str(root))}, a folder in OSV-5M's layout,")
            return open_local_osv5m(root, split, cache_dir=cache_dir, progress=progress)
    if tars := tars_of(root, split):
        from geospot.data.webdataset import open_webdataset

        return open_webdataset(tars, split, columns=columns, progress=progress)
    if tables := tables_of(root, split):
        from geospot.data.table import open_table

        return open_table(tables, split, columns=columns, progress=progress)
    if others := [name for name in SPLITS if tars_of(root, name, all_of_them=False)] or [
        name for name in SPLITS if tables_of(root, name)
    ]:
        raise DataError(
            f"{printable(str(root))} has no split {printable(split)!r}.",
            f"Splits there: {', '.join(others)}; choose with --split.",
        )
    if most_files is not None:
        _found_in(root, 0, most_files)
        if _is_folder(root / split):  # with dots or a link it may lie elsewhere
            _found_in(root / split, 0, most_files)
    from geospot.data.folder import has_photos, open_folder

    if has_photos(root):
        return open_folder(root, split, columns=columns, progress=progress)
    raise DataError(
        f"The folder {printable(str(root))} holds no data set with a split {printable(split)!r}.",
        f"Found there: {_contents(root)}. A data set is one of: {FORMS}.",
    )


def _is_folder(path: Path) -> bool:
    """Whether it is one; a name that no file can have is none."""
    return os.path.isdir(path)  # noqa: PTH112 - never raises


def _is_too_long(split: str) -> bool:
    """Whether no file can be called so; to look for it would be an error of the system."""
    return len(split.encode("utf-8", "replace")) > _LONGEST_NAME


def _open_file(
    path: Path, split: str, columns: Mapping[str, str] | None, progress: Progress
) -> GeoDataset:
    name = path.name.lower()
    if name.endswith((".tar", ".tar.gz", ".tgz")):
        from geospot.data.webdataset import open_webdataset

        return open_webdataset([path], split, columns=columns, progress=progress)
    if name.endswith(TABLE_SUFFIXES):
        from geospot.data.table import open_table

        return open_table([path], split, columns=columns, progress=progress)
    from geospot.data.folder import PHOTO_SUFFIXES

    photo = " A single photo is for `geospot predict`." if name.endswith(PHOTO_SUFFIXES) else ""
    raise DataError(
        f"{printable(str(path))} is a file of a kind that isn't known as a data set.",
        f"A data set is one of: {FORMS}.{photo}",
    )


def tars_of(root: Path, split: str, *, all_of_them: bool = True) -> list[Path]:
    """The tars of a split: in a folder of its name, or named after it.

    Where none is named after any split, all tars of the folder, if `all_of_them`.
    """
    own = [*(root / split).glob("*.tar"), *root.glob(f"{glob.escape(split)}[-_.]*tar")]
    if own or not all_of_them:
        return sorted(own)
    if any(tars_of(root, name, all_of_them=False) for name in SPLITS):
        return []
    return sorted(root.glob("*.tar"))


def tables_of(root: Path, split: str) -> list[Path]:
    """The table of a split: `{split}.csv` and the like, or Parquet shards `{split}-*.parquet`."""
    for suffix in TABLE_SUFFIXES:
        if (root / f"{split}{suffix}").is_file():
            return [root / f"{split}{suffix}"]
    shards = f"{glob.escape(split)}-*.parquet"
    return sorted(root.glob(shards)) or sorted((root / "data").glob(shards))


def _contents(root: Path, most: int = 8) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    shown = ", ".join(printable(name, limit=60) for name in names[:most]) or "nothing"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _advice_for_nothing(path: Path) -> str:
    """What to do about a name that is nothing: the nearest path there is, or the forms."""
    there = path.parent
    while not _is_folder(there):
        there = there.parent
    try:
        names = [entry.name for entry in there.iterdir()]
    except PermissionError:
        names = []
    missing = path.relative_to(there).parts[0] if path != there else path.name
    near = difflib.get_close_matches(missing, names, n=1, cutoff=0.6)
    hint = f"Did you mean {printable(str(there / near[0]))}? " if near else ""
    return f"{hint}A data set is one of: {FORMS}."
