"""Fills a command's model from TOML and from what was said on the command line."""

import stat
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from geospot.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)


def build(model: type[Model], *layers: Mapping[str, Any], dashes: bool = True) -> Model:
    """The model filled from layers of values; a later layer wins over an earlier one.

    Dashes in names are as good as underscores.

    Args:
        dashes: messages name settings as options are written, `batch-size`, and not `batch_size`.

    Raises:
        UsageError: an unknown name (the nearest known one is given), or values that don't fit.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        values |= {name.replace("-", "_"): value for name, value in layer.items()}
    refuse_unknown(values, model.model_fields, what="setting")
    try:
        return model(**values)
    except ValidationError as error:
        sentence = _sentence(error, dashes=dashes)
        raise UsageError(sentence, "See --help for what each setting takes.") from None


def read_toml(path: Path, *, limit_bytes: int | None = None) -> dict[str, Any]:
    """A TOML file's top level as a dictionary.

    Args:
        limit_bytes: a longer file is refused, and so is what isn't a file, such as a pipe.

    Raises:
        UsageError: not there, not TOML, not UTF-8.
    """
    try:
        if limit_bytes is not None:
            _refuse_unusual(path, limit_bytes)
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The configuration {path} can't be read: {error.strerror}.") from error
    except RecursionError as error:
        raise UsageError(f"The configuration {path} is nested too deeply.") from error
    except ValueError as error:  # not TOML, not UTF-8, or a number of too many digits
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"The configuration {path} is not valid TOML: {error}.") from error


def _refuse_unusual(path: Path, limit_bytes: int) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"The configuration {path} is not a file.")
    if status.st_size > limit_bytes:
        raise UsageError(
            f"The configuration {path} is too long: {status.st_size:,} bytes, and {limit_bytes:,} are read."
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, None where none does."""
    return next(iter(get_close_matches(name, list(known), n=1)), None)


def refuse_unknown(names: Iterable[str], known: Iterable[str], *, what: str) -> None:
    """Raises UsageError for the first of `names` that isn't known, with the nearest one that is."""
    known = list(known)
    for name in names:
        if name in known:
            continue
        near = nearest(name, known)
        hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known)}."
        raise UsageError(f"There is no {what} {name!r}.", hint)


def complaints(error: ValidationError) -> dict[str, str]:
    """What is wrong with each setting, by its name; "" is for the model as a whole.

    The branches of a union are one complaint.
    """
    found: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        text = item["msg"].removeprefix("Value error, ").rstrip(".")
        found.setdefault(name, []).append(f"{text[:1].lower()}{text[1:]}")
    return {name: " or ".join(texts) for name, texts in found.items()}


def _sentence(error: ValidationError, *, dashes: bool) -> str:
    """All that is wrong in one line."""
    parts = [
        f"{name.replace('_', '-') if dashes else name}: {text}" if name else text
        for name, text in complaints(error).items()
    ]
    return "; ".join(parts) + "."
