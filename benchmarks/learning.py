"""`geospot rl` on a service that keeps time like the hosted one: waiting, requests and bytes.

The service (`benchmarks.clocked_service`) trains in clock cycles of 10 s and samples with a latency that
each photo draws. The critical path follows from the same schedule: what a loop would take that answers
in no time. Beside ours stand a naive loop on the SDK and tinker-cookbook's own, synchronous and asynchronous,
on the same photos.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks import environments
from benchmarks.clock import Clock, Seen, latency_s, look, services
from benchmarks.environments import layered
from benchmarks.records import Figure, Table
from benchmarks.training_loops import Measured, measure, settings
from geospot.config.learning import RLConfig
from geospot.learning.photos import open_training_data, read_photo

NAME: Final = "Learning on a scripted Tinker service"
OURS: Final = "geospot"
COOKBOOK: Final = "tinker-cookbook rl/train.py"

_SYNC: Final = "synchronous"
_ASYNC: Final = "one step off policy"
_NOTES: Final = """\
A service that trains in clock cycles of {cycle_s:g} s and samples with a latency that each photo draws;
{steps} steps of {groups} × {size} rollouts, every loop in a process of its own with a service of its own,
all at the same time: they wait nearly all of it. Wall begins when the model is asked for and ends with the
session. The critical path is what a loop would take on the same schedule that answers in no time. The first
loop on the SDK is what one writes who has read its first page: one call a rollout, one request after the
other.
"""

_SNAPSHOT: Final = "save_weights_for_sampler"


@dataclass(frozen=True, slots=True)
class _Loop:
    """One loop to be run: who, synchronous or not, how it is called, and how long."""

    who: str
    mode: str
    title: str
    steps: int
    more: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Ran:
    """What came of it. `critical_s`: the critical path, from the first request that takes time."""

    loop: _Loop
    measured: Measured
    seen: Seen
    critical_s: float

    @property
    def asked_s(self) -> float:
        """When the model was asked for."""
        return self.seen.moments_s("create_model")[0]

    @property
    def start_up_s(self) -> float:
        """What is imported and opened before, the interpreter included."""
        return self.asked_s - self.measured.began_s

    @property
    def wall_s(self) -> float:
        """From there to the end of the program's work, its session closed."""
        return self.measured.ended_s - self.asked_s


@dataclass(frozen=True, slots=True)
class _Sizes:
    """`loops` run at once, each with a service of its own: they wait nearly all the time."""

    cycle_s: float
    scale: float
    groups: int
    size: int
    loops: Sequence[_Loop]


def _sizes(quick: bool) -> _Sizes:
    count = 2 if quick else 4
    ahead = {"max_steps_off_policy": 1}
    loops = [
        _Loop("ours", _SYNC, OURS, count, {}),
        _Loop("ours", _ASYNC, OURS, count, ahead),
        _Loop("cookbook", _SYNC, COOKBOOK, count, {}),
        _Loop("cookbook", _ASYNC, COOKBOOK, count, ahead),
        _Loop("naive", _SYNC, "first loop on the SDK", count, {}),
    ]
    pythons = interpreters()
    loops = [loop for loop in loops if loop.who in pythons]
    return _Sizes(0.5, 0.05, 4, 4, loops) if quick else _Sizes(10.0, 1.0, 16, 8, loops)


def main(quick: bool) -> Table:
    """The table. A full run takes four minutes, nearly all of it waiting."""
    sizes = _sizes(quick)
    clocks = [(sizes.cycle_s, sizes.scale)] * len(sizes.loops)
    with tempfile.TemporaryDirectory() as folder, services(*clocks) as urls:
        ran = _run(sizes, urls, Path(folder))
    figures: list[Figure] = []
    for mode in (_SYNC, _ASYNC):
        figures += _beside(mode, [one for one in ran if one.loop.mode == mode])
    notes = _NOTES.format(
        cycle_s=sizes.cycle_s, groups=sizes.groups, size=sizes.size, steps=sizes.loops[0].steps
    )
    return Table(figures, cookbook_versions(), notes)


def interpreters() -> dict[str, Path]:
    """Which Python runs each loop: the cookbook has an environment of its own, where it can be had."""
    ours = Path(sys.executable)
    python = layered(environments.COOKBOOK)
    cookbook = {} if isinstance(python, str) else {"cookbook": python}
    return {"ours": ours, "bare": ours, "naive": ours} | cookbook


def cookbook_versions() -> dict[str, str]:
    """Of the SDK and, where it can be installed, the cookbook."""
    name = "tinker-cookbook"
    pinned = environments.COOKBOOK.versions
    cookbook = {name: pinned[name]} if "cookbook" in interpreters() else {}
    return {"tinker": version("tinker")} | cookbook


