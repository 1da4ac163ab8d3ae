"""Records the runs and results in `tests/recordings`, with the program itself on the embedded engine.

python -m tests.support.record_runs
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

RECORDINGS: Final = Path(__file__).parents[1] / "recordings"

_SFT: Final = (
    "sft", "service=local", "hf_repo=world", "model_name=geospot/tiny-vlm", "max_samples=320",
    "batch_size=8", "num_epochs=1", "learning_rate=2e-4", "test_size=16", "nll_every=5", "save_every=10",
    "eval_every=20", "eval_limit=24", "log_path=runs/sft",
)  # fmt: skip
_RL: Final = (
    "rl", "service=local", "hf_repo=world", "load_checkpoint_path=runs/sft", "coord_tau=2000",
    "max_steps=12", "batch_size=4", "group_size=4", "save_every=4", "eval_every=6", "eval_limit=24",
    "thumbnails_mb=0.1", "log_path=runs/rl",
)  # fmt: skip
_RESULT: Final = ("eval", "--backend", "local", "--dataset", "world", "--limit", "40")
_COMMANDS: Final = (
    _SFT,
    _RL,
    (*_RESULT, "--model", "runs/sft", "--out", "results/sft"),
    (*_RESULT, "--model", "runs/rl", "--out", "results/rl"),
    ("eval", "--backend", "prior", "--dataset", "world", "--limit", "40", "--out", "results/prior"),
)


def main() -> None:
    """Makes all of it anew."""
    for name in ("runs", "results"):
        shutil.rmtree(RECORDINGS / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as state:
        for arguments in _COMMANDS:
            subprocess.run(
                [sys.executable, "-m", "geospot", *arguments],
                cwd=RECORDINGS,
                env=os.environ | {"GEOSPOT_STATE_DIR": state},
                stdin=subprocess.DEVNULL,
                check=True,
            )
    for lock in RECORDINGS.rglob(".lock"):
        lock.unlink()
    # Where this machine has the repository is its own business.
    for config in RECORDINGS.rglob("config.json"):
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(str(RECORDINGS), "."), encoding="utf-8")


if __name__ == "__main__":
    main()
