"""`geospot rl` on a service that keeps time like the hosted one: waiting, requests, bytes, CPU.

The service (`benchmarks.clocked_service`) trains in clock cycles of 10 s and samples with a latency that
each photo draws. The critical path follows from the same schedule: what a loop would take that answers
in no time. Beside ours stand a naive loop on the SDK and tinker-cookbook's own, on the same photos.
"""

import importlib.util
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks.clock import Clock, Seen, latency_s, look, services
from benchmarks.photos import make_photos
from benchmarks.training_loops import Measured, measure, settings
from geospot.config.learning import RLConfig
from geospot.learning.order import steps
from geospot.learning.photos import open_training_data, read_photo

NAME: Final = "Learning (scripted Tinker service, every loop in a process of its own)"

_SNAPSHOT: Final = "save_weights_for_sampler"


@dataclass(frozen=True, slots=True)
class _Loop:
    """One loop to be run: who, how it is called, and how long."""

    who: str
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
    cpu: tuple[int, int, int]
    """Steps, groups and rollouts a group where CPU time is measured."""


def _sizes(quick: bool) -> _Sizes:
    count, beside = (2, 2) if quick else (6, 3)
    loops = [
        _Loop("ours", "geospot", count, {}),
        _Loop("ours", "geospot, `max_steps_off_policy=1`", count, {"max_steps_off_policy": 1}),
        _Loop("naive", "naive loop", beside, {}),
        _Loop("cookbook", "tinker-cookbook's `rl/train.py`", beside, {}),
    ]
    if importlib.util.find_spec("tinker_cookbook") is None:
        loops.pop()
    if quick:
        return _Sizes(0.5, 0.05, 4, 4, loops[::3], (4, 8, 4))
    return _Sizes(10.0, 1.0, 16, 8, loops, (9, 64, 8))


def main(quick: bool) -> str:
    """The tables. A full run takes seven minutes, most of it waiting."""
    sizes = _sizes(quick)
    clocks = [(sizes.cycle_s, sizes.scale)] * len(sizes.loops)
    with tempfile.TemporaryDirectory() as folder, services(*clocks, (0.0, 0.0)) as urls:
        *clocked, instant = urls
        ran = _run(sizes, clocked, Path(folder))
        cpu = _cpu(sizes, instant, Path(folder), quick=quick)
    return "\n\n".join([_waiting(sizes, ran), _requests(sizes, ran), cpu])


def _run(sizes: _Sizes, urls: Sequence[str], folder: Path) -> list[_Ran]:
    def run(loop: _Loop, url: str, place: int) -> _Ran:
        log_path = folder / str(place)
        config = settings(url, log_path, loop.steps, sizes.groups, sizes.size, **loop.more)
        measured = measure(loop.who, config)
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
    for step in range(steps(len(data.samples), config.batch_size, config.num_epochs, None)):
        photos = [
            read_photo(data.dataset, data.samples[number], config.max_image_size).data
            for number in order.batch(step, config.batch_size)
        ]
        slowest.append(max(scale * latency_s(photo, 0, config.group_size) for photo in photos))
    data.close()
    return slowest


def _waiting(sizes: _Sizes, ran: Sequence[_Ran]) -> str:
    lines = [
        f"Clock cycles of {sizes.cycle_s:g} s, {sizes.groups} × {sizes.size} rollouts a step. Wall "
        "time and critical path begin when the model is asked for, and end with the session.",
        "",
        "| loop | steps | start-up, s | critical path, s | wall, s | ratio | last answer to step "
        "sent, ms | weights to last sample call, ms |",
        "| --- |" + " ---: |" * 7,
    ]
    for one in ran:
        sent, asked = _reactions_ms(one)
        lines.append(
            f"| {one.loop.title} | {one.loop.steps} | {one.start_up_s:.1f} | {one.critical_s:.1f} "
            f"| {one.wall_s:.1f} | {one.wall_s / one.critical_s:.3f} | {sent} | {asked} |"
        )
    return "\n".join(lines)


