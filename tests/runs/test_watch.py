"""A run as it is watched: files that grow, tear, are replaced, vanish and return."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospot.durable import json_line
from geospot.runs.directory import RunDirectory
from geospot.runs.logtail import LOG_LINES, LOG_WIDTH
from geospot.runs.rollouts import RolloutWriter
from geospot.runs.tail import LineTail
from geospot.runs.watch import RunState, RunWatch
from geospot.tui import reading
from geospot.tui.reading import Reader, Watching, Watchings
from tests.support.approx import approx
from tests.support.rollouts import HOSTILE_TEXT, step_rollouts
from tests.support.run_child import checkpoint
from tests.support.watchdog import watchdog

UNHURRIED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def metrics_line(step: int, **more: Any) -> bytes:
    return json_line({"step": step, "env/all/reward/total": step / 10, **more})


def write_metrics(folder: Path, steps: range) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.writelines(map(metrics_line, steps))


def all_of(watch: RunWatch, limit: int = 1 << 20) -> RunState:
    """What it says when it has read everything."""
    for _ in range(10_000):
        state = watch.look(limit)
        if not state.is_behind:
            return state
    raise AssertionError("It never got to the end.")


def steps(state: RunState) -> list[int]:
    return state.columns.series("env/all/reward/total")[0].tolist()


@UNHURRIED
@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=12),
    st.integers(1, 60),
    st.booleans(),
    st.data(),
)
def test_every_line_comes_once_whatever_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
    junk: list[bytes],
    limit: int,
    newest_first: bool,
    data: st.DataObject,
) -> None:
    """Also while the file grows between the looks, by parts of lines."""
    path = tmp_path_factory.mktemp("tail") / "rows.jsonl"
    lines = [b'{"n": %d}\n' % n if n % 2 else text + b"\n" for n, text in enumerate(junk)]
    whole = b"".join(lines)
    expected = [n for n in range(len(junk)) if n % 2]
    written = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:written])
    tail = LineTail(path, newest_first=newest_first)
    older: list[int] = []
    rows: list[int] = []
    for _ in range(400):
        news = tail.look(limit)
        assert not news.again
        older[:0] = [row["n"] for row in news.older if "n" in row]
        rows += [row["n"] for row in news.rows if "n" in row]
        if tail.is_behind:
            continue
        if written == len(whole):
            break
        end = data.draw(st.integers(written + 1, len(whole)))
        with path.open("ab") as file:
            file.write(whole[written:end])
        written = end
    assert older + rows == expected


def test_the_newest_rows_come_first_and_nothing_twice(tmp_path: Path) -> None:
    write_metrics(tmp_path, range(1000))
    watch = RunWatch(tmp_path)
    first = watch.look(4096)
    assert first.is_behind
    assert steps(first)[-1] == 999
    assert 20 < len(steps(first)) < 200
    write_metrics(tmp_path, range(1000, 1010))
    second = watch.look(4096)
    assert steps(second)[-1] == 1009
    assert steps(second)[0] < steps(first)[0]
    state = all_of(watch, 4096)
    assert steps(state) == list(range(1010))
    assert all_of(watch, 4096).columns is state.columns
    assert steps(first)[-1] == 999


@pytest.mark.parametrize("limit", [64, 1 << 20])
def test_torn_at_every_byte(tmp_path: Path, limit: int) -> None:
    """A last row appears when it is whole, wherever it was torn."""
    path = tmp_path / "metrics.jsonl"
    before = b"".join(map(metrics_line, range(3)))
    last = metrics_line(3, note=HOSTILE_TEXT)
    for cut in range(len(last)):
        path.unlink(missing_ok=True)
        path.write_bytes(before + last[:cut])
        watch = RunWatch(tmp_path)
        assert steps(all_of(watch, limit)) == [0, 1, 2]
        with path.open("ab") as file:
            file.write(last[cut:])
        assert steps(all_of(watch, limit)) == [0, 1, 2, 3]


def test_an_index_of_many_steps_is_read_newest_first(tmp_path: Path) -> None:
    writer = RolloutWriter(tmp_path)
    for step in range(300):
        writer.write(step, step_rollouts(step, 1, 1))
        writer.write(step, step_rollouts(step, 1, 2)[1:])
    watch = RunWatch(tmp_path)
    first = watch.look(2000)
    assert (first.is_behind, first.rollout_steps[-1]) == (True, 299)
    assert len(first.rollout_steps) < 50
    assert [record.index for record in watch.rollouts.read(299)] == [0, 1]
    assert list(all_of(watch, 2000).rollout_steps) == list(range(300))
    assert watch.rollouts.count(0) == 2
    assert all(
        [(r.step, r.index) for r in watch.rollouts.read(step)] == [(step, 0), (step, 1)]
        for step in (0, 137, 299)
    )


def test_torn_histograms_index_and_rollouts(tmp_path: Path) -> None:
    run = RunDirectory.open(tmp_path / "run", {}, kind="rl", if_exists="raise", ask=None)
    run.start(0, 3)
    for step in range(3):
        records = step_rollouts(step)
        run.rollouts(step, records)
        run.metrics(step, {"env/all/reward/total": 0.5})
        reward_N = np.array([record.reward for record in records])
        run.histogram(step, reward_N, 100 * reward_N, {})
    run.close("finished")
    names = ("histograms.jsonl", "rollouts.index.jsonl", "rollouts.jsonl")
    whole = {name: (tmp_path / "run" / name).read_bytes() for name in names}
    for name, content in whole.items():
        for cut in range(0, len(content), 17):
            (tmp_path / "run" / name).write_bytes(content[:cut])
            watch = RunWatch(tmp_path / "run")
            state = all_of(watch)
            assert not state.trouble
            for step in state.rollout_steps:
                assert all(record.step == step for record in watch.rollouts.read(step))
        (tmp_path / "run" / name).write_bytes(content)
    assert all_of(RunWatch(tmp_path / "run")).reward.counts_S_B.sum(axis=1).tolist() == [4, 4, 4]


@pytest.mark.parametrize("newer", [range(2), range(500), range(20, 40)])
def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path, newer: range) -> None:
    write_metrics(tmp_path, range(100))
    watch = RunWatch(tmp_path)
    before = all_of(watch, 1000)
    (tmp_path / "metrics.jsonl").rename(tmp_path / "metrics.jsonl.pre_resume_000002")
    write_metrics(tmp_path, newer)
    after = all_of(watch, 1000)
    assert (steps(before), steps(after)) == (list(range(100)), list(newer))
    assert after.revision > before.revision


@pytest.mark.parametrize("newer", [range(2), range(500)])
def test_a_file_that_was_written_anew_in_its_place(tmp_path: Path, newer: range) -> None:
    """The same file to the system, shorter or longer than before."""
    write_metrics(tmp_path, range(50, 150))
    watch = RunWatch(tmp_path)
    assert steps(all_of(watch)) == list(range(50, 150))
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(map(metrics_line, newer)))
    assert steps(all_of(watch)) == list(newer)


def test_replaced_while_it_was_half_read(tmp_path: Path) -> None:
    write_metrics(tmp_path, range(1000))
    watch = RunWatch(tmp_path)
    assert watch.look(2000).is_behind
    (tmp_path / "metrics.jsonl").unlink()
    assert not watch.look(2000).is_behind
    write_metrics(tmp_path, range(7))
    assert steps(all_of(watch, 2000)) == list(range(7))


def test_a_folder_that_is_deleted_and_returns(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_metrics(folder, range(5))
    (folder / "logs.log").write_text("begun\n")
    watch = RunWatch(folder)
    there = watch.look()
    assert (steps(there), there.log, there.is_gone) == ([0, 1, 2, 3, 4], ("begun",), False)
    shutil.rmtree(folder)
    gone = watch.look()
    assert (gone.is_gone, steps(gone), gone.log) == (True, [], ())
    assert gone.revision > there.revision
    assert watch.look() is gone
    write_metrics(folder, range(2))
    back = watch.look()
    assert (steps(back), back.is_gone) == ([0, 1], False)
    assert back.revision > gone.revision
    assert steps(there) == [0, 1, 2, 3, 4]


def test_what_can_t_be_read_is_said_and_the_rest_stays(tmp_path: Path) -> None:
    write_metrics(tmp_path, range(3))
    watch = RunWatch(tmp_path)
    watch.look()
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    state = watch.look()
    assert state.trouble == "The run can't be read: Is a directory."
    assert steps(state) == [0, 1, 2]
    (tmp_path / "metrics.jsonl").rmdir()
    write_metrics(tmp_path, range(4))
    assert (steps(watch.look()), watch.look().trouble) == ([0, 1, 2, 3], "")


def test_pipes_in_the_place_of_files_keep_nobody_waiting(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "logs.log", "config.json"):
        os.mkfifo(tmp_path / name)
    state = RunWatch(tmp_path).look()
    assert (state.config, state.log, len(state.columns)) == ({}, (), 0)


@pytest.mark.parametrize(
    "beat",
    [
        b'{"state": "running", "pid": NaN, "step": Infinity, "time": 1e999}',
        b'{"state": "running", "pid": 1e300, "step": -1, "total": "9"}',
        b'{"state": ["running"]}',
        b"[1, 2",
        b"",
    ],
)
def test_strange_heartbeats_and_configurations(tmp_path: Path, beat: bytes) -> None:
    write_metrics(tmp_path, range(3))
    (tmp_path / "heartbeat.json").write_bytes(beat)
    (tmp_path / "config.json").write_bytes(beat)
    (tmp_path / "checkpoints.jsonl").write_bytes(beat + b'\n{"name": 3}\n{"name": "a"}\n')
    state = RunWatch(tmp_path).look()
    assert steps(state) == [0, 1, 2]
    assert [saved.name for saved in state.checkpoints] == ["a"]
    assert isinstance(state.done + state.total, int)


def test_configuration_and_checkpoints_are_the_same_objects_until_they_change(
    tmp_path: Path,
) -> None:
    run = RunDirectory.open(tmp_path / "r", {"seed": 2}, kind="sft", if_exists="raise", ask=None)
    run.start(0, 9)
    watch = RunWatch(tmp_path / "r")
    first, second = watch.look(), watch.look()
    assert first.config is second.config
    assert (first.kind, first.config["seed"], first.total) == ("sft", 2, 9)
    run.add_checkpoint(checkpoint(3))
    third = watch.look()
    assert [saved.batch for saved in third.checkpoints] == [3]
    assert watch.look().checkpoints is third.checkpoints
    run.close("stopped")


def test_a_run_that_goes_back_to_a_checkpoint(tmp_path: Path) -> None:
    """Steps that are done again leave every file, while somebody watches."""

    def train(start: int, end: int, reward: float) -> None:
        run = RunDirectory.open(tmp_path / "r", {}, kind="rl", if_exists="resume", ask=None)
        run.start(start, 6)
        for step in range(start, end):
            run.rollouts(step, step_rollouts(step))
            run.metrics(step, {"env/all/reward/total": reward})
            run.histogram(step, np.full(4, reward), np.full(4, 10.0), {"frac_mixed": reward})
            if step == 2:
                run.add_checkpoint(checkpoint(3))
        run.close("stopped")

    train(0, 5, 0.25)
    watch = RunWatch(tmp_path / "r")
    before = watch.look()
    assert (steps(before), list(before.rollout_steps)) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    train(3, 4, 0.75)
    after = watch.look()
    assert (steps(after), list(after.rollout_steps)) == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert after.reward.mean_S.tolist() == [0.25, 0.25, 0.25, 0.75]
    assert after.groups["frac_mixed"].tolist() == [0.25, 0.25, 0.25, 0.75]
    assert [record.step for record in watch.rollouts.read(3)] == [3] * 4
    assert before.reward.mean_S.tolist() == [0.25] * 5


def test_the_log_s_newest_lines(tmp_path: Path) -> None:
    log = tmp_path / "logs.log"
    log.write_bytes(
        b"old\n" * 400_000 + b"x" * 10_000 + b"\n\xff\r\nlast " + "\u2028".encode() + b"one\ntorn"
    )
    watch = RunWatch(tmp_path)
    lines = watch.look().log
    assert len(lines) == LOG_LINES
    assert lines[-3:] == ("x" * LOG_WIDTH, "\ufffd", "last \u2028one")
    with log.open("ab") as file:
        file.write(b" no more\n" + b"y" * 3_000_000)
    assert watch.look().log[-1] == "last \u2028one"
    with log.open("ab") as file:
        file.write(b"\nend\n")
    assert watch.look().log[-1] == "end"
    assert watch.look().log is watch.look().log
    log.write_text("anew\n")
    assert watch.look().log == ("anew",)


class Told:
    """What a screen was told."""

    def __init__(self) -> None:
        self.states: list[RunState] = []
        self._came = asyncio.Event()

    def __call__(self, state: RunState) -> None:
        self.states.append(state)
        self._came.set()

    async def first(self) -> RunState:
        """What it was told first."""
        async with asyncio.timeout(120):
            await self._came.wait()
        return self.states[0]

    async def until_step(self, step: int) -> RunState:
        """Waits for a state that has read everything up to this step."""
        async with asyncio.timeout(120):
            while True:
                for state in self.states[-1:]:
                    if not state.is_behind and steps(state)[-1:] == [step]:
                        return state
                self._came.clear()
                await self._came.wait()


def watched(folder: Path) -> tuple[Reader, Watching]:
    reader = Reader()
    return reader, Watchings(reader).of(folder)


def test_reading_never_keeps_the_loop_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look takes long here, and none is on the loop's thread."""
    more = {f"figure/{i}": i / 7 for i in range(12)}
    with (tmp_path / "metrics.jsonl").open("wb") as file:
        file.writelines(metrics_line(step, **more) for step in range(20_000))
    monkeypatch.setattr(reading, "_FIRST_BYTES", 1 << 26)
    told = Told()

    async def main() -> None:
        reader, watching = watched(tmp_path)
        with watchdog(tmp_path):
            end = watching.subscribe(told)
            await told.until_step(19_999)
            end()
        reader.close()

    asyncio.run(main())
    assert len(told.states[0].columns) == 20_000  # all of it in one look