def _run(sizes: _Sizes, urls: Sequence[str], folder: Path) -> list[_Ran]:
    def run(loop: _Loop, url: str, place: int) -> _Ran:
        log_path = folder / str(place)
        config = settings(url, log_path, loop.steps, sizes.groups, sizes.size, **loop.more)
        measured = measure(loop.who, config, interpreters()[loop.who])
        seen = look(url)
        asked_s = seen.moments_s("create_model")[0]
        return _Ran(loop, measured, seen, critical_path_s(config, seen.clock, asked_s))

    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(run, sizes.loops, urls, range(len(urls))))


def critical_path_s(config: RLConfig, clock: Clock, asked_s: float) -> float:
    """How long the run takes a loop that needs no time of its own, from asking for the model.

    Model and first weights each wait for a tick and a cycle. A step's samples begin with the weights
    they are from; gradient, optimiser step and the next weights go into the first cycle after the last
    sample, whatever else is under way.
    """
    slowest_s = _slowest_s(config, clock.scale)
    made_s = clock.tick_after(asked_s) + clock.cycle_s
    weights_s = [clock.tick_after(made_s) + clock.cycle_s]
    sent_s = asked_s
    for step, sampling_s in enumerate(slowest_s):
        from_s = weights_s[max(0, step - config.max_steps_off_policy)]
        sent_s = max(sent_s, from_s + sampling_s)
        weights_s.append(clock.tick_after(sent_s) + clock.cycle_s)
    return weights_s[-1] - asked_s


def _slowest_s(config: RLConfig, scale: float) -> list[float]:
    """Latency of each step's slowest sample call."""
    data = open_training_data(config)
    order = data.order(config.seed)
    slowest: list[float] = []
    for step in range(config.steps_on(len(data.samples))):
        photos = [
            read_photo(data.dataset, data.samples[number], config.max_image_size).data
            for number in order.batch(step, config.batch_size)
        ]
        slowest.append(max(scale * latency_s(photo, 0, config.group_size) for photo in photos))
    data.close()
    return slowest


def _beside(mode: str, ran: Sequence[_Ran]) -> list[Figure]:
    """Ours beside the critical path and the others of the same mode."""
    ours, *others = ran
    assert ours.loop.who == "ours"
    figures = [
        Figure(f"{mode}: wall", "s", [ours.wall_s], "critical path", [ours.critical_s]),
        *(
            Figure(f"{mode}: {what}", unit, [value(ours)], other.loop.title, [value(other)])
            for (what, unit), value in _VALUES.items()
            for other in others
        ),
    ]
    sent_ms, asked_ms = _reactions_ms(ours) if mode == _SYNC else ([], [])
    if sent_ms:
        figures.append(Figure(f"{mode}: last answer to step sent", "ms", sent_ms))
        figures.append(Figure(f"{mode}: weights to last sample call", "ms", asked_ms))
    return figures


_VALUES: Final[Mapping[tuple[str, str], Callable[[_Ran], float]]] = {
    ("wall", "s"): lambda ran: ran.wall_s,
    ("start-up", "s"): lambda ran: ran.start_up_s,
    ("requests a step", "1"): lambda ran: _a_step(ran, None)[0],
    ("sample calls a step", "1"): lambda ran: _a_step(ran, "asample")[0],
    ("up a step", "MB"): lambda ran: _a_step(ran, None)[1] / 1e6,
    ("up for sampling a step", "MB"): lambda ran: _a_step(ran, "asample")[1] / 1e6,
    ("up for training a step", "MB"): lambda ran: _a_step(ran, "forward_backward")[1] / 1e6,
}


def _reactions_ms(ran: _Ran) -> tuple[list[float], list[float]]:
    """Milliseconds from a step's last answer to its last request of training, and from the end of the
    cycle to the last sample call, step by step.
    """
    asked, clock = ran.seen.moments_s("asample"), ran.seen.clock
    sent: list[float] = []
    begun: list[float] = []
    for snapshot_s in ran.seen.moments_s(_SNAPSHOT)[1:-1]:
        last_s = max(moment for moment in asked if moment < snapshot_s)
        answered_s = max(moment for moment in ran.seen.answered_s if moment < snapshot_s)
        sent.append(1000 * (snapshot_s - answered_s))
        begun.append(1000 * (last_s - clock.tick_after(last_s - clock.cycle_s)))
    return sent, begun


_POLLED: Final = ("session_heartbeat", "telemetry")
"""They follow the clock, not the steps."""


def _a_step(ran: _Ran, route: str | None) -> tuple[float, float]:
    """Requests and bytes of bodies a step."""
    routes = {to for _, to, _ in ran.seen.requests} - set(_POLLED) if route is None else {route}
    calls = sum(ran.seen.count(to) for to in routes)
    return calls / ran.loop.steps, sum(map(ran.seen.up_bytes, routes)) / ran.loop.steps
