"""The figures of a report: how far off, how much within which radius, and how a run went."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from geospot.evaluation.standing import section
from geospot.geo import HALF_CIRCUMFERENCE_KM, THRESHOLDS_KM
from geospot.report.drawing import ERROR_INKS, INK, LINES, SERIES_INKS, as_svg, drawn
from geospot.report.sources import Scored
from geospot.runs.watch import RunState
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
    ("eval/geoscore", "GeoScore in evaluations", "linear"),
    ("optim/entropy", "Entropy", "linear"),
    ("optim/kl_sample_train_v1", "KL, sampler to trainer", "linear"),
)
"""Key of metrics.jsonl, title and axis, of those that are drawn where a run has them."""


def letter(place: int) -> str:
    """What a result is called in figures: A, B, …, Z, AA."""
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + last)


def error_histogram(one: Scored, name: str) -> str:
    """How many answers are how far off, on a logarithmic axis; failures apart, at the right."""
    answers = one.answers
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


def radius_curves(scored: Sequence[Scored], name: str) -> str:
    """Which share of all images is answered within each radius: a curve for each result."""
    with drawn(6.4, 3.0) as figure:
        axes = figure.subplots()
        radius_K = _logspace(_NEAREST_KM, HALF_CIRCUMFERENCE_KM, 240)
        for place, one in enumerate(scored):
            ink, line = SERIES_INKS[place % len(SERIES_INKS)], LINES[place % len(LINES)]
            share_K = _shares(one, radius_K)
            axes.plot(radius_K, share_K, color=ink, linestyle=line, label=letter(place))
            axes.plot(
                THRESHOLDS_KM, _shares(one, np.array(THRESHOLDS_KM)),
                "o", color=ink, markersize=3.5,
            )  # fmt: skip
        _mark_radii(axes)
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("radius (km)")
        axes.set_ylabel("share of all images")
        _thousands(axes)
        if len(scored) > 1:
            axes.legend(loc="upper left", ncols=4)
        return as_svg(figure, name, "Share of images answered within a radius, by the radius in km")


def _shares(one: Scored, radius_K: FloatArray) -> FloatArray:
    """Of everything that was to be asked; what wasn't, or failed, is within no radius."""
    answers = one.answers
    distance_km_N = np.sort(answers.distance_km_N[answers.answered_N])
    asked = int(one.summary["n"]) * int(one.summary.get("samples_per_image") or 1)
    return np.searchsorted(distance_km_N, radius_K, side="left") / max(asked, 1)


def geoscores(scored: Sequence[Scored], published: Sequence[Reference], name: str) -> str:
    """GeoScore over all with its interval, beside what others have published on the whole split."""
    rows = len(scored) + len(published)
    with drawn(6.4, 0.7 + 0.24 * rows) as figure:
        axes = figure.subplots()
        for place, one in enumerate(scored):
            value = float(one.summary["all"]["geoscore"])
            low, high = _interval(one) or (value, value)
            axes.errorbar(
                value, -place, xerr=[[max(value - low, 0)], [max(high - value, 0)]],
                fmt="o", color=SERIES_INKS[place % len(SERIES_INKS)], capsize=3, markersize=5,
            )  # fmt: skip
        for place, row in enumerate(published, start=len(scored)):
            axes.plot(row.geoscore, -place, "D", color=INK, fillstyle="none", markersize=4)
        labels = [letter(place) for place in range(len(scored))] + [row.model for row in published]
        axes.set_yticks(-np.arange(rows), labels)
        axes.set_xlim(0, 5000)
        axes.set_xlabel("GeoScore over all images (0 to 5,000); filled: here, hollow: as published")
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        return as_svg(
            figure, name, f"GeoScores of {len(scored)} results and {len(published)} works"
        )


def _interval(one: Scored) -> tuple[float, float] | None:
    pair = section(section(one.summary, "ci"), "all").get("geoscore")
    return (float(pair[0]), float(pair[1])) if pair else None


def run_curves(runs: Sequence[RunState], name: str) -> str:
    """What runs have in metrics.jsonl, panel by panel; empty where they have none of it."""
    panels = [
        panel for panel in CURVES if any(len(run.columns.series(panel[0])[0]) > 1 for run in runs)
    ]
    if not panels:
        return ""
    rows = (len(panels) + 1) // 2
    with drawn(9.0, 1.9 * rows) as figure:
        grid = np.ravel(figure.subplots(rows, 2, squeeze=False))
        for axes, (key, title, scale) in zip(grid, panels, strict=False):
            for place, run in enumerate(runs):
                step_K, value_K = run.columns.series(key)
                axes.plot(
                    step_K, value_K,
                    color=SERIES_INKS[place % len(SERIES_INKS)], linestyle=LINES[place % len(LINES)],
                    label=str(place + 1), linewidth=1.1,
                )  # fmt: skip
            axes.set_title(title, loc="left")
            axes.set_yscale(scale)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[max(len(panels) - 2, 0) : len(panels)]:
            axes.set_xlabel("step")
        if len(runs) > 1:
            grid[0].legend(ncols=4)
        return as_svg(figure, name, "Curves of training over its steps")


def _logspace(low_km: float, high_km: float, count: int) -> FloatArray:
    return np.exp(np.linspace(math.log(low_km), math.log(high_km), count, dtype=np.float64))


def _mark_radii(axes: Any) -> None:
    for radius_km in THRESHOLDS_KM:
        axes.axvline(radius_km, color=INK, alpha=0.25, linewidth=0.6, linestyle=":")


def _thousands(axes: Any) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(_number))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _number(value: float, _place: int | None = None) -> str:
    return f"{value:,g}"
