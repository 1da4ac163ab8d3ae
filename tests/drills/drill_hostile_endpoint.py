"""The hostile endpoint of the evaluation tests, many times over: outcomes are counted as it dealt them.

Each behaviour alone, then all of them mixed: once without those that stall, and once without those that ask
for fewer requests, since an evaluation that asks as few at once as they want waits for hours for the others.
A server that answers nobody for long is taken for dead, and the evaluation ends, as it should; here it is
told to be patient, so that every sample is dealt with. What the server was asked has to be what the records
say: no request is repeated behind anybody's back.

Where every answer stalls, an evaluation never gets beyond the few requests that it starts with
(`limiter.START`), since only an answer lets it ask more at once: `times` samples take
`times` x 2 attempts x 1 s / 8, which is 125 s for 500 of them and 42 minutes for 10,000. That is waiting, and
as it should be: a server that answers nobody isn't asked by hundreds at once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from geospot.evaluation.harness import Settings
from geospot.evaluation.results import read_records
from geospot_backends.http_faults import RATE_LIMIT_STATUSES
from tests.drills.dealer import dealer
from tests.drills.drill import Session, Trial, drill
from tests.drills.many_photos import write_many_photos
from tests.support.dealt import HANDS
from tests.support.evaluating import run

_PATIENT: Final = Settings(
    concurrency=256, max_retries=1, backoff_s=0.002, backoff_max_s=0.01, dead_after=1 << 40
)
_STALLED_S: Final = 1.0
_MIXED_S: Final = 6.0
_ANSWERED_S: Final = 60.0
"""How long an answer is waited for: where all stall, where some do, and where none does. On a busy machine an
answer takes seconds, and where nobody waits so long it is rightly counted as none."""
_SHORT_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class _Deal:
    """Which behaviours are dealt in one evaluation, and how long an answer is waited for."""

    what: str
    hands: Sequence[int]
    patience_s: float


def _deals() -> list[_Deal]:
    stalls = {at for at, hand in enumerate(HANDS) if hand.behaviour.kind == "stall"}
    limits = {at for at, hand in enumerate(HANDS) if hand.behaviour.status in RATE_LIMIT_STATUSES}
    alone = [
        _Deal(hand.name, [at], _STALLED_S if at in stalls else _ANSWERED_S)
        for at, hand in enumerate(HANDS)
    ]
    everything = set(range(len(HANDS)))
    return [
        *alone,
        _Deal("all behaviours but rate limits mixed", sorted(everything - limits), _MIXED_S),
        _Deal("all behaviours but stalls mixed", sorted(everything - stalls), _ANSWERED_S),
    ]


@drill("hostile endpoint, samples a behaviour, alone and mixed", times=10_000, short=10)
def hostile_endpoint(session: Session) -> Iterator[Trial]:
    """A trial a behaviour, and two of nearly all, which are the short form; `times` samples of each."""
    for number, deal in enumerate(_deals()):
        if session.only not in (None, number) or (session.is_short and len(deal.hands) == 1):
            continue
        folder = session.folder / str(number)
        folder.mkdir(parents=True)
        hand = [at for at in deal.hands for _ in range(session.times)]
        session.chance(number).shuffle(hand)
        yield _dealt(session, number, folder, deal, hand)


def _dealt(session: Session, number: int, folder: Path, deal: _Deal, hand: list[int]) -> Trial:
    """One evaluation; `hand` has the behaviour for each of its photos."""
    digests = write_many_photos(folder / "osv", len(hand))
    dealt = dict(zip(digests, hand, strict=True))
    with dealer(folder, {digests[id_]: at for id_, at in dealt.items()}) as server:
        done = run(
            folder / "osv",
            server.base_url,
            folder / "out",
            settings=replace(_PATIENT, concurrency=_SHORT_AT_ONCE)
            if session.is_short
            else _PATIENT,
            timeout=deal.patience_s,
            canary=False,
        )
    if done.ending == "interrupted":
        raise KeyboardInterrupt  # the evaluation took Ctrl-C for its own, and it was for the drill
    lost = [
        *_otherwise(folder / "out", dealt),
        *_miscounted(done.summary, dealt),
        *_asked_otherwise(folder / "out", digests, server.asked),
    ]
    requests = sum(server.asked.values())
    return Trial(f"{deal.what}: {requests:,} requests", len(hand), tuple(lost[:20]), number=number)


def _otherwise(out: Path, dealt: Mapping[str, int]) -> Iterator[str]:
    """Samples whose outcome isn't the one that was dealt, or that have no or several lines."""
    lines: Counter[str] = Counter()
    for record in read_records(out / "samples.jsonl"):
        lines[record.id] += 1
        if record.outcome is not (due := HANDS[dealt[record.id]].outcome):
            yield f"{record.id} is {record.outcome} for {due}: {record.error or record.text[:80]}"
    yield from (f"{id_} has {lines[id_]} lines" for id_ in dealt if lines[id_] != 1)


def _miscounted(summary: Mapping[str, Any], dealt: Mapping[str, int]) -> Iterator[str]:
    due = Counter(str(HANDS[at].outcome) for at in dealt.values())
    counted = {name: n for name, n in summary["outcomes"].items() if n}
    if counted != dict(due) or summary["not_asked"] or summary["n"] != len(dealt):
        yield f"the summary counts {counted} for {dict(due)}, {summary['not_asked']} not asked"


def _asked_otherwise(
    out: Path, digests: Mapping[str, str], asked: Mapping[str, int]
) -> Iterator[str]:
    """Samples about which the server was asked more or less often than their records say."""
    for record in read_records(out / "samples.jsonl"):
        if asked.get(digests[record.id], 0) != record.attempts:
            times = asked.get(digests[record.id], 0)
            yield f"{record.id} says {record.attempts} attempts, and was asked about {times} times"
