"""The order in which the readers are asked, and what becomes of what they find.

docs/parsing.md tells it in prose.
"""

import re
from dataclasses import replace
from typing import Final, NamedTuple

from geospot.outcomes import Outcome
from geospot.parsing.answer import GeoAnswer
from geospot.parsing.candidate import Candidate, Places, east_or_west
from geospot.parsing.context import best_ranked, checked, is_denied, speaks_of_hemispheres
from geospot.parsing.freetext import free_candidates
from geospot.parsing.jsonfields import is_error, json_candidate, json_places, string_lines
from geospot.parsing.jsonish import json_regions
from geospot.parsing.labelled import labelled_candidates
from geospot.parsing.normalise import clean, plain, strip_thinking
from geospot.parsing.placenames import labelled_places, short_place
from geospot.parsing.refusal import is_refusal
from geospot.parsing.tables import tables
from geospot.parsing.transport import begins_error_object, is_transport_text
from geospot.parsing.values import is_unknown

# Stands for an object or a table that has been read. Private use: of no meaning in any answer.
_READ: Final = "\ue0f1"


# What a cut leaves of `&deg;`.
_HALF_ENTITY: Final = re.compile(r"&#?\w{0,10}\Z", re.ASCII)
# Digits may follow, or the rest of a hemisphere's name.
_MAY_GO_ON: Final = re.compile(r"[ \"'°.,(]*+[\w\u0900-\u0d7f]{0,12}")


class _Rest(NamedTuple):
    """What is left once objects and tables are taken out, what they held, and their place names."""

    text: str
    taken: list[Candidate]
    places: Places


def parse_geo_response(text: str, *, truncated: bool = False) -> GeoAnswer:
    """Read coordinates and place names from a model's answer.

    `truncated` says that the token limit ended the answer: then a number at its very end may be
    half a number and is not read. Never raises; takes time linear in the length of `text`.
    """
    answered = strip_thinking(text)
    if answered is None:
        return GeoAnswer(Outcome.UNPARSED, note="think")
    if is_transport_text(answered):
        return GeoAnswer(Outcome.UNPARSED, note="transport_text")
    if truncated:
        answered = _HALF_ENTITY.sub("", answered)  # `1.5&d` goes on as 1.5° of an unknown side
    visible = clean(answered).replace(_READ, " ")
    if not visible.strip():
        return GeoAnswer(Outcome.UNPARSED, note="length" if truncated else "empty")
    letter_o = east_or_west(visible) if "O" in visible else ""
    rest = _take_structures(visible, letter_o, truncated)
    if rest is None:
        return GeoAnswer(Outcome.UNPARSED, note="transport_text")
    body = plain(rest.text)
    best = _choose(body, body.lower(), rest.taken, letter_o, truncated)
    places = labelled_places(rest.text) | rest.places
    if best is not None:
        places |= best.places
    if best is not None and best.note is None:
        return _answer(best, places)
    return _no_answer(body, visible, best, places, truncated)


def _take_structures(text: str, letter_o: str, truncated: bool) -> _Rest | None:
    """JSON objects and tables of `text`, each replaced by a mark. None where one is a server's error."""
    taken: list[Candidate] = []
    places: Places = {}
    if "{" in text:
        pieces: list[str] = []
        position = 0
        regions = json_regions(text)
        if not regions and begins_error_object(text):
            return None
        for region in regions:
            if is_error(region.root):
                if not text[: region.start].strip(" \n`'\"json"):
                    return None
                continue
            found = json_candidate(region.root, region.start, region.end, letter_o, truncated)
            places |= json_places(region.root) if found is None else found.places
            pieces.append(text[position : region.start])
            position = region.end
            if found is None:
                lines = string_lines(region.root).replace(_READ, " ")  # which an escape may spell
                pieces.append(f"\n{lines}\n")
            else:
                taken.append(found)
                pieces.append(f"\n{_READ}\n")
        pieces.append(text[position:])
        text = "".join(pieces)
    return _take_tables(text, letter_o, taken, places, truncated)