def test_new_rows_are_told_soon_and_to_everyone(tmp_path: Path) -> None:
    write_metrics(tmp_path, range(5))
    first, second = Told(), Told()

    async def main() -> None:
        reader = Reader()
        watchings = Watchings(reader)
        ends = [watchings.of(tmp_path).subscribe(first)]
        await first.until_step(4)
        ends.append(watchings.of(tmp_path).subscribe(second))
        assert second.states  # what is known at once
        write_metrics(tmp_path, range(5, 8))
        await asyncio.gather(first.until_step(7), second.until_step(7))
        for end in ends:
            end()
        told = len(first.states)
        write_metrics(tmp_path, range(8, 9))
        await asyncio.sleep(0.4)
        assert len(first.states) == told
        assert not watchings.of(tmp_path).is_watched
        reader.close()

    asyncio.run(main())


def test_runs_that_nobody_looks_at_stay_known_unless_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in "abcdefg"]
    for folder in folders:
        write_metrics(folder, range(5))
    write_metrics(folders[1], range(5, 5000))
    monkeypatch.setattr(reading, "_KEPT_BYTES", 2000)

    async def main() -> None:
        reader = Reader()
        watchings = Watchings(reader)

        async def visit(folder: Path, step: int = 4) -> Watching:
            told, watching = Told(), watchings.of(folder)
            end = watching.subscribe(told)
            await told.until_step(step)
            end()
            return watching

        first = await visit(folders[0])
        large = await visit(folders[1], 4999)
        await visit(folders[2])
        assert watchings.of(folders[0]) is first
        assert watchings.of(folders[1]) is not large
        for folder in folders[3:]:
            await visit(folder)
        assert watchings.of(folders[0]) is not first
        reader.close()

    asyncio.run(main())


