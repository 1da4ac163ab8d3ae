"""Who is ahead, among those that were asked the same images and scored against the same truth."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from geospot_leaderboard.collect import Result

_DECIMALS = 6  # GeoScores that differ by less are the same number computed twice


@dataclass(frozen=True, slots=True)
class Ranked:
    """A result and its rank; None if it may not be ranked."""

    result: Result
    rank: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Results over the same images with the same true coordinates, best first, unranked ones last."""

    fingerprint: str
    truth_sha: str | None
    """None for results that don't say which true coordinates they were scored against."""
    dataset: str
    split: str
    n: int
    rows: list[Ranked]


def rank(results: Iterable[Result]) -> list[Group]:
    """Groups by images and truth, each ranked by GeoScore over all by itself; equal scores share a
    rank.

    The images are equal where the fingerprint is, the truth where `truth_sha` is. Results without a
    `truth_sha` are a group of their own. Groups come in the order of data set and split, the one
    with most images first.
    """
    alike: defaultdict[tuple[str, str | None], list[Result]] = defaultdict(list)
    for result in results:
        alike[result.fingerprint, result.truth_sha].append(result)
    groups = [_group(members) for members in alike.values()]
    return sorted(
        groups, key=lambda g: (g.dataset, g.split, -g.n, g.fingerprint, g.truth_sha or "")
    )


def _group(members: list[Result]) -> Group:
    best_first = sorted(members, key=lambda r: (-_score(r), r.label, str(r.path)))
    ranked: list[Ranked] = []
    for place, result in enumerate((r for r in best_first if not r.marks), start=1):
        ties = bool(ranked) and _score(ranked[-1].result) == _score(result)
        ranked.append(Ranked(result, ranked[-1].rank if ties else place))
    unranked = [Ranked(result, None) for result in best_first if result.marks]
    dataset, split = members[0].dataset
    return Group(
        fingerprint=members[0].fingerprint,
        truth_sha=members[0].truth_sha,
        dataset=dataset,
        split=split,
        n=int(members[0].summary["n"]),
        rows=ranked + unranked,
    )


def _score(result: Result) -> float:
    return round(result.geoscore, _DECIMALS)
