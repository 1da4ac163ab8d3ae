"""Who is ahead, among those that were asked the same images."""

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
    """Results over the same images of one data set, best first, unranked ones last."""

    fingerprint: str
    dataset: str
    split: str
    n: int
    rows: list[Ranked]


def rank(results: Iterable[Result]) -> list[Group]:
    """Groups by fingerprint, each ranked by GeoScore over all by itself; equal scores share a rank.

    Groups come in the order of data set and split, the one with most images first.
    """
    by_images: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_images[result.fingerprint].append(result)
    groups = [_group(fingerprint, members) for fingerprint, members in by_images.items()]
    return sorted(groups, key=lambda g: (g.dataset, g.split, -g.n, g.fingerprint))


def _group(fingerprint: str, members: list[Result]) -> Group:
    best_first = sorted(members, key=lambda r: (-_score(r), r.label, str(r.path)))
    ranked: list[Ranked] = []
    for place, result in enumerate((r for r in best_first if not r.marks), start=1):
        ties = bool(ranked) and _score(ranked[-1].result) == _score(result)
        ranked.append(Ranked(result, ranked[-1].rank if ties else place))
    unranked = [Ranked(result, None) for result in best_first if result.marks]
    dataset, split = members[0].dataset
    return Group(
        fingerprint=fingerprint,
        dataset=dataset,
        split=split,
        n=int(members[0].summary["n"]),
        rows=ranked + unranked,
    )


def _score(result: Result) -> float:
    return round(result.geoscore, _DECIMALS)
