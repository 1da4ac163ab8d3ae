"""`geospot checkpoints` on a state folder and the run directories that know it."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from geospot.cli.checkpoints import app
from geospot.durable import BusyError, take_lock
from geospot.errors import GeospotError, UsageError
from geospot.services.archive import new_folder
from geospot_backends.local.api import LoraSpec
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.tinker_target import parse_target
from tests.support.evaluating import geospot, records
from tests.support.evaluating import run as evaluated
from tests.support.scripted_engine import ScriptedEngine

TINY = "geospot/tiny-vlm"
RUN = "0a1b2c:train:0"


def invoke(*arguments: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=answer)


def save(state: Path, name: str, kind: str = "weights", *, rank: int | None = 8) -> str:
    path = CheckpointPath.parse(f"tinker://{RUN}/{kind}/{name}")
    lora = None if rank is None else LoraSpec(rank)

    def fill(folder: Path) -> None:
        (folder / "weights").write_text(name)

    CheckpointStore(state).write(path, TINY, lora, fill)
    return str(path)


def write_run(run: Path, *rows: dict[str, str]) -> Path:
    run.mkdir()
    (run / "checkpoints.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def names(run: Path) -> list[str]:
    return [json.loads(row)["name"] for row in (run / "checkpoints.jsonl").read_text().splitlines()]


def error(result: Result) -> GeospotError:
    assert isinstance(result.exception, GeospotError), result.output
    return result.exception


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A state folder with a checkpoint of all weights of the tiny model, and its run."""
    root = tmp_path_factory.mktemp("whole")
    engine = LocalEngine(root / "state", device="cpu")
    engine.create_model(RUN, TINY, None)
    row = {
        "name": "final",
        "state_path": engine.save_weights(RUN, "final"),
        "sampler_path": engine.save_for_sampler(RUN, "final"),
    }
    run = write_run(root / "run", row)
    config = {
        "model_name": TINY,
        "renderer_name": "qwen3_vl_instruct",
        "prompt": "tiny",
        "max_image_size": 96,
    }
    (run / "config.json").write_text(json.dumps(config))
    return root / "state", run


def test_an_exported_model_is_asked_as_its_run_was(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    state, run = whole
    folder = tmp_path / "exp"
    done = invoke("export", run, folder, "--state-dir", state)
    assert done.exit_code == 0, done.output
    assert f"--model {folder}" in done.stderr
    asked = parse_target(str(folder))
    assert asked.base_model == str(folder)
    assert asked.trained.prompt is not None
    assert asked.trained.prompt.name == "tiny"
    assert (asked.trained.renderer_name, asked.trained.max_image_size) == ("qwen3_vl_instruct", 96)
    photos = ("--dataset", "world", "--split", "test", "--limit", "4")
    told = ("--temperature", "0", "--max-tokens", "64", "--out", tmp_path / "exported")
    ran = geospot("eval", "--backend", "local", "--model", folder, *photos, *told)
    assert ran.returncode == 0, ran.stderr
    engine = LocalEngine(tmp_path / "state", device="cpu")
    with EmbeddedServer(engine, engine.checkpoints) as server:
        where = (server.base_url, tmp_path / "shipped")
        evaluated("world", *where, backend="tinker", model=TINY, limit=4, max_tokens=64)
    manifest = json.loads((tmp_path / "exported" / "eval.json").read_text())
    assert manifest["prompt"]["name"] == "tiny"
    assert manifest["backend"]["exported"]["model_name"] == TINY
    assert {i: one.text for i, one in records(tmp_path / "exported").items()} == {
        i: one.text for i, one in records(tmp_path / "shipped").items()
    }


def test_a_whole_checkpoint_has_the_files_of_the_shipped_model(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    state, run = whole
    path = parse_target(str(run)).path
    for which, folder in ((path, "trained"), (TINY, "shipped")):
        done = invoke("export", which or "", tmp_path / folder, "--state-dir", state)
        assert done.exit_code == 0, done.output
    trained, shipped = tmp_path / "trained", tmp_path / "shipped"
    assert {file.name for file in trained.iterdir()} == {file.name for file in shipped.iterdir()}
    assert (trained / "model.safetensors").read_bytes() == (
        shipped / "model.safetensors"
    ).read_bytes()
    for folder in (trained, shipped):  # without a run, the tiny model's own question
        asked = parse_target(str(folder)).trained
        assert asked.prompt is not None
        assert asked.prompt.name == "tiny"
    shown = invoke("show", path or "", "--state-dir", state).stdout
    assert "LoRA rank   none (all weights)" in shown


def test_an_exported_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"LoRA adapter.*Name the run directory"):
        parse_target(str(tmp_path))


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with new_folder(folder) as draft:
            (draft / "half").write_text("x")
            raise KeyboardInterrupt

    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new", tmp_path / "there"):
        with pytest.raises(KeyboardInterrupt):
            fail(folder)
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "there").iterdir()) == []
    killed = tmp_path / "there" / ".geospot-killed"
    killed.mkdir()
    with new_folder(tmp_path / "there") as draft:
        (draft / "file").write_text("x")
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["file"]


