"""Rollouts of files that are broken, missing, forbidden, slow or foreign."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from geospot.runs.rollouts import RolloutReader, RolloutRecord
from geospot.runs.thumbnails import thumbnail_name
from geospot.tui.screens import rollouts as rollouts_screen
from geospot.tui.widgets.photo import Photo
from tests.support.rollout_screens import (
    LARGE,
    SMALL,
    Shown,
    run_with_rollouts,
    show_rollouts,
    write_rollouts,
)
from tests.support.rollouts import rollout, step_rollouts
from tests.support.screens import resized
from tests.support.watchdog import watchdog


def test_records_of_foreign_runs_without_positions(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, ())
    row = rollout(
        0, true_latitude=math.nan, true_longitude=math.nan, distance_km=math.nan, reward=math.nan,
        latitude=None, longitude=None, labels={}, place={}, terms={}, advantage=None, tokens=[],
        logprobs=[], prompt_tokens=0, sampler_step=None,
    )  # fmt: skip
    write_rollouts(folder, {0: [row, rollout(0, 0, 1, labels={"city": "NaN", "country": "NaN"})]})

    async def look(shown: Shown) -> None:
        await shown.at(0)
        assert "position not known" in shown.truth
        assert "place not named" in shown.painted
        assert "– km" in shown.columns[0]
        assert "reward –" in shown.columns[0]
        assert "no tokens recorded" in shown.columns[0]
        await shown.press("full_stop", "greater_than_sign", "s", "s", "t", "t")
        await shown.filter("km>=0")
        await shown.until(lambda: "1 of 2 answers" in shown.status)

    show_rollouts(folder, look)


def test_torn_and_forged_lines_are_passed_over(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path, (0,))
    lines = (folder / "rollouts.jsonl").read_bytes()
    whole = rollout(1).to_json()
    forged = [
        b"{not json",
        json.dumps(whole | {"text": None, "labels": [1], "reward": "1e9", "tokens": "x"}).encode(),
        json.dumps(whole | {"group": "a"}).encode(),
        json.dumps(whole | {"outcome": "surprising"}).encode(),
        json.dumps(whole | {"logprobs": [1], "index": 5, "place": {"city": 3}}).encode(),
        b"[" * 100_000,
    ]
    block = b"\n".join(forged) + b"\n"
    (folder / "rollouts.jsonl").write_bytes(lines + block)
    row = {"step": 1, "offset": len(lines), "length": len(block), "count": len(forged)}
    with (folder / "rollouts.index.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")

    async def look(shown: Shown) -> None:
        await shown.at(1, 0)
        assert "2 answers in 1 group" in shown.status

    show_rollouts(folder, look)


def test_a_large_step_on_a_slow_disk_does_not_keep_the_screen_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RolloutReader.read

    def read_slowly(self: RolloutReader, step: int) -> list[RolloutRecord]:
        time.sleep(1.5)
        return read(self, step)

    monkeypatch.setattr(RolloutReader, "read", read_slowly)
    folder = run_with_rollouts(tmp_path, ())
    pieces = ["ab "] * 100
    rows = [
        rollout(step, group, index, text="ab " * 100, tokens=[1] * 100, pieces=pieces, logprobs=[-1.0] * 100)
        for step in range(2)
        for group in range(8)
        for index in range(64)
    ]  # fmt: skip
    write_rollouts(folder, {step: [row for row in rows if row.step == step] for step in range(2)})

    async def look(shown: Shown) -> None:
        await shown.at(1)
        with watchdog(folder):
            await shown.press("left_square_bracket")
            await shown.at(0)
            await shown.press(*["n"] * 2, *["down"] * 5)
        assert shown.place == (0, 2, 5)
        assert "▌#5" in "\n".join(shown.columns)
        assert "512 answers in 8 groups" in shown.status

    show_rollouts(folder, look, LARGE)


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("sft", {}, "run of SFT"),
        ("rl", {"rollouts_every": 20}, "every 20 steps"),
        ("rl", {}, "No rollouts yet"),
    ],
)
def test_a_run_without_rollouts_says_why(
    tmp_path: Path, kind: str, config: dict[str, Any], said: str
) -> None:
    folder = run_with_rollouts(tmp_path, (), kind, **config)

    async def look(shown: Shown) -> None:
        await shown.until(lambda: said in shown.nothing)
        keys = ("n", "p", "left_square_bracket", "right_curly_bracket", "s", "t", "f", "m", "y", "Y", "z",
                "full_stop", "greater_than_sign", "e", "pagedown", "down")  # fmt: skip
        await shown.press(*keys)
        assert said in shown.nothing
        assert "reading" not in shown.status
        assert "following" not in shown.status  # there is nothing to follow
        if kind == "rl":
            write_rollouts(folder, {0: step_rollouts(0, 4, 4)})
            await shown.press("f")
            await shown.at(0)

    show_rollouts(folder, look, SMALL)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def look(shown: Shown) -> None:
        await shown.until(lambda: "isn't there" in shown.nothing)

    show_rollouts(tmp_path / "nothing", look)


def test_the_photo_or_why_there_is_none(tmp_path: Path) -> None:
    folder = run_with_rollouts(tmp_path)
    thumbnails = folder / "thumbnails"
    thumbnails.mkdir()
    Image.new("RGB", (64, 48), "green").save(thumbnails / f"{thumbnail_name('photo-0')}.png")
    (thumbnails / f"{thumbnail_name('photo-2')}.jpg").write_bytes(b"broken")

    async def look(shown: Shown) -> None:
        await shown.at(2, 0)
        photo = shown.screen.query_one(Photo)
        await shown.until(lambda: photo.has_class("-picture"))
        await shown.until(lambda: "▀▀▀" in shown.painted)
        await shown.press("n")
        await shown.until(lambda: "only the newest are kept" in photo.reason)
        await shown.until(lambda: "only the" in shown.painted)
        await shown.press("n")
        await shown.until(lambda: "broken" in photo.reason)
        await shown.press("p", "p")
        await shown.until(lambda: photo.has_class("-picture"))
        await resized(shown.pilot, *LARGE)
        await shown.until(lambda: photo.size.height > 12)
        await resized(shown.pilot, *SMALL)
        await shown.until(lambda: photo.size.height == 7)
        await shown.until(lambda: "reward  adv" in shown.painted)

    show_rollouts(folder, look, SMALL)


def test_files_that_may_not_be_read_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RolloutReader.read

    def read_some(self: RolloutReader, step: int) -> list[RolloutRecord]:
        if step:
            raise PermissionError(13, "Permission denied")
        return read(self, step)

    def find_none(folder: Path, sample_id: str) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RolloutReader, "read", read_some)
    monkeypatch.setattr(rollouts_screen, "find_thumbnail", find_none)

    async def look(shown: Shown) -> None:
        await shown.at(0)
        await shown.until(lambda: "Permission" in shown.screen.query_one(Photo).reason)
        await shown.filter("nowhere")
        await shown.until(lambda: "No answer" in shown.nothing)
        await shown.press("m")
        await shown.until(lambda: "can't be read: Permission denied" in shown.painted)
        await shown.press("right_square_bracket")
        await shown.until(lambda: "can't be read: Permission denied" in shown.nothing)
        await shown.press("left_square_bracket")

    show_rollouts(run_with_rollouts(tmp_path), look, step=0)


def test_runs_that_keep_no_thumbnails_say_so(tmp_path: Path) -> None:
    async def no_setting(shown: Shown) -> None:
        await shown.until(lambda: "thumbnails_mb=0" in shown.screen.query_one(Photo).reason)

    async def no_folder(shown: Shown) -> None:
        await shown.until(lambda: "tinker-cookbook" in shown.screen.query_one(Photo).reason)

    show_rollouts(run_with_rollouts(tmp_path, thumbnails_mb=0), no_setting)
    (tmp_path / "other").mkdir()
    show_rollouts(run_with_rollouts(tmp_path / "other"), no_folder)
