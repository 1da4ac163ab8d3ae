"""`geospot eval` beside a bare `AsyncOpenAI` loop: samples a second, and memory.

Both ask the same loopback stub, which runs in a process of its own, about the same 65 kB JPEGs in
data URIs. Each measurement is a fresh process; the two take turns, and the median is shown.
"""

import argparse
import asyncio
import base64
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

NAME: Final = "Evaluation"

_ROUNDS: Final = 5
_CONCURRENCY: Final = 64
_IMAGE_BYTES: Final = 65_000
_IMAGES: Final = 50
_RAMP_S: Final = 6.0
"""The steady window begins here: by then both have every request under way."""


def main(quick: bool) -> str:
    """The table. A full run takes about a quarter of an hour, most of it the 100,000 samples."""
    lines = ["| task | geospot | AsyncOpenAI loop | ratio |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder))
        lines.append(_instant(Path(folder), 400 if quick else 2000))
        lines.append(_slow(Path(folder), 640 if quick else 1920))
        lines.append(_memory(Path(folder), 1000, 5000 if quick else 100_000))
    return "\n".join(lines)


def _instant(folder: Path, n: int) -> str:
    ours: list[float] = []
    bare: list[float] = []
    with stub(0.0) as port:
        for _ in range(_ROUNDS):
            bare.append(measure("bare", folder, port, n)["per_s"])
            ours.append(measure("ours", folder, port, n)["per_s"])
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return _row(f"instant stub, {n:,} samples, samples/s", ours, bare, ratios)


def _slow(folder: Path, n: int) -> str:
    """At 1 s of latency a concurrency of 64 can give 64 samples a second at best."""
    ours: list[float] = []
    bare: list[float] = []
    with stub(1.0) as port:
        for _ in range(_ROUNDS):
            bare.append(measure("bare", folder, port, n)["steady_per_s"])
            ours.append(measure("ours", folder, port, n)["steady_per_s"])
    ratios = [a / _CONCURRENCY for a in ours]
    return _row(
        "1 s of latency, steady window, samples/s (ratio: of the ideal 64)", ours, bare, ratios
    )


def _memory(folder: Path, few: int, many: int) -> str:
    with stub(0.0) as port:
        small = measure("ours", folder, port, few)["peak_mb"]
        large = measure("ours", folder, port, many)["peak_mb"]
    task = f"peak memory, {few:,} → {many:,} samples, MB"
    return f"| {task} | {small:.0f} → {large:.0f} | | {large / small:.2f} |"


def _row(task: str, ours: list[float], bare: list[float], ratios: list[float]) -> str:
    def span(values: list[float], digits: int) -> str:
        low, high = min(values), max(values)
        return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"

    return f"| {task} | {span(ours, 1)} | {span(bare, 1)} | {span(ratios, 2)} |"


def make_photos(folder: Path) -> None:
    """JPEGs of about 65 kB: noise of a strength that gives that size."""
    import numpy as np
    from PIL import Image

    for index in range(_IMAGES):
        noise = np.random.default_rng(index).integers(0, 256, (512, 683, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((170, 128)).resize((683, 512))
        for quality in range(95, 40, -1):
            path = folder / f"{index:03d}.jpg"
            picture.save(path, quality=quality)
            if path.stat().st_size <= _IMAGE_BYTES:
                break


def measure(who: str, folder: Path, port: int, n: int) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.evaluation", who, str(folder), str(port), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def stub(latency_s: float) -> Generator[int]:
    """The loopback server; it ends when its standard input does."""
    command = [sys.executable, "-m", "tests.support.vlm_server", "--latency", str(latency_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield int(server.stdout.readline())
        server.stdin.close()


async def ask_bare(folder: Path, port: int, n: int) -> list[float]:
    """What a person writes who has never heard of us; the moment of each answer."""
    from openai import AsyncOpenAI

    from geospot.prompts import FIVE_LINES

    client = AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    places = asyncio.Semaphore(_CONCURRENCY)
    moments: list[float] = [time.monotonic()]

    async def one(index: int) -> None:
        async with places:
            data = (folder / f"{index % _IMAGES:03d}.jpg").read_bytes()
            uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
            await client.chat.completions.create(
                model="some-vlm",
                max_tokens=512,
                temperature=0.0,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": uri}},
                            {"type": "text", "text": FIVE_LINES},
                        ],
                    }
                ],
            )
            moments.append(time.monotonic())

    await asyncio.gather(*(one(index) for index in range(n)))
    return moments


async def ask_ours(folder: Path, port: int, n: int) -> list[float]:
    """The whole of `geospot eval`, with its display, canary, records and events."""
    from rich.console import Console

    from geospot.config.evaluation import EvalConfig
    from geospot.evaluation.evaluate import evaluate
    from geospot.evaluation.progress import TerminalView
    from geospot.evaluation.records import SampleRecord
    from geospot.evaluation.results import ResultDirectory

    # What is measured is our program: the table is written row by row, and the moments are numbers
    # rather than objects, so that the measuring itself hardly takes memory.
    table = folder / f"rows-{n}.csv"
    with table.open("w") as rows:
        rows.write("id,image,latitude,longitude\n")
        for i in range(n):
            rows.write(f"{i},{i % _IMAGES:03d}.jpg,{i % 80 + 1},{i % 170 + 1}\n")
    moments = array("d")
    append = ResultDirectory.append

    def noted(directory: ResultDirectory, record: SampleRecord) -> None:
        append(directory, record)
        moments.append(time.monotonic())

    ResultDirectory.append = noted  # type: ignore[method-assign]
    with (folder / "screen").open("w") as screen:
        view = TerminalView(Console(file=screen, force_terminal=True, width=120))
        out = folder / f"out-{time.monotonic_ns()}"
        config = EvalConfig(
            model="some-vlm",
            base_url=f"http://127.0.0.1:{port}/v1",
            dataset=str(table),
            limit="all",
            concurrency=_CONCURRENCY,
            out=out,
        )
        done = await evaluate(config, view)
    assert done.summary["outcomes"]["ok"] == n, done.summary["outcomes"]
    # Asking begins when the canary is done; the events have the time of day.
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    canary_age_s = time.time() - next(e["time"] for e in events if e["event"] == "canary")
    return [time.monotonic() - canary_age_s, *moments]


def _report(moments: list[float]) -> dict[str, float]:
    began, ended = moments[0], moments[-1]
    steady = [m for m in moments if m - began >= _RAMP_S]
    # The tail, in which requests run out, is no part of the steady window either.
    steady = steady[: -2 * _CONCURRENCY] or steady or moments
    seconds = steady[-1] - steady[0]
    return {
        "per_s": (len(moments) - 1) / (ended - began),
        "steady_per_s": (len(steady) - 1) / seconds if seconds else 0.0,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("who", choices=["bare", "ours"])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("port", type=int)
    arguments.add_argument("n", type=int)
    options = arguments.parse_args()
    ask: Any = ask_bare if options.who == "bare" else ask_ours
    print(json.dumps(_report(asyncio.run(ask(options.folder, options.port, options.n)))))