def test_list_says_where_it_looked_and_fits_80_columns(tmp_path: Path) -> None:
    state = tmp_path / "state"
    empty = invoke("list", "--state-dir", state)
    assert "no state folder" in str(error(empty))
    state.mkdir()
    assert f"{state} has no checkpoints." in invoke("list", "--state-dir", state).stderr
    path = save(state, "000100")
    listed = invoke("list", "--state-dir", state)
    assert f"{state} has 1 checkpoint." in listed.stderr
    lines = listed.stdout.splitlines()
    assert lines[0] == path
    assert len(lines) == 2
    assert len(lines[1]) <= 80
    for run in (RUN, "0a1b2c"):
        assert path in invoke("list", "--run", run, "--state-dir", state).stdout
    unknown = error(invoke("list", "--run", "0a1b", "--state-dir", state))
    assert isinstance(unknown, UsageError)
    assert RUN in str(unknown)
    missing = error(invoke("show", "tinker://x/weights/y", "--state-dir", state))
    assert f"--state-dir {state}" in str(missing)


def test_what_a_run_saved_is_deleted_and_forgotten(tmp_path: Path) -> None:
    state = tmp_path / "state"
    both = {"state_path": save(state, "a"), "sampler_path": save(state, "a", "sampler_weights")}
    kept = {"name": "kept", "state_path": save(state, "b"), "sampler_path": both["sampler_path"]}
    gone = {"name": "gone", "state_path": f"tinker://{RUN}/weights/gone"}
    run = write_run(tmp_path / "run", {"name": "final", **both}, kept, gone)
    where = ("--state-dir", state)

    def refused(which: str) -> str:
        return str(error(invoke("delete", which, *where)))

    assert "final, kept, gone" in refused(str(run))
    assert "no checkpoint 'other'" in refused(f"{run}@other")
    assert "There is no checkpoint" in refused(f"{run}@gone")
    assert invoke("delete", f"{run}@final", *where, answer="n\n").exit_code == 1
    lock = take_lock(run, "")
    busy = invoke("delete", f"{run}@final", "--yes", *where)
    assert isinstance(busy.exception, BusyError)
    os.close(lock)
    assert names(run) == ["final", "kept", "gone"]

    done = invoke("delete", f"{run}@final", *where, answer="y\n")

    assert done.exit_code == 0, done.output
    assert all(path in done.output for path in both.values())
    assert names(run) == ["kept", "gone"]
    rest = json.loads((run / "checkpoints.jsonl").read_text().splitlines()[0])
    assert rest == {"name": "kept", "state_path": kept["state_path"]}  # the sampler was shared
    assert {str(one.path) for one in CheckpointStore(state).all()} == {kept["state_path"]}


def test_over_the_wire_base_models_are_listed_and_advice_names_the_service(
    whole: tuple[Path, Path],
) -> None:
    state, run = whole
    path = parse_target(str(run)).path or ""
    with EmbeddedServer(ScriptedEngine(), CheckpointStore(state)) as server:
        there = ("--service", server.base_url)
        rows = json.loads(invoke("list", "--json", *there).stdout)
        assert {row["base_model"] for row in rows} == {TINY}
        assert "none (all weights)" in invoke("show", path, *there).stdout
        missing = error(invoke("show", "tinker://x/weights/y", *there))
        assert f"checkpoints list --service {server.base_url}" in str(missing)
