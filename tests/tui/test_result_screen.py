"""One evaluation on its screen."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.evaluation.results import EVAL, SAMPLES, SUMMARY
from geospot.outcomes import Outcome
from geospot.query import Query, parse_query
from geospot.tui.app import GeospotApp
from geospot.tui.result_lists import KEYS
from geospot.tui.screens import result
from geospot.tui.screens.answers import AnswersDialog
from geospot.tui.screens.map import MapScreen
from geospot.tui.screens.result import ResultScreen
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap
from tests.support.result_dirs import answered, failed, write_result
from tests.support.screens import drive, opened, seen, until, until_seen

TRUTHS = {"FR": (48.0, 2.0), "BR": (-10.0, -50.0), "JP": (36.0, 138.0)}
HOSTILE = "I think:\n\x1b]0;title\x07[red]Paris[/red]\u202e\nLatitude: 1\n" + "x" * 30_000


def small(path: Path) -> Path:
    """Nine answers from three countries, and two failures."""
    records = [
        answered(
            f"{code}-{i}", truth, (truth[0] + i * step, truth[1]),
            labels={"country": code}, place={"city": f"City {i}", "country": code},
            text=f"Latitude {i}",
        )
        for step, (code, truth) in enumerate(TRUTHS.items())
        for i in range(3)
    ]  # fmt: skip
    records.append(
        failed("hostile", TRUTHS["FR"], Outcome.REFUSAL, text=HOSTILE, labels={"country": "FR"})
    )
    records.append(
        failed("lost", TRUTHS["JP"], Outcome.UNPARSED, text="", labels={"country": "JP"})
    )
    return write_result(path, records, model="some[vlm]", dataset="world")


def on(path: Path) -> GeospotApp:
    return opened(lambda app: app.open_result(path))


async def filled(pilot: Pilot[None], answers: int = 11) -> ResultScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, ResultScreen))
    screen = pilot.app.screen
    assert isinstance(screen, ResultScreen)
    await until(pilot, lambda: len(screen.order_N) == answers, "Answers")
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_figures_with_intervals_and_outcomes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = small(tmp_path / "r")
    summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    low, high = summary["ci"]["all"]["geoscore"]

    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        score = f"{summary['all']['geoscore']:,.1f} {low:,.1f} – {high:,.1f}"
        outcomes = ("ok 9 (81.8%)", "refusal 1 (9.1%)", "█", "▓")
        shown = await until_seen(
            pilot, "some[vlm]", "GeoScore (0–5000)", "over answered", score, *outcomes
        )
        assert ("photo" in shown) == (size[0] >= 150)

    drive(on(path), steps, size)


def test_worst_best_typical(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)

        def first(count: int) -> list[str]:
            return [screen.answers.ids[int(row)] for row in screen.order_N[:count]]

        assert first(3) == ["hostile", "lost", "JP-2"]
        await pilot.press("l")
        shown = await until_seen(pilot, "worst first", "refusal")
        assert shown.index("refusal") < shown.index("JP-2")
        await pilot.press("s")
        await until(pilot, lambda: first(1) == ["FR-0"])
        assert {*first(9)} == {f"{code}-{i}" for code in TRUTHS for i in range(3)}
        await pilot.press("s")
        await until_seen(pilot, "typical first")
        await pilot.press("s", "S")
        await until(pilot, lambda: first(1) == ["FR-0"], "As answered")

    drive(on(small(tmp_path / "r")), steps)


def test_a_filter_keeps_what_it_says(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("slash", *"outcome:ok", "space", *"country=jp", "enter")
        await until(pilot, lambda: len(screen.order_N) == 3)
        await until_seen(pilot, "3 shown by the filter", "City 2")
        assert "BR" not in seen(screen.query_one("#answers"))
        await pilot.press("slash", "escape", "escape")
        await until(pilot, lambda: len(screen.order_N) == 11)

    drive(on(small(tmp_path / "r")), steps, (80, 24))


def test_words_are_looked_for_in_what_the_model_wrote(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("slash", *'"i think"', "enter")  # in no name or id
        await until(pilot, lambda: len(screen.order_N) == 1)
        assert screen.answers.ids[int(screen.order_N[0])] == "hostile"
        await pilot.press("slash", "ctrl+u", *'-"i think" -"latitude 2"', "enter")
        await until(pilot, lambda: len(screen.order_N) == 7)

    drive(on(small(tmp_path / "r")), steps, (80, 24))


def test_an_order_that_comes_late_does_not_replace_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, real = threading.Event(), result.order_of

    def slow(*told: Any, query: Query, **more: Any) -> Any:
        if not query.terms:
            wait.wait(60)
        return real(*told, query=query, **more)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        monkeypatch.setattr(result, "order_of", slow)
        late = asyncio.create_task(screen.put_in_order())
        await pilot.pause(0.1)
        screen.query_said = parse_query("outcome:refusal", KEYS)
        await screen.put_in_order()
        wait.set()
        await late
        assert len(screen.order_N) == 1

    drive(on(small(tmp_path / "r")), steps, (80, 24))


def test_enter_shows_the_text_made_harmless(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        await pilot.press("l", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnswersDialog))
        shown = await until_seen(
            pilot, "I think:", "\\x1b]0;title\\x07[red]Paris[/red]\\u202e", "Latitude: 1"
        )
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        await pilot.press("y", "end")
        await until_seen(pilot, "more characters")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultScreen))

    drive(on(small(tmp_path / "r")), steps)


def test_countries_are_sorted_and_open_their_answers(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await pilot.press("t")
        shown = await until_seen(
            pilot, "FR France", "BR Brazil", "JP Japan", "median km", "<750 km"
        )
        assert "75.0%" in next(line for line in shown.splitlines() if "FR France" in line)
        table = screen.query_one("#countries", Table)
        header = seen(table).splitlines()[0]
        await pilot.click(table, offset=(header.index("country") + 1, 0))
        await until(pilot, lambda: [one.code for one in screen.countries] == ["BR", "FR", "JP"])
        await pilot.press("s")
        assert screen.countries[0].code in ("FR", "JP")
        codes = [one.code for one in screen.countries]
        await pilot.press("S")
        await until(pilot, lambda: [one.code for one in screen.countries] != codes, "the reverse")
        table.cursor = [one.code for one in screen.countries].index("BR")
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.order_N) == 3)
        await until_seen(pilot, "BR-0")

    drive(on(small(tmp_path / "r")), steps)


def test_views_go_round_and_the_map_has_every_answer(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        panes = screen.query_one(Panes)
        names: list[str] = []
        for _ in range(5):
            await pilot.press("tab")
            names.append(panes.shown)
        assert names == ["Answers", "Map", "Countries", "Settings", "Figures"]
        await pilot.press("shift+tab")
        assert panes.shown == "Settings"
        await until_seen(pilot, "backend.model", "some[vlm]", "prompt.sha")
        await pilot.press("m")
        world = screen.query_one(WorldMap)
        assert len(world.scene.answers.value_N) == 11
        await pilot.press("n", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnswersDialog))
        await pilot.press("escape", "M")
        await until(pilot, lambda: isinstance(pilot.app.screen, MapScreen))

    drive(on(small(tmp_path / "r")), steps)


def test_views_are_clicked(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        names = seen(screen.query_one("#panes-names"))
        for name in ("Countries", "Answers", "Figures"):
            await pilot.click("#panes-names", offset=(names.index(name) + 1, 0))
            await until(pilot, lambda name=name: screen.query_one(Panes).shown == name)
        await pilot.click("#panes-names", offset=(names.index("Answers") + 1, 0))
        table = screen.query_one("#answers", Table)
        await until(pilot, lambda: table.has_focus, "The focus")
        await pilot.click(table, offset=(3, 2))
        await until(pilot, lambda: table.cursor == 1)
        await pilot.click(table, offset=(3, 2))
        await until(pilot, lambda: isinstance(pilot.app.screen, AnswersDialog))
        assert "other side" not in await until_seen(pilot, "y copies · escape goes back")

    drive(on(small(tmp_path / "r")), steps)


def test_an_evaluation_that_hasnt_begun_is_waited_for(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "yet; it is shown as soon as it is there")
        small(tmp_path / "r")
        await filled(pilot)
        await until_seen(pilot, "GeoScore (0–5000)")

    drive(on(tmp_path / "r"), steps, (80, 24))


def test_a_result_under_way_is_followed(tmp_path: Path) -> None:
    path = small(tmp_path / "r")
    manifest = json.loads((path / EVAL).read_text(encoding="utf-8"))
    manifest["dataset"]["n"] = 20
    (path / EVAL).write_text(json.dumps(manifest), encoding="utf-8")
    summary = (path / SUMMARY).read_bytes()
    (path / SUMMARY).unlink()
    more = answered("more", TRUTHS["BR"], TRUTHS["BR"], labels={"country": "BR"})

    async def steps(pilot: Pilot[None]) -> None:
        screen = await filled(pilot)
        await until_seen(pilot, "Under way", "11 of 20 answers so far", "not asked 9 (45.0%)")
        with (path / SAMPLES).open("ab") as file:
            file.write(json.dumps(more.to_json()).encode() + b"\n")
        await filled(pilot, 12)
        await until_seen(pilot, "12 of 20 answers so far", "not asked 8 (40.0%)")
        await pilot.press("t")
        await until_seen(pilot, "BR Brazil")
        assert {one.code: one.values["n"] for one in screen.countries}["BR"] == 4
        (path / SUMMARY).write_bytes(summary)
        await until(pilot, lambda: "Under way" not in seen(screen.query_one("#result-text")))
        await until_seen(pilot, "12 of 20 answers")

    drive(on(path), steps, (120, 40))


def test_what_is_no_result_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / EVAL).write_text('{"backend": ', encoding="utf-8")
    said = {
        "empty": "holds no evaluation",
        "torn": "can't be read",
        "nowhere": "There is no folder",
    }
    for name, sentence in said.items():

        async def steps(pilot: Pilot[None], sentence: str = sentence) -> None:
            await until_seen(pilot, sentence)
            await pilot.press("l", "enter", "s", "S", "t", "s", "enter", "m", "n", "enter", "i")

        drive(on(tmp_path / name), steps, (80, 24))


def test_odd_documents_are_shown(tmp_path: Path) -> None:
    path = small(tmp_path / "r")
    odd: dict[str, Any] = {
        "format": 1,
        "n": "many",
        "all": {"geoscore": 12.0},
        "outcomes": {"ok": 3},
        "by_country": {"FR": 3, "\x1b": {}},
    }
    (path / SUMMARY).write_text(json.dumps(odd), encoding="utf-8")
    with (path / SAMPLES).open("ab") as file:
        file.write(b"nonsense\n")

    async def steps(pilot: Pilot[None]) -> None:
        await filled(pilot)
        await until_seen(pilot, "12.0", "1 lines passed over")
        await pilot.press("t")
        await until_seen(pilot, "\\x1b")

    drive(on(path), steps)


def test_the_bar_of_outcomes_makes_room_for_a_scroll_bar(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "Outcomes", "of 11 answers")
        figures = pilot.app.screen.query_one("#result-figures")
        text = pilot.app.screen.query_one("#result-text")

        def bar() -> int:
            return max(len(line.strip()) for line in seen(text).split("\n") if "██" in line)

        before = bar()
        assert not figures.show_vertical_scrollbar
        figures.styles.height = 8
        await until(pilot, lambda: figures.show_vertical_scrollbar, "a scroll bar")
        await until(
            pilot, lambda: bar() == before - figures.scrollbar_size_vertical, "a shorter bar"
        )

    drive(on(small(tmp_path / "r")), steps, (120, 60))
