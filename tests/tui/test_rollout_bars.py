"""The lines above the rollouts: where the step stands in the run."""

import asyncio

from textual.app import App, ComposeResult

from geospot.tui.widgets.rollout_bars import Scrubber


class Host(App[None]):
    """A line and nothing else."""

    def compose(self) -> ComposeResult:
        """The line."""
        yield Scrubber()


def _line(steps: range | list[int], step: int) -> str:
    async def draw() -> str:
        app = Host()
        async with app.run_test(size=(120, 4)) as pilot:
            bar = app.query_one(Scrubber)
            bar.show(list(steps), step, "")
            await pilot.pause()
            return bar.render_line(0).text[14:].rstrip()

    return asyncio.run(draw())


def test_a_run_with_rollouts_of_all_steps_has_no_gap_however_few_they_are() -> None:
    assert set(_line(range(60), 59)) == {"━", "●"}
    assert set(_line(range(3), 0)) == {"━", "●"}


def test_steps_without_rollouts_are_a_gap() -> None:
    line = _line([*range(20), *range(40, 60)], 59)
    first = line.index("─")
    assert line[:first] == "━" * first
    assert 0.3 < first / len(line) < 0.36
    assert 0.3 < line.count("─") / len(line) < 0.37
    assert _line([0, 60], 0).count("━") < 104 / 60 + 2


def test_more_steps_than_cells_show_each_gap_that_is_as_wide_as_a_cell() -> None:
    assert set(_line(range(5000), 0)) == {"━", "●"}
    assert _line([*range(2000), *range(2100, 5000)], 0).count("─") in (1, 2)
