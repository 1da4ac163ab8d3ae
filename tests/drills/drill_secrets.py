"""Keys and the place where a photo was taken: planted, and looked for wherever a command leaves a trace.

The commands are those of the program itself, so that a new one can't be forgotten: without a case it
is lost. Looked through are the command's output and screen, every file that it wrote, every byte that it sent
to any server, and command lines and environments of its processes. A key may stand in the headers that ask
its own server, and nowhere else; a child may inherit a variable, and be given no other that holds a key.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import psutil

from tests.drills.drill import Session, Trial, drill
from tests.drills.listening import Ear, telltale
from tests.drills.planted import KEYS, PLACE, leaks, planted_photos, unspelled
from tests.drills.processes import Marked
from tests.drills.secret_cases import Case, Urls, all_commands, all_steps, make_place
from tests.drills.terminal import Terminal
from tests.support.hub_server import Repo, serving
from tests.support.vlm_server import BERLIN, Behaviour, VlmServer

_LIMIT_S: Final = 240.0
_STARTS_WITHIN_S: Final = 120.0
_TRIES: Final = 3
_CROWDED: Final = b"has kept us waiting"
"""What a command says, and rightly, of a service that a crowded machine lets nobody hear of for seconds.
It is run again then: whether it is patient is another drill's to say."""
_LOOK_S: Final = 0.1
_NOBODY: Final = 9
_STAYED: Final = -9
"""For the exit code of one that the keys didn't end."""
_AT: Final = re.compile(r"at http://127\.0\.0\.1:(\d+)")


