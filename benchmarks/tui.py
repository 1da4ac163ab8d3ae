"""The terminal app on large runs, measured from outside in a pseudo-terminal; and what drawing costs.

The figures it has to hold are in the table beside what was measured. Drawing is measured in
`benchmarks.tui_redraw`, beside the plotting widgets of others.
"""

import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import tui_redraw
from benchmarks.records import Table
from benchmarks.tui_data import (
    ROLLOUTS_A_STEP,
    STEPS,
    metrics_lines,
    reward_of,
    write_equal_runs,
    write_foreign_run,
    write_long_run,
    write_many_runs,
    write_wide_run,
)
from benchmarks.tui_terminal import REWARD, Terminal, plain

NAME: Final = "The terminal app"

_ROWS: Final = 1_000_000
_RUNS: Final = 2000
_OVERLAID: Final = 4
_ROWS_A_SECOND: Final = 100
_DOWN: Final = b"\x1b[B"
_LEFT: Final = b"\x1b[D"


def main(quick: bool) -> Table:
    """The table: four minutes and two more to write the runs; `quick` on a tenth."""
    share = 10 if quick else 1
    folder = Path(tempfile.mkdtemp())
    try:
        write_many_runs(folder / "many", _RUNS // share)
        write_long_run(folder / "long", _ROWS // share)
        write_equal_runs(folder / "equal", _OVERLAID, _ROWS // share)
        write_wide_run(folder / "wide", STEPS // share, ROLLOUTS_A_STEP)
        write_foreign_run(folder / "foreign", STEPS // share, ROLLOUTS_A_STEP)
        rows = [
            "| what | first full frame, s | key to paint, ms: median (p95) | … while it still reads "
            "| idle CPU | memory, MB (most) |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            "| *has to be* | *0.5* | *(50)* | *(50)* | *3%* | *300* |",
            _line(
                f"{_RUNS // share:,} runs",
                "runs",
                folder / "many",
                _DOWN,
                f"{reward_of(29):.3f}",
            ),
            _line(
                f"a run of {_ROWS // share:,} rows",
                *("run", folder / "long", _LEFT, f"{reward_of(_ROWS // share - 1):.4f}"),
            ),
            _line(
                f"{_OVERLAID} such runs over one another",
                *("compare", folder / "equal", _LEFT, f"{reward_of(_ROWS // share - 1):.4f}"),
            ),
            _line(
                f"a run of {STEPS // share:,} × {ROLLOUTS_A_STEP} rollouts",
                *("run", folder / "wide", _LEFT, f"{reward_of(STEPS // share - 1):.4f}"),
            ),
            _line("its rollouts", "rollouts", folder / "wide", b"n", "Quang"),
            _line(
                f"one of tinker-cookbook, {STEPS // share:,} × {ROLLOUTS_A_STEP}",
                *("run", folder / "foreign", _LEFT, f"{reward_of(STEPS // share - 1):.4f}"),
            ),
        ]
        live = _live(folder / "long", _ROWS // share, 5.0 if quick else 20.0)
    finally:
        shutil.rmtree(folder)
    redraws = tui_redraw.table(quick)
    return replace(redraws, notes="\n".join([redraws.notes, "", *rows, "", live]))


def _line(what: str, screen: str, folder: Path, key: bytes, newest: str) -> str:
    """One row of the table: the screen is opened three times, and measured in the last one."""
    frames_s: list[float] = []
    for _ in range(2):
        with Terminal(["benchmarks.tui_app", screen, str(folder)]) as terminal:
            frames_s.append(terminal.until(_shows(newest)))
    with Terminal(["benchmarks.tui_app", screen, str(folder)]) as terminal:
        frames_s.append(terminal.until(_shows(newest)))
        early_s = [terminal.press(key) for _ in range(20)]
        terminal.rest()
        taken_s = [terminal.press(key) for _ in range(40)]
        terminal.rest()
        cells = [
            f"{statistics.median(frames_s):.2f}",
            _milliseconds(taken_s),
            _milliseconds(early_s),
            f"{terminal.cpu_share(10.0):.1%}",
            f"{terminal.memory_mb('VmRSS'):.0f} ({terminal.memory_mb('VmHWM'):.0f})",
        ]
    return f"| {what} | {' | '.join(cells)} |"


def _shows(text: str) -> Callable[[str], bool]:
    return lambda painted: text in painted


def _milliseconds(seconds: Sequence[float]) -> str:
    """Median and 95th percentile."""
    return f"{statistics.median(seconds) * 1000:.0f} ({_p95(seconds) * 1000:.0f})"


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _live(folder: Path, rows: int, for_s: float) -> str:
    """How long a new row takes to be seen while a hundred are written each second."""
    written_s: dict[int, float] = {}
    stop = threading.Event()

    def write() -> None:
        row, began_s = rows, time.perf_counter()
        with (folder / "metrics.jsonl").open("ab", buffering=0) as file:
            while not stop.wait(
                max(0.0, began_s + (row - rows) / _ROWS_A_SECOND - time.perf_counter())
            ):
                file.write(next(metrics_lines(range(row, row + 1))))
                written_s[row] = time.perf_counter()
                row += 1

    with Terminal(["benchmarks.tui_app", "run", str(folder)]) as terminal:
        terminal.until(_shows(f"{reward_of(rows - 1):.4f}"))
        terminal.rest()
        writer = threading.Thread(target=write)
        writer.start()
        before, seen, delays_s = terminal.cpu_s(), rows - 1, list[float]()
        end_s = time.perf_counter() + for_s
        while time.perf_counter() < end_s:
            painted = plain(terminal.read(0.5))
            newest = max(_rows_in(painted, seen, rows + len(written_s)), default=seen)
            delays_s += [
                time.perf_counter() - written_s[row] for row in range(seen + 1, newest + 1)
            ]
            seen = newest
        cpu_share = (terminal.cpu_s() - before) / for_s
        stop.set()
        writer.join()
    if not delays_s:
        return f"No row was seen in {for_s:.0f} s."
    return (
        f"While {_ROWS_A_SECOND} rows a second are appended to a run of {rows:,}, a row is seen after "
        f"{statistics.median(delays_s):.2f} s (p95 {_p95(delays_s):.2f} s, at most "
        f"{max(delays_s):.2f} s; has to be 1 s), at {cpu_share:.0%} of a core."
    )


def _rows_in(painted: str, after: int, before: int) -> list[int]:
    """Rows that were written and whose reward is painted."""
    found: list[int] = []
    for value in REWARD.findall(painted):
        place = int(value) - 1000
        row = after + (place - after) % 9000
        if after < row < before:
            found.append(row)
    return found
