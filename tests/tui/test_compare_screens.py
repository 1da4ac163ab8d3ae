"""Two evaluations photo by photo, and several runs over one another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from geospot.evaluation.results import SAMPLES
from geospot.outcomes import Outcome
from geospot.runs.directory import RunDirectory
from geospot.runs.layout import METRICS
from geospot.runs.watch import RunWatch
from geospot.tui.app import GeospotApp
from geospot.tui.compare_view import figures
from geospot.tui.overlay import differences, direction, first_metric, metrics_of, x_of
from geospot.tui.screens.answers import AnswersDialog
from geospot.tui.screens.compare_results import CompareResultsScreen
from geospot.tui.screens.compare_runs import CompareRunsScreen
from geospot.tui.screens.metric_picker import MetricPicker
from geospot.tui.screens.run import RunScreen
from geospot.tui.widgets.chart import Chart
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap
from geospot_leaderboard.compare import compare, judge
from geospot_leaderboard.compare_text import as_text
from geospot_leaderboard.pairs import pair_up
from tests.support.approx import approx
from tests.support.result_dirs import answered, failed, write_result
from tests.support.screens import drive, opened, seen, until, until_seen

TRUTH = (10.0, 20.0)


def at(sample_id: str, north: float, **more: Any) -> Any:
    """An answer that is so many degrees too far north."""
    return answered(sample_id, TRUTH, (TRUTH[0] + north, TRUTH[1]), **more)


def two(folder: Path) -> tuple[Path, Path]:
    """B is better on eight photos, worse on two, equal on one; each has one photo for itself."""
    a = [at(f"up-{i}", 8.0) for i in range(8)] + [
        at("down", 0.0),
        at("same", 1.0),
        at("only-a", 1.0),
    ]
    b = [at(f"up-{i}", 0.5) for i in range(8)]
    b += [at("down", 30.0, text="B: \x1b[2Jfar"), at("same", 1.0), at("only-b", 1.0)]
    a += [at("refused", 0.0, text="A knew it"), failed("lost", TRUTH, Outcome.TRANSPORT_ERROR)]
    b += [failed("refused", TRUTH, Outcome.REFUSAL, text="B won't"), at("lost", 0.0)]
    return (
        write_result(folder / "old", a, model="old-vlm"),
        write_result(folder / "new", b, model="new-vlm"),
    )


def on_results(a: Path, b: Path) -> GeospotApp:
    return opened(lambda app: app.open_compare_results(a, b))


async def compared(pilot: Pilot[None]) -> CompareResultsScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareResultsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, CompareResultsScreen)
    await until(pilot, lambda: screen.comparison is not None, "The comparison")
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_figures_are_the_leaderboards(tmp_path: Path, size: tuple[int, int]) -> None:
    a, b = two(tmp_path)
    known = compare(a, b)
    printed = as_text(known)

    async def steps(pilot: Pilot[None]) -> None:
        await compared(pilot)
        shown = await until_seen(
            pilot, "old-vlm", "new-vlm", "compared with", "B wins 8, ties 1, loses 2"
        )
        text = seen(pilot.app.screen.query_one("#compare-text")) if size[1] > 24 else shown
        for number in (f"{known.geoscore.difference:+,.1f}", f"{known.geoscore.p:.3g}"):
            assert number in printed
            assert number in text
        flat = " ".join(shown.split())
        assert known.verdict[:40] in flat
        assert "11 photos in common. Left out: 1 only in A, 1 only in B" in flat
        if size[1] > 24:
            await until_seen(pilot, "worst case", "McNemar", "2500 km", "NOTE: A is incomplete")

    drive(on_results(a, b), steps, size)


def test_no_figure_runs_into_the_next(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    pairs = pair_up(a, b)
    found = judge(pairs)
    clear = {
        name: replace(test, only_b=2, p_mid=1.42e-133, p_holm=7.09e-133)
        for name, test in found.thresholds.items()
    }
    text = figures(pairs, replace(found, thresholds=clear)).plain
    assert text.count(" 2 1.42e-133 (7.09e-133)  yes") == len(clear)
    assert max(map(len, text.partition("within")[2].splitlines()[:6])) <= 78


def test_photos_come_regressions_first_and_are_filtered(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await compared(pilot)
        assert screen.pairs is not None
        ids = screen.pairs.images_a.ids

        def order() -> list[str]:
            return [ids[int(row)] for row in screen.order_N]

        assert order()[:2] == ["refused", "down"]
        await pilot.press("l")
        shown = await until_seen(pilot, "▼ worse", "▲ better", "= equal", "refusal", "+3,335.8")
        assert shown.index("refused") < shown.index("up-0")
        await pilot.press("slash", *"is:worse", "space", *"boutcome:ok", "enter")
        await until(pilot, lambda: order() == ["down"])
        await until_seen(pilot, "1 shown by the filter")
        for words, found in (
            ("won't", ["refused"]),
            ('"a knew"', ["refused"]),
            ("2jfar", ["down"]),
        ):
            await pilot.press("slash", "ctrl+u", *words, "enter")  # in what either of them wrote
            await until(pilot, lambda found=found: order() == found, words)
        await pilot.press("slash", "escape", "escape")
        await until(pilot, lambda: len(order()) == 11)
        await pilot.press("S")
        await until(pilot, lambda: order()[0] == "up-0")
        await pilot.press("s")
        await until(pilot, lambda: order()[:2] == ["refused", "down"])

    drive(on_results(*two(tmp_path)), steps, (80, 24))


def test_a_click_on_a_header_sorts_and_small_differences_keep_their_sign(tmp_path: Path) -> None:
    a = write_result(tmp_path / "a", [at("near", 1.0), at("far", 2.0), at("none", 3.0)], model="a")
    b = [at("near", 1.00001), at("far", 2.5), at("none", 3.0)]
    b_path = write_result(tmp_path / "b", b, model="b")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await compared(pilot)
        await pilot.press("l")
        shown = await until_seen(pilot, "+0.001  ▼ worse", "+0.0  = equal", "+55.6  ▼ worse")
        assert "-0 " not in shown
        table = screen.query_one("#photos", Table)
        header = seen(table).splitlines()[0]
        assert screen.pairs is not None
        ids = screen.pairs.images_a.ids
        for ascending in (False, True):  # the worst first, then the other way round
            await pilot.click(table, offset=(header.index("km, B") + 1, 0))
            await until(
                pilot, lambda a=ascending: (screen.sort, screen.descending) == ("change", not a)
            )
            rows = ["none", "near", "far"] if ascending else ["far", "near", "none"]
            await until(
                pilot,
                lambda rows=rows: [ids[int(row)] for row in screen.order_N] == rows,
                " ".join(rows),
            )

    drive(on_results(a, b_path), steps)


def test_enter_shows_both_texts_made_harmless(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await compared(pilot)
        await pilot.press("l", "enter")
        await until_seen(pilot, "A knew it", "B won't", "old-vlm", "new-vlm", "tab other side")
        await pilot.press("escape", "down", "enter")
        shown = await until_seen(pilot, "B: \\x1b[2Jfar", "(no text)")
        assert "\x1b" not in shown

    drive(on_results(*two(tmp_path)), steps)


def test_without_colour_the_map_has_the_signs_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A and B are the results, and no letters of classes."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await compared(pilot)
        await pilot.press("m")
        text = await until_seen(pilot, "▲–▼ said", "▲ ≤−750: 8", "▼ ≥+750: 2")
        above = text[: text.index("▲–▼ said")]
        assert screen.panes.shown == "Map"
        assert "▼" in above

    drive(on_results(*two(tmp_path)), steps, (140, 45))


def test_swapping_turns_the_signs(tmp_path: Path) -> None:
    a, b = two(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        before = await compared(pilot)
        assert before.comparison is not None
        difference = before.comparison.geoscore.difference
        await pilot.press("x")
        await until(pilot, lambda: before.comparison is not None and before.a == b)
        assert before.comparison.geoscore.difference == approx(-difference)
        await until_seen(pilot, "B wins 2, ties 1, loses 8")

    drive(on_results(a, b), steps)


def test_the_map_tells_nearer_from_farther(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await compared(pilot)
        await pilot.press("m")
        world = screen.query_one(WorldMap)
        assert world.scene.answers.classes.is_change
        assert np.count_nonzero(world.scene.answers.value_N > 25) == 2
        assert np.count_nonzero(world.scene.answers.value_N < -25) == 8
        await until_seen(pilot, "nearer", "farther")
        await pilot.press("n", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnswersDialog))

    drive(on_results(*two(tmp_path)), steps)


def test_what_cant_be_compared_says_why(tmp_path: Path) -> None:
    a, odd = two(tmp_path)
    with (odd / SAMPLES).open("a", encoding="utf-8") as file:
        file.write('{"id": "x", "outcome": "odd", "true_latitude": 1, "true_longitude": 2}\n')
    other = write_result(tmp_path / "other", [at("x", 1.0)])
    for b, said in (
        (other, "have no image in common"),
        (tmp_path / "gone", "There is no folder"),
        (odd, "is no sample record"),
    ):

        async def steps(pilot: Pilot[None], said: str = said) -> None:
            await until_seen(pilot, said)
            await pilot.press("l", "enter", "s", "m", "n", "enter", "tab", "x")

        drive(on_results(a, b), steps, (80, 24))


# Runs


def run_of(folder: Path, *, kind: str = "rl", steps: int = 20, **config: Any) -> Path:
    """A run with a few figures."""
    settings = {"coord_tau": [25.0], "hf_repo": "world", "learning_rate": 5e-4} | config
    run = RunDirectory.open(folder, settings, kind=kind, if_exists="raise", ask=None)  # pyright: ignore[reportArgumentType]
    run.close("finished")
    rows = [
        {
            "step": step,
            "env/all/reward/total": step / 100,
            "geo/geoscore": 1000.0 + step,
            "geo/median_km": 900.0 - step,
            "tokens/sample": 100 * (step + 1),
            "tokens/train": 50 * (step + 1),
            "time/total": 2.0,
        }
        for step in range(steps)
    ]
    (folder / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def on_runs(*folders: Path) -> GeospotApp:
    return opened(lambda app: app.open_compare_runs(folders))


async def overlaid(pilot: Pilot[None]) -> CompareRunsScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareRunsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, CompareRunsScreen)
    await until(
        pilot,
        lambda: all(len(s.columns) or s.is_gone for s in screen.states) and bool(screen.metric),
        "Curves",
    )
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_curves_table_and_differences(tmp_path: Path, size: tuple[int, int]) -> None:
    a = run_of(tmp_path / "one", learning_rate=1e-3)
    b = run_of(tmp_path / "two", steps=30)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        await until_seen(pilot, "env/all/reward/total", "one", "two", "newest", "0.19", "0.29")
        chart = screen.query_one(Chart)
        assert [one.name for one in chart.series] == ["one", "two"]
        assert [len(one) for one in chart.series] == [20, 30]
        await pilot.press("d")
        shown = await until_seen(pilot, "learning_rate", "0.001", "0.0005", "1 settings differ")
        assert "hf_repo" not in shown

    drive(on_runs(a, b), steps, size)


def test_rewards_that_mean_different_things_are_said_and_not_shown_first(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b", coord_tau=[2000.0])

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        assert screen.metric == "geo/geoscore"
        await until_seen(pilot, "fixed scale, since rewards differ in coord_tau")
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MetricPicker))
        await pilot.press(*"reward", "enter")
        await until(pilot, lambda: screen.metric == "env/all/reward/total")
        await until_seen(pilot, "Rewards aren't comparable: coord_tau differ")

    drive(on_runs(a, b), steps)


def test_by_steps_tokens_and_time(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        chart = screen.query_one(Chart)
        ends: list[float] = [float(chart.series[0].x_N[-1])]
        for word in ("tokens", "time training (sum of time/total"):
            await pilot.press("x")
            await until_seen(pilot, word)
            ends.append(float(chart.series[0].x_N[-1]))
        assert ends == [19.0, 3000.0, 40.0]

    drive(on_runs(a, b), steps)


def test_metrics_are_picked_and_walked_through(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        before = screen.metric
        await pilot.press("n")
        assert screen.metric != before
        await pilot.press("p")
        assert screen.metric == before
        await pilot.press("m", *"median", "enter")
        await until(pilot, lambda: screen.metric == "geo/median_km")
        await until_seen(pilot, "881", "geo/median_km")
        await pilot.press("m", "down", "escape")
        assert screen.metric == "geo/median_km"

    drive(on_runs(a), steps)


def test_a_run_is_opened_from_the_chart_and_from_the_table(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        table = screen.query_one("#overlay-runs", Table)
        for keys, run in ((("o",), a), (("tab", "down", "enter"), b)):
            await pilot.press(*keys)
            await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run")
            assert isinstance(pilot.app.screen, RunScreen)
            assert pilot.app.screen.folder == run
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen, "the way back")
        assert table.has_focus

    drive(on_runs(a, b), steps)


def test_new_steps_are_drawn(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        with (a / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": 20, "env/all/reward/total": 0.875}) + "\n")
        await until_seen(pilot, "0.875")
        assert len(screen.query_one(Chart).series[0]) == 21

    drive(on_runs(a), steps)


def test_more_than_eight_gone_and_none(tmp_path: Path) -> None:
    folders = [run_of(tmp_path / f"run{i}") for i in range(8)]

    async def many(pilot: Pilot[None]) -> None:
        await overlaid(pilot)
        await until_seen(pilot, "1 more left out: 8 at most", "run7")

    drive(on_runs(*folders, tmp_path / "gone"), many, (160, 40))

    async def gone(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "gone", "1 gone")
        await pilot.press("x", "n", "m", "escape", "d", "d", "enter")

    drive(on_runs(folders[0], tmp_path / "gone"), gone, (80, 24))

    async def none(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "Nothing to compare")
        await pilot.press("x", "n", "m", "escape", "d", "enter")

    drive(on_runs(), none, (80, 24))


def test_time_goes_by_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long runs take more than a second, and with none marked nothing ever comes."""
    ticks: list[bool] = []
    tick = CompareRunsScreen._tick  # pyright: ignore[reportPrivateUsage]

    def counted(screen: CompareRunsScreen) -> None:
        tick(screen)
        ticks.append(True)

    monkeypatch.setattr("geospot.tui.screens.compare_runs._TICK_S", 0.02)
    monkeypatch.setattr(CompareRunsScreen, "_tick", counted)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(ticks) > 1, "the second tick")

    drive(on_runs(), steps)


