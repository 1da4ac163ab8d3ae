"""Every command block of the pages does what the page says, against stand-ins on loopback.

A page is a test: its commands run one after the other in a folder that has what they name. What another
test runs stands in `ELSEWHERE` with its file, what none does in `NOT_RUN` with the reason.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import hub_server
from tests.support.doc_commands import (
    ELSEWHERE,
    NOT_RUN,
    PAGES,
    ROOT,
    Command,
    StandIns,
    blocks,
    commands,
    small,
)
from tests.support.evaluating import environment
from tests.support.osv_repo import OSV5M, repo_of
from tests.support.osv_tree import make_osv_tree
from tests.support.photos import make_photo
from tests.support.serving import serving
from tests.support.vlm_server import VlmServer
from tests.support.warm import Warm

KEY = "tml-anything"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with all that the pages name, the servers that stand in for hosted ones, and the program."""

    home: Path
    there: StandIns
    warm: Warm

    def geospot(self, words: list[str], said: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        """The program with these words and this much of an environment; it is told yes where it asks."""
        kept = {
            "GEOSPOT_CACHE": str(self.home / "cache"),
            "GEOSPOT_STATE_DIR": str(self.home / "state"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return self.warm.run(words, self.home, environment(kept | said), given="y\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Generator[Place]:
    """Where the commands are run."""
    home = tmp_path_factory.mktemp("docs")
    fill(home)
    hub = home / "hub"
    for split in ("train", "test"):
        make_osv_tree(hub, split=split, images=30)
    models = ["some-vlm", "gpt-5-mini", "tiny/"]
    with (
        VlmServer(models=models) as vlm,
        hub_server.serving({OSV5M: repo_of(hub)}) as hugging,
        serving(home / "state") as tinker,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HF_ENDPOINT", hugging.url)
        yield Place(home, StandIns(vlm.base_url, tinker, home / "runs" / "sft"), warm)


def fill(home: Path) -> None:
    """The photos, tables and configuration that the pages' commands name."""
    (home / "photo.jpg").write_bytes(make_photo("one"))
    rows = "".join(f"{number}.jpg,{number}.5,2.5\n" for number in range(5))
    for folder in ("photos", "my-photos/test", "my-photos/train", "."):
        (home / folder).mkdir(parents=True, exist_ok=True)
        for number in range(5):
            (home / folder / f"{number}.jpg").write_bytes(make_photo(f"{folder}{number}"))
        if folder != ".":
            head = "lat,lon" if folder != "photos" else "Breite,Länge"
            text = f"file_name,{head}\n{rows}"
            (home / folder / "metadata.csv").write_text(text, encoding="utf-8")
    (home / "fotos.csv").write_text(f"Bild,Breite,Länge\n{rows}", encoding="utf-8")
    for tree in ("my-osv5m", "my/osv5m-folder"):
        make_osv_tree(home / tree, images=6)
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"<!-- config: (\S+) -->\n```toml\n(.*?)```", page, re.DOTALL):
        (home / name).write_text(text, encoding="utf-8")


def exported(line: str, there: StandIns) -> dict[str, str]:
    """What `export A=B C=D` sets, with the stand-ins' addresses and a key in place of `…`."""
    pairs = [word.partition("=") for word in shlex.split(line)[1:]]
    said = {name: value.replace("…", "sk-planted-docs-key") for name, _, value in pairs}
    return said | ({"TINKER_BASE_URL": there.tinker} if "TINKER_BASE_URL" in said else {})


def needed_before(page: Path, place: Place) -> None:
    """What a page's commands expect to be there from pages that are read before."""
    said = {"TINKER_API_KEY": KEY}
    if page.name in ("engine.md", "training.md"):
        run(Command("", "geospot sft hf_repo=world log_path=runs/sft"), place, said)
    if page.name == "leaderboard.md":
        evaluated(place, "old", "new")
    if page.name == "report.md":
        pytest.importorskip("matplotlib", reason="the extra report isn't installed")
        evaluated(place, "gpt", "before", "after")
        run(Command("", "geospot sft hf_repo=world log_path=runs/rl"), place, said)


def evaluated(place: Place, *names: str) -> None:
    for name in names:
        shown = f"geospot eval --backend constant --dataset world --out results/{name}"
        run(Command("", shown), place, {})


def run(command: Command, place: Place, said: dict[str, str]) -> None:
    words = small(command, place.there)
    if words[:2] == ["checkpoints", "export"]:  # pages export into one folder more than once
        shutil.rmtree(place.home / words[3], ignore_errors=True)
    done = place.geospot(words, said)
    if words[0] == "tui":  # its arguments were read, and then there was no terminal
        assert (done.returncode, "needs a terminal" in done.stderr) == (2, True), done.stderr
    else:
        assert done.returncode == 0, f"{command}\n{words}\n{done.stdout}\n{done.stderr}"
    assert "sk-planted" not in done.stdout + done.stderr


@pytest.mark.timeout(900)  # a dozen programs, one after the other
@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, place: Place) -> None:
    said: dict[str, str] = {"TINKER_API_KEY": KEY}
    done_elsewhere = {line(one) for one in commands(PAGES[0])} if page != PAGES[0] else set[str]()
    ran: set[str] = set()
    for command in commands(page):
        if command.reason is not None or command.elsewhere is not None:
            continue
        if command.line.startswith("export "):
            said |= exported(command.line, place.there)
        elif line(command) not in done_elsewhere:  # what the README says, too, is run there
            if not ran:
                needed_before(page, place)
            run(command, place, said)
            ran.add(command.line)


def line(command: Command) -> str:
    """The command with single blanks."""
    return " ".join(command.line.split())


def test_what_is_not_run_here_is_run_there_or_has_a_reason() -> None:
    everything = [command for page in PAGES for command in commands(page)]
    for start in (*NOT_RUN, *ELSEWHERE):
        assert any(one.line.startswith(start) for one in everything), (
            f"no page has {start!r} any more"
        )
    for start, at in ELSEWHERE.items():
        assert f'shown("{start}")' in (ROOT / at).read_text(encoding="utf-8"), (start, at)
    for command in everything:
        assert command.reason is None or there_is(command), command


def there_is(command: Command) -> bool:
    """Whether a command that no test runs names a target or a module that exists."""
    words = shlex.split(command.line)
    if words[0] == "make":
        return f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    return ROOT.joinpath(*words[2].split(".")).with_suffix(".py").is_file()


def test_every_block_says_its_language() -> None:
    for page in PAGES:
        for body in blocks(page, "", "bash", "console", "shell"):
            assert not re.search(
                r"^(\$ )?(geospot|make|pip|python|export) [\w-]", body, re.MULTILINE
            ), f"{page.name}: mark it as sh\n{body}"
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"^    (geospot|pip|python -m) ", text, re.MULTILINE), page.name


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name in ("README.md", "data.md")], ids=lambda page: page.stem
)
def test_python_of_a_page_runs(page: Path, place: Place) -> None:
    """That of engine.md and renderers.md runs in tests/server, of runs.md in tests/runs, of backends.md in
    tests/house, of training.md below."""
    for code in blocks(page, "python"):
        code = code.replace('open_dataset("photos/"', 'open_dataset("my-photos/"')
        assert interpreted(code, place.home).stdout


def test_the_training_page_s_python_trains(place: Place) -> None:
    [code] = blocks(ROOT / "docs" / "training.md", "python")
    small_code = code.replace('service="local"', f'service="{place.there.tinker}"').replace(
        "max_samples=640",
        "max_samples=16, test_size=4, eval_limit=2, max_steps=1, max_tokens=24, "
        'model_name="geospot/tiny-vlm-scratch"',
    )
    assert small_code.count("max_steps=1") == 1
    done = interpreted(small_code, place.home)
    steps, nll, score = done.stdout.splitlines()[-1].split()
    assert int(steps) == 1
    assert float(nll) > 0 <= float(score)


def interpreted(code: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A program of a page, in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=environment({"TINKER_API_KEY": KEY}),
    )
    assert done.returncode == 0, done.stderr
    return done