def _reactions_ms(ran: _Ran) -> tuple[str, str]:
    """Median milliseconds from a step's last answer to its last request of training, and from the end
    of the cycle to the last sample call; blank where a loop works on several steps at once, or sends
    its requests in several cycles.
    """
    if ran.loop.who != "ours" or ran.loop.more:
        return "", ""
    asked, clock = ran.seen.moments_s("asample"), ran.seen.clock
    sent: list[float] = []
    begun: list[float] = []
    for snapshot_s in ran.seen.moments_s(_SNAPSHOT)[1:-1]:
        last_s = max(moment for moment in asked if moment < snapshot_s)
        answered_s = max(moment for moment in ran.seen.answered_s if moment < snapshot_s)
        sent.append(1000 * (snapshot_s - answered_s))
        begun.append(1000 * (last_s - clock.tick_after(last_s - clock.cycle_s)))
    return f"{statistics.median(sent):.0f}", f"{statistics.median(begun):.0f}"


def _requests(sizes: _Sizes, ran: Sequence[_Ran]) -> str:
    """Counts and bytes a step, beside those of our loop."""
    lines = [
        "| a step of "
        + f"{sizes.groups} × {sizes.size} | requests | ratio | sample calls | their MB "
        "up | ratio | training MB up | all MB up | ratio |",
        "| --- |" + " ---: |" * 8,
    ]
    first = ran[0]
    for one in ran:
        calls, up = _a_step(one, None)
        samples, sample_up = _a_step(one, "asample")
        _, training_up = _a_step(one, "forward_backward")
        our_calls, our_up = _a_step(first, None)
        _, our_sample_up = _a_step(first, "asample")
        lines.append(
            f"| {one.loop.title} | {calls:.0f} | {calls / our_calls:.1f} | {samples:.0f} "
            f"| {sample_up / 1e6:.3f} | {sample_up / our_sample_up:.1f} | {training_up / 1e6:.3f} "
            f"| {up / 1e6:.3f} | {up / our_up:.1f} |"
        )
    return "\n".join(lines)


_POLLED: Final = ("session_heartbeat", "telemetry")
"""They follow the clock, not the steps."""


def _a_step(ran: _Ran, route: str | None) -> tuple[float, float]:
    """Requests and bytes of bodies a step."""
    routes = {to for _, to, _ in ran.seen.requests} - set(_POLLED) if route is None else {route}
    calls = sum(ran.seen.count(to) for to in routes)
    return calls / ran.loop.steps, sum(map(ran.seen.up_bytes, routes)) / ran.loop.steps


def _cpu(sizes: _Sizes, url: str, folder: Path, *, quick: bool) -> str:
    count, groups, size = sizes.cpu
    kinds = {"`world`, 96 px": "world"}
    if not quick:
        large = str(_large_photos(folder, count * groups))
        kinds["JPEGs of 683 × 512, 65 kB, shrunk to 512 px"] = large
    lines = [
        f"CPU time of the process for a step of {groups} × {size}, service at once: median of the "
        "steps after the first two.",
        "",
        "| photos | geospot, s | of it the SDK's own calls, s | the rest, s | peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for title, source in kinds.items():
        configs = [
            settings(url, folder / f"{who}-{len(lines)}", count, groups, size, hf_repo=source)
            for who in ("ours", "bare")
        ]
        with ThreadPoolExecutor(2 if quick else 1) as pool:
            both = list(pool.map(measure, ("ours", "bare"), configs))
        ours, bare = map(_step_s, both)
        peak = both[0].peak_mb
        lines.append(f"| {title} | {ours:.2f} | {bare:.2f} | {ours - bare:.2f} | {peak:.0f} |")
    return "\n".join(lines)


def _step_s(measured: Measured) -> float:
    """Median CPU seconds of a step, the first two left out."""
    marks = measured.cpu_s[1:]
    return statistics.median(after - before for before, after in pairwise(marks))


def _large_photos(folder: Path, count: int) -> Path:
    """A folder of as many photos, each with a place."""
    made, photos = folder / "made", folder / "photos"
    made.mkdir()
    photos.mkdir()
    make_photos(made)
    sources = sorted(made.iterdir())
    with (photos / "metadata.csv").open("w") as table:
        table.write("file_name,latitude,longitude\n")
        for number in range(count):
            os.link(sources[number % len(sources)], photos / f"{number:05d}.jpg")
            table.write(f"{number:05d}.jpg,{number % 120 - 60},{number % 340 - 170}\n")
    shutil.rmtree(made)
    return photos
