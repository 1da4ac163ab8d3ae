"""The page: what was read becomes HTML that needs nothing else, runs nothing and asks for nothing.

Its policy (Content-Security-Policy) forbids scripts and every request, whatever a model or a data set says;
the template escapes all that isn't a figure of ours.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from geospot import __version__
from geospot.data.progress import Progress
from geospot.durable import replace_bytes
from geospot.errors import UsageError
from geospot.evaluation.standing import flaws, section
from geospot.report import charts, tables
from geospot.report.answers import chosen, shown
from geospot.report.photos import read_photos
from geospot.report.sources import Scored, Sources, read_sources
from geospot.report.worldmap import drawn_rows, world_map
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot_leaderboard.references import Reference, references


def write_report(
    folders: Sequence[Path], out: Path, progress: Progress, *, fetch_photos: bool = False
) -> int:
    """Writes the page about these results and runs, in one step; gives its size in bytes.

    Args:
        fetch_photos: whether photos that aren't on this machine may be asked for.

    Raises:
        UsageError: a folder is neither a result nor a run, or `out` can't be written.
        ResultFormatError: a result can't be read.
    """
    sources = read_sources(folders, progress)
    data = render(sources, progress, fetch_photos=fetch_photos).encode("utf-8", "replace")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{out} can't be written: {error.strerror}.", "Give another file."
        ) from error
    replace_bytes(out, data)
    return len(data)


def render(sources: Sources, progress: Progress, *, fetch_photos: bool = False) -> str:
    """The page as text."""
    loader = jinja2.PackageLoader("geospot.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    scored = sources.scored
    published = _published(scored)
    return environment.get_template("page.html").render(
        title=_title(sources),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        left_out=[printable(sentence) for sentence in sources.left_out],
        overview=tables.overview(scored) if scored else None,
        radius=_figure(charts.radius_curves(scored, "radius")) if scored else "",
        geoscores=_figure(charts.geoscores(scored, published, "scores")) if scored else "",
        published=published,
        runs=[_run(place, run) for place, run in enumerate(sources.runs)],
        curves=_figure(charts.run_curves(sources.runs, "curves")) if sources.runs else "",
        compared=list(tables.comparisons(scored)),
        results=[_result(place, one, progress, fetch_photos) for place, one in enumerate(scored)],
    )


def _title(sources: Sources) -> str:
    labels = [one.result.label for one in sources.scored]
    labels = labels or [run.folder.resolve().name for run in sources.runs]
    return printable(" · ".join(dict.fromkeys(labels)), limit=120)


def _published(scored: Sequence[Scored]) -> Sequence[Reference]:
    """What others have published, where every result is on the same published split."""
    splits = {one.result.dataset for one in scored}
    return references(*splits.pop()) if len(splits) == 1 else ()


def _run(place: int, run: RunState) -> Mapping[str, Any]:
    beat = run.beat
    facts = {
        "run": printable(run.folder.resolve().name, limit=80),
        "kind": run.kind,
        "model": printable(str(run.config.get("model_name") or "?"), limit=80),
        "data": printable(str(run.config.get("hf_repo") or "?"), limit=80),
        "steps": f"{run.done:,} of {run.total:,}" if run.total else f"{run.done:,}",
        "state": printable(beat.standing()) if beat else "unknown",
    }
    return {"number": place + 1, "facts": facts}


def _result(place: int, one: Scored, progress: Progress, fetch_photos: bool) -> Mapping[str, Any]:
    name = f"r{place}"
    rows = chosen(one.answers)
    answers = {
        sort: [shown(one, int(row)) for row in row_E] for sort, row_E in rows.items() if len(row_E)
    }
    ids = [each.raw_id for group in answers.values() for each in group]
    photos = read_photos(one, ids, progress, fetch=fetch_photos)
    row_A = drawn_rows(one.answers)
    answered = int(one.answers.answered_N.sum())
    return {
        "letter": charts.letter(place),
        "title": printable(one.result.label, limit=100),
        "path": printable(one.result.name, limit=100),
        "flaws": [flaw.sentence for flaw in flaws(one.manifest, one.summary)],
        "headline": tables.headline(one),
        "facts": tables.all_facts(one),
        "histogram": _figure(charts.error_histogram(one, f"{name}h")),
        "map": _figure(world_map(one.answers, row_A, f"{name}m")) if len(row_A) else "",
        "map_note": f"{len(row_A):,} of {answered:,} answers, drawn by lot"
        if len(row_A) < answered
        else f"all {answered:,} answers",
        "countries": tables.countries(one),
        "names": tables.names(one),
        "answers": answers,
        "photos": {key: Markup(value) for key, value in photos.by_id.items()},  # noqa: S704 - base64
        "photo_note": printable(photos.reason, limit=300),
        "passed_over": one.answers.passed_over,
        "draws": section(one.manifest, "config").get("samples") or 1,
    }


def _figure(svg: str) -> Markup:
    """A figure of ours; nothing in it comes from a model or a data set."""
    return Markup(svg)  # noqa: S704
