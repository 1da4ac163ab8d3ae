"""Keys and the place where a photo was taken: planted, and looked for wherever a command leaves a trace.

The commands are those of the program itself, so that a new one can't be forgotten: without a case it
is lost.
"""

import base64
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from typer.main import get_command

from geospot.cli import app
from tests.drills.drill import Session, Trial, drill
from tests.support.evaluating import environment
from tests.support.photos import make_photo
from tests.support.vlm_server import BERLIN, Asked, Behaviour, VlmServer

_KEYS: Final = {
    "OPENAI_API_KEY": "sk-planted-openai-5c1f",
    "OPENROUTER_API_KEY": "sk-or-planted-router-77aa",
    "TINKER_API_KEY": "tml-planted-tinker-90be",
    "HF_TOKEN": "hf_plantedhubtoken31d",
    "HUGGING_FACE_HUB_TOKEN": "hf_plantedoldtoken88c",
    "WANDB_API_KEY": "planted0wandb0key0f00",
    "MY_OWN_KEY": "planted-own-key-4e2d",
}
_PASSWORD: Final = "planted-password-66f0"  # noqa: S105
_AT: Final = (-47.123457, 169.876543)
_LIMIT_S: Final = 240.0


def _forms() -> dict[str, list[bytes]]:
    """Each secret in all spellings in which it might be written."""
    forms: dict[str, list[bytes]] = {}
    for name, key in {**_KEYS, "password in --base-url": _PASSWORD}.items():
        raw = key.encode()
        pair = base64.b64encode(f"planter:{key}".encode())
        forms[name] = [raw, quote(key, safe="").encode(), base64.b64encode(raw).rstrip(b"="), pair]
    spelled = [f"{abs(degrees):.{digits}f}".encode() for degrees in _AT for digits in (3, 4, 6)]
    packed = [struct.pack(order + "d", degrees) for degrees in _AT for order in "<>"]
    photo = make_photo("planted", gps=_AT)
    at = photo.index(b"Exif")
    forms["place in EXIF"] = [*spelled, *packed, photo[at : at + 200]]
    return forms


@dataclass(frozen=True)
class _Case:
    """How a command is tried; `interrupt_s` for those that would go on."""

    arguments: tuple[str, ...]
    interrupt_s: float | None = None


@dataclass
class _Place:
    """Where the commands are run: a home, a folder, a data set whose photos tell their place."""

    folder: Path
    base_url: str
    env: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        photos = self.folder / "photos"
        photos.mkdir(parents=True)
        lines = ["file_name,latitude,longitude"]
        for number in range(4):
            (photos / f"{number}.jpg").write_bytes(make_photo(f"p{number}", gps=_AT))
            lines.append(f"{number}.jpg,{10 + number},{20 + number}")
        (photos / "metadata.csv").write_text("\n".join(lines) + "\n")
        (self.folder / "answers.csv").write_text('id,text\n0.jpg,"10.0, 20.0"\n1.jpg,no\n')
        (self.folder / "home").mkdir()
        self.env = environment(
            {
                **_KEYS,
                "HOME": str(self.folder / "home"),
                "GEOSPOT_CACHE": str(self.folder / "cache"),
                "GEOSPOT_STATE_DIR": str(self.folder / "state"),
                "PYTHONPATH": ":".join(path for path in sys.path if path),
                "HF_HUB_OFFLINE": "1",
            }
        )


