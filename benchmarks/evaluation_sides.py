"""One side of the evaluation's benchmark, a program: `python -m … bare|ours FOLDER PORT N OUT`."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.evaluation_task import CONCURRENCY, MAX_TOKENS, MODEL, peak_mb, rows


async def ask_bare(folder: Path, port: int, n: int, out: Path) -> None:
    """What a person writes who has never heard of us: it asks, and keeps the answers."""
    from openai import AsyncOpenAI

    prompt = (folder / "prompt.txt").read_text()
    client = AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    places = asyncio.Semaphore(CONCURRENCY)

    async def one(image: str) -> str:
        async with places:
            photo: Any = {"type": "image_url", "image_url": {"url": _uri(Path(image))}}
            answer = await client.chat.completions.create(
                model=MODEL,
                max_tokens=MAX_TOKENS,
                temperature=0.0,
                messages=[{"role": "user", "content": [photo, {"type": "text", "text": prompt}]}],
            )
            return answer.choices[0].message.content or ""

    answers = await asyncio.gather(*(one(image) for image, _, _ in rows(folder, n)))
    _keep(answers, out)


def _uri(photo: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()


def _keep(answers: list[str], out: Path) -> None:
    out.mkdir(parents=True)
    (out / "answers.json").write_text(json.dumps(answers))


async def ask_ours(folder: Path, port: int, n: int, out: Path) -> None:
    """The whole of `geospot eval`, with its display, canary, records, events and statistics."""
    from rich.console import Console

    from geospot.config.evaluation import EvalConfig
    from geospot.evaluation.evaluate import evaluate
    from geospot.evaluation.progress import TerminalView

    # What is measured is our program: the table is written row by row.
    table = folder / f"rows-{n}.csv"
    with table.open("w") as file:
        file.write("id,image,latitude,longitude\n")
        for number, (image, latitude, longitude) in enumerate(rows(folder, n)):
            file.write(f"{number},{Path(image).name},{latitude},{longitude}\n")
    config = EvalConfig(
        model=MODEL,
        base_url=f"http://127.0.0.1:{port}/v1",
        dataset=str(table),
        limit="all",
        concurrency=CONCURRENCY,
        max_tokens=MAX_TOKENS,
        out=out,
    )
    with (folder / "screen").open("w") as screen:
        view = TerminalView(Console(file=screen, force_terminal=True, width=120))
        done = await evaluate(config, view)
    assert done.summary["outcomes"]["ok"] == n, done.summary["outcomes"]


if __name__ == "__main__":
    _ask: Any = {"bare": ask_bare, "ours": ask_ours}[sys.argv[1]]
    asyncio.run(_ask(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])))
    print(json.dumps({"peak_mb": peak_mb()}))