@dataclass
class _Place:
    """Where the commands are run, who listens, and what has been looked through already."""

    folder: Path
    env: dict[str, str]
    ears: list[Ear]
    seen: dict[Path, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        """The photos and the key that commands are given aren't their doing."""
        given = [*(self.folder / "photos").iterdir(), self.folder / "key.toml"]
        self.seen = {path: _stamp(path) for path in given}

    def written(self) -> Iterator[Path]:
        """Files that have been made or changed since the last call, Ray's beyond its link, too."""
        walk = os.walk(self.folder, followlinks=True)
        names = (Path(at, name) for at, _, found in walk for name in found)
        for path in names:  # a run goes on meanwhile, and its folders come and go
            with suppress(FileNotFoundError):
                stamp = _stamp(path)
                if self.seen.get(path) != stamp and path.is_file():  # sockets can't be read
                    self.seen[path] = stamp
                    yield path

    def is_copy(self, path: Path) -> bool:
        """Whether it is the hub's own client that keeps data sets there, as they are."""
        return path.relative_to(self.folder).parts[0] == "hf"


def _stamp(path: Path) -> tuple[int, int]:
    """What is another once a file has been written to."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@drill("a planted key and a planted place, looked for after each command", times=70, short=0)
def secrets(session: Session) -> Iterator[Trial]:
    """Runs every command in the order of the cases, since they stand on each other; `--only` doesn't hold."""
    session.folder.mkdir(parents=True)
    with _served(session.folder / "place") as (place, urls):
        yield Trial("the photos", 0, tuple(f"{form!r} is in no photo" for form in unspelled()))
        steps = all_steps(urls)
        for number, (name, case) in enumerate(steps):
            yield Trial(name, 1, tuple(_tried(place, name, case)), number=number)
        for name in sorted(set(all_commands()) - {name for name, _ in steps}):
            yield Trial(name, 0, ("it has no case: write one in secret_cases.py",))


@contextmanager
def _served(folder: Path) -> Generator[tuple[_Place, Urls]]:
    """Servers that take the keys, servers that repeat them, and ears in front of all."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        chat = stack.enter_context(
            VlmServer(lambda _: Behaviour(text=BERLIN), key=KEYS["MY_OWN_KEY"])
        )
        hub = stack.enter_context(serving({"some/photos": _of_hub()}))
        engine = stack.enter_context(_engine(folder))
        stranger = stack.enter_context(telltale(404))
        ears = [
            Ear("the chat server", chat.port, "MY_OWN_KEY"),
            Ear("the Tinker service", engine, "TINKER_API_KEY"),
            Ear("the hub", urlsplit(hub.url).port or 0, "HF_TOKEN"),
            Ear("a stranger", stranger),
        ]
        asked = ("MY_OWN_KEY", "TINKER_API_KEY")
        ears += [
            Ear(f"a server that says {status}", stack.enter_context(telltale(status)), *asked)
            for status in (401, 500)
        ]
        redirects = stack.enter_context(telltale(307, ears[3].url))
        ears.append(Ear("a server that redirects", redirects, *asked))
        for ear in ears:
            stack.enter_context(ear)
        urls = Urls(
            chat=f"{ears[0].url}/v1",
            tinker=ears[1].url,
            hub=ears[2].url,
            stranger=ears[3].url,
            tells_401=ears[4].url,
            tells_500=ears[5].url,
            redirects=ears[6].url,
            nobody=f"http://127.0.0.1:{_NOBODY}",
        )
        ray = stack.enter_context(TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True))
        # Somewhere else, since the paths of its sockets have to be short.
        env = make_place(folder, urls) | {"RAY_TMPDIR": ray}
        (folder / "ray").symlink_to(ray)
        yield _Place(folder, env, ears), urls


def _of_hub() -> Repo:
    """A private data set of the same photos."""
    rows = [f"{name},{10 + n},{20 + n}" for n, name in enumerate(planted_photos())]
    table = "\n".join(["file_name,latitude,longitude", *rows]).encode()
    files: dict[str, bytes | Path] = {"test/metadata.csv": table}
    files |= {f"test/{name}": photo for name, photo in planted_photos().items()}
    return Repo(files, token=KEYS["HF_TOKEN"])


@contextmanager
def _engine(folder: Path) -> Generator[int]:
    """`geospot serve` that asks for a key; its port. What it says is one of the files looked through."""
    log = folder / "serve.txt"
    state = {"GEOSPOT_STATE_DIR": str(folder / "state"), **KEYS}
    with log.open("wb") as out:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "geospot", "serve"),
                *("--port", "0", "--api-key-env", "TINKER_API_KEY"),
            ],
            env=os.environ | state,
            stdout=out,
            stderr=out,
        )
    try:
        end_s = time.monotonic() + _STARTS_WITHIN_S
        while not (found := _AT.search(log.read_text())) and time.monotonic() < end_s:
            time.sleep(0.1)
        if found is None:
            raise RuntimeError(f"The server didn't start: {log.read_text()}")
        yield int(found[1])
    finally:
        server.terminate()
        server.wait(120)


def _tried(place: _Place, name: str, case: Case) -> list[str]:
    """Runs a command, and says what was found that shouldn't be, and not found that should."""
    marked = Marked(**{**place.env, **case.env})
    arguments = [*name.split(), *case.arguments]
    listing = _Listing(marked, set(case.arguments))
    said, code = b"", -1
    for _ in range(_TRIES):
        more, code = (_in_terminal if case.screen else _run)(place, arguments, case, marked)
        said += more
        if code == case.code or _CROWDED not in more:
            break
    what = f"geospot {' '.join(arguments)}"
    lost = leaks("its output", said) + listing.end()
    if code != case.code:
        lost.append(f"exit code {code} for {case.code}: {said[-600:].decode('utf-8', 'replace')}")
    sent: set[str] = set()
    for ear in place.ears:
        wrong, came = ear.taken()
        lost += wrong
        sent |= came
    if sent != set(case.keys):
        lost.append(f"keys that were sent: {sorted(sent)} for {sorted(case.keys)}")
    for path in place.written():
        with suppress(FileNotFoundError):
            found = leaks(str(path.relative_to(place.folder)), path.read_bytes())
            lost += [one for one in found if not (place.is_copy(path) and one.startswith(PLACE))]
    if (b"Traceback (most recent call last)" in said) is not case.crashes:
        lost.append(f"a traceback, or none: {said[-800:].decode('utf-8', 'replace')}")
    return [f"{what}: {sentence}" for sentence in lost]


def _run(place: _Place, arguments: list[str], case: Case, marked: Marked) -> tuple[bytes, int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "geospot", *arguments],
        cwd=place.folder,
        env=marked.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = bytearray()
    reader = threading.Thread(target=_read, args=(process, said), daemon=True)
    reader.start()
    end_s, waits_for = time.monotonic() + _LIMIT_S, case.interrupt_at
    while process.poll() is None and time.monotonic() < end_s:
        if waits_for and waits_for in said:
            process.send_signal(signal.SIGINT)
            waits_for = b""
        time.sleep(_LOOK_S)
    process.kill()  # one that has ended doesn't mind
    reader.join(_STARTS_WITHIN_S)
    return bytes(said), process.wait()


def _read(process: "subprocess.Popen[bytes]", said: bytearray) -> None:
    assert process.stdout is not None
    with process.stdout as out:
        while data := os.read(out.fileno(), 1 << 16):
            said += data


def _in_terminal(
    place: _Place, arguments: list[str], case: Case, marked: Marked
) -> tuple[bytes, int]:
    by = ("env", "-C", str(place.folder))
    with Terminal(*arguments, env=marked.environment, by=by) as terminal:
        for text, keys in case.screen:
            if not terminal.until(text):
                return f"the screen never said {text!r}: {terminal.said()}".encode(), -1
            time.sleep(1.0)  # what follows a key is drawn before the next one
            terminal.keys(keys)
        with suppress(subprocess.TimeoutExpired):
            terminal.process.wait(120)
        code = terminal.process.poll()
        said = (
            terminal.raw + b"\n" + terminal.said().encode()
        )  # a window's title is only in the first
        return said, _STAYED if code is None else code


class _Listing:
    """Command lines and environments of the processes of a command, looked at while it runs.

    Args:
        typed: what the drill itself has put on a command line.
    """

    def __init__(self, marked: Marked, typed: set[str]) -> None:
        self._marked, self._typed = marked, typed
        self._lost: set[str] = set()
        self._known: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def end(self) -> list[str]:
        """What was seen that mustn't be."""
        self._over.set()
        self._thread.join()
        return sorted(self._lost)

    def _look_on(self) -> None:
        while not self._over.wait(_LOOK_S):
            for process in self._marked.alive():
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    self._look(process)

    def _look(self, process: psutil.Process) -> None:
        line = [part for part in process.cmdline() if part not in self._typed]
        self._lost |= set(leaks("a process listing", " ".join(line).encode()))
        if process.pid in self._known:
            return
        self._known.add(process.pid)
        for name, value in process.environ().items():
            if value != KEYS.get(name):
                found = leaks(f"the variable {name} of {' '.join(line)[:80]}", value.encode())
                self._lost |= set(found)
