"""`geospot parse`: what is read from a model's answer."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import typer

from geospot.errors import ResultFormatError, UsageError
from geospot.parsing import GeoAnswer, parse_geo_response
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)


class RowError(ResultFormatError):
    """A row that is no JSON object with a `text`."""

    exit_code = 2


@app.command(no_args_is_help=True)
def parse(
    text: str | None = typer.Argument(None, help="The answer; '-' reads it from standard input."),
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
        UsageError: there is no such file.
        RowError: a row that isn't a JSON object with a string `text`.
    """
    path = Path(source)
    if source != "-" and not path.is_file():
        raise UsageError(
            f"There is no file {printable(source)}.", "Name a JSON Lines file, or '-'."
        )
    with nullcontext(sys.stdin.buffer) if source == "-" else path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _row(line, number)


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
