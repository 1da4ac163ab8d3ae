"""Words are found in what models wrote, however the line is written, and nothing is looked through twice."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from geospot.evaluation import textsearch
from geospot.evaluation.results import SAMPLES
from geospot.evaluation.textsearch import TextSearch


def write(folder: Path, *rows: dict[str, Any], plain: bool = False) -> None:
    """Adds records; `plain` as Python's json writes what isn't ASCII."""
    folder.mkdir(exist_ok=True)
    with (folder / SAMPLES).open("a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=plain) + "\n")


def ids(search: TextSearch, word: str) -> list[str]:
    return search.look({word})[word].ids


def test_words_of_the_text_are_found_and_nothing_else(tmp_path: Path) -> None:
    label = {"labels": {"city": "Straßburg"}}
    write(tmp_path, {"id": "a", "text": "I see a KIOSK.\nIn STRASSBURG\\Kehl"} | label)
    write(tmp_path, {"id": "b", "text": "nothing", "error": "kiosk closed"} | label)
    write(tmp_path, {"id": "kiosk", "text": None} | label, {"id": "ü", "text": "Zürich"})
    write(tmp_path, {"id": "ascii", "text": "ZÜRICH"}, plain=True)
    search = TextSearch(tmp_path)
    assert ids(search, "kiosk") == ["a", "b"]
    assert ids(search, "strassburg") == ["a"]  # and not by its label
    assert ids(search, "g\\kehl") == ["a"]
    assert ids(search, "zürich") == ["ü", "ascii"]
    both = search.look({"zürich", "nothing"})
    assert {word: hits.ids for word, hits in both.items()} == {
        "zürich": ["ü", "ascii"],
        "nothing": ["b"],
    }
    (first,) = both["nothing"].offsets
    line = (tmp_path / SAMPLES).read_bytes()[first:].split(b"\n")[0]
    assert json.loads(line)["id"] == "b"


def test_only_what_is_new_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bytes] = []
    real = TextSearch._search  # pyright: ignore[reportPrivateUsage]

    def counted(search: TextSearch, line: bytes) -> None:
        looked.append(line)
        real(search, line)

    monkeypatch.setattr(TextSearch, "_search", counted)
    write(tmp_path, {"id": "a", "text": "word"}, {"id": "b", "text": "other"})
    search = TextSearch(tmp_path)
    assert ids(search, "word") == ids(search, "word") == ["a"]
    write(tmp_path, {"id": "c", "text": "words"})
    with (tmp_path / SAMPLES).open("a") as file:
        file.write('{"id": "torn", "text": "word')
    assert ids(search, "word") == ["a", "c"]
    assert len(looked) == 3
    with (tmp_path / SAMPLES).open("a") as file:
        file.write('"}\nno record\n')
    assert ids(search, "word") == ["a", "c", "torn"]
    (tmp_path / SAMPLES).unlink()
    assert ids(search, "word") == []
    write(tmp_path, {"id": "new", "text": "word"})
    assert ids(search, "word") == ["new"]


def test_who_wants_other_words_does_not_wait_for_the_search_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textsearch, "_LOOK_UP_EVERY", 1)
    write(tmp_path, *({"id": str(i), "text": "word"} for i in range(50)))
    search = TextSearch(tmp_path)
    begun, real = threading.Event(), TextSearch._search  # pyright: ignore[reportPrivateUsage]

    def slow(one: TextSearch, line: bytes) -> None:
        if search._wanted == frozenset(["word"]):  # pyright: ignore[reportPrivateUsage]
            begun.set()
            waited.wait(60)
        real(one, line)

    waited = threading.Event()
    monkeypatch.setattr(TextSearch, "_search", slow)
    answers: list[int] = []
    first = threading.Thread(
        target=lambda: answers.append(len(search.look({"word"}).get("word", textsearch.Hits()).ids))
    )
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=lambda: answers.append(len(search.look({"wor"})["wor"].ids)))
    second.start()
    while search._wanted != frozenset(["wor"]):  # pyright: ignore[reportPrivateUsage]
        pass
    waited.set()
    first.join(60)
    second.join(60)
    assert len(answers) == 2
    assert answers[0] < 50  # it ended early
    assert answers[1] == 50
