"""A run that goes on is the run that began, whatever has become since of defaults and of its start."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import KLReference, LearnConfig, RLConfig, SFTConfig
from geospot.errors import ModelNotFoundError, ResultMismatchError, UsageError
from geospot.learning.connect import Connected, connect
from geospot.runs.control import resume_settings
from geospot.sft import run
from tests.support.learning import checkpoint_rows, rows_of, small

PROMPT = "Which place is this?"


@pytest.fixture(scope="module")
def runs(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and one of four steps that started from it and learned another question."""
    folder = tmp_path_factory.mktemp("runs")
    _train(small(url, folder / "start", max_steps=1))
    said = {"model_name": None, "load_checkpoint_path": str(folder / "start"), "prompt": PROMPT}
    _train(small(url, folder / "run", max_steps=4, save_every=2, **said))
    return folder / "start", folder / "run"


@pytest.fixture
def start(runs: tuple[Path, Path], tmp_path: Path) -> Path:
    """The run that was started from, in a copy of its own."""
    return Path(shutil.copytree(runs[0], tmp_path / "start"))


@pytest.fixture
def broken_off(runs: tuple[Path, Path], start: Path, tmp_path: Path) -> Path:
    """The other as if it had been killed after its second step was saved."""
    path = Path(shutil.copytree(runs[1], tmp_path / "run"))
    rows = (path / "checkpoints.jsonl").read_text().splitlines(keepends=True)
    (path / "checkpoints.jsonl").write_text(rows[0])
    config = json.loads((path / "config.json").read_text())
    _write(path, config | {"load_checkpoint_path": str(start), "log_path": str(path)})
    return path


def _write(run: Path, config: dict[str, Any]) -> None:
    (run / "config.json").write_text(json.dumps(config))


def _config(run: Path) -> dict[str, Any]:
    return json.loads((run / "config.json").read_text())


def _train(settings: dict[str, Any]) -> None:
    asyncio.run(run(SFTConfig(**settings)))


def _connected(config: LearnConfig) -> Connected[Any]:
    connected = connect(config)
    connected.service.close()
    return connected


def _going_on(url: str, path: Path, **said: Any) -> SFTConfig:
    """Nothing is said but where the run is, and who computes."""
    usual: dict[str, Any] = {
        "service": url,
        "log_path": path,
        "behavior_if_log_dir_exists": "resume",
    }
    return SFTConfig(**(usual | said))


@pytest.mark.parametrize("by", ["its command", "geospot runs resume"])
def test_it_goes_on_though_what_it_started_from_is_gone(
    runs: tuple[Path, Path], url: str, start: Path, broken_off: Path, by: str
) -> None:
    shutil.rmtree(start)
    (broken_off / "heartbeat.json").unlink()
    config = _going_on(url, broken_off, load_checkpoint_path=str(start))
    if by == "geospot runs resume":
        _, settings = resume_settings(broken_off)
        config = SFTConfig(**settings)
    asyncio.run(run(config))
    assert checkpoint_rows(broken_off)[-1]["batch"] == 4
    assert rows_of(broken_off) == rows_of(runs[1])


def test_what_nobody_says_is_as_it_was(url: str, broken_off: Path, tmp_path: Path) -> None:
    """Also the model, where the service would choose another by now, and a prompt of one's own."""
    before = _config(broken_off)
    connected = _connected(_going_on(url, broken_off))
    assert connected.model.name == "geospot/tiny-vlm-scratch"
    new = SFTConfig(service=url, log_path=tmp_path / "new")  # where the tests run may be a runs/sft
    assert _connected(new).model.name == "geospot/tiny-vlm"
    assert (connected.prompt.name, connected.prompt.text) == ("inline", PROMPT)
    assert connected.settings() == {
        name: value for name, value in before.items() if name not in ("kind", "provenance")
    } | {"behavior_if_log_dir_exists": "resume"}


def test_the_command_that_is_made_from_its_config_says_the_same(url: str, broken_off: Path) -> None:
    before = _config(broken_off)
    (broken_off / "heartbeat.json").unlink()
    kind, settings = resume_settings(broken_off)
    again = _connected(SFTConfig(**settings)).settings()
    assert kind == "sft"
    assert {name: before[name] for name in again} == again | {"behavior_if_log_dir_exists": "ask"}
    assert again["service"] == url


