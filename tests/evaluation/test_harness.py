"""Asking: limits, lessons, several answers an image, and what leaves the machine."""

import asyncio
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from geospot.config.evaluation import AskConfig
from geospot.errors import (
    KeyMissingError,
    ModelNotFoundError,
    ResultFormatError,
    ResultMismatchError,
    UnreachableError,
)
from geospot.evaluation.harness import Settings
from geospot.evaluation.locate import locate
from geospot.evaluation.results import read_records
from geospot.outcomes import Outcome
from tests.support.approx import approx
from tests.support.evaluating import FAST, Listener, records, run, sent_digests
from tests.support.osv_tree import make_osv_tree
from tests.support.photos import make_photo
from tests.support.vlm_server import Asked, Behaviour, VlmServer, dead_port


def test_images_go_out_byte_for_byte_and_tagged_ones_without_their_tags(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "clean", images=4)
    make_osv_tree(tmp_path / "tagged", images=4, exif=True)
    for tree in ("clean", "tagged"):
        with VlmServer() as server:
            run(tmp_path / tree, server.base_url, tmp_path / f"out-{tree}")
            sent = {asked.image for asked in server.log.asked}
        stored: set[bytes] = set()
        for archive in (tmp_path / tree).rglob("*.zip"):
            with zipfile.ZipFile(archive) as images:
                stored |= {images.read(n) for n in images.namelist() if n.endswith(".jpg")}
        assert len(sent) == 4
        assert all(b"Exif" not in (image or b"") for image in sent)
        assert (sent == stored) is (tree == "clean")


def test_several_answers_an_image(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=5)
    answers = ["52.5, 13.4", "48.9, 2.4", "no idea"]
    with VlmServer(lambda asked: Behaviour(text=answers[asked.attempt])) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", samples=3)
        assert server.log.per_image.most_common() == [
            (digest, 3) for digest, _ in server.log.per_image.most_common()
        ]
    keys = {(r.id, r.draw) for r in read_records(tmp_path / "out" / "samples.jsonl")}
    assert len(keys) == 15
    assert done.summary["n"] == 5
    assert done.summary["samples_per_image"] == 3
    assert done.summary["outcomes"]["ok"] == 10
    assert done.summary["coverage"] == approx(2 / 3)
    assert done.summary["spread"]["geoscore"] > 0


def test_the_window_shrinks_when_the_server_says_429_and_every_sample_is_answered(
    tmp_path: Path,
) -> None:
    make_osv_tree(tmp_path / "osv", images=80)
    refused: list[Asked] = []

    def at_most_four(asked: Asked) -> Behaviour:
        if server.log.in_flight > 4:
            refused.append(asked)
            return Behaviour(kind="status", status=429, headers=(("retry-after", "0.02"),))
        return Behaviour(latency_s=0.03, once=lambda: bool(refused))

    settings = Settings(concurrency=32, max_retries=3, backoff_s=0.01, patience_s=60.0)
    with VlmServer(at_most_four) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", settings=settings)
        refusals = len(server.log.asked) - 80
    assert done.summary["outcomes"]["ok"] == 80
    assert 0 < refusals < 80


def test_a_parameter_that_the_model_refuses_is_learned_once_and_recorded(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=10)
    bad: list[str] = []

    def picky(asked: Asked) -> Behaviour:
        for name in ("max_tokens", "temperature"):
            if name in asked.body:
                bad.append(name)
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                body = {"error": {"message": message, "code": "unsupported_parameter"}}
                return Behaviour(kind="status", status=400, body=body)
        assert asked.body["max_completion_tokens"] == 4096
        return Behaviour()

    with VlmServer(picky) as server:
        done = run(
            tmp_path / "osv", server.base_url, tmp_path / "out", settings=Settings(concurrency=1)
        )
    assert bad == ["max_tokens", "temperature"]
    assert done.summary["outcomes"]["ok"] == 10
    assert done.manifest["backend"]["learned"] == [
        "max_completion_tokens instead of max_tokens",
        "no temperature",
    ]
    again = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert again.manifest["backend"]["learned"] == done.manifest["backend"]["learned"]


