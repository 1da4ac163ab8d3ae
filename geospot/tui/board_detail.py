"""What there is to say about a line of the leaderboard, in sentences."""

from typing import Final

from geospot.numbertext import duration
from geospot.tui.board import Board, Line, canary_word
from geospot_leaderboard import export
from geospot_leaderboard.live import UnderWay, seconds_since
from geospot_leaderboard.ranking import Group, Ranked
from geospot_leaderboard.references import Reference

_QUIET_S: Final = 60.0
"""An evaluation that brought nothing for so long is said to be quiet."""

_SHORT_FINGERPRINT: Final = 16


def explained(board: Board, line: Line) -> list[tuple[str, str]]:
    """What there is to say about a line, in sentences; not yet printable.

    Beside each stands its style by rich's name, or `bad` or `warning`.
    """
    if line.published is not None:
        return _explain_published(line.published)
    if line.broken is not None:
        return [(line.text, "bold"), (f"{line.broken.reason} {line.broken.advice}", "bad")]
    said: list[tuple[str, str]] = []
    if line.ranked is not None:
        said += _explain_result(board, line.ranked)
    if line.going_on is not None:
        said += _explain_progress(line.going_on)
    if line.kind == "heading" and line.group >= 0:
        said += _explain_group(board.groups[line.group])
    return said


def _explain_result(board: Board, row: Ranked) -> list[tuple[str, str]]:
    name, value = board.named[row.result.path], board.values[row.result.path]
    settings = ", ".join(name.settings)
    title = f"{name.label}  {row.result.path}" + (f"  ({settings})" if settings else "")
    flaws = [
        (f"{'Unranked' if flaw.unranked else 'Warning'} ({flaw.mark}): {flaw.sentence}",
         "bad" if flaw.unranked else "warning")
        for flaw in row.result.flaws
    ]  # fmt: skip
    parts = [
        f"GeoScore {export.number(value['geoscore'], 1)} over all,"
        f" {export.number(value['geoscore_answered'], 1) or '–'} over answered",
        f"{export.number(value['n'], 0)} images",
        f"canary {'not asked' if (word := canary_word(row)) == '–' else word[2:]}",
        export.cost(value["cost_usd"]),
        str(value["date"] or "")[:16].replace("T", " "),
    ]
    return [(title, "bold"), *flaws, (" · ".join(part for part in parts if part), "")]


def _explain_progress(one: UnderWay) -> list[tuple[str, str]]:
    quiet_s = seconds_since(one.newest)
    so_far = f"{one.answers:,} of {one.expected:,} answers so far" if one.expected else "under way"
    if not one.newest:
        newest = "none has come yet"
    elif quiet_s < _QUIET_S:
        newest = f"the newest {duration(quiet_s)} ago"
    else:
        newest = (
            f"none for {duration(quiet_s)}: where it was stopped, the same command goes on and asks"
            " only for what is missing"
        )
    return [(str(one.path), "bold"), (f"{so_far}, {newest}.", "")]


def _explain_group(group: Group) -> list[tuple[str, str]]:
    ranked = sum(row.rank is not None for row in group.rows)
    return [
        (f"{group.dataset}, {group.split}: {group.n:,} images", "bold"),
        (f"fingerprint {group.fingerprint[:_SHORT_FINGERPRINT]}…, {export.truth(group)}", ""),
        (f"{ranked} ranked, {len(group.rows) - ranked} unranked. Only results over exactly the same"
         " images and true coordinates are ranked together.", "dim"),
    ]  # fmt: skip


def _explain_published(row: Reference) -> list[tuple[str, str]]:
    levels = {
        "country": row.country_acc,
        "region": row.region_acc,
        "sub-region": row.sub_region_acc,
        "city": row.city_acc,
    }
    shown = [
        f"{name} {export.percent(share)}" for name, share in levels.items() if share is not None
    ]
    source = row.source if row.read_at_source else f"{row.source} (not read at the source)"
    return [
        (f"{row.model}: published, not measured here, not comparable with a selection", "bold"),
        (" · ".join([f"mean {row.mean_km:,.0f} km", *shown]), ""),
        (f"{source}. {row.note}".strip(), "dim"),
    ]
