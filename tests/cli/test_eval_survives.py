"""`geospot eval` as a process: killed, interrupted, resumed, and searched for secrets."""

import json
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from geospot.evaluation.results import read_records
from tests.support.evaluating import (
    begin_geospot,
    environment,
    geospot,
    records,
    run,
    sent_digests,
    summary,
    timeless,
    wait_for,
)
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Asked, Behaviour, Log, VlmServer

ANSWERS = [
    "52.5, 13.4",
    "48.9, 2.4",
    "I'm sorry, I can't help with that.",
    "A road.",
    "-33.9, 18.4",
]


def by_image(asked: Asked) -> Behaviour:
    """An answer that depends on the image alone, so that two runs can be compared."""
    return Behaviour(text=ANSWERS[int(asked.digest, 16) % len(ANSWERS)], latency_s=0.03)


def command(dataset: Path, base_url: str, out: Path) -> list[str | Path]:
    return [
        *("eval", "--backend", "openai", "--base-url", base_url, "--model", "some-vlm"),
        *("--dataset", dataset, "--limit", "all", "--concurrency", "6", "--out", out),
    ]


def read_if_there(file: Path) -> bytes:
    """What is in a file; nothing where it, and the process that it is about, have gone meanwhile."""
    with suppress(OSError):
        return file.read_bytes()
    return b""


def kill_after(arguments: list[str | Path], server: VlmServer, questions: int) -> None:
    """Starts the command and kills it once the server was asked so many more questions."""
    target = server.log.per_image.total() + questions
    process = begin_geospot(*arguments)
    wait_for(lambda: server.log.per_image.total() >= target or process.poll() is not None)
    process.kill()
    process.communicate()


def test_started_to_outlive_its_terminal_it_goes_on_without(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=40)
    with VlmServer(by_image) as server:
        process = subprocess.Popen(
            ["nohup", sys.executable, "-m", "geospot"]
            + [str(one) for one in command(tmp_path / "osv", server.base_url, tmp_path / "out")],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: server.log.per_image.total() >= 5 or process.poll() is not None)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 0
    assert len(records(tmp_path / "out")) == len(truth)


def test_killed_again_and_again_nothing_is_lost_or_asked_twice(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "osv", images=80)
    digests = sent_digests(tmp_path / "osv")
    lines = tmp_path / "out" / "samples.jsonl"
    with VlmServer(by_image) as server:
        whole = run(tmp_path / "osv", server.base_url, tmp_path / "whole")
        dice, server.log = random.Random(7), Log()
        arguments = command(tmp_path / "osv", server.base_url, tmp_path / "out")
        for _ in range(3):
            settled = {record.id for record in read_records(lines)}
            asked_before = {id_: server.log.per_image[digests[id_]] for id_ in settled}
            kill_after(arguments, server, dice.randrange(5, 20))
            asked_now = {id_: server.log.per_image[digests[id_]] for id_ in settled}
            assert asked_now == asked_before
            assert settled <= {record.id for record in read_records(lines)}
            with lines.open("ab") as file:
                file.write(b'{"id":"torn')
        last = geospot(*arguments)
    assert last.returncode == 0, last.stderr
    ids = [record.id for record in read_records(lines)]
    assert sorted(ids) == sorted(sample.id for sample in truth)
    assert timeless(tmp_path / "out") == timeless(tmp_path / "whole")
    assert whole.summary["outcomes"]["refusal"] > 0


def test_ctrl_c_lets_requests_under_way_end_and_keeps_everything(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=60)

    def slower(_: Asked) -> Behaviour:
        return Behaviour(latency_s=0.0 if server.log.questions <= 10 else 1.5)

    with VlmServer(slower) as server:
        arguments = command(tmp_path / "osv", server.base_url, tmp_path / "out")
        process = begin_geospot(*arguments)
        wait_for(lambda: server.log.per_image.total() >= 10)
        process.send_signal(signal.SIGINT)
        output, said = process.communicate(timeout=240)
        asked = server.log.per_image.total()
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert asked < 60
        assert len(records(tmp_path / "out")) == asked
        found = summary(tmp_path / "out")
        assert found["not_asked"] == 60 - asked
        assert found["complete"] is False
        assert "incomplete" in output.lower()
        server.plan = by_image
        assert geospot(*arguments).returncode == 0
        assert server.log.per_image.total() == 60
    assert summary(tmp_path / "out")["complete"] is True


def test_a_planted_key_is_nowhere_to_be_found(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=8)
    key = "sk-planted-7f3a9c51e2"
    seen_in_process_list: list[bool] = []

    def parrot(asked: Asked) -> Behaviour:
        listing = b"".join(map(read_if_there, Path("/proc").glob("[0-9]*/cmdline")))
        seen_in_process_list.append(key.encode() in listing)
        echoed = f"Your key is {asked.headers['authorization']}"
        if asked.attempt == 0 and len(server.log.asked) % 2:
            return Behaviour(kind="status", status=500, body={"error": {"message": echoed}})
        if len(server.log.asked) > 12:
            return Behaviour(kind="status", status=401, body={"error": {"message": echoed}})
        return Behaviour(text=f"{echoed}. 52.5, 13.4")

    with VlmServer(parrot) as server:
        arguments = command(tmp_path / "osv", server.base_url, tmp_path / "out")
        done = geospot(*arguments, "--api-key-env", "PLANTED_KEY", env={"PLANTED_KEY": key})
        doctor = geospot("doctor", "--offline", env={"OPENAI_API_KEY": key})
    assert len(server.log.asked) > 8
    assert any(asked.headers["authorization"] == f"Bearer {key}" for asked in server.log.asked)
    written = [path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file()]
    for text in (done.stdout, done.stderr, doctor.stdout, doctor.stderr, *written):
        assert key not in text
    assert not any(seen_in_process_list)
    assert "[key]" in "".join(written)
    assert "set" in doctor.stdout


