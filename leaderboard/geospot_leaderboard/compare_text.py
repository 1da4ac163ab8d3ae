"""A comparison in plain lines."""

from collections.abc import Iterator

from geospot.evaluation.metrics import ACCURACIES
from geospot.textsafe import printable
from geospot_leaderboard.compare import SIGNIFICANT, Comparison, Difference
from geospot_leaderboard.pairs import LostCounted


def as_text(comparison: Comparison) -> str:
    """The comparison for a terminal, verdict first."""
    return "\n".join(_lines(comparison))


def _lines(c: Comparison) -> Iterator[str]:
    yield f"A  {printable(c.a.label, limit=100)}  ({printable(str(c.a.path))})"
    yield f"B  {printable(c.b.label, limit=100)}  ({printable(str(c.b.path))})"
    counts = {
        "only in A": c.only_a,
        "only in B": c.only_b,
        "with other true coordinates": c.other_truth,
        "lost to server or network in A": c.lost_a,
        "lost to server or network in B": c.lost_b,
    }
    left_out = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    yield f"{c.common:,} common images{f' (left out: {left_out})' if left_out else ''}"
    yield ""
    yield c.verdict
    yield from (f"NOTE: {caveat}" for caveat in c.caveats)
    yield ""
    yield f"{'':14}{'A':>12}{'B':>12}{'B − A':>12}  95% interval, permutation p"
    yield _difference_line("GeoScore", c.geoscore)
    yield _difference_line("median km", c.median_km)
    if c.lost_counted:
        yield from _worst_case(c.lost_counted, c.geoscore)
    yield ""
    yield f"{'within':14}{'A':>12}{'B':>12}{'only A':>12}{'only B':>12}  McNemar mid-p (Holm)"
    for name, radius_km in ACCURACIES.items():
        test = c.thresholds[name]
        yield (
            f"{f'{radius_km:g} km':14}{test.a:>12.1%}{test.b:>12.1%}{test.only_a:>12,}"
            f"{test.only_b:>12,}  {test.p_mid:.3g} ({test.p_holm:.3g})"
            f"{'' if test.p_holm < SIGNIFICANT else ', not significant'}"
        )
    yield ""
    yield f"B wins {c.wins:,}, ties {c.ties:,}, loses {c.losses:,} images."
    if c.regressions:
        yield "Where B lost most:"
    for one in c.regressions:
        yield (
            f"  {printable(one.id, limit=40)}  −{one.loss:,.0f} points:"
            f" {answer_in_short(one.a_outcome, one.a_km)} → {answer_in_short(one.b_outcome, one.b_km)}"
            f"  (true {one.true_latitude:.4f}, {one.true_longitude:.4f})"
        )


def _difference_line(name: str, difference: Difference) -> str:
    interval = difference.interval
    bounds = f"{interval.low:,.1f} … {interval.high:,.1f}" if interval else "–"
    return (
        f"{name:14}{difference.a:>12,.1f}{difference.b:>12,.1f}{difference.difference:>+12,.1f}"
        f"  {bounds}, p = {difference.p:.3g}{'' if difference.significant else ', not significant'}"
    )


def _worst_case(counted: LostCounted, geoscore: Difference) -> Iterator[str]:
    yield (
        f"{'worst case':14}{counted.a:>12,.1f}{counted.b:>12,.1f}{counted.difference:>+12,.1f}"
        f"  GeoScore of {counted.images:,} images, what server or network lost a failure"
    )
    yield f"{'':14}(lost answers: {counted.lost_answers_a:,} in A, {counted.lost_answers_b:,} in B)"
    if counted.difference * geoscore.difference < 0:
        yield "What was lost could decide who is better: run the same commands again to ask for it."


def answer_in_short(outcome: str, distance_km: float) -> str:
    """How far off an answer is, or what became of it instead."""
    return f"{distance_km:,.1f} km" if outcome == "ok" else outcome
