"""How each command of the program is tried where keys and places are planted, and how it has to end.

They are in the order in which they are run: what one leaves is what the next reads.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from geospot.cli import app
from tests.drills.planted import KEYS, PASSWORD, planted_photos
from tests.support.evaluating import environment

OK: Final = 0
FAILED: Final = 1
WRONG: Final = 2
INCOMPLETE: Final = 3
INTERRUPTED: Final = 130
MODEL: Final = "geospot/tiny-vlm"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to run a command.

    Attributes:
        code: what it has to end with.
        keys: whose keys have to be sent, each to the server that it belongs to; no other may be.
        interrupt_at: it would go on, and is interrupted when it has said this.
        crashes: it is meant to end with a traceback, which must hold no secret either.
        screen: texts that have to come on its screen, each before the keys behind it are pressed; then it
            is run in a terminal.
    """

    arguments: tuple[str, ...]
    code: int = OK
    keys: tuple[str, ...] = ()
    interrupt_at: bytes = b""
    crashes: bool = False
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    screen: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers are, each behind its ear."""

    chat: str
    """Knows MY_OWN_KEY; `/v1` is included."""
    tinker: str
    """Knows TINKER_API_KEY."""
    hub: str
    """Knows HF_TOKEN."""
    tells_401: str
    tells_500: str
    redirects: str
    """To `stranger`, which must be sent no key."""
    stranger: str
    nobody: str


def make_place(folder: Path, urls: Urls) -> dict[str, str]:
    """Where the commands are run: a home, a data set whose photos tell their place; its environment."""
    (folder / "photos").mkdir(parents=True)
    lines = ["file_name,latitude,longitude"]
    for number, (name, photo) in enumerate(planted_photos().items()):
        (folder / "photos" / name).write_bytes(photo)
        lines.append(f"{name},{10 + number},{20 + number}")
    (folder / "photos" / "metadata.csv").write_text("\n".join(lines) + "\n")
    (folder / "answers.csv").write_text('id,text\n0.jpg,"10.0, 20.0"\n1.png,no\n')
    (folder / "key.toml").write_text(f'backend = "openai"\napi_key = "{KEYS["MY_OWN_KEY"]}"\n')
    (folder / "home").mkdir()
    _add_plugin(folder / "plugin")
    return environment(
        {
            **KEYS,
            "HOME": str(folder / "home"),
            "GEOSPOT_CACHE": str(folder / "cache"),
            "GEOSPOT_STATE_DIR": str(folder / "state"),
            "HF_HOME": str(folder / "hf"),
            "HF_ENDPOINT": urls.hub,
            "TINKER_BASE_URL": urls.tinker,
            "PYTHONPATH": ":".join([str(folder / "plugin"), *filter(None, sys.path)]),
        }
    )


def _add_plugin(folder: Path) -> None:
    """A third party's backend that has a bug, with a key in its local variables."""
    info = folder / "breaking_backend-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: breaking-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[geospot.backends]\nbreaking = breaking_backend:create\n"
    )
    (folder / "breaking_backend.py").write_text(
        "import os\n\n\nclass Breaking:\n"
        '    name, model, needs_image, remote = "breaking", "m", True, False\n\n'
        "    def __init__(self, options):\n        self.options = options\n\n"
        "    async def check(self):\n        pass\n\n"
        "    def describe(self):\n        return {}\n\n"
        "    async def aclose(self):\n        pass\n\n"
        "    async def ask(self, question):\n"
        '        key, photo = os.environ["MY_OWN_KEY"], question.image\n'
        '        raise RuntimeError("a bug")\n\n\n'
        "create = Breaking\n"
    )


Step = tuple[str, Case]
"""A command's words, and how it is run."""


def all_steps(urls: Urls) -> list[Step]:
    """Every run of a command, in the order in which they stand on each other."""
    return [
        *_asking(urls),
        *_training(urls),
        *_runs(),
        *_checkpoints(urls),
        *_files(),
        *_others(urls),
    ]


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


def _asking(urls: Urls) -> Iterator[Step]:
    ask = ("--backend", "openai", "--model", "some-vlm")
    photos = ("--dataset", "photos", "--limit", "all")
    with_password = urls.chat.replace("http://", f"http://planter:{PASSWORD}@")
    key = ("MY_OWN_KEY",)

    def at(url: str) -> tuple[str, ...]:
        return (*ask, "--base-url", url, "--api-key-env", "MY_OWN_KEY", "--max-retries", "0")

    yield "eval", Case((*at(urls.chat), *photos, "--out", "res"), keys=key)
    workers = ("--engine", "ray", "--workers", "2", "--out", "of-workers")
    yield "eval", Case((*at(urls.chat), *photos, *workers), keys=key)
    yield "eval", Case((*ask, "--base-url", urls.chat, *photos, "--out", "keyless"), FAILED)
    yield "eval", Case((*ask, "--base-url", with_password, *photos), WRONG)
    yield "eval", Case((*at(f"{urls.nobody}/v1"), *photos), FAILED)
    yield "eval", Case((*at(f"{urls.tells_401}/v1"), *photos), FAILED, keys=key)
    yield "eval", Case((*at(f"{urls.tells_500}/v1"), *photos), INCOMPLETE, keys=key)
    yield "eval", Case((*at(f"{urls.redirects}/v1"), *photos), FAILED, keys=key)
    named = ("--base-url", urls.chat, "--api-key-env", KEYS["MY_OWN_KEY"])
    yield "eval", Case((*ask, *photos, *named), WRONG)
    yield "eval", Case(("--config", "key.toml"), WRONG)
    yield "eval", Case(("--backend", "breaking", *photos), FAILED, crashes=True)
    of_hub = (*at(urls.chat), "--dataset", "some/photos", "--out", "of-the-hub")
    yield "eval", Case(of_hub, keys=(*key, "HF_TOKEN"))
    tiny = ("--backend", "tinker", "--model", MODEL, *photos, "--max-tokens", "32")
    yield "eval", Case((*tiny, "--out", "tiny"), keys=("TINKER_API_KEY",))
    yield "eval", Case((*tiny, "--base-url", urls.stranger), FAILED)
    near = ("photos/0.jpg", "photos/1.png", *at(urls.chat))
    yield "predict", Case(near, keys=key)
    yield "predict", Case((*near, "--json"), keys=key)
    yield "predict", Case(("photos/0.jpg", *ask, "--base-url", with_password), WRONG)
    yield "predict", Case(("photos/0.jpg", *at(f"{urls.tells_401}/v1")), FAILED, keys=key)