def test_while_a_long_file_fills_in_screens_are_told_a_few_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metrics(tmp_path, range(20_000))
    monkeypatch.setattr(reading, "_FIRST_BYTES", 1000)
    monkeypatch.setattr(reading, "_LOOK_BYTES", 1000)
    told = Told()

    async def main() -> None:
        reader, watching = watched(tmp_path)
        began_s = time.monotonic()
        end = watching.subscribe(told)
        state = await told.until_step(19_999)
        end()
        assert len(told.states) < 5 + 2 * (time.monotonic() - began_s)  # of two thousand looks
        reader.close()
        assert len(steps(state)) == 20_000

    asyncio.run(main())
    assert steps(told.states[0])[-1] == 19_999  # the newest came first
    assert len(told.states[0].columns) < 100


def test_leaving_and_coming_back_at_once_reads_on(tmp_path: Path) -> None:
    """A look that is under way when a screen leaves goes on beside nothing."""
    write_metrics(tmp_path, range(30_000))
    told = Told()

    async def main() -> None:
        reader, watching = watched(tmp_path)
        for _ in range(20):
            end = watching.subscribe(told)
            await asyncio.sleep(0.003)
            end()
        end = watching.subscribe(told)
        state = await told.until_step(29_999)
        assert steps(state) == list(range(30_000))
        end()
        reader.close()

    asyncio.run(main())


