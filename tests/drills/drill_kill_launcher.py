"""The app killed around the moment in which it starts a run: one that goes on, or a branch of another.

Lives are counted from the key that starts the run: before it, there is nothing that a kill could spoil.
A run is a process of its own. Either it was started, and then goes on to its end as if the app were there;
or it was not, nothing was touched, and the next app can start it. Never half of it, and nothing is left of
the app.
"""

import shutil
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from geospot.runs.control import branch, resume
from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.killing import TOO_LATE, Life, left_over, processor_s, start, unended_lines
from tests.drills.processes import Marked
from tests.drills.terminal import Terminal
from tests.drills.trained import settings, standing, unlike, unreadable
from tests.support.learning import checkpoint_rows, embedded_url

Act = Literal["resume", "branch"]

_ACTS: Final[tuple[Act, ...]] = ("resume", "branch")
_NO_KEY: Final = "no kill: it never came to the key that starts a run"
_BRANCH: Final = "run-branch-1"
_FROM: Final = "000006"
_LANES: Final = 2
_WATCHED_S: Final = 1.0
_ENDS_WITHIN_S: Final = 120.0
_KEYS: Final[dict[Act, tuple[tuple[str, str], ...]]] = {
    "resume": (("R Resume", "R"),),
    "branch": (("b Branch", "b"), ("Branch off which", "\r"), ("starts it", "\x13")),
}
"""What has to be on screen, and what is pressed then; the last key starts the run."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """A run that was interrupted, what became of it and of its branch where no app died, and apps' lives."""

    cut: Path
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

    Five runs come before the first trial; so there is no short form.
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
        ground = _Ground(folder / "cut" / "run", {}, {})
        _interrupt(url, ground.cut)
        for act in _ACTS:
            marked, run = Marked(), _target(act, _copied(ground.cut, folder / act))
            began_s = time.monotonic()
            with _app(folder / act, marked) as app:
                _press(app, act, pressed := _Pressed())
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


def _copied(cut: Path, runs: Path) -> Path:
    """The interrupted run in another folder, as if it had always been there."""
    run = runs / "run"
    shutil.copytree(cut, run)
    config = run / "config.json"
    config.write_text(config.read_text().replace(str(cut), str(run)))
    return run


def _target(act: Act, run: Path) -> Path:
    return run if act == "resume" else run.with_name(_BRANCH)


def _app(runs: Path, marked: Marked) -> Terminal:
    return Terminal("tui", runs, "--theme", "dark", env=marked.environment)


def _press(app: Terminal, act: Act, pressed: _Pressed) -> None:
    """Presses what starts the run, as soon as it can be pressed."""
    for shown, key in _KEYS[act]:
        if not app.until(shown):
            return
        if key == _KEYS[act][-1][1]:
            pressed.at_s = processor_s(app.process.pid) or 0.0
            pressed.done.set()
        app.keys(key)


def _killed(attempt: Attempt, ground: _Ground) -> Trial:
    act = attempt.chance.choice(_ACTS)
    marked, run = Marked(), _target(act, _copied(ground.cut, attempt.folder))
    moment, pressed = ground.life[act].moment(attempt.chance), _Pressed()
    with _app(attempt.folder, marked) as app:
        finger = threading.Thread(target=_press, args=(app, act, pressed))
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
        lost += _start_now(act, ground, run)
    lost += [*unlike(run, ground.whole[act], "sft"), *unreadable(run)]
    lost += [*unended_lines(run), *left_over(run)]
    state = "killed after" if was_started else "killed before"
    return Trial(f"{what}: {state} the run had its process", lost=tuple(lost))


def _start_now(act: Act, ground: _Ground, run: Path) -> list[str]:
    """What the next app does where the first one didn't get to it."""
    if act == "branch" and run.exists():
        return ["the branch's folder is there, and no process"]
    launched = resume(run) if act == "resume" else branch(run.with_name("run"), _FROM, {}, run)
    code = launched.process.wait(_ENDS_WITHIN_S)
    return [f"the next app's run ended with exit code {code}: {launched.trouble()}"] * (code != 0)