def _training(urls: Urls) -> Iterator[Step]:
    """Real runs of both kinds; then services that aren't there, refuse, fail, or redirect."""
    photos = ("hf_repo=photos", "split=test", "max_samples=4", "eval_limit=2", "max_tokens=48")
    model = (f"model_name={MODEL}", "batch_size=2", "save_every=1", "eval_every=1")
    key = ("TINKER_API_KEY",)
    told = {urls.nobody: (), urls.tells_401: key, urls.tells_500: key, urls.redirects: key}
    for kind, own in (("sft", "test_size=0"), ("rl", "group_size=2")):
        settings = (*photos, *model, own)
        yield kind, Case((*settings, "service=tinker", f"log_path={kind}"), keys=key)
        yield kind, Case((*settings, f"service={urls.stranger}", f"log_path={kind}-0"), FAILED)
        for number, (url, keys) in enumerate(told.items(), start=1):
            where = (f"service={url}", "api_key_env=TINKER_API_KEY", f"log_path={kind}-{number}")
            yield kind, Case((*settings, *where), FAILED, keys=keys)


def _runs() -> Iterator[Step]:
    """The real runs of `_training`; a branch goes on in the background until it is stopped."""
    key = ("TINKER_API_KEY",)
    yield "runs list", Case((".",))
    yield "runs list", Case((".", "--json"))
    yield "runs show", Case(("sft",))
    yield "runs show", Case(("rl", "--json"))
    long = ("num_epochs=5000", "eval_every=0", "log_path=branch")
    yield "runs branch", Case(("sft@final", *long), keys=key)
    yield "runs stop", Case(("branch", "--wait"), keys=key)
    yield "runs resume", Case(("branch",), keys=key)
    # Each text but the first is on no screen before, and what was shown once is found for ever.
    keys_pressed = (("branch", "\r"), ("Histograms", "l"), ("Newest", "?"), ("This screen", "\x11"))
    yield "tui", Case((".",), keys=key, screen=keys_pressed)
    yield "runs stop", Case(("branch", "--now", "--yes"), keys=key)
    yield "runs stop", Case(("sft",), WRONG)


def _checkpoints(urls: Urls) -> Iterator[Step]:
    key, hosted = ("TINKER_API_KEY",), ("--service", "tinker")
    refused = ("--service", urls.tells_401, "--api-key-env", "TINKER_API_KEY")
    yield "checkpoints list", Case(("--service", "local"))
    yield "checkpoints list", Case((*hosted, "--json"), keys=key)
    yield "checkpoints list", Case(("--service", urls.stranger), FAILED)
    yield "checkpoints list", Case(refused, FAILED, keys=key)
    yield "checkpoints show", Case(("sft", *hosted), keys=key)
    yield "checkpoints show", Case(("rl@final",))
    yield "checkpoints export", Case(("sft", "adapter", *hosted), keys=key)
    yield "checkpoints export", Case((MODEL, "exported"))
    yield "checkpoints delete", Case(("rl@000001", *hosted, "--yes"), keys=key)


def _files() -> Iterator[Step]:
    hub = ("HF_TOKEN",)
    yield "score", Case(("answers.csv", "--dataset", "photos", "--out", "scored"))
    yield "rescore", Case(("res",))
    yield "report", Case(("res", "tiny", "--html", "res.html"))
    yield "report", Case(("rl", "--html", "rl.html"))
    yield "leaderboard show", Case((".",))
    yield "leaderboard export", Case((".", "--csv", "board.csv", "--markdown", "board.md"))
    yield "leaderboard compare", Case(("res", "tiny"))
    yield "data check", Case(("photos", "--json"))
    yield "data check", Case(("some/photos", "--json"), keys=hub)
    yield "data prepare", Case(("some/photos",), WRONG)
    yield "parse", Case(("1.5, 2.5",))


def _others(urls: Urls) -> Iterator[Step]:
    key = ("TINKER_API_KEY",)
    yield "demo", Case(("--out", "demo"), INTERRUPTED, interrupt_at=b"Training ")
    own = ("--port", "0", "--api-key-env", "TINKER_API_KEY")
    yield "serve", Case(own, interrupt_at=b"Serving the Tinker protocol")
    yield "serve", Case(("--port", "0", "--api-key-env", "MY_OWN_KEY"), FAILED)
    yield "backends", Case(())
    yield "doctor", Case((), keys=key)
    yield "doctor", Case((), FAILED, env={"TINKER_BASE_URL": urls.nobody})
    yield "doctor", Case((), FAILED, env={"TINKER_BASE_URL": urls.tells_401}, keys=key)
