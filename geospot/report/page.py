"""The page: what was read becomes HTML that needs nothing else, runs nothing and asks for nothing.

Its policy (Content-Security-Policy) forbids scripts and every request, whatever a model or a data set says;
the template escapes all that isn't a figure of ours.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from geospot import __version__
from geospot.data.progress import Progress
from geospot.durable import replace_bytes
from geospot.errors import UsageError
from geospot.evaluation.following import Answers
from geospot.evaluation.standing import section
from geospot.report import charts, tables
from geospot.report.answers import chosen, shown
from geospot.report.photos import read_photos
from geospot.report.sources import Run, Sources, read_answers, read_sources
from geospot.report.worldmap import drawn_rows, world_map
from geospot.textsafe import printable
from geospot_leaderboard.collect import Result
from geospot_leaderboard.references import Reference, references

FloatArray = npt.NDArray[np.float64]


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
    sources = read_sources(folders)
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
    results = sources.results
    published = _published(results)
    shares: list[FloatArray] = []
    parts: list[Mapping[str, Any]] = []
    for place, one in enumerate(results):
        answers = read_answers(one, progress)
        shares.append(charts.shares_within(one, answers))
        parts.append(_result(place, one, answers, progress, fetch_photos))
        del answers  # before the next one's are read
    return environment.get_template("page.html").render(
        title=_title(sources),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        left_out=[printable(sentence) for sentence in sources.left_out],
        overview=tables.overview(results) if results else None,
        radius=_figure(charts.radius_curves(shares, "radius")) if results else "",
        geoscores=_figure(charts.geoscores(results, published, "scores")) if results else "",
        published=published,
        data_sets=len({one.dataset for one in results}),
        runs=[_run(place, run) for place, run in enumerate(sources.runs)],
        curves=_figure(charts.run_curves(sources.runs, "curves")) if sources.runs else "",
        course=_figure(charts.course_curves(sources.runs, "course")) if sources.runs else "",
        compared=list(tables.comparisons(results)),
        results=parts,
    )


def _title(sources: Sources) -> str:
    labels = [one.label for one in sources.results]
    labels = labels or [run.state.folder.resolve().name for run in sources.runs]
    return printable(" · ".join(dict.fromkeys(labels)), limit=120)


def _published(results: Sequence[Result]) -> Sequence[Reference]:
    """What others have published, where every result is on the same published split."""
    splits = {one.dataset for one in results}
    return references(*splits.pop()) if len(splits) == 1 else ()


def _run(place: int, run: Run) -> Mapping[str, Any]:
    state = run.state
    beat = state.beat
    facts = {
        "run": printable(state.folder.resolve().name, limit=80),
        "kind": state.kind,
        "model": printable(str(state.config.get("model_name") or "?"), limit=80),
        "data": printable(str(state.config.get("hf_repo") or "?"), limit=80),
        "steps": f"{state.done:,} of {state.total:,}" if state.total else f"{state.done:,}",
        "state": printable(beat.standing()) if beat else "unknown",
    }
    return {"number": place + 1, "facts": facts, "course": tables.course(run)}


def _result(
    place: int, one: Result, answers: Answers, progress: Progress, fetch_photos: bool
) -> Mapping[str, Any]:
    name = f"r{place}"
    told = {
        sort: [shown(one.path, answers, int(row)) for row in row_E]
        for sort, row_E in chosen(answers).items()
        if len(row_E)
    }
    ids = [each.raw_id for group in told.values() for each in group]
    photos = read_photos(one, ids, progress, fetch=fetch_photos)
    row_A = drawn_rows(answers)
    answered = int(answers.answered_N.sum())
    return {
        "letter": charts.letter(place),
        "title": printable(one.label, limit=100),
        "path": printable(one.name, limit=100),
        "flaws": [flaw.sentence for flaw in one.flaws],
        "headline": tables.headline(one),
        "facts": tables.all_facts(one),
        "histogram": _figure(charts.error_histogram(answers, f"{name}h")),
        "map": _figure(world_map(answers, row_A, f"{name}m")) if len(row_A) else "",
        "map_note": f"{len(row_A):,} of {answered:,} answers, drawn by lot"
        if len(row_A) < answered
        else f"all {answered:,} answers",
        "countries": tables.countries(one),
        "names": tables.names(one),
        "answers": told,
        "photos": {key: Markup(value) for key, value in photos.by_id.items()},  # noqa: S704 - base64
        "photo_note": printable(photos.reason, limit=300),
        "passed_over": answers.passed_over,
        "draws": section(one.manifest, "config").get("samples") or 1,
    }


def _figure(svg: str) -> Markup:
    """A figure of ours; nothing in it comes from a model or a data set."""
    return Markup(svg)  # noqa: S704
