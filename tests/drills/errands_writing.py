"""Commands that write, beside those of `ground.py`: from the demo to a checkpoint that is deleted."""

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from geospot.data.osv5m import prepare
from geospot.runs.checkpoints import CONFIG, read_checkpoints
from tests.drills.errands import (
    Arguments,
    Errand,
    Ground,
    lines,
    other_files,
    other_result,
    other_run,
)
from tests.drills.trained import standing
from tests.support.evaluating import timeless

_OTHER: Final = "1.5, 2.5"
"""What a model is said to have answered, so that a stored answer is read otherwise."""
_EVERY: Final = 3
_STEPS: Final = 3
_IMAGES: Final = 3


def writing(made: Ground) -> Iterator[Errand]:
    """Every command that writes a folder of its own."""
    yield Errand(
        "eval by the embedded engine",
        lambda out: [
            *("eval", "--backend", "local", "--model", "geospot/tiny-vlm", "--limit", "16"),
            *("--max-tokens", "48", "--concurrency", "4", "--out", out),
        ],
        other_result,
        lambda out: lines(out / "samples.jsonl") >= 2,
        variables=_engine_beside,
    )
    yield Errand(
        "demo",
        lambda out: [
            *("demo", "--out", out, "--limit", str(_IMAGES)),
            *("--sft-steps", str(_STEPS), "--rl-steps", str(_STEPS)),
        ],
        _other_demo,
        lambda out: lines(out / "runs" / "sft" / "metrics.jsonl") >= 1,
        variables=_engine_beside,
    )
    yield Errand(
        "rescore", lambda out: ["rescore", out], _read_otherwise, lay=partial(_edited, made)
    )
    yield Errand(
        "data prepare",
        lambda _: ["data", "prepare", made.zipped(), "--split", "train"],
        other_files,
        variables=lambda out: {"GEOSPOT_CACHE": str(out)},
        lay=partial(_half_prepared, made),
    )
    yield Errand(
        "checkpoints delete",
        lambda out: [
            *("checkpoints", "delete", f"{out / 'run'}@{_oldest(made)}", "--yes"),
            *("--state-dir", out / "state"),
        ],
        other_files,
        lay=partial(_run_and_checkpoints, made),
        left=lambda out: _deleting(made, out),
        destroys=True,
    )
    yield Errand(
        "runs resume",
        lambda out: ["runs", "resume", out],
        partial(other_run, kind="sft"),
        lay=lambda out: _copied(made.stopped(), out),
        left=_resuming,
    )
    yield Errand(
        "runs branch",
        partial(_branching, made),
        partial(other_run, kind="sft"),
        left=lambda out: _resuming(out) if (out / CONFIG).exists() else _branching(made, out),
    )


def _engine_beside(out: Path) -> Mapping[str, str]:
    """The embedded engine's checkpoints, on the same disk."""
    return {"GEOSPOT_STATE_DIR": str(out.with_name("state"))}


def _other_demo(out: Path, whole: Path) -> Iterator[str]:
    for kind in ("sft", "rl"):
        yield from other_run(out / "runs" / kind, whole / "runs" / kind, kind)
    for folder in ("results", "sampled"):
        names = {path.name for one in (out, whole) for path in (one / folder).iterdir()}
        for name in sorted(names):
            if not (out / folder / name / "summary.json").is_file():
                yield f"{folder}/{name} has no summary"
            elif ".aside-" not in name:
                yield from other_result(out / folder / name, whole / folder / name)
    tables = [one / "leaderboard.csv" for one in (out, whole)]
    if not tables[0].is_file() or lines(tables[0]) != lines(tables[1]):
        yield "its table isn't whole"


def _edited(made: Ground, out: Path) -> None:
    """A result of whose answers some are read otherwise by now."""
    shutil.copytree(made.result(), out)
    samples = out / "samples.jsonl"
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    for row in rows[::_EVERY]:
        row["text"] = _OTHER
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    samples.write_text(text, encoding="utf-8")
    (out / ".samples.jsonl.fresh").touch()  # of a rescoring that was killed


def _read_otherwise(out: Path, whole: Path) -> Iterator[str]:
    ours, theirs = (
        [path.read_bytes() for path in (one / "samples.jsonl", *one.glob("samples.before-*"))]
        for one in (out, whole)
    )
    if ours != theirs:
        yield f"other samples, or not those of before: {len(ours)} files for {len(theirs)}"
    if timeless(out) != timeless(whole):
        yield f"the summary is another: {timeless(out)}"


def _half_prepared(made: Ground, out: Path) -> None:
    """A cache whose maker was killed at its beginning."""
    path = prepare("train", spec=str(made.zipped()), cache_dir=out)
    path.unlink()
    (path.parent / "members").mkdir()


def copy_checkpoints(made: Ground, folder: Path) -> None:
    """Puts the checkpoints of the run that was stopped into a state folder of their own."""
    paths = [row.state_path or row.sampler_path or "" for row in read_checkpoints(made.stopped())]
    runs = {path.removeprefix("tinker://").partition("/")[0] for path in paths}
    for kept in made.state.iterdir():
        if unquote(kept.name) in runs:
            shutil.copytree(kept, folder / kept.name)


def _run_and_checkpoints(made: Ground, out: Path) -> None:
    _copied(made.stopped(), out / "run")
    copy_checkpoints(made, out / "state")


def _oldest(made: Ground) -> str:
    return next(row.name for row in read_checkpoints(made.stopped()) if row.state_path)


def _deleting(made: Ground, out: Path) -> Arguments | None:
    if _oldest(made) in [row.name for row in read_checkpoints(out / "run")]:
        return made.errands["checkpoints delete"].command(out)
    return None


def _copied(run: Path, out: Path) -> None:
    shutil.copytree(run, out)


def _resuming(out: Path) -> Arguments | None:
    return None if standing(out) == "finished" else ["runs", "resume", out]


def _branching(made: Ground, out: Path) -> Arguments:
    return ["runs", "branch", f"{made.stopped()}@{_oldest(made)}", f"log_path={out}"]
