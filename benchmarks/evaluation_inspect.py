"""The evaluation's work as a user of inspect_ai writes it; runs in inspect_ai's environment.

The same photos, prompt and settings; a scorer that reads the coordinates and takes the distance. Its log
is written, with its samples, but without the photos, which the others don't copy either.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.evaluation_task import CONCURRENCY, MAX_TOKENS, MODEL, distance_km, peak_mb, rows

_inspect: Any = importlib.import_module("inspect_ai")
_dataset: Any = importlib.import_module("inspect_ai.dataset")
_model: Any = importlib.import_module("inspect_ai.model")
_scorer: Any = importlib.import_module("inspect_ai.scorer")


@_scorer.scorer(metrics=[_scorer.mean()])
def _nearness() -> Any:
    async def score(state: Any, target: Any) -> Any:
        return _scorer.Score(value=distance_km(state.output.completion, target.text))

    return score


def _sample(image: str, latitude: float, longitude: float, prompt: str, number: int) -> Any:
    photo, text = _model.ContentImage(image=image), _model.ContentText(text=prompt)
    asked = [_model.ChatMessageUser(content=[photo, text])]
    return _dataset.Sample(input=asked, target=f"{latitude},{longitude}", id=number)


def main(folder: Path, port: int, n: int, out: Path) -> None:
    """Asks about n photos and says how much memory it took."""
    prompt = (folder / "prompt.txt").read_text()
    samples = [_sample(*row, prompt, number) for number, row in enumerate(rows(folder, n))]
    model = _model.get_model(
        f"openai-api/bench/{MODEL}",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        config=_model.GenerateConfig(
            max_tokens=MAX_TOKENS, temperature=0.0, max_connections=CONCURRENCY, max_retries=0
        ),
    )
    task = _inspect.Task(_dataset.MemoryDataset(samples), scorer=_nearness())
    (log,) = _inspect.eval(
        task, model, log_dir=str(out), log_images=False, display="none", max_samples=CONCURRENCY
    )
    assert log.status == "success", log.error
    assert log.results.completed_samples == n, log.results
    print(json.dumps({"peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
