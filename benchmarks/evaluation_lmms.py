"""The evaluation's work as a user of lmms-eval writes it; runs in lmms-eval's environment.

A task of one YAML file and a module of three functions, asked through its `async_openai` model. It
decodes each photo and encodes it again, as JPEG here rather than as PNG, its default. Its cache of
encoded photos is off: in a real data set every photo is another one.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.evaluation_task import CONCURRENCY, MAX_TOKENS, MODEL, distance_km, rows

_TASK: Final = f"""\
task: bench_places
dataset_path: json
dataset_kwargs:
  data_files:
    test: ROWS
test_split: test
output_type: generate_until
doc_to_visual: !function benchmarks_places.visual
doc_to_text: !function benchmarks_places.text
doc_to_messages: !function benchmarks_places.messages
doc_to_target: truth
process_results: !function benchmarks_places.results
generation_kwargs:
  max_new_tokens: {MAX_TOKENS}
  temperature: 0.0
  do_sample: false
metric_list:
  - metric: mean_km
    aggregation: mean
    higher_is_better: false
metadata:
  version: 1.0
"""
_FUNCTIONS: Final = "from benchmarks.evaluation_lmms import messages, results, text, visual\n"


def visual(doc: dict[str, Any]) -> list[str]:
    """The photo."""
    return [doc["image"]]


def text(doc: dict[str, Any], kwargs: object = None) -> str:
    """The prompt."""
    del kwargs
    return doc["prompt"]


def messages(doc: dict[str, Any], kwargs: object = None) -> list[dict[str, Any]]:
    """Photo and prompt."""
    del kwargs
    photo = {"type": "image", "url": doc["image"]}
    return [{"role": "user", "content": [photo, {"type": "text", "text": doc["prompt"]}]}]


def results(doc: dict[str, Any], answers: list[Any]) -> dict[str, float]:
    """The distance in km."""
    return {"mean_km": distance_km(str(answers[0]), doc["truth"])}


def main(folder: Path, port: int, n: int, out: Path) -> None:
    """Writes the task, and becomes lmms-eval's own program."""
    out.mkdir(parents=True)
    prompt = (folder / "prompt.txt").read_text()
    with (out / "rows.jsonl").open("w") as file:
        for image, latitude, longitude in rows(folder, n):
            row = {"image": image, "prompt": prompt, "truth": f"{latitude},{longitude}"}
            file.write(json.dumps(row) + "\n")
    tasks = out / "tasks"
    tasks.mkdir()
    (tasks / "bench_places.yaml").write_text(_TASK.replace("ROWS", str(out / "rows.jsonl")))
    (tasks / "benchmarks_places.py").write_text(_FUNCTIONS)
    settings = {
        "LMMS_IMAGE_ENCODE_FORMAT": "JPEG",
        "LMMS_IMAGE_PATH_CACHE_MAX_ITEMS": "0",
        "HF_HOME": str(out / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    model = f"model={MODEL},base_url=http://127.0.0.1:{port}/v1,api_key=none,num_cpus={CONCURRENCY}"
    command = [
        *(sys.executable, "-m", "lmms_eval", "--model", "async_openai", "--model_args", model),
        *("--tasks", "bench_places", "--include_path", str(tasks), "--batch_size", "1"),
        *("--log_samples", "--output_path", str(out / "results")),
    ]
    done = subprocess.run(command, env=os.environ | settings, check=False)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"peak_mb": usage.ru_maxrss / 1024}))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
