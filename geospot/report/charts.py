"""The figures of a report: how far off, how much within which radius, and how runs went."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from geospot.evaluation.following import Answers
from geospot.evaluation.standing import section
from geospot.geo import HALF_CIRCUMFERENCE_KM, THRESHOLDS_KM
from geospot.report.drawing import ERROR_INKS, INK, LINES, SERIES_INKS, as_svg, drawn
from geospot.report.sources import Run, step_of
from geospot_leaderboard.collect import Result
from geospot_leaderboard.references import Reference

FloatArray = npt.NDArray[np.float64]

_NEAREST_KM: Final = 0.1
_BINS: Final = 42
"""Eight for each tenfold distance."""
CURVES: Final = (
    ("env/all/reward/total", "Reward", "linear"),
    ("geo/geoscore", "GeoScore", "linear"),
    ("geo/median_km", "Median distance (km)", "log"),
    ("geo/answered", "Answered", "linear"),
    ("train_mean_nll", "NLL (nats a token)", "linear"),
    ("optim/entropy", "Entropy", "linear"),
    ("optim/kl_sample_train_v1", "KL, sampler to trainer", "linear"),
)
"""Key of metrics.jsonl, title and axis, of those that are drawn where a run has them."""
_COURSE: Final = (("geoscore", "GeoScore", "linear"), ("median_km", "Median distance (km)", "log"))
"""Headline figure, title and axis."""


def _logspace(low_km: float, high_km: float, count: int) -> FloatArray:
    return np.exp(np.linspace(math.log(low_km), math.log(high_km), count, dtype=np.float64))


RADIUS_KM: Final = np.union1d(_logspace(_NEAREST_KM, HALF_CIRCUMFERENCE_KM, 240), THRESHOLDS_KM)
"""Where the curves of shares have a point, ascending."""


def letter(place: int) -> str:
    """What a result is called in figures: A, B, …, Z, AA."""
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + last)


def error_histogram(answers: Answers, name: str) -> str:
    """How many answers are how far off, on a logarithmic axis; failures apart, at the right."""
    distance_km_N = answers.distance_km_N[answers.answered_N]
    failures = len(answers) - len(distance_km_N)
    edges_B = _logspace(_NEAREST_KM, HALF_CIRCUMFERENCE_KM, _BINS + 1)
    count_B, _ = np.histogram(np.clip(distance_km_N, edges_B[0], edges_B[-1]), edges_B)
    class_B = np.searchsorted(np.array([25, 200, 750, 2500]), np.sqrt(edges_B[1:] * edges_B[:-1]))
    with drawn(6.4, 2.6) as figure:
        axes = figure.subplots()
        axes.bar(
            edges_B[:-1], count_B, np.diff(edges_B), align="edge",
            color=[ERROR_INKS[int(place)] for place in class_B], linewidth=0,
        )  # fmt: skip
        _mark_radii(axes)
        axes.set_xscale("log")
        axes.set_xlabel("distance from the truth (km)")
        axes.set_ylabel("answers")
        _thousands(axes)
        if failures:
            at = HALF_CIRCUMFERENCE_KM * 2
            axes.bar(at, failures, at * 0.5, color=INK, alpha=0.45, hatch="///", linewidth=0)
            axes.annotate(
                f"{failures:,} failed", (at, failures), ha="center", va="bottom", fontsize=8
            )
        axes.margins(y=0.12)
        return as_svg(
            figure, name,
            f"Histogram of {len(distance_km_N):,} distances, with {failures:,} failures apart",
        )  # fmt: skip


def shares_within(result: Result, answers: Answers) -> FloatArray:
    """Which share of all that was to be asked lies within each of `RADIUS_KM`.

    What failed, or wasn't asked, is within no radius.
    """
    distance_km_N = np.sort(answers.distance_km_N[answers.answered_N])
    asked = int(result.summary["n"]) * int(result.summary.get("samples_per_image") or 1)
    return np.searchsorted(distance_km_N, RADIUS_KM, side="left") / max(asked, 1)


def radius_curves(shares: Sequence[FloatArray], name: str) -> str:
    """Which share of all images is answered within each radius: a curve for each result.

    Args:
        shares: of each result, what `shares_within` gives.
    """
    is_dot = np.isin(RADIUS_KM, THRESHOLDS_KM)
    with drawn(6.4, 3.0) as figure:
        axes = figure.subplots()
        for place, share_K in enumerate(shares):
            ink, line = _line(place)
            axes.plot(RADIUS_KM, share_K, color=ink, linestyle=line, label=letter(place))
            axes.plot(RADIUS_KM[is_dot], share_K[is_dot], "o", color=ink, markersize=3.5)
        _mark_radii(axes)
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("radius (km)")
        axes.set_ylabel("share of all images")
        _thousands(axes)
        if len(shares) > 1:
            axes.legend(loc="upper left", ncols=4)
        return as_svg(figure, name, "Share of images answered within a radius, by the radius in km")


def geoscores(results: Sequence[Result], published: Sequence[Reference], name: str) -> str:
    """GeoScore over all with its interval, beside what others have published on the whole split."""
    rows = len(results) + len(published)
    with drawn(6.4, 0.7 + 0.24 * rows) as figure:
        axes = figure.subplots()
        for place, one in enumerate(results):
            value = one.geoscore
            low, high = interval(one.summary, "geoscore") or (value, value)
            axes.errorbar(
                value, -place, xerr=[[max(value - low, 0)], [max(high - value, 0)]],
                fmt="o", color=SERIES_INKS[place % len(SERIES_INKS)], capsize=3, markersize=5,
            )  # fmt: skip
        for place, row in enumerate(published, start=len(results)):
            axes.plot(row.geoscore, -place, "D", color=INK, fillstyle="none", markersize=4)
        labels = [letter(place) for place in range(len(results))] + [row.model for row in published]
        axes.set_yticks(-np.arange(rows), labels)
        axes.set_xlim(0, 5000)
        axes.set_xlabel("GeoScore over all images (0 to 5,000); filled: here, hollow: as published")
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        return as_svg(
            figure, name, f"GeoScores of {len(results)} results and {len(published)} works"
        )


def interval(summary: Mapping[str, Any], figure: str) -> tuple[float, float] | None:
    """The 95% interval of a headline figure over all images; None where a result has none."""
    pair: object = section(section(summary, "ci"), "all").get(figure)
    if not isinstance(pair, list):
        return None
    bounds = cast(list[object], pair)
    finite = [one for one in bounds if isinstance(one, int | float) and math.isfinite(one)]
    return (float(finite[0]), float(finite[1])) if len(finite) == len(bounds) == 2 else None


def course_curves(runs: Sequence[Run], name: str) -> str:
    """Evaluations over the steps of runs, with their intervals; empty where no run has two."""
    if all(len(run.course) < 2 for run in runs):
        return ""
    with drawn(9.0, 2.6) as figure:
        grid = figure.subplots(1, len(_COURSE))
        for axes, (key, title, scale) in zip(grid, _COURSE, strict=True):
            for place, run in enumerate(runs):
                if run.course:
                    _course(axes, place, run, key)
            axes.set_title(title, loc="left")
            axes.set_xlabel("step")
            axes.set_yscale(scale)
            axes.yaxis.set_major_formatter(FuncFormatter(_number))
            low, high = axes.get_ylim()
            is_narrow = (
                scale == "log" and high < 10 * low
            )  # no power of ten need be among its ticks
            axes.yaxis.set_minor_formatter(FuncFormatter(_number) if is_narrow else NullFormatter())
        if len(runs) > 1:
            grid[0].legend(ncols=4)
        return as_svg(figure, name, "GeoScore and median distance of evaluations over the steps")


def _course(axes: Any, place: int, run: Run, key: str) -> None:
    """One figure of a run's evaluations, each with its interval."""
    value_E = np.array([float(one.summary["all"][key]) for one in run.course])
    bounds = [interval(one.summary, key) for one in run.course]
    low_E, high_E = np.array(
        [pair or (value, value) for pair, value in zip(bounds, value_E.tolist(), strict=True)]
    ).T
    ink, line = _line(place)
    axes.errorbar(
        [step_of(one) for one in run.course], value_E,
        yerr=[np.maximum(value_E - low_E, 0), np.maximum(high_E - value_E, 0)],
        color=ink, linestyle=line, marker="o", markersize=3.5, capsize=3, label=str(place + 1),
    )  # fmt: skip


