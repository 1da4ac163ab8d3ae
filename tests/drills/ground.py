"""The input of all errands, and which errands there are."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

from tests.drills.errands import (
    ANSWERS,
    AT_ONCE,
    PHOTOS,
    Arguments,
    Errand,
    Ground,
    Script,
    lines,
    other_files,
    other_result,
    training,
)
from tests.drills.errands_reading import reading
from tests.drills.errands_writing import writing
from tests.support.learning import embedded_url
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import VlmServer


@contextmanager
def ground(folder: Path) -> Generator[Ground]:
    """The input, a model to be asked, and a server of the embedded engine, once it is needed."""
    script = Script()
    with VlmServer(script) as server, ExitStack() as stack:

        @cache
        def service() -> str:
            return stack.enter_context(embedded_url(made.state))

        made = Ground(folder, server, script, folder / "réponses.csv", service)
        samples = make_osv_tree(made.dataset, images=PHOTOS, extracted=True)
        rows = [f'{one.id},"{ANSWERS[n % 2]}"' for n, one in enumerate(samples)]
        made.answers.write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")
        every = [*_errands(made), *writing(made), *reading(made)]
        made.errands.update((errand.name, errand) for errand in every)
        yield made


def _errands(made: Ground) -> Iterator[Errand]:
    def evaluation(by: Arguments, out: Path) -> Arguments:
        return [
            *("eval", "--backend", "openai", "--base-url", made.server.base_url),
            *("--model", "some-vlm", "--dataset", made.dataset, "--limit", "all"),
            *("--concurrency", str(AT_ONCE), "--rpm", "6000", "--out", out, *by),
        ]

    def score(out: Path) -> Arguments:
        return ["score", made.answers, "--dataset", made.dataset, "--limit", "all", "--out", out]

    def export(out: Path) -> Arguments:
        board = ("--csv", out / "board.csv", "--markdown", out / "board.md")
        return ["leaderboard", "export", made.results(), *board]

    def report(out: Path) -> Arguments:
        return ["report", made.result(), "--html", out / "page.html"]

    def model(out: Path) -> Arguments:
        return ["checkpoints", "export", "geospot/tiny-vlm", out]

    by_ray: Arguments = ["--engine", "ray", "--workers", "2"]
    for name, by in (("eval", Arguments()), ("eval by ray", by_ray)):
        yield Errand(name, partial(evaluation, by), other_result, _some_answers)
    yield Errand("score", score, other_result, overwrites=True)
    yield Errand("leaderboard export", export, other_files, overwrites=True)
    yield Errand("report", report, other_files, overwrites=True)
    yield Errand(
        "checkpoints export",
        model,
        other_files,
        left=lambda out: None if (out / "geospot.json").exists() else model(out),
    )
    yield training("sft", made.service)
    yield training("rl", made.service)


def _some_answers(out: Path) -> bool:
    return lines(out / "samples.jsonl") >= 4
