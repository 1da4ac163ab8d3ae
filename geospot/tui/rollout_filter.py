"""What rollouts can be filtered by: `outcome:refusal km>2500 country:BR advantage<0 "rice field"`.

The words of the query language that mean something for a rollout. Whoever opens the screen of rollouts writes
its query in these: a cell of the histogram is `reward>=0.4 reward<0.425`, a photo `group=3`.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from geospot.outcomes import Outcome
from geospot.places import country_code, country_name
from geospot.query import Query, Row, Term, Value, parse_query
from geospot.runs.rollouts import RolloutRecord


def _number(value: float | None) -> float | None:
    """A number that can be compared; None for NaN, which foreign runs have for what they don't say."""
    return None if value is None or math.isnan(value) else float(value)


def _known(words: Mapping[str, str]) -> Collection[str]:
    return tuple(word for word in words.values() if word)


def _country(name: str | None) -> Collection[str]:
    """A country as it is written, its code and its English name: any of them finds it."""
    if not name:
        return ()
    code = country_code(name)
    return tuple(dict.fromkeys(n for n in (name, code, code and country_name(code)) if n))


def mean_logprob(record: RolloutRecord) -> float | None:
    """Mean log-probability a token; None without tokens."""
    return sum(record.logprobs) / len(record.logprobs) if record.logprobs else None


_YES_OR_NO: Final = ("truncated", "replayed")
"""Fields that every record has; `has:` asks for a yes."""

FIELDS: Final[Mapping[str, Callable[[RolloutRecord], Value]]] = {
    "step": lambda r: _number(r.step),
    "group": lambda r: _number(r.group),
    "index": lambda r: _number(r.index),
    "turn": lambda r: _number(r.turn),
    "id": lambda r: r.sample_id,
    "outcome": lambda r: str(r.outcome),
    "note": lambda r: r.note,
    "reward": lambda r: _number(r.reward),
    "km": lambda r: _number(r.distance_km),
    "advantage": lambda r: _number(r.advantage),
    "country": lambda r: _country(r.labels.get("country")),
    "said": lambda r: _country(r.place.get("country")),
    "truth": lambda r: _known(r.labels),
    "place": lambda r: _known(r.place),
    "lat": lambda r: _number(r.latitude),
    "lon": lambda r: _number(r.longitude),
    "tokens": lambda r: float(len(r.tokens)),
    "prompt": lambda r: _number(r.prompt_tokens),
    "logprob": mean_logprob,
    "truncated": lambda r: "yes" if r.truncated else "no",
    "sampler": lambda r: _number(r.sampler_step),
    "replayed": lambda r: "yes" if r.replayed else "no",
}
"""Fields by name: `country` is the true one, `said` the one in the answer, `truth` and `place` all names of
either, `logprob` the mean a token, `sampler` the step of the weights that answered. Where a record has no
such thing, no comparison holds."""

FILTER_KEYS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(FIELDS, ()),
    "outcome": tuple(str(outcome) for outcome in Outcome),
    **dict.fromkeys(_YES_OR_NO, ("yes", "no")),
}
"""The fields' names, with the usual values of those that have some; for completing what is typed."""


class RolloutRow(Mapping[str, Value]):
    """A rollout as a filter sees it; a field is made when it is asked for."""

    def __init__(self, record: RolloutRecord) -> None:
        self._record = record

    def __getitem__(self, key: str) -> Value:
        return FIELDS[key](self._record)

    def __iter__(self) -> Iterator[str]:
        return iter(FIELDS)

    def __len__(self) -> int:
        return len(FIELDS)


def rollout_query(text: str) -> Query:
    """Reads a query for rollouts.

    `country:in` is India and neither China nor Argentina: two letters that are a country's code mean just
    that country. `has:truncated` means that an answer was cut off, `has:replayed` that its photo was shown
    again.

    Raises:
        UsageError: there is no such field, or a comparison has no number.
    """
    return Query(tuple(map(_meant, parse_query(text, FILTER_KEYS).terms)))


def matches(query: Query, record: RolloutRecord) -> bool:
    """Whether a rollout fulfils a query; terms without a field look through the answer's text.

    The first country that isn't written in English costs a second, so ask in a thread.
    """
    row: Row = RolloutRow(record)
    return query.matches(row, lambda: record.text.casefold())


def search_words(query: Query) -> tuple[str, ...]:
    """What the query looks for in the texts, in lower case; for marking it there."""
    return tuple(t.value for t in query.terms if not t.key and not t.negated and t.value)


def _meant(term: Term) -> Term:
    if term.key in ("country", "said") and term.operator == ":" and len(term.value) == 2:
        return replace(term, operator="=") if country_code(term.value) else term
    if term.key == "has" and term.value in _YES_OR_NO:
        return replace(term, key=term.value, operator="=", value="yes")
    return term