def run_curves(runs: Sequence[Run], name: str) -> str:
    """What runs have in metrics.jsonl, panel by panel; empty where they have none of it.

    Figures of evaluations are in `course_curves`, which has their intervals.
    """
    panels = [
        panel
        for panel in CURVES
        if any(len(run.state.columns.series(panel[0])[0]) > 1 for run in runs)
    ]
    if not panels:
        return ""
    rows = (len(panels) + 1) // 2
    with drawn(9.0, 1.9 * rows) as figure:
        grid = np.ravel(figure.subplots(rows, 2, squeeze=False))
        for axes, (key, title, scale) in zip(grid, panels, strict=False):
            for place, run in enumerate(runs):
                step_K, value_K = run.state.columns.series(key)
                ink, line = _line(place)
                axes.plot(
                    step_K, value_K, color=ink, linestyle=line, label=str(place + 1), linewidth=1.1
                )
            axes.set_title(title, loc="left")
            axes.set_yscale(scale)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[max(len(panels) - 2, 0) : len(panels)]:
            axes.set_xlabel("step")
        if len(runs) > 1:
            grid[0].legend(ncols=4)
        return as_svg(figure, name, "Curves of training over its steps")


def _line(place: int) -> tuple[str, Any]:
    """Colour and dashes of a series."""
    return SERIES_INKS[place % len(SERIES_INKS)], LINES[place % len(LINES)]


def _mark_radii(axes: Any) -> None:
    for radius_km in THRESHOLDS_KM:
        axes.axvline(radius_km, color=INK, alpha=0.25, linewidth=0.6, linestyle=":")


def _thousands(axes: Any) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(_number))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _number(value: float, _place: int | None = None) -> str:
    return f"{value:,g}"
