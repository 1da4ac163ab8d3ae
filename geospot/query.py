"""The small query language of the app's filters: `kind:rl model:qwen reward>0.4 -state:died paris`.

Terms are joined by blanks and all have to hold. `key:text` asks whether the field holds the text, in any
case; `key=text` whether it is the text; `key>n`, `>=`, `<`, `<=` compare numbers; `has:key` asks for a field
that isn't empty. A term without a key looks through the row's text. A `-` in front turns a term round, and
"quotes" keep blanks together.
"""

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from geospot.errors import UsageError

Value = str | float | Collection[str] | None
"""A field of a row: text, a number, several words, or nothing."""
Row = Mapping[str, Value]

_TERM: Final = re.compile(
    r'(?P<not>-)?(?:(?P<key>[A-Za-z_][\w/.]*)(?P<operator>>=|<=|[:=<>]))?(?P<value>"[^"]*"?|\S*)'
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; `key` is empty where the whole text is searched."""

    key: str
    operator: str
    value: str
    number: float
    negated: bool

    def holds(self, row: Row, text: Callable[[], str]) -> bool:
        """Whether a row fulfils it."""
        return self._holds(row, text) != self.negated

    def _holds(self, row: Row, text: Callable[[], str]) -> bool:
        if not self.key:
            return self.value in text().casefold()
        if self.key == "has":
            return row.get(self.value) not in (None, "", (), frozenset())
        field = row.get(self.key)
        if self.operator in _COMPARE:
            is_number = isinstance(field, int | float)
            return is_number and _COMPARE[self.operator](field, self.number)
        words = [field] if isinstance(field, str | int | float) else list(field or ())
        folded = [_folded(word) for word in words]
        if self.operator == "=":
            return self.value in folded
        return any(self.value in word for word in folded)


@dataclass(frozen=True, slots=True)
class Query:
    """Conditions that all have to hold; without any, every row does."""

    terms: Sequence[Term] = ()

    @property
    def words(self) -> frozenset[str]:
        """What is looked for in a row's text, casefolded."""
        return frozenset(term.value for term in self.terms if not term.key)

    def matches(self, row: Row, text: Callable[[], str] = str) -> bool:
        """Whether the row fulfils the query; `text` is asked only where a term looks through it."""
        return all(term.holds(row, text) for term in self.terms)


def parse_query(text: str, keys: Collection[str]) -> Query:
    """Reads a query.

    Args:
        keys: the names of fields that rows have.

    Raises:
        UsageError: an unknown key (the nearest known one is named), or a comparison with no number.
    """
    terms: list[Term] = []
    for match in _TERM.finditer(text):
        value = match["value"].strip('"').casefold()
        key, sign = (match["key"] or "").casefold(), match["operator"] or ""
        if not key and not value:
            continue
        if not key:
            terms.append(Term("", "", value, 0, bool(match["not"])))
            continue
        asked = value if key == "has" else key
        if asked not in keys and (key == "has" or key not in keys):
            raise UsageError(f"There is no {asked!r} to filter by.", _hint(asked, keys))
        number = 0.0
        if sign in _COMPARE:
            try:
                number = float(value.replace(",", ""))
            except ValueError:
                raise UsageError(
                    f"{key}{sign} wants a number, not {value!r}.", f"Such as {key}{sign}0.5."
                ) from None
        terms.append(Term(key, sign, value, number, bool(match["not"])))
    return Query(tuple(terms))


def _hint(asked: str, keys: Collection[str]) -> str:
    near = get_close_matches(asked, keys, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(keys))}."


def _folded(word: object) -> str:
    if isinstance(word, float) and word.is_integer():
        return str(int(word))
    return str(word).casefold()
