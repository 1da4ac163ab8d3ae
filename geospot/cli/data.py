"""`geospot data`: look at a data set before it is believed, and prepare a large one ahead."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from geospot.errors import DataError, UsageError
from geospot.textsafe import printable

if TYPE_CHECKING:
    from rich.console import Console

    from geospot.data.check import CheckReport, LeakageReport, Spread
    from geospot.data.progress import Progress

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="Check and prepare data sets.",
)

_ADVICE: Final = {
    "missing_coordinates": "Photos without a GPS position in EXIF need a metadata.csv beside them, "
    "with the columns file_name, latitude and longitude.",
    "not_a_number": "Write latitude and longitude in degrees with a decimal point, like 48.85; or say "
    "with --columns which columns they are.",
}
"""What to do where no row is left, by the commonest reason."""
_SHOWN: Final = 10  # countries, bad images, duplicates; --json has all of them

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="world, world:seed=3,size=5000, osv5m/osv5m, owner/name on the hub, a folder, tars, "
        "or a .csv, .tsv, .jsonl or .parquet file.",
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Commit, tag or branch of a data set on the hub.")
]


@app.command(short_help="What a split is like: rows, photos, fingerprint, leakage.")
def check(
    spec: Spec,
    split: Annotated[str, typer.Option(help="Which part of the data set.")] = "test",
    against: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Another split, to look for leakage: shared ids and sequences, and photos that "
            "look the same.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="Which column is what, for example --columns lat=Breite; may be repeated.",
        ),
    ] = None,
    limit: Annotated[
        str,
        typer.Option(
            metavar="N|all", help="How many images to open; the same that eval would ask."
        ),
    ] = "1000",
    seed: Annotated[int, typer.Option(help="Seed of the selection.")] = 0,
    max_distance: Annotated[
        int,
        typer.Option(
            min=0, max=7, help="Bits of 64 in which photos that look the same may differ."
        ),
    ] = 6,
    revision: Revision = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Report size, bad rows by reason, countries, image sizes, fingerprint and leakage of a split.

    The fingerprint is that of the selection by --limit and --seed: results of `geospot eval` are
    ranked together only where it is the same. Ends with 1 if no row has a valid true place.

    Example: geospot data check ../osv5m --split test --against train --limit 2000
    """
    from geospot.data import open_dataset
    from geospot.data.check import check as check_split
    from geospot.data.columns import parse_overrides

    overrides = parse_overrides(columns or [])
    images = _limit(limit)
    if against == split:
        raise UsageError("A split always leaks into itself.", "Name another one with --against.")
    with _live_progress() as progress:
        opened = [
            open_dataset(spec, name, columns=overrides, revision=revision, progress=progress)
            for name in (split, against)
            if name is not None
        ]
        report = check_split(
            opened[0],
            limit=images,
            seed=seed,
            against=opened[1] if against else None,
            max_distance=max_distance,
            progress=progress,
        )
    for dataset in opened:
        dataset.close()
    if as_json:
        typer.echo(json.dumps(asdict(report), ensure_ascii=False))
    else:
        _print_report(report)
    if not report.rows:
        raise DataError("No row has a valid true place.", _advice_for_no_rows(report.dropped))


@app.command(short_help="Build the table and index of an OSV-5M split ahead.")
def prepare(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="osv5m/osv5m, or a folder in its layout.")
    ] = "osv5m/osv5m",
    split: Annotated[str, typer.Option(help="Which part of the data set.")] = "train",
    revision: Revision = None,
) -> None:
    """Build ahead what the first use of an OSV-5M split builds: its table and its index of images.

    Other kinds of data set need no preparation. May be interrupted; the next run goes on.

    Example: geospot data prepare osv5m/osv5m --split train
    """
    from geospot.data.open import default_cache_dir
    from geospot.data.osv5m import HUB_NAME
    from geospot.data.osv5m import prepare as prepare_split

    if spec != HUB_NAME and not (Path(spec) / "images").is_dir():
        raise UsageError(
            f"{printable(spec, limit=200)!r} needs no preparation.",
            f"Only {HUB_NAME} and folders in its layout do.",
        )
    with _live_progress() as progress:
        built = prepare_split(
            split,
            spec=spec,
            revision=revision,
            cache_dir=default_cache_dir(),
            progress=progress,
        )
    typer.echo(f"Prepared: {printable(str(built))}")


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if text.isascii() and text.isdecimal() and int(text):
        return int(text)
    raise UsageError(
        f"--limit {printable(text, limit=40)!r} is no number of images.", "Give 1 or more, or all."
    )


