"""Which column is what: by the names that people give them, or as told with --columns."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from geospot.errors import ColumnsError, UsageError
from geospot.textsafe import printable

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "image": (
        *("image", "file_name", "filename", "path", "image_path", "file_path", "filepath", "file"),
        *("url", "image_url", "img", "photo", "jpg", "jpeg", "png", "webp"),
    ),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "id": ("id", "image_id", "key", "__key__"),
    "city": ("city",),
    "region": ("region",),
    "sub_region": ("sub_region", "subregion"),
    "country": ("country", "country_code"),
    "sequence": ("sequence", "sequence_id"),
    "unique_city": ("unique_city",),
    "unique_region": ("unique_region",),
    "unique_sub_region": ("unique_sub_region",),
}
"""Field of a sample and the column names that mean it, the likelier first. Case doesn't matter, nor
whether words are joined by `_`, `-` or a blank; a column nested under `json` counts after the rest."""

REQUIRED: Final = ("image", "latitude", "longitude")

# Words that hint at a field in column names of other conventions and languages.
_HINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image", "img", "photo", "picture", "file", "path", "url", "bild", "foto"),
    "latitude": ("lat", "breite", "north", "y_coord", "gps_y", "y"),
    "longitude": ("lon", "lng", "länge", "laenge", "east", "x_coord", "gps_x", "x"),
}


def find_columns(
    available: Iterable[str],
    overrides: Mapping[str, str] | None = None,
    *,
    required: Sequence[str] = REQUIRED,
) -> dict[str, str]:
    """Field of a sample → the column of `available` that holds it.

    Args:
        available: names of the columns that are there; nested ones as `json.latitude`.
        overrides: field → column, as said by the user; `lat` and the like will do for the field.
        required: fields that can't be done without.

    Raises:
        ColumnsError: a required field has no column, or an override names what isn't there. Says
            which columns there are, the nearest guesses, and how to name the right one.
    """
    available = list(available)
    by_name = {_normal(name): name for name in reversed(available)}
    found: dict[str, str] = {}
    for field, names in NAMES.items():
        candidates = [*names, *(f"json.{name}" for name in names)]
        column = next((by_name[name] for name in candidates if name in by_name), None)
        if column is not None:
            found[field] = column
    for said, column in (overrides or {}).items():
        found[field_named(said)] = _existing(said, column, available)
    missing = [field for field in required if field not in found]
    if missing:
        raise ColumnsError(_what_is_missing(missing, available), _how_to_say(missing, available))
    return found


def parse_overrides(arguments: Iterable[str]) -> dict[str, str]:
    """`["lat=Breite", "lon=Länge"]`, or both in one argument with a comma, as field → column.

    Raises:
        ColumnsError: an argument isn't of that form, or names a field that samples don't have.
    """
    overrides: dict[str, str] = {}
    for argument in arguments:
        for part in re.split(r",(?=[\s\w-]+=)", argument):
            field, equals, column = part.partition("=")
            if not equals or not column.strip():
                raise ColumnsError(
                    f"--columns {printable(part, limit=80)!r} doesn't say which column is which.",
                    "Write the field, an equals sign and the column, for example --columns lat=Breite.",
                )
            overrides[field_named(field.strip())] = column.strip()
    return overrides


def refuse_overrides(overrides: Mapping[str, str] | None, source: str) -> None:
    """Raises UsageError where columns were told of a source that has none to choose from.

    Args:
        source: what it is, as the subject of a sentence.
    """
    if overrides:
        raise UsageError(
            f"{source} has no columns to choose, so --columns can't be used with it.",
            "Leave --columns out; it is for tables, metadata files, tars and other data sets on the "
            "hub.",
        )


def field_named(said: str) -> str:
    """The field of a sample that a user calls `said`: `lat` is `latitude`."""
    wanted = _normal(said)
    for field, names in NAMES.items():
        if wanted == field or wanted in names:
            return field
    raise ColumnsError(
        f"Samples have no field {printable(said, limit=80)!r}.",
        f"The fields are {', '.join(NAMES)}; for example --columns lat=Breite.",
    )


def same_column(said: str, column: str) -> bool:
    """Whether a user who says `said` means `column`, but for case, joins or `json.` in front."""
    return _normal(column) in (_normal(said), f"json.{_normal(said)}")


def flatten(row: Mapping[str, object]) -> dict[str, object]:
    """A JSON object with what is nested under `json` beside the rest, as `json.latitude`."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and _normal(name) == "json":
            nested = cast(Mapping[object, object], value)
            flat |= {f"{name}.{inner}": value for inner, value in nested.items()}
        else:
            flat[name] = value
    return flat


def _normal(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _existing(said: str, column: str, available: Sequence[str]) -> str:
    """The column that an override names, exactly or but for its case."""
    if column in available:
        return column
    for name in available:
        if same_column(column, name):
            return name
    near = difflib.get_close_matches(column, available, n=3, cutoff=0.5)
    guess = f"Nearest: {_listed(near)}. " if near else ""
    raise ColumnsError(
        f"There is no column {printable(column, limit=80)!r} to be the {field_named(said)}.",
        f"{guess}The columns are {_listed(available)}.",
    )


def _what_is_missing(missing: Sequence[str], available: Sequence[str]) -> str:
    fields = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
    return f"No column for {fields} found among {_listed(available)}."


def _how_to_say(missing: Sequence[str], available: Sequence[str]) -> str:
    guesses = {field: _guess(field, available) for field in missing}
    near = [f"{field} may be {_listed(names)}" for field, names in guesses.items() if names]
    example = " ".join(
        f"--columns {field}={printable(guesses[field][0]) if guesses[field] else 'COLUMN'}"
        for field in missing
    )
    return f"{'; '.join(near)}{'. ' if near else ''}Say which: {example}"


def _guess(field: str, available: Sequence[str], most: int = 3) -> list[str]:
    """Columns that may be the field: by a word in their name, then by likeness."""
    last_parts = {name: _normal(name).rpartition(".")[2] for name in available}
    hinted = [
        name
        for hint in _HINTS.get(field, ())
        for name, last in last_parts.items()
        if (hint in last if len(hint) > 1 else hint == last)
    ]
    alike = [
        name
        for known in NAMES[field]
        for name, last in last_parts.items()
        if difflib.SequenceMatcher(None, known, last).ratio() >= 0.7
    ]
    return list(dict.fromkeys([*hinted, *alike]))[:most]


def _listed(names: Sequence[str], most: int = 40) -> str:
    if not names:
        return "no columns at all"
    shown = ", ".join(printable(name, limit=60) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
