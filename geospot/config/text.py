"""Settings as text: what stands behind a key on the command line, and in a field of a form."""

import json
import math
import shlex
from collections.abc import Iterable
from typing import Any, Final, Literal, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from geospot.errors import UsageError
from geospot.textsafe import printable

NOTHING: Final = ("none", "null", "None")


def read_setting(field: FieldInfo | None, text: str) -> Any:
    """What pydantic is given for KEY=TEXT: a list for a list, None for `none`, else the text."""
    if field is None:
        return text
    if is_list(field):
        return split_list(text)
    return None if text in NOTHING else text


def read_option(field: FieldInfo, text: str) -> Any:
    """What pydantic is given for an option's text, which has no word for nothing; a list is comma-separated.

    Raises:
        UsageError: a setting that is a JSON object, and no such text.
    """
    if is_list(field):
        return split_list(text)
    return read_json_object(text) if field.annotation == dict[str, Any] else text


def split_list(text: str) -> list[str]:
    """The parts between commas, without blanks around them and without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def setting_text(value: Any) -> str:
    """A value as it would be written behind its key; what is read from it is the same value.

    Raises:
        UsageError: an item of a list that holds a comma.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        items = [setting_text(item) for item in cast(list[Any], value)]
        if apart := [item for item in items if split_list(item) != [item]]:
            raise UsageError(
                f"{apart[0]!r} can't be an item of a list here.",
                "Items are separated by commas, so none can hold one or be empty.",
            )
        return ",".join(items)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value or math.isnan(value) else repr(value)
    return str(value)


def shell_line(words: Iterable[str]) -> str:
    """Words as one line for a shell, which reads them as they are.

    One with characters that move a cursor or hide is written with escapes, as `$'…'`, which bash, zsh and
    ksh read: pasted as it is, it could do more than be read.
    """
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if printable(word) == word:
        return shlex.quote(word)
    marks = {"\\": "\\\\", "'": "\\'"}
    return "$'" + "".join(marks.get(one) or printable(one) for one in word) + "'"


def read_json_object(text: str) -> dict[str, Any]:
    """The JSON object that is written there.

    Raises:
        UsageError: it is none, or holds what JSON doesn't have, such as NaN.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"--extra-body is not valid JSON: {error.msg} at character {error.pos}.",
            """Write it like --extra-body '{"top_p": 0.9}'.""",
        ) from error
    except RecursionError as error:
        raise UsageError("--extra-body is nested too deeply.") from error
    if not isinstance(value, dict):
        raise UsageError("--extra-body must be a JSON object, in braces.")
    return cast(dict[str, Any], value)


def _no_constant(name: str) -> float:
    raise UsageError(f"--extra-body holds {name}, which is no JSON.", "Write a finite number.")


def unit_of(field: FieldInfo) -> str:
    """The unit that a setting declares; empty where it has none."""
    extra = field.json_schema_extra
    known = cast(dict[str, Any], extra) if isinstance(extra, dict) else {}
    return str(known.get("unit") or "")


def is_list(field: FieldInfo) -> bool:
    """Whether several values can be given, separated by commas."""
    return get_origin(field.annotation) is list


def words_of(field: FieldInfo) -> tuple[str, ...]:
    """Words that a setting knows, such as `all` or the names of schedules."""
    return tuple(dict.fromkeys(_words(field.annotation)))


def is_choice(field: FieldInfo) -> bool:
    """Whether nothing but one of `words_of` (or nothing at all) can be given."""
    return not is_list(field) and _only_words(field.annotation)


def _words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for part in get_args(annotation) for word in _words(part)]


def _only_words(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return True
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return bool(parts) and all(_only_words(part) for part in parts)
