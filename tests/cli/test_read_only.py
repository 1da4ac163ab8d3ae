"""Commands that replace and delete where the system refuses it: a sentence, and nothing is half done."""

import asyncio
import errno
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from geospot.cli.checkpoints import app
from geospot.config.evaluation import EvalConfig
from geospot.durable import WriteError
from geospot.evaluation.evaluate import evaluate
from geospot.evaluation.rescore import rescore
from geospot.runs.checkpoints import read_checkpoints
from geospot_backends.local.api import LoraSpec
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore
from tests.support.evaluating import Listener


def refuse(*_: object, **__: object) -> None:
    """As the system does; root is refused nothing, so that a mode of a folder would prove nothing."""
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("call", ["os.link", "pathlib.Path.unlink"])
def test_a_result_that_may_not_be_rescored_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    out = tmp_path / "out"
    config = EvalConfig(backend="constant", model="1.5,2.5", dataset="world", limit=2, out=out)
    asyncio.run(evaluate(config, Listener(), handle_signals=False))
    samples = out / "samples.jsonl"
    samples.write_text(samples.read_text().replace('"text":""', '"text":"3.5, 4.5"'))
    (out / ".samples.jsonl.fresh").touch()  # of a rescoring that was killed
    before = samples.read_bytes()
    with monkeypatch.context() as context:
        context.setattr(call, refuse)
        with pytest.raises(WriteError, match=r"can't be written: Permission denied\. \w"):
            rescore(out)
    assert samples.read_bytes() == before
    assert rescore(out).moved == 2
    [kept] = out.glob("samples.before-*.jsonl")
    assert kept.read_bytes() == before


def test_a_row_and_its_weights_stay_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, run = tmp_path / "state", tmp_path / "run"
    path = CheckpointPath.parse("tinker://0a1b2c:train:0/weights/a")
    CheckpointStore(state).write(path, "geospot/tiny-vlm", LoraSpec(8), lambda _: None)
    run.mkdir()
    row = {"name": "final", "state_path": str(path)}
    (run / "checkpoints.jsonl").write_text(json.dumps(row) + "\n")

    def delete() -> Result:
        command = ["delete", f"{run}@final", "--yes", "--state-dir", str(state)]
        return CliRunner().invoke(app, command)

    for call, said in (
        ("replace", r"checkpoints\.jsonl can't be written: Permission denied\. \w"),
        ("unlink", r"checkpoint .*/a can't be deleted: Permission denied\. \w"),
    ):
        with monkeypatch.context() as context:
            context.setattr(Path, call, refuse)
            refused = delete().exception
        with pytest.raises(WriteError, match=said):
            raise refused or AssertionError("it wasn't refused")
        assert [one.state_path for one in read_checkpoints(run)] == [str(path)]
        assert [one.path for one in CheckpointStore(state).all()] == [path]
    assert delete().exit_code == 0
    assert read_checkpoints(run) == []
