"""`geospot serve` and `geospot checkpoints`, as a person runs them."""

import json
import re
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tinker
from tinker import types

from tests.support.doc_commands import shown
from tests.support.evaluating import geospot, start_geospot
from tests.support.serving import serving

pytestmark = [
    pytest.mark.xdist_group("serve"),  # an interpreter with the engine's imports takes seconds
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]

MODEL = "geospot/tiny-vlm-scratch"


def step(client: tinker.TrainingClient) -> float:
    arrays: dict[str, Any] = {"target_tokens": np.array([70, 71, 72])}
    datum = types.Datum(model_input=types.ModelInput.from_ints([65, 66, 67]), loss_fn_inputs=arrays)
    loss = client.forward_backward([datum], "cross_entropy")
    client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
    return loss.result().metrics["loss:sum"]


def test_a_killed_server_finds_its_checkpoints_again(tmp_path: Path) -> None:
    with (
        serving(tmp_path, end=signal.SIGKILL) as address,
        tinker.ServiceClient(base_url=address, api_key="tml-x") as service,
    ):
        client = service.create_lora_training_client(MODEL, rank=4, seed=1).result()
        losses = [step(client) for _ in range(3)]
        state = client.save_state("three").result().path
        sampler = client.save_weights_for_sampler("three").result().path
        fourth = step(client)
    with (
        serving(tmp_path) as address,
        tinker.ServiceClient(base_url=address, api_key="tml-x") as service,
    ):
        again = service.create_training_client_from_state_with_optimizer(state).result()
        assert step(again) == fourth  # the fourth step, from the same weights and moments
        assert fourth < losses[2] < losses[0]
        answer = (
            service.create_sampling_client(model_path=sampler)
            .result()
            .sample(types.ModelInput.from_ints([65]), 1, types.SamplingParams(max_tokens=2, seed=1))
            .result()
        )
        assert len(answer.sequences[0].tokens) == 2
    check_checkpoint_commands(tmp_path, state, sampler)


def test_a_terminal_that_closes_ends_the_server_as_ctrl_c_does(tmp_path: Path) -> None:
    with serving(tmp_path, end=signal.SIGHUP) as address:
        assert (
            httpx.get(f"{address}/api/v1/healthz", trust_env=False, timeout=60).status_code == 200
        )