def test_a_blind_server_is_found_before_the_photos_are_spent(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    for blind in (True, False):
        view = Listener()
        with VlmServer(blind=blind) as server:
            done = run(tmp_path / "osv", server.base_url, tmp_path / f"{blind}", view=view)
        assert done.manifest["canary"]["passed"] is not blind
        assert done.summary["canary"]["passed"] is not blind
        assert any("CANARY FAILED" in warning for warning in view.warned) is blind


def test_answers_given_blindly_stay_marked_when_the_server_sees_again(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=20)
    prices: dict[str, Any] = {"price_in": 1000.0, "price_out": 2500.0}  # one dollar an answer
    slow, view = Settings(concurrency=2), Listener()
    with VlmServer(blind=True) as server:
        where = (tmp_path / "osv", server.base_url, tmp_path / "out")
        first = run(*where, settings=slow, max_cost=5.0, **prices)
        assert 0 < first.summary["outcomes"]["ok"] < 20
        server.blind = False
        second = run(*where, view=view, **prices)
        assert second.ending == "complete"
        assert second.summary["canary"]["passed"] is False
        assert any("may have been given blindly" in warning for warning in view.warned)
        third = run(*where, resume=False)
    assert third.summary["canary"]["passed"] is True


def test_an_answer_that_was_never_asked_for_gets_a_sentence(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    with VlmServer() as server:
        where = (tmp_path / "osv", server.base_url, tmp_path / "out")
        run(*where)
        lines = tmp_path / "out" / "samples.jsonl"
        row = json.loads(lines.read_text().splitlines()[0])
        for change in ({"id": "another"}, {"draw": 1}):
            lines.write_text(json.dumps(row | change) + "\n")
            with pytest.raises(ResultFormatError, match="isn't asked here"):
                run(*where)


def test_answers_cut_off_by_the_token_limit_are_failures_and_are_warned_of(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=8)
    view = Listener()
    cut = Behaviour(text="Let me think about the vegetation. The", finish_reason="length")
    with VlmServer(lambda asked: cut if int(asked.digest, 16) % 2 else Behaviour()) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", view=view, max_tokens=99)
        assert {asked.body["max_tokens"] for asked in server.log.asked} == {99}
        cuts = sum(int(asked.digest, 16) % 2 for asked in server.log.asked)
    assert done.summary["outcomes"]["unparsed"] == cuts
    warned = [warning for warning in view.warned if "cut off at 99 tokens" in warning]
    assert 0 < cuts < 8
    assert len(warned) == 1


def test_the_canary_can_be_left_out_and_says_so(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    with VlmServer(blind=True) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", canary=False)
        assert server.log.paths["/v1/chat/completions"] == 3  # the probe and two photos
    assert done.manifest["canary"] == {"asked": False, "passed": None, "detail": ""}


def test_the_cost_limit_leaves_the_rest_unasked_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=40)
    prices: dict[str, Any] = {"price_in": 1000.0, "price_out": 2500.0}  # one dollar an answer
    slow = Settings(concurrency=4)
    with VlmServer() as server:
        first = run(
            tmp_path / "osv",
            server.base_url,
            tmp_path / "out",
            settings=slow,
            max_cost=10.0,
            **prices,
        )
        assert first.ending == "incomplete"
        asked = first.summary["outcomes"]["ok"]
        assert 10 <= asked <= 14
        assert first.summary["not_asked"] == 40 - asked
        assert first.summary["cost_usd"] == asked
        second = run(tmp_path / "osv", server.base_url, tmp_path / "out", max_cost=100.0, **prices)
        assert server.log.per_image.total() == 40
    assert second.ending == "complete"
    assert second.summary["cost_usd"] == 40.0


def test_wrong_key_unknown_model_and_nobody_there_come_before_the_data_set(tmp_path: Path) -> None:
    nowhere = tmp_path / "no-such-data-set"
    with VlmServer(key="right") as server, pytest.raises(KeyMissingError, match="refuses the key"):
        run(nowhere, server.base_url, tmp_path / "out")
    with VlmServer(models=["some-vlm-v2"]) as server:
        with pytest.raises(ModelNotFoundError) as unknown:
            run(nowhere, server.base_url, tmp_path / "out")
        assert "some-vlm-v2" in str(unknown.value)
    with dead_port() as port, pytest.raises(UnreachableError, match="Nothing answers"):
        run(nowhere, f"http://127.0.0.1:{port}/v1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_key_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(KeyMissingError, match="OPENAI_API_KEY"):
        run("world", "https://api.openai.com/v1", tmp_path / "out")
    with pytest.raises(KeyMissingError, match="MY_KEY"):
        run("world", "http://127.0.0.1:1/v1", tmp_path / "out", api_key_env="MY_KEY")


def test_a_key_revoked_in_the_middle_ends_the_run_and_keeps_what_was_answered(
    tmp_path: Path,
) -> None:
    make_osv_tree(tmp_path / "osv", images=30)
    revoked = Behaviour(kind="status", status=401)
    with VlmServer(lambda _: Behaviour() if len(server.log.asked) <= 12 else revoked) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
        asked = len(server.log.asked)
    assert done.ending == "incomplete"
    assert "refuses the key" in (done.reason or "")
    assert done.summary["outcomes"]["ok"] == 12
    assert done.summary["not_asked"] == 18
    assert asked <= 12 + FAST.concurrency


def test_a_key_goes_only_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-belongs-to-openai")
    monkeypatch.setenv("LOCAL_KEY", "local-secret")
    for name, expected in ((None, "Bearer no-key-needed"), ("LOCAL_KEY", "Bearer local-secret")):
        with VlmServer() as server:
            run(tmp_path / "osv", server.base_url, tmp_path / str(name), api_key_env=name)
            assert {a.headers["authorization"] for a in server.log.asked} == {expected}


def test_loopback_works_behind_a_proxy_that_cannot_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    with dead_port() as port, VlmServer() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert done.ending == "complete"


def test_a_dead_server_ends_the_run_whatever_images_are_broken_between(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=60, extracted=True)
    for number, photo in enumerate(sorted((tmp_path / "osv").rglob("*.jpg"))):
        if number % 3 == 0:
            photo.write_bytes(b"")
    with VlmServer(lambda _: Behaviour(kind="status", status=500)) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", canary=False)
    assert "in a row got no answer" in (done.reason or "")
    assert done.summary["not_asked"] > 0


def test_another_configuration_does_not_get_into_the_directory(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=4)
    with VlmServer() as server:
        run(tmp_path / "osv", server.base_url, tmp_path / "out")
        with pytest.raises(ResultMismatchError, match=r"prompt\.sha"):
            run(tmp_path / "osv", server.base_url, tmp_path / "out", prompt="json")
        with pytest.raises(ResultMismatchError, match=r"config\.renderer"):
            run(tmp_path / "osv", server.base_url, tmp_path / "out", renderer="qwen3_vl")
        with pytest.raises(ResultMismatchError, match=r"config\.seed"):
            run(tmp_path / "osv", server.base_url, tmp_path / "out", seed=1)
        again = run(
            tmp_path / "osv", server.base_url, tmp_path / "out", prompt="json", resume=False
        )
    assert again.ending == "complete"
    assert len(list(tmp_path.glob("out.aside-*"))) == 1


def test_a_position_in_exif_that_is_nowhere_has_no_distance(tmp_path: Path) -> None:
    places = [(95.0, 10.0), (0.0, 0.0), (10.5, 20.5)]
    photos = [tmp_path / f"{number}.jpg" for number in range(3)]
    for photo, place in zip(photos, places, strict=True):
        photo.write_bytes(make_photo(photo.name, gps=place))
    with VlmServer(lambda _: Behaviour(text="10.5, 20.5")) as server:
        asked = locate(photos, AskConfig(base_url=server.base_url, model="some-vlm"))
        found = asyncio.run(asked)
    assert [one.record.outcome for one in found if one.record] == [Outcome.OK] * 3
    assert [one.exif_distance_km for one in found] == [None, None, approx(0.0, abs=0.001)]


def test_a_finished_directory_asks_nobody(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=3)
    with VlmServer() as server:
        base_url = server.base_url
        first = run(tmp_path / "osv", base_url, tmp_path / "out")
    again = run(tmp_path / "osv", base_url, tmp_path / "out")  # the server is gone
    assert again.summary == first.summary


def test_a_prompt_that_looks_like_our_own_placeholders_arrives_whole(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    text = 'Where? {IMAGE} {"a": "\\u2028"} data:image/jpeg;base64, 日本'
    (tmp_path / "prompt.txt").write_text(text, encoding="utf-8")
    with VlmServer() as server:
        run(
            tmp_path / "osv",
            server.base_url,
            tmp_path / "out",
            prompt=str(tmp_path / "prompt.txt"),
            system_prompt="You are {IMAGE}",
            extra_body={"top_p": 0.25},
        )
        body = server.log.asked[0].body
    assert body["top_p"] == 0.25
    assert body["messages"][0] == {"role": "system", "content": "You are {IMAGE}"}
    assert body["messages"][1]["content"][1] == {"type": "text", "text": text}


@pytest.mark.skipif(
    "GEOSPOT_OSV5M" not in os.environ, reason="GEOSPOT_OSV5M is not set: no real files"
)
def test_real_osv5m_images_with_answers_of_every_kind(tmp_path: Path) -> None:
    root = Path(os.environ["GEOSPOT_OSV5M"])
    kinds = [
        (Behaviour(), Outcome.OK),
        (Behaviour(text="35.6762° N, 139.6503° E"), Outcome.OK),
        (Behaviour(text="I'm unable to determine the location."), Outcome.REFUSAL),
        (Behaviour(text="A road."), Outcome.UNPARSED),
        (Behaviour(text="City: Lima\nCountry: Peru"), Outcome.PLACE_ONLY),
        (Behaviour(text="Latitude: 99.5\nLongitude: 10.5"), Outcome.OUT_OF_RANGE),
        (Behaviour(kind="status", status=413), Outcome.IMAGE_ERROR),
    ]
    digests = sorted(sent_digests(root).values())
    plan = {digest: kinds[at % len(kinds)] for at, digest in enumerate(digests)}
    with VlmServer(lambda asked: plan[asked.digest][0]) as server:
        done = run(root, server.base_url, tmp_path / "out")
    assert len(digests) == done.summary["n"]
    assert sorted(r.outcome for r in records(tmp_path / "out").values()) == sorted(
        outcome for _, outcome in plan.values()
    )
    assert done.ending == "complete"