def _take_tables(
    text: str, letter_o: str, taken: list[Candidate], places: Places, truncated: bool
) -> _Rest:
    pieces: list[str] = []
    position = 0
    objects = iter(taken)
    in_order: list[Candidate] = []
    for table in tables(text, letter_o):
        before = text[position : table.start]
        in_order += [next(objects) for _ in range(before.count(_READ))]
        cut = truncated and table.candidate.note is None and not table.candidate.closed
        in_order.append(replace(table.candidate, note="length") if cut else table.candidate)
        pieces += [before, f"\n{_READ}\n"]
        position = table.end
    if not pieces:
        return _Rest(text, taken, places)
    pieces.append(text[position:])
    return _Rest("".join(pieces), [*in_order, *objects], places)


def _choose(
    body: str, folded: str, taken: list[Candidate], letter_o: str, truncated: bool
) -> Candidate | None:
    """The last labelled or structured answer, else the last in free text, else what is no answer."""
    candidates = labelled_candidates(body, folded, letter_o)
    if taken:
        position = -1
        for candidate in taken:
            position = body.find(_READ, position + 1)
            candidates.append(replace(candidate, start=position, end=position + 1))
        candidates.sort(key=lambda candidate: candidate.start)
    candidates = _in_context(candidates, folded)
    if truncated:
        candidates = [_cut(candidate, body) for candidate in candidates]
    real = [candidate for candidate in candidates if candidate.note is None]
    if real and not (truncated and candidates[-1].note == "length"):
        return best_ranked(real, folded)[-1]
    if candidates and candidates[-1].note == "length":
        return candidates[-1]
    said_no = [candidate for candidate in candidates if candidate.note != "template"]
    after = said_no[-1].end if said_no else 0
    free = [candidate for candidate in free_candidates(body, letter_o) if candidate.start >= after]
    free = _in_context(free, folded)
    if truncated:
        free = [_cut(candidate, body) for candidate in free]
    if free and (free[-1].note in {None, "length"} or not said_no):
        answers = [candidate for candidate in free if candidate.note in {None, "length"}]
        return best_ranked(answers, folded)[-1] if answers else free[-1]
    if said_no:
        return said_no[-1]
    return candidates[-1] if candidates else None


def _in_context(candidates: list[Candidate], folded: str) -> list[Candidate]:
    """The candidates that the words before them do not deny; ambiguous against a hemisphere beside."""
    kept = [candidate for candidate in candidates if not is_denied(folded, candidate.start)]
    if kept and speaks_of_hemispheres(folded):
        kept = [checked(candidate, folded) for candidate in kept]
    return kept


def _cut(candidate: Candidate, body: str) -> Candidate:
    """The candidate, or the note `length` where the end of the text may have cut its last number."""
    if candidate.closed or candidate.note is not None:
        return candidate
    following = body[candidate.end : candidate.end + 40]
    if _MAY_GO_ON.fullmatch(following) is None:
        return candidate
    return replace(candidate, note="length")


def _answer(best: Candidate, places: Places) -> GeoAnswer:
    on_globe = abs(best.latitude) <= 90.0 and abs(best.longitude) <= 180.0
    return GeoAnswer(
        Outcome.OK if on_globe else Outcome.OUT_OF_RANGE,
        # Adding zero makes 0.0 of -0.0.
        latitude=best.latitude + 0.0 if on_globe else None,
        longitude=best.longitude + 0.0 if on_globe else None,
        city=places.get("city"),
        region=places.get("region"),
        country=places.get("country"),
    )


def _no_answer(
    body: str, visible: str, best: Candidate | None, places: Places, truncated: bool
) -> GeoAnswer:
    note = best.note if best is not None else None
    named = any(places.values())
    if note == "template":
        note = "placeholder"
    if note is None and is_unknown(visible):
        note = "placeholder"
    if truncated and note not in {"null_island", "range"}:
        return _unread("length", places)
    if note in {None, "placeholder", "incomplete"}:
        if named:
            return replace(_unread(note, places), outcome=Outcome.PLACE_ONLY)
        if is_refusal(body.lower()):
            return GeoAnswer(Outcome.REFUSAL)
        short = short_place(visible)
        if short:
            return replace(_unread(None, short), outcome=Outcome.PLACE_ONLY)
    return _unread(note or "no_coordinates", places)


def _unread(note: str | None, places: Places) -> GeoAnswer:
    return GeoAnswer(
        Outcome.UNPARSED,
        city=places.get("city"),
        region=places.get("region"),
        country=places.get("country"),
        note=note,
    )