def test_rollouts_are_read_in_a_thread(tmp_path: Path) -> None:
    run = RunDirectory.open(tmp_path / "r", {}, kind="rl", if_exists="raise", ask=None)
    run.start(0, 9)
    records = step_rollouts(3)
    run.rollouts(3, records)
    run.close("stopped")

    async def main() -> None:
        reader, watching = watched(tmp_path / "r")
        told = Told()
        end = watching.subscribe(told)
        assert (await told.first()).rollout_steps == [3]
        found = await watching.rollouts(3)
        assert [(r.group, r.index, r.text) for r in found] == [
            (r.group, r.index, r.text) for r in records
        ]
        assert await watching.rollouts(4) == []
        end()
        reader.close()

    asyncio.run(main())


def test_values_that_can_t_be_are_left_out_of_rollouts(tmp_path: Path) -> None:
    run = RunDirectory.open(tmp_path / "r", {}, kind="rl", if_exists="raise", ask=None)
    run.start(0, 9)
    (record,) = step_rollouts(0, 1, 1)
    good = record.to_json()
    bad: dict[str, Any] = {"text": 5, "terms": {"a": "b"}, "tokens": "x", "logprobs": ["x"]}
    bad |= {"latitude": "north", "truncated": 1, "labels": {"country": 3}, "note": ["no"]}
    unknown: dict[str, Any] = {"true_latitude": None, "distance_km": "far", "reward": None}
    lines: list[dict[str, Any]] = [
        good | bad,
        good | unknown,
        good | {"step": 1.5},
        good | {"outcome": {}},
    ]
    data = b"".join(json_line(line) for line in lines) + b'{"step": 0, "outcome": "ok"}\n[]\n'
    (tmp_path / "r" / "rollouts.jsonl").write_bytes(data)
    index = {"step": 0, "offset": 0, "length": 10**15, "count": 6}
    (tmp_path / "r" / "rollouts.index.jsonl").write_bytes(json_line(index))
    run.close("stopped")
    watch = RunWatch(tmp_path / "r")
    assert list(watch.look().rollout_steps) == [0]
    first, second = watch.rollouts.read(0)
    assert (first.text, first.terms, first.tokens, first.logprobs) == ("", {}, (), ())
    assert (first.latitude, first.truncated, first.labels, first.note) == (None, False, {}, None)
    assert second.distance_km != second.distance_km
    assert second.reward != second.reward
    assert (second.true_longitude, second.text) == (
        approx(11.0),
        json.loads(json_line(good))["text"],
    )
