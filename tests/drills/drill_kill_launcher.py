"""The app killed around the moment in which it starts a run: one that goes on, a branch, a new one.

Lives are counted from the key that starts the run: before it, there is nothing that a kill could spoil.
A run is a process of its own. Either it was started, and then goes on to its end as if the app were there;
or it was not, nothing was touched, and the next app can start it. Never half of it, and nothing is left of
the app.
"""

import json
import shutil
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from geospot.config.load import read_toml
from geospot.runs.control import branch, resume
from geospot.runs.launching import launch
from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.killing import TOO_LATE, Life, left_over, processor_s, start, unended_lines
from tests.drills.processes import Marked
from tests.drills.terminal import Terminal
from tests.drills.trained import settings, standing, unlike, unreadable
from tests.support.learning import checkpoint_rows, embedded_url

Act = Literal["resume", "branch", "new"]

_ACTS: Final[tuple[Act, ...]] = ("resume", "branch", "new")
_NO_KEY: Final = "no kill: it never came to the key that starts a run"
_MADE: Final[dict[Act, str]] = {"resume": "run", "branch": "run-branch-1", "new": "new"}
"""The folder of the run that is started."""
_TOML: Final = "settings.toml"
"""What the form of a new run is filled from."""
_FROM: Final = "000006"
_LANES: Final = 2
_WATCHED_S: Final = 1.0
_ENDS_WITHIN_S: Final = 120.0
_START: Final = "\x13"


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is done in which folder of runs, and at which service."""

    act: Act
    runs: Path
    service: str

    @property
    def run(self) -> Path:
        """The run that is started."""
        return self.runs / _MADE[self.act]

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """What has to be on screen, and what is pressed then; the last key starts the run."""
        match self.act:
            case "resume":
                return (("R Resume", "R"),)
            case "branch":
                return (("b Branch", "b"), ("Branch off which", "\r"), ("starts it", _START))
            case "new":
                toml = f"{self.runs / _TOML}\r"
                asked = self.service.removeprefix("http://")  # is in the form when that is filled
                return (
                    ("n New run", "n"),
                    ("o Open TOML", "o"),
                    ("Fill the form from", toml),
                    (asked, _START),
                )

    def set(self, cut: Path) -> None:
        """The interrupted run, as if it had always been there, and a file of settings for a new one."""
        run = self.runs / "run"
        shutil.copytree(cut, run)
        config = run / "config.json"
        config.write_text(config.read_text().replace(str(cut), str(run)))
        if self.act == "new":
            pairs = (word.partition("=") for word in map(str, self.settings[1:]))
            lines = (f"{name} = {_toml(value)}\n" for name, _, value in pairs)
            (self.runs / _TOML).write_text("".join(lines))

    @property
    def settings(self) -> list[str | Path]:
        """The command of a new run."""
        return settings("sft", self.service, self.run, keep_checkpoints=99)


def _toml(text: str) -> str:
    """A setting as TOML has it."""
    return text if text.replace(".", "", 1).isdigit() else json.dumps(text)


@dataclass(frozen=True, slots=True)
class _Ground:
    """A run that was interrupted, what became of it and of its branch where no app died, and apps' lives."""

    cut: Path
    service: str
    whole: dict[Act, Path]
    life: dict[Act, Life]


@dataclass(slots=True)
class _Pressed:
    """Whether the key that starts the run was pressed, and the app's processor time before it."""

    done: threading.Event = field(default_factory=threading.Event)
    at_s: float = 0.0


@drill("kill -9 of the app while it starts a run", times=50, short=0)
def kill_launcher(session: Session) -> Iterator[Trial]:
    """The app in a terminal, its keys, and a kill at any moment until the run has been there for a second.

    Seven runs come before the first trial; so there is no short form.
    """
    with ExitStack() as stack:
        grounds = [
            stack.enter_context(_ground(session.folder / f"lane-{lane}")) for lane in range(_LANES)
        ]
        yield from session.repeat(
            lambda attempt: _killed(attempt, grounds[attempt.lane]), side_by_side=_LANES
        )


