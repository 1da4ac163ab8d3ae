"""`geospot report`."""

from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.completion import complete_run_or_result
from geospot.cli.console import data_progress, stderr_console
from geospot.errors import UsageError
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Results, runs, or both.",
            show_default=False,
            autocompletion=complete_run_or_result,
        ),
    ],
    html: Annotated[
        Path, typer.Option(metavar="FILE", help="The page to write; one that is there is replaced.")
    ] = Path("report.html"),
    fetch_photos: Annotated[
        bool,
        typer.Option(
            "--fetch-photos",
            help="Also ask for photos that aren't on this machine (hub, addresses), and look for them "
            "among any number of files.",
        ),
    ] = False,
) -> None:
    """Write results and runs as one page that can be sent, printed and kept.

    Headline figures with intervals, how far off answers are, how many lie within which radius, a world
    map, countries, the nearest, the farthest and the most typical answers with their photos, and of a
    run its curves and the evaluations on its way. The first result is compared with each of the
    others, image by image. The page holds everything it shows, runs no script and asks no server for
    anything. Photos come from the data set where it is at hand, without metadata.

    \b
    geospot report results/gpt --html gpt.html
    geospot report results/before results/after --html compared.html
    geospot report runs/rl
    """
    try:
        from geospot.report.page import write_report
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "jinja2", "markupsafe"):
            raise
        raise UsageError(
            f"A report needs the package {error.name}, which isn't installed.",
            "pip install 'geospot-vlm[report]'",
        ) from error

    size = write_report(folders, html, data_progress(stderr_console()), fetch_photos=fetch_photos)
    typer.echo(f"Wrote {printable(str(html))} ({size / 1e6:.1f} MB).")
