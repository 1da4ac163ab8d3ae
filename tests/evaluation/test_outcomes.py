"""A hostile endpoint: outcomes are counted exactly as they were dealt."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from geospot.outcomes import Outcome
from tests.support.dealt import DEALT, PASSING
from tests.support.evaluating import FAST, records, run, sent_digests, summary
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Behaviour, Log, VlmServer, answer_berlin, per_image


def test_every_outcome_is_counted_as_it_was_dealt(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=3 * len(DEALT))
    digests = sent_digests(tmp_path / "osv")
    dealt = {sample.id: DEALT[at % len(DEALT)] for at, sample in enumerate(truth)}
    plans = {digests[id_]: [behaviour] for id_, (behaviour, _) in dealt.items()}
    with VlmServer(per_image(plans)) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", timeout=2.0)
    found = records(tmp_path / "out")
    assert {id_: found[id_].outcome for id_ in dealt} == {
        id_: outcome for id_, (_, outcome) in dealt.items()
    }
    expected = Counter(str(outcome) for _, outcome in dealt.values())
    counted = {name: n for name, n in done.summary["outcomes"].items() if n}
    assert counted == dict(expected)
    assert done.summary["coverage"] == expected["ok"] / len(truth)
    assert done.summary["not_asked"] == 0
    assert done.ending == "incomplete"
    for record in found.values():
        if record.outcome is not Outcome.OK:
            assert record.latitude is None
            assert record.geoscore == 0.0
            assert record.distance_km > 20015.0
        if record.outcome is Outcome.TRANSPORT_ERROR:
            assert record.text == ""
            assert record.error


def in_a_second() -> str:
    """An HTTP date about a second from now; dates have whole seconds."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


FAULTS = PASSING | {
    "429 by date": Behaviour(kind="status", status=429, headers=(("retry-after", in_a_second()),)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_that_passes_costs_a_retry_and_no_sample(tmp_path: Path, fault: Behaviour) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=6)
    digests = sent_digests(tmp_path / "osv")
    unlucky = truth[2].id
    plan = per_image({digests[unlucky]: [fault, fault, Behaviour()]})
    patience_s = 2.0 if fault.kind == "stall" else 60.0
    with VlmServer(plan) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", timeout=patience_s)
        asked = server.log.per_image
    assert done.ending == "complete"
    assert done.summary["outcomes"]["ok"] == 6
    assert asked[digests[unlucky]] == 3
    assert records(tmp_path / "out")[unlucky].attempts == 3
    assert asked.total() == 8
    events = (tmp_path / "out" / "events.jsonl").read_text()
    assert events.count('"event":"fault"') == 2


def test_rate_limits_do_not_use_up_the_retries_of_transient_faults(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=2)
    digests = sent_digests(tmp_path / "osv")
    limited = [Behaviour(kind="status", status=429, headers=(("retry-after", "0.01"),))]
    plan = per_image({digests[truth[0].id]: limited * 10 + [Behaviour()]})
    with VlmServer(plan) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert FAST.max_retries < 10
    assert done.summary["outcomes"]["ok"] == 2


def test_retry_after_is_honoured_by_everybody(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=12)
    refused: list[float] = []
    events = tmp_path / "out" / "events.jsonl"

    def was_heard() -> bool:
        return events.is_file() and '"fault"' in events.read_text()

    def plan(_: object) -> Behaviour:
        if not refused:
            refused.append(server.log.times[-1])
            return Behaviour(kind="status", status=429, headers=(("retry-after", "1.0"),))
        return Behaviour(once=was_heard)

    with VlmServer(plan) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
        later = [moment - refused[0] for moment in server.log.times[1:]]
    assert done.ending == "complete"
    # Requests that were on their way when the refusal came are let through; no other starts.
    assert sum(gap < 1.0 for gap in later) <= FAST.concurrency - 1
    assert sum(gap >= 1.0 for gap in later) >= 12 - FAST.concurrency


NO_CREDIT = {"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}}
HOPELESS = {
    "a day's pause": (
        Behaviour(kind="status", status=429, headers=(("retry-after", "86400"),)),
        "a pause of 86,400 s",
    ),
    "no credit": (Behaviour(kind="status", status=429, body=NO_CREDIT), "no credit left"),
    "payment required": (Behaviour(kind="status", status=402), "no credit left"),
}


@pytest.mark.parametrize(("answer", "said"), HOPELESS.values(), ids=HOPELESS.keys())
def test_what_waiting_cannot_mend_ends_the_run_at_once_and_keeps_what_is_there(
    tmp_path: Path, answer: Behaviour, said: str
) -> None:
    make_osv_tree(tmp_path / "osv", images=20)
    with VlmServer(lambda _: Behaviour() if len(server.log.asked) <= 5 else answer) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert done.ending == "incomplete"
    assert said in (done.reason or "")
    assert done.summary["outcomes"]["ok"] == 5
    assert done.summary["not_asked"] == 15


def test_a_server_that_dies_ends_the_run_early_and_the_next_asks_only_for_what_is_missing(
    tmp_path: Path,
) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=60)
    dead = Behaviour(kind="status", status=502)
    with VlmServer(lambda _: Behaviour() if len(server.log.asked) <= 10 else dead) as server:
        first = run(tmp_path / "osv", server.base_url, tmp_path / "out")
        assert first.ending == "incomplete"
        assert first.summary["complete"] is False
        assert first.summary["outcomes"]["ok"] == 10
        assert first.summary["not_asked"] > 0
        outcomes = sum(first.summary["outcomes"].values())
        assert outcomes + first.summary["not_asked"] == len(truth)
        answered = {id_ for id_, r in records(tmp_path / "out").items() if r.outcome is Outcome.OK}
        digests = sent_digests(tmp_path / "osv")
        server.plan, server.log = answer_berlin, Log()
        second = run(tmp_path / "osv", server.base_url, tmp_path / "out")
        asked = server.log.per_image
    assert second.ending == "complete"
    assert second.summary["outcomes"]["ok"] == len(truth)
    assert asked.total() == len(truth) - 10
    assert not {digests[id_] for id_ in answered} & set(asked)


def test_images_that_cannot_be_read_are_failures_and_are_never_sent(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ("good", "cut", "text", "gone")
    rows = ["file_name,latitude,longitude", *(f"{name}.jpg,48.1,11.5" for name in names)]
    make_osv_tree(tmp_path / "osv", images=1, extracted=True)
    photo = next((tmp_path / "osv").rglob("*.jpg")).read_bytes()
    (folder / "good.jpg").write_bytes(photo)
    (folder / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    (folder / "text.jpg").write_text("48.1, 11.5")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    with VlmServer() as server:
        done = run(folder, server.base_url, tmp_path / "out")
        assert server.log.per_image.total() == 1
    assert done.summary["outcomes"]["image_error"] == 3
    assert done.summary["outcomes"]["ok"] == 1
    assert done.ending == "complete"
    assert summary(tmp_path / "out")["coverage"] == 0.25