def test_a_planted_key_is_not_in_a_traceback(tmp_path: Path) -> None:
    """Even a bug of ours, here a disk that is read-only, prints no key."""
    make_osv_tree(tmp_path / "osv", images=2)
    key = "sk-planted-0b8d44"
    with VlmServer() as server:
        arguments = command(tmp_path / "osv", server.base_url, Path("/proc/no-such-place"))
        done = geospot(*arguments, "--api-key-env", "PLANTED_KEY", env={"PLANTED_KEY": key})
    assert done.returncode != 0
    assert key not in done.stdout + done.stderr


def test_hostile_model_text_reaches_no_terminal(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    make_osv_tree(tmp_path / "osv", images=1, extracted=True)
    photo.write_bytes(next((tmp_path / "osv").rglob("*.jpg")).read_bytes())
    text = "City: \x1b[31mEvil\x07[bold]\u202e\nLatitude: 1.5\nLongitude: 2.5"
    with VlmServer(lambda _: Behaviour(text=text)) as server:
        shown = geospot("predict", photo, "--base-url", server.base_url, "--model", "some-vlm")
    assert shown.returncode == 0, shown.stderr
    assert "1.50000, 2.50000" in shown.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout + shown.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--model", "m", "--base-url", "http://127.0.0.1:9/v1"), 1, "Nothing answers"),
        (("--model", "m", "--base-url", "ftp://x"), 2, "no http address"),
        ((), 2, "--model"),
        (("--backend", "opnai"), 2, "Did you mean 'openai'?"),
        (("--backend", "prior", "--dataset", "nowhere/at/all"), 1, "There is no data set"),
        (("--backend", "prior", "--max-cost", "1"), 2, "price-in"),
        (("--backend", "prior", "--limit", "some"), 2, "limit"),
        (("--extra-body", "{", "--model", "m"), 2, "not valid JSON"),
        (("--config", "/nowhere.toml"), 2, "can't be read"),
    ],
)
def test_bad_usage_gets_one_sentence_and_an_exit_code(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = geospot("eval", *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=5)
    with VlmServer() as server:
        arguments = command(tmp_path / "osv", server.base_url, tmp_path / "out")
        done = geospot(*arguments, "--dry-run", "--price-in", "1", "--price-out", "5")
        assert not server.log.paths
    assert done.returncode == 0, done.stderr
    assert "requests     5" in done.stdout
    assert "$" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_run_is_read_from_toml(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=5)
    with VlmServer() as server:
        lines = [
            f'base_url = "{server.base_url}"',
            'model = "some-vlm"',
            f'dataset = "{tmp_path / "osv"}"',
            f'out = "{tmp_path / "out"}"',
            "limit = 4",
        ]
        (tmp_path / "eval.toml").write_text("\n".join(lines))
        done = geospot("eval", "--config", tmp_path / "eval.toml", "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "out")["n"] == 3


def test_predict_prints_place_coordinates_link_and_the_distance_to_exif(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1, extracted=True, exif=True)
    photo = next((tmp_path / "osv").rglob("*.jpg"))
    with VlmServer() as server:
        options = ("--base-url", server.base_url, "--model", "some-vlm")
        plain = geospot("predict", photo, *options)
        as_json = geospot("predict", photo, *options, "--json")
        missing = geospot("predict", tmp_path / "none.jpg", *options)
        server.plan = lambda _: Behaviour(text="A road.")
        vague = geospot("predict", photo, *options)
        assert all(b"Exif" not in (asked.image or b"") for asked in server.log.asked)
    assert plain.returncode == 0, plain.stderr
    assert "Berlin, Berlin, Germany" in plain.stdout
    assert "52.52000, 13.40500" in plain.stdout
    assert "openstreetmap.org/?mlat=52.52000&mlon=13.40500" in plain.stdout
    assert "from the position in its EXIF" in plain.stdout
    row = json.loads(as_json.stdout)
    assert (row["outcome"], row["latitude"], row["country"]) == ("ok", 52.52, "Germany")
    assert (missing.returncode, "isn't there" in missing.stderr) == (1, True)
    assert (vague.returncode, "unparsed" in vague.stdout) == (3, True)


def test_a_bug_of_ours_shows_no_key_either(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    key = "sk-planted-c0ffee"
    program = (
        "import geospot_backends.openai_chat as chat, geospot.cli\n"
        "async def broken(self, question):\n"
        "    key = self._key\n"
        "    raise RuntimeError('a bug')\n"
        "chat.ChatBackend.ask = broken\n"
        "geospot.cli.main()\n"
    )
    with VlmServer() as server:
        arguments = command(tmp_path / "osv", server.base_url, tmp_path / "out")
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments), "--api-key-env", "PLANTED_KEY"],
            env=environment({"PLANTED_KEY": key}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert "RuntimeError: a bug" in done.stderr
    assert done.returncode == 1
    assert key not in done.stdout + done.stderr
