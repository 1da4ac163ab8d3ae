"""`geospot leaderboard`: rank, export and compare results."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.completion import complete_result
from geospot.durable import put_file
from geospot.errors import UsageError

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="Rank, export and compare the results that `geospot eval` and `geospot score` wrote.",
)

_DIR_HELP = "Folder with result directories, at any depth; a single result directory works too."


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help=_DIR_HELP)] = Path("results"),
) -> None:
    """Print the leaderboard.

    Ranks by GeoScore over all images (0 to 5000, a failure counts 0), and only among results that
    were asked exactly the same images with the same true coordinates. A wider terminal shows more
    columns; `export --csv` has them all. Incomplete, self-selected and canary-failed results are shown
    without a rank. Published results on OSV-5M stand apart.

    Example: geospot leaderboard show results
    """
    from rich.console import Console

    from geospot.textsafe import never_fail_to_print
    from geospot_leaderboard.collect import collect
    from geospot_leaderboard.export import to_markdown
    from geospot_leaderboard.ranking import rank
    from geospot_leaderboard.show import as_renderable

    found = collect(folder)
    if not found.results and not found.broken:
        raise _nothing_in(folder)
    groups = rank(found.results)
    never_fail_to_print(sys.stdout)
    console = Console()
    if console.is_terminal:
        console.print(as_renderable(groups, found.broken))
    else:
        typer.echo(to_markdown(groups, found.broken), nl=False)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=_DIR_HELP)],
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the leaderboard as CSV; - is standard output."),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as Markdown; - is standard output."),
    ] = None,
) -> None:
    """Write the leaderboard as CSV, as Markdown, or both.

    Accuracies and coverage are fractions from 0 to 1, distances km, GeoScore 0 to 5000, cost US
    dollars. Ranks are within a fingerprint; an unranked row says why. Cells that a spreadsheet would
    run as a formula begin with an apostrophe.

    Example: geospot leaderboard export results --csv leaderboard.csv --markdown leaderboard.md
    """
    from geospot.textsafe import printable
    from geospot_leaderboard.collect import collect
    from geospot_leaderboard.export import to_csv, to_markdown
    from geospot_leaderboard.ranking import rank

    if csv is None and markdown is None:
        raise UsageError("Nothing to write.", "Give --csv FILE, --markdown FILE or both.")
    found = collect(folder)
    for one in found.broken:
        typer.echo(f"Left out: {printable(f'{one.reason} {one.advice}')}", err=True)
    if not found.results:
        raise _nothing_in(folder)
    groups = rank(found.results)
    if csv is not None:
        _write(csv, to_csv(groups))
    if markdown is not None:
        _write(markdown, to_markdown(groups, found.broken))


@app.command(short_help="Say whether B is better than A.")
def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A", help="Result directory to compare with.", autocompletion=complete_result
        ),
    ],
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B", help="Result directory that is new.", autocompletion=complete_result
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and the permutations.")] = 0,
) -> None:
    """Say whether B is better than A, on the images that both were asked.

    Differences are B − A in GeoScore points and km, with 95% paired bootstrap intervals and
    permutation p-values; accuracies are tested with McNemar's test. Says plainly when the difference
    is not significant, and lists the ten images on which B lost most.

    Example: geospot leaderboard compare results/old results/new
    """
    from geospot.textsafe import never_fail_to_print
    from geospot_leaderboard.compare import compare as compare_results
    from geospot_leaderboard.compare import to_json
    from geospot_leaderboard.compare_text import as_text

    never_fail_to_print(sys.stdout)
    comparison = compare_results(a, b, seed=seed)
    if as_json:
        typer.echo(json.dumps(to_json(comparison), indent=2, allow_nan=False))
    else:
        typer.echo(as_text(comparison))


def _nothing_in(folder: Path) -> UsageError:
    return UsageError(
        f"There is no result in {folder} that can be read.",
        "Make one with `geospot eval … --out DIR`.",
    )


def _write(path: Path, text: str) -> None:
    if str(path) == "-":
        typer.echo(text.encode("utf-8"), nl=False)  # as in a file, whatever the locale
        return
    put_file(path, text.encode("utf-8"))
    typer.echo(f"Wrote {path}.", err=True)
