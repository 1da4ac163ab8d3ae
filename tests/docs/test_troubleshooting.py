"""docs/troubleshooting.md has every message of a GeospotError, and none that no longer exists.

Messages are read from the source: what is put into them is `…`. Those that only pass on another's text (a
variable alone) have no words of their own to look for.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = [
    p for d in ("geospot", "backends", "leaderboard") for p in sorted((ROOT / d).rglob("*.py"))
]
LEAST_LETTERS = 4
MOST_MATCHES = 10


def error_names(trees: list[ast.Module]) -> set[str]:
    """Names of GeospotError and everything that is derived from it."""
    bases: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                bases.setdefault(node.name, set()).update(names)
    found = {"GeospotError"}
    while more := {name for name, its in bases.items() if its & found} - found:
        found |= more
    return found


def texts(node: ast.expr) -> list[str]:
    """What a message may be, with `…` for what is put in; empty where it has no words of its own."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
        return ["".join(str(part) for part in parts)]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    if isinstance(node, ast.Call):
        words = [text for argument in node.args for text in texts(argument)]
        return [f"…{text}…" for text in words]
    return []


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """Every message with where it stands."""
    return tuple(_messages())


def _messages() -> Iterator[tuple[str, str]]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    errors = error_names(list(trees.values()))
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if ast.unparse(node.func).rpartition(".")[2] in errors:
                for text in texts(node.args[0]):
                    said = re.sub(r"…+", "…", " ".join(text.split()))
                    if sum(letter.isalpha() for letter in said) >= LEAST_LETTERS or said == "was …":
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", said


def entries() -> list[str]:
    """The messages in the first column of the page's tables."""
    rows = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [part for row in rows if row not in ("message", "---") for part in row.split("<br>")]


def matcher(entry: str, said: set[str]) -> re.Pattern[str]:
    """What an entry stands for: itself where it is a message, else `…` is anything."""
    if entry in said:
        return re.compile(re.escape(entry))
    return re.compile(".*".join(re.escape(part) for part in entry.split("…")))


def test_every_message_has_an_entry() -> None:
    said = list(messages())
    known = [matcher(entry, {text for _, text in said}) for entry in entries()]
    assert len(said) > 350  # the source is really read
    lost = [f"{where}: {text}" for where, text in said if not any(k.fullmatch(text) for k in known)]
    assert lost == []


def test_every_entry_is_a_message_that_exists() -> None:
    said = {text for _, text in messages()}
    passed_on = {"No column for …"}  # made in a function of its own
    known = {entry: matcher(entry, said) for entry in entries() if entry not in passed_on}
    stale = [entry for entry, one in known.items() if not any(one.fullmatch(text) for text in said)]
    assert stale == []


def test_no_entry_is_about_everything() -> None:
    said = {text for _, text in messages()}
    known = {entry: matcher(entry, said) for entry in entries()}
    count = {
        entry: sum(one.fullmatch(text) is not None for text in said) for entry, one in known.items()
    }
    assert [entry for entry, number in count.items() if number > MOST_MATCHES] == []