@contextmanager
def _live_progress() -> Generator["Progress"]:
    """Progress bars on standard error while a terminal watches; nothing otherwise."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(printable(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _print_report(report: "CheckReport") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    _print_rows(console, report)
    _print_images(console, report)
    if report.leakage is not None:
        _print_leakage(console, report.leakage)


def _print_rows(console: "Console", report: "CheckReport") -> None:
    size = f"{report.rows:,} with valid truth"
    if report.order == "stream":
        size = f"{report.rows:,} looked at; a stream, whose size isn't known beforehand"
    dropped = [f"{reason} {count:,}" for reason, count in report.dropped.items()]
    chosen = "all" if report.limit is None else f"limit {report.limit:,}"
    _print_facts(
        console,
        f"{printable(report.dataset)}, split {printable(report.split)}",
        {
            "rows": size,
            "left out": ", ".join(dropped) or "none",
            "countries": _countries(report),
            "selected": f"{report.selected:,} ({chosen}, seed {report.seed})",
            "fingerprint": report.fingerprint,
            "of all rows": report.fingerprint_all
            or "unknown, as long as the stream isn't at its end",
        },
    )


def _countries(report: "CheckReport") -> str:
    if not report.rows:
        return "none"
    if not report.countries:
        return "unknown; no row says its country"
    shown = [f"{printable(name)} {n:,}" for name, n in report.countries.items()]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    none = f"; {report.without_country:,} without" if report.without_country else ""
    return f"{len(shown)}: {', '.join(shown[:_SHOWN])}{more}{none}"


def _advice_for_no_rows(dropped: dict[str, int]) -> str:
    """What to do about the likeliest cause."""
    if not dropped:
        return "Nothing was found at all; are the path and --split right?"
    likeliest = max(dropped, key=lambda reason: dropped[reason])
    return _ADVICE.get(likeliest, "Mend those rows, or say with --columns which columns are meant.")


def _print_images(console: "Console", report: "CheckReport") -> None:
    images = report.images
    formats = [f"{name} {count:,}" for name, count in images.formats.items()]
    _print_facts(
        console,
        f"{images.examined:,} images examined",
        {
            "formats": ", ".join(formats) or "none",
            "megapixels": _spread(images.pixels, lambda pixels: f"{pixels / 1e6:.3g}"),
            "longest side": _spread(images.longest_side, lambda side: f"{side:g} px"),
            "file size": _spread(images.bytes, lambda size: f"{size / 1000:.3g} kB"),
            "GPS in EXIF": f"{images.with_gps:,}, cut before a model sees them"
            if images.with_gps
            else "none",
            "unreadable": f"{len(images.unreadable):,}, each an image_error"
            if images.unreadable
            else "none",
        },
    )
    for bad in images.unreadable[:_SHOWN]:
        console.print(f"    {printable(bad.id, limit=80)}: {printable(bad.reason, limit=300)}")
    _print_rest(console, len(images.unreadable))


def _print_leakage(console: "Console", leakage: "LeakageReport") -> None:
    shared = leakage.shared
    ours, theirs = leakage.images_compared
    _print_facts(
        console,
        f"leakage against {printable(leakage.against)} ({leakage.rows:,} rows)",
        {
            "shared ids": f"{len(shared.ids):,}",
            "shared sequences": f"{len(shared.sequences):,}"
            + (f" ({shared.images_in_shared_sequences:,} images)" if shared.sequences else ""),
            "near-duplicates": f"{len(leakage.near_duplicates):,} of {ours:,} images, "
            f"compared with {theirs:,}",
        },
    )
    for pair in leakage.near_duplicates[:_SHOWN]:
        console.print(
            f"    {printable(pair.id, limit=80)} looks like {printable(pair.other_id, limit=80)}, "
            f"{pair.distance_bits} of 64 bits apart"
        )
    _print_rest(console, len(leakage.near_duplicates))


def _print_rest(console: "Console", count: int) -> None:
    if count > _SHOWN:
        console.print(f"    and {count - _SHOWN:,} more; --json lists them all")


def _print_facts(console: "Console", title: str, facts: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"), title_justify="left", show_header=False, box=None
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), Text(value))
    console.print(table)


def _spread(spread: "Spread | None", shown: Callable[[float], str]) -> str:
    if spread is None:
        return "unknown"
    return f"min {shown(spread.min)}, median {shown(spread.median)}, max {shown(spread.max)}"
