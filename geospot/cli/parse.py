"""`geospot parse`: what is read from a model's answer."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import typer
from typer.core import TyperCommand

from geospot.errors import ResultFormatError, UsageError
from geospot.parsing import GeoAnswer, parse_geo_response
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)

_SOUTH: Final = re.compile(r"-(\s|\.?\d)")


class ParseCommand(TyperCommand):
    """Takes a text that begins with a minus and a digit, such as "-33.9, 151.2", for no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            return super().parse_args(ctx, args)
        options: list[str] = []
        texts: list[str] = []
        for before, argument in zip(["", *args], args, strict=False):
            south = _SOUTH.match(argument) and before != "--jsonl"
            (texts if south else options).append(argument)
        return super().parse_args(ctx, [*options, "--", *texts] if texts else options)


class RowError(ResultFormatError):
    """A row that is no JSON object with a `text`."""

    exit_code = 2


@app.command(cls=ParseCommand, no_args_is_help=True)
def parse(
    text: str | None = typer.Argument(
        None,
        help="The answer; '-' reads it from standard input. "
        "Write -- before one that begins with a hyphen and a letter.",
    ),
    jsonl: str | None = typer.Option(
        None,
        "--jsonl",
        metavar="FILE",
        help="Read rows {\"text\": …} from FILE ('-' is standard input) and print one object a row. "
        'A row may say {"truncated": true} of itself.',
    ),
    truncated: bool = typer.Option(
        False,
        "--truncated",
        help="The token limit ended the answer: a number at its very end is not trusted.",
    ),
) -> None:
    """Show what geospot reads from a model's answer.

    Prints one JSON object: outcome (ok, out_of_range, place_only, refusal or unparsed), latitude and
    longitude in decimal degrees (north and east positive; null unless ok), city, region and country
    as the answer writes them, and a note on why an answer is none.

    Example: geospot parse "48° 51' 24\\" N, 2° 21' 8\\" E"

    Example: geospot parse "-33.8688, 151.2093"

    Example: geospot parse -- "-- Sydney, Australia --"

    Example: geospot parse --jsonl answers.jsonl > read.jsonl
    """
    if (text is None) == (jsonl is None):
        raise UsageError(
            "Give either a text or --jsonl FILE.",
            "`geospot parse --help` shows an example of each.",
        )
    if jsonl is not None:
        for row_text, row_truncated in _rows(jsonl):
            _print(parse_geo_response(row_text, truncated=truncated or row_truncated))
    elif text is not None:
        answer = _standard_input().decode("utf-8", "replace") if text == "-" else text
        _print(parse_geo_response(answer, truncated=truncated))


def _standard_input() -> bytes:
    return sys.stdin.buffer.read()


def _print(answer: GeoAnswer) -> None:
    row = {
        "outcome": answer.outcome.value,
        "latitude": answer.latitude,
        "longitude": answer.longitude,
        "city": answer.city,
        "region": answer.region,
        "country": answer.country,
        "note": answer.note,
    }
    # printable: invisible characters that JSON would let through could reorder a terminal's line.
    line = json.dumps(row, ensure_ascii=False)
    typer.echo(line if line.isprintable() else json.dumps(row))


def _rows(source: str) -> Iterator[tuple[str, bool]]:
    """Text and truncation of each row, while the file is read.

    Raises:
        UsageError: there is no such file, or it can't be read.
        RowError: a row that isn't a JSON object with a string `text`.
    """
    with _opened(source) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _row(line, number)


def _opened(source: str) -> AbstractContextManager[BinaryIO]:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    advice = "Name a JSON Lines file, or '-'."
    try:
        return Path(source).open("rb")
    except IsADirectoryError:
        raise UsageError(f"{printable(source)} is a folder.", advice) from None
    except (FileNotFoundError, ValueError):  # ValueError: a NUL in the name
        raise UsageError(f"There is no file {printable(source)}.", advice) from None
    except OSError as error:
        reason = f"{printable(source)} can't be read ({error.strerror})."
        raise UsageError(reason, advice) from None


def _row(line: bytes, number: int) -> tuple[str, bool]:
    advice = 'Each line has to be one object like {"text": "48.85, 2.35"}.'
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(f"Line {number} is not JSON in UTF-8.", advice) from error
    if not isinstance(row, dict):
        raise RowError(f"Line {number} is not a JSON object.", advice)
    fields = cast("dict[str, Any]", row)
    text = fields.get("text")
    if not isinstance(text, str):
        raise RowError(f"Line {number} has no string under 'text'.", advice)
    return text, fields.get("truncated") is True
