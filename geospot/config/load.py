"""Fills a command's model from TOML and from what was said on the command line."""

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


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's top level as a dictionary.

    Raises:
        UsageError: not there, not TOML, not UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The configuration {path} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration {path} is not valid TOML: {error}.") from error


def refuse_unknown(names: Iterable[str], known: Iterable[str], *, what: str) -> None:
    """Raises UsageError for the first of `names` that isn't known, with the nearest one that is."""
    known = list(known)
    for name in names:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise UsageError(f"There is no {what} {name!r}.", hint)


def _sentence(error: ValidationError, *, dashes: bool) -> str:
    """All that is wrong in one line; the branches of a union are one complaint."""
    complaints: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        name = name.replace("_", "-") if dashes else name
        text = item["msg"].removeprefix("Value error, ").rstrip(".")
        complaints.setdefault(name, []).append(f"{text[:1].lower()}{text[1:]}")
    parts = [
        f"{name}: {' or '.join(texts)}" if name else " or ".join(texts)
        for name, texts in complaints.items()
    ]
    return "; ".join(parts) + "."
