"""The scripted endpoint in a process of its own: it deals behaviours by photo, and counts who asked.

`python -m tests.drills.dealer PLAN.json`: an object that names, by a photo's digest, a place in
`tests.support.dealt.HANDS`; photos that it doesn't name get the first. It prints its port, serves until its
standard input ends, and then prints how often each photo was asked about.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.dealt import HANDS
from tests.support.vlm_server import Asked, Behaviour, VlmServer


@dataclass(slots=True)
class Dealer:
    """Where it listens; `asked` has its counts once it has ended."""

    base_url: str
    asked: dict[str, int] = field(default_factory=dict[str, int])


@contextmanager
def dealer(folder: Path, plan: Mapping[str, int]) -> Generator[Dealer]:
    """A dealer of this plan, until the block ends."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.drills.dealer", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        serving = Dealer(f"http://127.0.0.1:{int(process.stdout.readline())}/v1")
        try:
            yield serving
        except BaseException:
            process.kill()  # whoever breaks off needs no counts, and must not be held up by them
            raise
        serving.asked |= json.loads(process.communicate()[0])


def main(path: Path) -> None:
    """Serves until nobody is there any more. Ctrl-C is for the drill, which then ends the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan: dict[str, int] = json.loads(path.read_text())

    def deal(asked: Asked) -> Behaviour:
        return HANDS[plan.get(asked.digest, 0)].behaviour_at(asked.attempt)

    with VlmServer(deal, keeps=False) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.stdout.write(json.dumps(server.log.per_image))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