def _cases(place: _Place) -> dict[str, list[_Case]]:
    """What each command is tried with."""
    with_password = place.base_url.replace("http://", f"http://planter:{_PASSWORD}@")
    ask = ("--backend", "openai", "--model", "some-vlm")
    near = (*ask, "--base-url", place.base_url, "--api-key-env", "MY_OWN_KEY")
    nobody = "http://127.0.0.1:9"
    train = ("max_samples=4", "batch_size=4", "max_steps=1", "hf_repo=photos")
    to_hosted = (f"service={nobody}", "model_name=some/model")
    return {
        "demo": [_Case(("--out", "demo"), 12.0)],
        "tui": [_Case((), 5.0)],
        "eval": [
            _Case((*near, "--dataset", "photos", "--out", "res")),
            _Case((*ask, "--base-url", with_password, "--dataset", "photos", "--out", "res2")),
            _Case(
                (
                    *ask,
                    "--base-url",
                    nobody + "/v1",
                    "--api-key-env",
                    "MY_OWN_KEY",
                    "--dataset",
                    "photos",
                ),
                8.0,
            ),
        ],
        "sft": [_Case((*train, *to_hosted, "log_path=sft"), 15.0)],
        "rl": [_Case((*train, *to_hosted, "log_path=rl"), 15.0)],
        "predict": [
            _Case(("photos/0.jpg", *near)),
            _Case(("photos/0.jpg", *ask, "--base-url", with_password)),
        ],
        "score": [_Case(("answers.csv", "--dataset", "photos", "--out", "scored"))],
        "rescore": [_Case(("res",))],
        "parse": [_Case(("1.5, 2.5",))],
        "report": [_Case(("res", "--html", "out.html"))],
        "serve": [_Case(("--port", "0"), 15.0)],
        "backends": [_Case(())],
        "doctor": [_Case(())],
        "runs list": [_Case((".",))],
        "runs show": [_Case(("sft",))],
        "runs stop": [_Case(("sft",))],
        "runs resume": [_Case(("sft",))],
        "runs branch": [_Case(("sft@000001",))],
        "checkpoints list": [_Case(("--service", "local"))],
        "checkpoints show": [_Case(("tinker://x/weights/y", "--service", nobody), 10.0)],
        "checkpoints export": [_Case(("geospot/tiny-vlm", "exported"))],
        "checkpoints delete": [_Case(("tinker://x/weights/y", "--yes"))],
        "leaderboard show": [_Case(("res",))],
        "leaderboard export": [_Case(("res", "--csv", "board.csv"))],
        "leaderboard compare": [_Case(("res", "scored"))],
        "data check": [_Case(("photos",))],
        "data prepare": [_Case(("photos",))],
    }


def all_commands() -> list[str]:
    """Every command of the program by its words, from the program itself."""

    def walk(command: Any, words: list[str]) -> Iterator[str]:
        if not hasattr(command, "list_commands"):
            yield " ".join(words)
            return
        context = command.context_class(command)
        for name in command.list_commands(context):
            if (below := command.get_command(context, name)) is not None:
                yield from walk(below, [*words, name])

    return list(walk(get_command(app), []))


@drill("a planted key and a planted place, looked for after each command", times=30, short=0)
def secrets(session: Session) -> Iterator[Trial]:
    """Runs every command once, with keys in the environment and in --base-url."""
    session.folder.mkdir(parents=True)
    forms = _forms()
    with VlmServer(lambda _: Behaviour(text=BERLIN)) as server:
        place = _Place(session.folder / "place", server.base_url)
        cases = _cases(place)
        for number, name in enumerate(all_commands()):
            if session.only not in (None, number):
                continue
            lost = [] if cases.get(name) else ["it has no case here: write one"]
            for case in cases.get(name, []):
                lost += _tried(place, name, case, forms, server)
            yield Trial(name, len(cases.get(name, [])), tuple(lost), number=number)


def _tried(
    place: _Place, name: str, case: _Case, forms: dict[str, list[bytes]], server: VlmServer
) -> list[str]:
    asked_before = len(server.log.asked)
    command = [sys.executable, "-m", "geospot", *name.split(), *case.arguments]
    process = subprocess.Popen(
        command,
        cwd=place.folder,
        env=place.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    listing = _Listing(" ".join(case.arguments))
    try:
        said = process.communicate(timeout=case.interrupt_s or _LIMIT_S)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            said = process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0]
    found = {f"the output of {name}": said, "a process listing": listing.end()}
    found |= {f"a request by {name}": _body(asked) for asked in server.log.asked[asked_before:]}
    found |= {f"{path.relative_to(place.folder)}": path.read_bytes() for path in _written(place)}
    lost = [
        f"{secret} is in {where}: {_around(content, form)!r}"
        for where, content in found.items()
        for secret, spellings in forms.items()
        for form in spellings
        if form in content
    ]
    if b"Traceback (most recent call last)" in said:
        lost.append(f"a traceback: {said[-800:].decode('utf-8', 'replace')}")
    return lost


def _body(asked: Asked) -> bytes:
    return (asked.image or b"") + str(asked.body).encode()


def _around(content: bytes, form: bytes) -> bytes:
    at = content.index(form)
    return content[max(0, at - 40) : at + 60]


def _written(place: _Place) -> Iterator[Path]:
    """What the commands wrote: all but the data set that they were given."""
    for path in place.folder.rglob("*"):
        if path.is_file() and place.folder / "photos" not in path.parents:
            yield path


class _Listing:
    """The command lines of all processes while a command runs, but for what was typed by the drill itself."""

    def __init__(self, typed: str) -> None:
        self._typed = typed
        self._seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes().replace(b"\0", b" ")
                except OSError:
                    continue  # it has ended meanwhile
                self._seen.add(line.replace(self._typed.encode(), b""))
            time.sleep(0.1)

    def end(self) -> bytes:
        """All lines that were seen."""
        self._over.set()
        self._thread.join()
        return b"\n".join(self._seen)
