"""`make drill`: does drills, prints what was lost, and ends with exit code 1 if anything was."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.drills.drill import Session, all_drills
from tests.drills.running import Record, details, machine, run_drill, table


def main() -> int:
    """Does the drills that are named, else all; returns the exit code."""
    drills = all_drills()
    options = _options(list(drills))
    console = Console(soft_wrap=True)
    record = Record(options.out / "record.jsonl")
    scratch = options.out / time.strftime("%Y%m%d-%H%M%S")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    console.print(f"{machine()}, {os.cpu_count()} cores, load {load}, seed {options.seed}")
    tallies = [
        run_drill(
            drills[name],
            Session(
                name,
                options.times or (drills[name].short if options.short else drills[name].times),
                options.short,
                options.seed,
                scratch / name,
                options.only,
            ),
            record,
            console,
        )
        for name in options.names or list(drills)
        if not options.short or drills[name].short or options.names
    ]
    console.print(table(tallies))
    for line in details(tallies, options.seed):
        console.print(line, markup=False, highlight=False)
    console.print(f"The record is {record.path}.")
    if scratch.is_dir() and not any(scratch.iterdir()):
        scratch.rmdir()
    return int(any(tally.lost for tally in tallies))


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*names, []], help="default: all")
    parser.add_argument("--times", type=int, default=0, help="how often; default: each drill's own")
    parser.add_argument("--short", action="store_true", help="a few times: does it run at all?")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    parser.add_argument("--only", type=int, help="repeats the trial of this number")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir()) / "geospot-drills",
        help="where the record is kept, and the files of trials that lost something",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