def test_what_somebody_says_counts(url: str, broken_off: Path) -> None:
    with pytest.raises(ResultMismatchError, match="batch_size: 4 there, 2 asked for"):
        asyncio.run(run(_going_on(url, broken_off, batch_size=2)))
    with pytest.raises(
        ResultMismatchError, match=r"load_checkpoint_path: .*start.* there, 'other'"
    ):
        asyncio.run(run(_going_on(url, broken_off, load_checkpoint_path="other")))
    with pytest.raises(ResultMismatchError, match="prompt: 'inline' there, 'tiny' asked for"):
        asyncio.run(run(_going_on(url, broken_off, prompt="tiny")))
    assert _connected(_going_on(url, broken_off, keep_checkpoints=7)).config.keep_checkpoints == 7


def test_a_new_run_takes_nothing_from_the_one_that_is_set_aside(url: str, broken_off: Path) -> None:
    config = _going_on(url, broken_off, behavior_if_log_dir_exists="delete")
    assert _connected(config).config.batch_size == 16  # the recipe's
    rl = RLConfig(service=url, log_path=broken_off, behavior_if_log_dir_exists="resume")
    assert _connected(rl).start.state_path is None  # a run of another kind is none of its own


def test_a_config_that_says_nonsense_is_named(url: str, broken_off: Path) -> None:
    _write(broken_off, _config(broken_off) | {"num_epochs": "many"})
    with pytest.raises(UsageError, match=r"run/config\.json: num_epochs: input should be"):
        connect(_going_on(url, broken_off))


def test_its_start_stays_the_one_it_had(url: str, start: Path, broken_off: Path) -> None:
    """Though the run that it names has a newer final checkpoint."""
    before = checkpoint_rows(start)[-1]["state_path"]
    assert _config(broken_off)["start_path"] == before
    newer = checkpoint_rows(broken_off)[-1] | {"name": "final", "final": True}
    with (start / "checkpoints.jsonl").open("a") as file:
        file.write(json.dumps(newer) + "\n")
    connected = _connected(_going_on(url, broken_off))
    assert connected.start.state_path == connected.settings()["start_path"] == before


def test_a_run_of_an_older_geospot_looks_its_start_up(
    url: str, start: Path, broken_off: Path
) -> None:
    config = _config(broken_off)
    began = config.pop("start_path")
    _write(broken_off, config)
    assert _connected(_going_on(url, broken_off)).settings()["start_path"] == began
    shutil.rmtree(start)
    with pytest.raises(UsageError, match="can't be read"):
        connect(_going_on(url, broken_off))


@pytest.mark.parametrize("reference", ["start", "base"])
def test_a_start_that_is_gone_is_missed_only_by_who_measures_the_distance_to_it(
    url: str, start: Path, tmp_path: Path, reference: KLReference
) -> None:
    path = tmp_path / "rl"
    path.mkdir()
    said: dict[str, Any] = {
        "service": url,
        "log_path": path,
        "behavior_if_log_dir_exists": "resume",
    }
    begun = RLConfig(
        **said, load_checkpoint_path=str(start), kl_penalty_coef=0.1, kl_reference=reference
    )
    _write(path, _connected(begun).settings() | {"kind": "rl"})
    assert _connected(RLConfig(**said)).config.kl_penalty_coef == 0.1
    gone = f"tinker://{'0' * 8}/weights/gone"
    _write(path, _config(path) | {"start_path": gone})
    if reference == "base":
        assert _connected(RLConfig(**said)).start.state_path == gone
        return
    with pytest.raises(ModelNotFoundError, match=f"kl_reference=start measures .* {gone} any more"):
        connect(RLConfig(**said))


def test_a_start_that_the_service_does_not_have_is_looked_for_at_this_service(
    url: str, tmp_path: Path
) -> None:
    gone = f"tinker://{'0' * 8}/weights/gone"
    with pytest.raises(ModelNotFoundError, match=f"has no checkpoint {gone}") as missing:
        connect(RLConfig(service=url, log_path=tmp_path / "rl", load_checkpoint_path=gone))
    assert f"geospot checkpoints list --service {url}" in missing.value.advice
