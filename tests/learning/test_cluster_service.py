"""Trainings on a server that answers as SkyRL 0.3.0 does where that differs from the hosted service.

docs/clusters.md says what differs. The engine is ours; what it says and is asked is put into other words.
"""

import re
import subprocess
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from geospot_backends.local.embedded import make_engine
from geospot_backends.local.http import Request, Response
from geospot_backends.local.server import EmbeddedServer, TinkerServer
from tests.support.evaluating import geospot, summary
from tests.support.learning import checkpoint_rows

MODEL: Final = "geospot/tiny-vlm"
_SETTINGS: Final = (
    *(f"model_name={MODEL}", "hf_repo=world", "coord_tau=2000", "batch_size=2", "group_size=4"),
    *("save_every=1", "keep_checkpoints=1", "eval_every=3", "eval_limit=4", "max_tokens=48"),
)
_OURS: Final = re.compile(rb'"tinker://([^/"]+)/sampler_weights/')
_THEIRS: Final = re.compile(rb'"tinker://([^/"]+)/([^/"]+)"')
_MISSING: Final = re.compile(r"/finish$|/v1/checkpoints$|external")
_JSON: Final = "application/json"


class _Dialect(TinkerServer):
    """One model by its name alone; sampler weights without the middle of their path; some addresses lack."""

    async def _handle(self, request: Request) -> Response:
        if request.method == "DELETE" or _MISSING.search(request.path):
            return Response.error(404, "Not Found")
        if request.path.endswith("/get_server_capabilities"):
            return Response.of({"supported_models": [{"model_name": MODEL}]})
        if request.headers.get("content-type") == _JSON:  # it takes both forms
            long = _THEIRS.sub(rb'"tinker://\1/sampler_weights/\2"', request.body)
            request = replace(request, body=long)
        answer = await super()._handle(request)
        if answer.content_type != _JSON:
            return answer
        return replace(answer, body=_OURS.sub(rb'"tinker://\1/', answer.body))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of such a server."""
    engine = make_engine(tmp_path_factory.mktemp("state"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geospot_backends.local.server.TinkerServer", _Dialect)
        with EmbeddedServer(engine, engine.checkpoints) as server:
            yield server.base_url


def _rl(url: str, run: Path, steps: int, *more: str) -> "subprocess.CompletedProcess[str]":
    photos = f"max_samples={2 * steps}"
    return geospot("rl", f"service={url}", f"log_path={run}", photos, *_SETTINGS, *more)


def _eval(url: str, model: str | Path, out: Path) -> "subprocess.CompletedProcess[str]":
    asked = ("--backend", "tinker", "--base-url", url, "--model", model, "--max-tokens", "48")
    return geospot("eval", *asked, "--dataset", "world", "--limit", "4", "--out", out)


def test_what_it_has_no_address_for_is_a_sentence(url: str, tmp_path: Path) -> None:
    state = "tinker://run/weights/final"
    for words, said in (
        (("list",), "doesn't list its checkpoints"),
        (("show", state), "doesn't list its checkpoints"),
        (("delete", state, "--yes"), "doesn't list its checkpoints"),
    ):
        done = geospot("checkpoints", *words, "--service", url)
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.timeout(900)  # four programs, one after the other
def test_a_run_is_trained_and_another_from_it_and_both_are_evaluated(
    url: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done = _rl(url, first, 3)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = checkpoint_rows(first)
    assert [row["name"] for row in rows] == ["eval-000000", "000002", "final", "eval-000003"]
    log = (first / "logs.log").read_text()
    assert log.count("000001 wasn't there to be deleted") == 1
    assert "WARNING" not in log
    exported = geospot("checkpoints", "export", first, tmp_path / "adapter", "--service", url)
    assert exported.returncode == 1
    assert "writes no files for other programs" in exported.stderr
    assert "Traceback" not in exported.stderr
    done = _rl(url, second, 1, f"load_checkpoint_path={first}")
    assert done.returncode == 0, done.stderr
    sampler = checkpoint_rows(second)[-1]["sampler_path"]
    assert "/sampler_weights/" in sampler
    models = {"of-the-run": first, "by-their-path": sampler.replace("/sampler_weights/", "/")}
    for name, model in models.items():
        done = _eval(url, model, tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert summary(tmp_path / name)["outcomes"]["ok"] > 0