def test_what_was_started_with_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what a program started now inherits
    try:
        process = start_geospot("serve", "--port", "0", "--state-dir", tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stderr is not None
        try:
            while (found := re.search(r"at (http://\S+)", process.stderr.readline())) is None:
                assert process.poll() is None
            process.send_signal(signal.SIGHUP)
            for _ in range(5):
                health = f"{found[1]}/api/v1/healthz"
                assert httpx.get(health, trust_env=False, timeout=60).status_code == 200
                time.sleep(0.1)
        finally:
            process.terminate()
        assert process.wait(timeout=120) == 0


def check_checkpoint_commands(state_dir: Path, training: str, sampler: str) -> None:
    """`geospot checkpoints` on the folder, and over the wire."""
    where = ("--state-dir", str(state_dir))
    listed = json.loads(geospot("checkpoints", "list", "--json", *where).stdout)
    assert {row["path"] for row in listed} == {training, sampler}
    assert {row["lora_rank"] for row in listed} == {4}
    shown = geospot("checkpoints", "show", training, *where).stdout
    assert MODEL in shown
    folder = state_dir.parent / f"{state_dir.name}-exported"
    assert geospot("checkpoints", "export", training, folder, *where).returncode == 0
    assert {file.name for file in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "geospot.json",
    }
    full = geospot("checkpoints", "export", training, folder, *where)
    assert full.returncode == 2
    assert "isn't empty" in full.stderr
    check_runs(where, folder, training, sampler)
    with serving(state_dir) as address:
        check_remote_commands(address, training, folder)
    assert geospot("checkpoints", "delete", training, "--yes", *where).returncode == 0
    gone = geospot("checkpoints", "show", training, *where)
    assert gone.returncode == 2
    assert "There is no checkpoint" in gone.stderr


def check_runs(where: tuple[str, str], exported: Path, training: str, sampler: str) -> None:
    """Run directories: checkpoints saved for training only are shown and exported as well."""
    run = exported.with_name(exported.name + "-run")
    run.mkdir()
    rows = run / "checkpoints.jsonl"
    early, late = "tinker://gone/weights/early", "tinker://gone/weights/late"
    rows.write_text(
        "".join(
            json.dumps(row) + "\n"
            for row in (
                {"name": "early", "state_path": early},
                {"name": "state", "state_path": training},
            )
        )
    )
    for which in (f"{run}@state", str(run)):  # the only kind there is: the newest
        shown = json.loads(geospot("checkpoints", "show", which, "--json", *where).stdout)
        assert shown["path"] == training
    copy = run.with_name(run.name + "-state")
    done = geospot("checkpoints", "export", f"{run}@state", copy, *where)
    assert done.returncode == 0, done.stderr
    same = "adapter_model.safetensors"
    assert (copy / same).read_bytes() == (exported / same).read_bytes()
    with rows.open("a") as file:
        file.write(json.dumps({"name": "both", "state_path": early, "sampler_path": sampler}))
        file.write("\n" + json.dumps({"name": "late", "state_path": late}) + "\n")
    # without a name, the one that evaluation takes
    copy = run.with_name(run.name + "-both")
    done = geospot("checkpoints", "export", run, copy, *where)
    assert done.returncode == 0, done.stderr
    assert (copy / same).read_bytes() == (exported / same).read_bytes()
    assert late in geospot("checkpoints", "show", f"{run}@late", *where).stderr
    missing = geospot("checkpoints", "show", f"{run}@none", *where)
    assert missing.returncode == 2
    assert "no checkpoint 'none'" in missing.stderr


def check_remote_commands(address: str, training: str, folder: Path) -> None:
    listed = json.loads(geospot("checkpoints", "list", "--json", "--service", address).stdout)
    assert training in {row["path"] for row in listed}
    assert (
        f"base model  {MODEL}"
        in geospot("checkpoints", "show", training, "--service", address).stdout
    )
    copy = folder.with_name(folder.name + "-remote")
    done = geospot("checkpoints", "export", training, copy, "--service", address)
    assert done.returncode == 0, done.stderr
    same = "adapter_model.safetensors"
    assert (copy / same).read_bytes() == (folder / same).read_bytes()
    after = json.loads(geospot("checkpoints", "list", "--json", "--service", address).stdout)
    assert len(after) == len(listed)  # what was saved for the download is gone again
    new = folder.with_name(folder.name + "-model")
    model = geospot("checkpoints", "export", "geospot/tiny-vlm", new, "--service", address)
    assert model.returncode == 2
    assert "geospot/tiny-vlm is a model" in model.stderr
    assert not new.exists()
    missing = geospot(
        "checkpoints", "delete", "tinker://no/weights/x", "--yes", "--service", address
    )
    assert missing.returncode == 2
    assert "There is no checkpoint" in missing.stderr


def test_clients_get_listed_models_only_and_their_errors_are_theirs(tmp_path: Path) -> None:
    folder = str(tmp_path / "secret")
    with serving(tmp_path / "state") as address:
        service = tinker.ServiceClient(base_url=address, api_key="tml-x")
        for name in ("Qwen/Qwen3-VL-2B-Instruct", folder, "~nosuchuser/x"):
            with pytest.raises(
                tinker.RequestFailedError, match="Served are geospot/tiny"
            ) as caught:
                service.create_lora_training_client(name, rank=1).result(timeout=120)
            assert caught.value.category is types.RequestErrorCategory.User
            with pytest.raises(tinker.NotFoundError, match="Served are geospot/tiny"):
                service.create_sampling_client(base_model=name).result(timeout=120)
        client = service.create_lora_training_client(MODEL, rank=1).result(timeout=120)
        refused = [client.save_state(name) for name in ("", ":" * 100, "x" * 300)]
        saved = client.save_state("fine")
        for future in refused:
            with pytest.raises(tinker.RequestFailedError) as caught:
                future.result(timeout=120)
            assert caught.value.category is types.RequestErrorCategory.User
        assert saved.result(timeout=120).path.endswith("/fine")
        service.close("success").result(timeout=120)


def test_others_are_let_in_only_with_the_key(tmp_path: Path) -> None:
    refused = geospot("serve", "--host", "0.0.0.0", "--port", "0", "--state-dir", tmp_path)
    assert refused.returncode == 2
    assert "no key is set" in refused.stderr
    unset = geospot("serve", "--api-key-env", "MY_KEY", "--port", "0", "--state-dir", tmp_path)
    assert unset.returncode == 1
    assert "MY_KEY is not set" in unset.stderr
    options = ("--host", "0.0.0.0", "--api-key-env", "MY_KEY")
    with serving(tmp_path, *options, env={"MY_KEY": "tml-secret"}) as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        for key, status in (("tml-wrong", 401), ("", 401), ("tml-secret", 200)):
            url = f"{local}/api/v1/get_server_capabilities"
            answer = httpx.get(url, headers={"X-API-Key": key}, trust_env=False, timeout=60)
            assert answer.status_code == status
        served = tinker.RestClient(base_url=local, api_key="tml-secret")
        models = served.get_server_capabilities().result().supported_models
        assert models[0].model_name == "geospot/tiny-vlm"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        port = address.rpartition(":")[2]
        done = geospot("serve", "--port", port, "--state-dir", tmp_path)
        assert done.returncode == 2
        assert f"port {port}" in done.stderr
        assert "Starting" not in done.stderr  # before torch is imported


def test_a_model_that_cannot_be_fetched_ends_in_a_sentence(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    model = "Qwen/Qwen3-VL-30B-A3B-Instruct"
    for command in (
        ("serve", "--port", "0", "--state-dir", tmp_path, "--models", model),
        ("eval", "--backend", "local", "--dataset", "world", "--limit", "1", "--model", model),
    ):
        done = geospot(*command, env=nowhere)
        assert done.returncode in (1, 2)
        said = done.stderr.replace("\n", " ")
        assert f"{model}' can't be fetched: the Hugging Face hub can't be reached" in said
        assert "geospot/tiny-vlm" in said
        assert "folder" in said
        assert "Errno" not in said


def test_the_command_of_the_page_serves_and_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """At a port that is free here."""
    [line] = shown("geospot serve")
    with serving(tmp_path, *shlex.split(line)[2:], end=signal.SIGINT) as address:
        answer = httpx.get(f"{address}/api/v1/healthz", trust_env=False, timeout=60)
        assert answer.status_code == 200
