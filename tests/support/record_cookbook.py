"""Records the runs in `tests/recordings/cookbook`: tinker-cookbook's own programs on the embedded engine.

python -m tests.support.record_cookbook
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer

RECORDINGS: Final = Path(__file__).parents[1] / "recordings" / "cookbook"

_KEPT: Final = ("config.json", "metrics.jsonl", "checkpoints.jsonl", "iteration_*/*summaries.jsonl")
"""Of what it writes; its log and `code.diff` tell of the machine it ran on."""


def main() -> None:
    """Makes them anew."""
    shutil.rmtree(RECORDINGS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(Path(folder) / "state")
        with EmbeddedServer(engine, engine.checkpoints) as server:
            subprocess.run(
                [sys.executable, "-m", "tests.support.cookbook_training", server.base_url, folder],
                env=os.environ | {"TINKER_API_KEY": "tml-test", "NO_PROXY": "*"},
                check=True,
            )
        for run in ("sft", "rl"):
            for pattern in _KEPT:
                for path in (Path(folder) / run).glob(pattern):
                    target = RECORDINGS / run / path.relative_to(Path(folder) / run)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(path.read_text().replace(folder, "runs"))


if __name__ == "__main__":
    main()