@contextmanager
def _ground(folder: Path) -> Generator[_Ground]:
    with embedded_url(folder / "state") as url:
        ground = _Ground(folder / "cut" / "run", url, {}, {})
        _interrupt(url, ground.cut)
        for act in _ACTS:
            scene, marked = _Scene(act, folder / act, url), Marked()
            scene.set(ground.cut)
            run, began_s = scene.run, time.monotonic()
            with _app(scene, marked) as app:
                _press(app, scene, pressed := _Pressed())
                end_s = began_s + _ENDS_WITHIN_S
                while standing(run) in ("none", "died") and time.monotonic() < end_s:
                    time.sleep(0.05)
                time.sleep(_WATCHED_S)
                ground.life[act] = Life((processor_s(app.process.pid) or 0.0) - pressed.at_s, 0.0)
                said = app.said()[-1000:]
            if orphans := marked.orphans(_ENDS_WITHIN_S):
                raise RuntimeError(f"The run didn't end: {orphans}")
            if standing(run) != "finished":
                raise RuntimeError(f"The run is {standing(run)}; the app said {said}")
            ground.whole[act] = run
        yield ground


def _interrupt(url: str, run: Path) -> None:
    """A run that was killed after half of its steps."""
    process = start(Marked(), *settings("sft", url, run, keep_checkpoints=99))
    rows = run / "checkpoints.jsonl"
    while not rows.exists() or _FROM not in {row["name"] for row in checkpoint_rows(run)}:
        if process.poll() is not None:
            raise RuntimeError(f"The run ended too soon: {process.communicate()}")
        time.sleep(0.01)
    process.kill()
    process.communicate()


def _app(scene: _Scene, marked: Marked) -> Terminal:
    return Terminal("tui", scene.runs, "--theme", "dark", env=marked.environment)


def _press(app: Terminal, scene: _Scene, pressed: _Pressed) -> None:
    """Presses what starts the run, as soon as it can be pressed."""
    keys = scene.keys
    for shown, key in keys:
        if not app.until(shown):
            return
        if key == keys[-1][1]:
            pressed.at_s = processor_s(app.process.pid) or 0.0
            pressed.done.set()
        app.keys(key)


def _killed(attempt: Attempt, ground: _Ground) -> Trial:
    act = attempt.chance.choice(_ACTS)
    scene, marked = _Scene(act, attempt.folder, ground.service), Marked()
    scene.set(ground.cut)
    run = scene.run
    moment, pressed = ground.life[act].moment(attempt.chance), _Pressed()
    with _app(scene, marked) as app:
        finger = threading.Thread(target=_press, args=(app, scene, pressed))
        finger.start()
        while finger.is_alive() and not pressed.done.wait(0.01):
            pass
        moment.wait(app.process, pressed.at_s)
        was_pressed, had_ended = pressed.done.is_set(), app.process.poll() is not None
        app.process.kill()
        finger.join()
    what = f"{act}, {moment}"
    if had_ended or not was_pressed:
        return Trial(what, lost=tuple(marked.orphans()), aside=TOO_LATE if had_ended else _NO_KEY)
    lost = marked.orphans(_ENDS_WITHIN_S)  # a run that was started ends by itself
    was_started = standing(run) == "finished"
    if not was_started:
        lost += _start_now(scene)
    lost += [*unlike(run, ground.whole[act], "sft"), *unreadable(run)]
    lost += [*unended_lines(run), *left_over(run)]
    state = "killed after" if was_started else "killed before"
    return Trial(f"{what}: {state} the run had its process", lost=tuple(lost))


def _start_now(scene: _Scene) -> list[str]:
    """What the next app does where the first one didn't get to it."""
    run = scene.run
    if scene.act != "resume" and run.exists():
        return [f"the folder of the {scene.act} run is there, and no process"]
    match scene.act:
        case "resume":
            launched = resume(run)
        case "branch":
            launched = branch(scene.runs / "run", _FROM, {}, run)
        case "new":
            launched = launch("sft", read_toml(scene.runs / _TOML), run)
    code = launched.process.wait(_ENDS_WITHIN_S)
    return [f"the next app's run ended with exit code {code}: {launched.trouble()}"] * (code != 0)