def test_hostile_configurations_and_metrics(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a\x1b[31m", note="[bold]\x1b[2J")
    b = run_of(tmp_path / "b", note={"deep": {"er": [1, None]}})
    with (a / METRICS).open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "[red]\\u001b": 1e999}\n{"step": 1e999}\n{"torn')

    async def steps(pilot: Pilot[None]) -> None:
        screen = await overlaid(pilot)
        await pilot.press("d")
        shown = await until_seen(pilot, "[bold]\\x1b[2J", "deep")
        for _ in range(len(metrics_of(screen.states))):
            await pilot.press("n")
            shown += seen(pilot.app.screen)
        assert "\x1b" not in shown
        panes = screen.query_one(Panes)
        await pilot.press("d")
        assert panes.shown == "Figures"

    drive(on_runs(a, b), steps)


def test_figures_that_have_a_direction() -> None:
    assert [direction(key) for key in ("train_mean_nll", "geo/median_km")] == [-1, -1]
    assert [direction(key) for key in ("eval/geoscore", "env/all/reward/total")] == [1, 1]
    assert direction("optim/lr") == 0
    assert direction("geo/acc_25km") == 1


def test_what_tells_runs_apart(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1)
    b = run_of(tmp_path / "b", seed=2, kind="sft", behavior_if_log_dir_exists="resume")
    states = [RunWatch(folder).look() for folder in (a, b)]
    found = {one.name: list(one.values) for one in differences(states)}
    assert found == {"kind": ["rl", "sft"], "seed": ["1", "2"]}
    assert first_metric(states) == "env/all/reward/total"


def test_tokens_of_a_foreign_run_are_added_up(tmp_path: Path) -> None:
    rows = [
        {"step": s, "env/all/total_ac_tokens": 10, "env/all/total_ob_tokens": 5} for s in range(4)
    ]
    (tmp_path / METRICS).write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    columns = RunWatch(tmp_path).look().columns
    tokens = x_of(columns, "tokens")
    assert tokens is not None
    assert tokens.tolist() == [15, 30, 45, 60]
    assert x_of(columns, "time") is None
