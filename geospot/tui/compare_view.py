"""Two evaluations, photo by photo, as what the screen shows. Every figure is geospot_leaderboard's."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.text import Text

from geospot.evaluation.following import OUTCOMES
from geospot.evaluation.metrics import ACCURACIES
from geospot.evaluation.textsearch import TextSearch
from geospot.query import Query, Value
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.widgets.table import Cell, Cells, Column
from geospot_leaderboard.compare import SIGNIFICANT, Comparison, Difference
from geospot_leaderboard.compare_text import answer_in_short
from geospot_leaderboard.pairs import Pairs

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "change": (),
    "points": (),
    "a": (),
    "b": (),
    "outcome": OUTCOMES,
    "aoutcome": OUTCOMES,
    "boutcome": OUTCOMES,
    "is": ("better", "worse", "equal"),
    "id": (),
}
"""What photos can be filtered by: `change` is in km, below 0 nearer; `points` are of GeoScore."""

PAIR_COLUMNS: Final = (
    Column("change", "km, B − A", 11, "right"),
    Column("what", "B is", 8),
    Column("points", "points", 7, "right"),
    Column("a", "A", 15, "right"),
    Column("b", "B", 15, "right"),
    Column("id", "photo", 10, flexible=True),
    Column("true", "true", 17, priority=1),
)


def change_km(pairs: Pairs) -> FloatArray:
    """By how many km B is farther off than A on each image; below 0 is nearer. A failure is at its worst."""
    return pairs.images_b.scores.distance_km_N - pairs.images_a.scores.distance_km_N


def head(pairs: Pairs, comparison: Comparison | None, inks: Inks, width: int) -> Text:
    """Who A and B are, the verdict, and a bar of wins, ties and losses."""
    text = Text()
    for letter, result, role in (("A", pairs.a, "compared with"), ("B", pairs.b, "new")):
        label = printable(result.label, limit=60)
        room = max(width - len(label) - 22, 8)
        path = printable(str(result.path))
        text.append(f" {letter} ", "bold reverse")
        text.append(f" {role:15}", "dim")
        text.append(label, "bold")
        text.append(f"  {path if len(path) <= room else '…' + path[-room + 1 :]}\n", "dim")
    if comparison is None:
        text.append("testing whether the difference is more than chance…\n", f"#{inks.warning:06x}")
    else:
        sure = comparison.geoscore.significant
        better = comparison.geoscore.difference > 0
        ink = inks.muted if not sure else inks.good if better else inks.bad
        text.append(comparison.verdict + "\n", f"bold #{ink:06x}")
    text.append_text(_wins(pairs, inks, width))
    return text


def _wins(pairs: Pairs, inks: Inks, width: int) -> Text:
    gain = pairs.gain_N
    counts = {
        "better": int(np.count_nonzero(gain > 0)),
        "equal": int(np.count_nonzero(gain == 0)),
        "worse": int(np.count_nonzero(gain < 0)),
    }
    words = f"  B wins {counts['better']:,}, ties {counts['equal']:,}, loses {counts['worse']:,}"
    room = max(width - len(words) - 2, 10)
    total = sum(counts.values())
    text = Text(no_wrap=True, overflow="crop")
    looks = {"better": ("█", inks.good), "equal": ("░", inks.muted), "worse": ("▓", inks.bad)}
    edge = 0
    for name, count in counts.items():
        start, edge = edge, edge + count
        cells = round(edge / total * room) - round(start / total * room)
        character, ink = looks[name]
        text.append(character * cells, f"#{ink:06x}")
    text.append(words)
    return text


def figures(pairs: Pairs, comparison: Comparison | None) -> Text:
    """Differences with their intervals and p-values, what was left out, and what stands in the way."""
    text = Text(_left_out(pairs) + "\n")
    if comparison is None:
        text.append(
            "\nGeoScore and median are tested by 10,000 and 1,000 permutations, with 1,000 resamples for the"
            " intervals: with hundreds of thousands of photos that takes a while.\n",
            "dim",
        )
        return text
    for caveat in comparison.caveats:
        text.append(f"NOTE: {printable(caveat)}\n")
    text.append(
        f"\n{'':10}{'A':>9}{'B':>9}{'B − A':>10}{'95% interval':>21}{'p':>9}  sure?\n", "dim"
    )
    text.append_text(_difference("GeoScore", comparison.geoscore))
    text.append_text(_difference("median km", comparison.median_km))
    if comparison.lost_counted is not None:
        text.append_text(_worst_case(comparison))
    text.append(
        f"\n{'within':10}{'A':>9}{'B':>9}{'only A':>10}{'only B':>10}{'mid-p (Holm)':>22}  sure?\n",
        "dim",
    )
    for name, radius_km in ACCURACIES.items():
        test = comparison.thresholds[name]
        sure = test.p_holm < SIGNIFICANT
        p = f"{test.p_mid:.3g} ({test.p_holm:.3g})"
        text.append(
            f"{f'{radius_km:g} km':10}{test.a:>9.1%}{test.b:>9.1%}{test.only_a:>10,}{test.only_b:>10,}{p:>22}"
            f"  {'yes' if sure else 'no'}\n",
            "bold" if sure else "",
        )
    text.append(
        "\np and interval: permutations and bootstrap of the pairs. mid-p: McNemar's test.\n",
        "dim",
    )
    for letter, result in (("A", pairs.a), ("B", pairs.b)):
        text.append(f"{letter}  {printable(str(result.path))}\n", "dim")
    return text


def _left_out(pairs: Pairs) -> str:
    counts = {
        "only in A": pairs.only_a,
        "only in B": pairs.only_b,
        "with other true coordinates": pairs.other_truth,
        "lost to server or network in A": pairs.lost_a,
        "lost to server or network in B": pairs.lost_b,
    }
    left_out = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    common = f"{len(pairs.images_a.ids):,} photos in common."
    return f"{common} Left out: {left_out}." if left_out else f"{common} Nothing was left out."


def _difference(name: str, difference: Difference) -> Text:
    interval = difference.interval
    bounds = f"{interval.low:,.1f} … {interval.high:,.1f}" if interval else "–"
    sure = difference.significant
    return Text(
        f"{name:10}{difference.a:>9,.1f}{difference.b:>9,.1f}{difference.difference:>+10,.1f}{bounds:>21}"
        f"{difference.p:>9.3g}  {'yes' if sure else 'no'}\n",
        "bold" if sure else "",
    )


def _worst_case(comparison: Comparison) -> Text:
    counted = comparison.lost_counted
    assert counted is not None  # noqa: S101 — asked by the caller
    text = Text(
        f"{'worst case':10}{counted.a:>9,.1f}{counted.b:>9,.1f}{counted.difference:>+10,.1f}\n"
    )
    text.append(
        f"  GeoScore of {counted.images:,} photos with lost answers as failures:"
        f" {counted.lost_answers_a:,} in A, {counted.lost_answers_b:,} in B.\n",
        "dim",
    )
    if counted.difference * comparison.geoscore.difference < 0:
        text.append(
            "What was lost could decide who is better: run the same commands again to ask for it.\n",
            "bold",
        )
    return text


def order_of(
    pairs: Pairs, sort: str, *, descending: bool, query: Query, searches: Sequence[TextSearch]
) -> IntArray:
    """The photos that a query keeps, in an order; by default those on which B lost most come first.

    Args:
        searches: look for the query's words in what A wrote, and in what B wrote.
    """
    ids = pairs.images_a.ids
    rows = np.arange(len(ids))
    change = change_km(pairs)
    if query.terms:
        written: dict[str, set[str]] = {word: set() for word in query.words}
        for search in searches:
            for word, hits in search.look(query.words).items():
                written[word].update(hits.ids)

        def text(row: int) -> str:
            words = (word for word, names in written.items() if ids[row] in names)
            return "\n".join([ids[row].casefold(), *words])

        keep = [
            query.matches(_fields(pairs, change, r), lambda r=r: text(r)) for r in range(len(ids))
        ]
        rows = rows[np.array(keep, np.bool_)]
    by: Mapping[str, FloatArray] = {
        "change": change,
        "points": pairs.gain_N,
        "a": pairs.images_a.scores.distance_km_N,
        "b": pairs.images_b.scores.distance_km_N,
        "what": -pairs.gain_N,
    }
    if sort not in by:
        return rows[::-1] if descending else rows
    # Of equal ones, as of failures that stay failures, the order is that of the ids, whichever way.
    value = by[sort][rows]
    return rows[np.argsort(-value if descending else value, kind="stable")]


def _fields(pairs: Pairs, change: FloatArray, row: int) -> dict[str, Value]:
    a, b = pairs.images_a, pairs.images_b
    return {
        "change": float(change[row]),
        "points": float(pairs.gain_N[row]),
        "a": float(a.scores.distance_km_N[row]),
        "b": float(b.scores.distance_km_N[row]),
        "outcome": (a.outcomes[row], b.outcomes[row]),
        "aoutcome": a.outcomes[row],
        "boutcome": b.outcomes[row],
        "is": what_of(float(pairs.gain_N[row])),
        "id": a.ids[row],
    }


def what_of(gain: float) -> str:
    """In a word, by GeoScore as the wins and losses are counted."""
    return "better" if gain > 0 else "worse" if gain < 0 else "equal"


def pair_cells(pairs: Pairs, gain_N: FloatArray, row: int) -> Cells:
    """One photo as cells of `PAIR_COLUMNS`."""
    a, b = pairs.images_a, pairs.images_b
    change = float(b.scores.distance_km_N[row] - a.scores.distance_km_N[row])
    what = what_of(float(gain_N[row]))
    latitude, longitude = a.true_N_C[row]
    return [
        Cell(_signed(change, 1), "bold" if what == "worse" else ""),
        Cell({"better": "▲ better", "worse": "▼ worse", "equal": "= equal"}[what]),
        _signed(float(gain_N[row]), 0),
        answer_in_short(a.outcomes[row], float(a.scores.distance_km_N[row])),
        answer_in_short(b.outcomes[row], float(b.scores.distance_km_N[row])),
        printable(a.ids[row], limit=400),
        f"{latitude:7.2f} {longitude:8.2f}",
    ]


def _signed(value: float, decimals: int) -> str:
    """A difference with its sign; one that is too small for the decimals isn't shown as none."""
    is_lost = value and not round(value, decimals)
    return f"{value:+.1g}" if is_lost else f"{value:+,.{decimals}f}"
