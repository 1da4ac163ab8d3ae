"""`make bench`: measures, keeps a record of each benchmark, and writes RESULTS.md from them."""

import argparse
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from benchmarks import page, plots
from benchmarks.environments import PLOTS, isolated
from benchmarks.machine import Watch
from benchmarks.records import FOLDER, Record, Table, load, save

MODULES: Final = (
    "evaluation",
    "evaluation_memory",
    "places",
    "scoring",
    "osv5m",
    "engine",
    "tinker_server",
    "accelerator",
    "trl_peer",
    "learning",
    "learning_cpu",
    "tui",
    "demo",
)
_HERE: Final = Path(__file__).parent


def run() -> None:
    """Measures what was asked for, one benchmark after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*MODULES, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes; only shown, not kept")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--into", type=Path, help="where records and page are kept")
    options = parser.parse_args()
    folder: Path | None = options.into or (None if options.quick else _HERE)
    for name in () if options.page else options.only or MODULES:
        record = measure(name, quick=options.quick)
        print(f"\n{page.section(record)}", flush=True)
        if folder is not None:
            save(record, folder)
            publish(folder)
    if options.page:
        publish(folder or _HERE)


def measure(name: str, *, quick: bool) -> Record:
    """One benchmark, with the conditions under which it ran."""
    module: Any = import_module(f"benchmarks.{name}")
    watch = Watch(shlex.join(["python", "-m", "benchmarks", name, *(["--quick"] if quick else [])]))
    found: Table | str = module.main(quick)
    table = Table(notes=found) if isinstance(found, str) else found
    return Record(name, module.NAME, table, watch.conditions())


def publish(folder: Path) -> None:
    """Draws the pictures and writes the page from the records in the folder."""
    records = load(folder, MODULES)
    python = isolated(PLOTS)
    if isinstance(python, str):
        print(f"No pictures: matplotlib can't be installed here: {python}")
    else:
        plots.draw(python, [folder / FOLDER / f"{record.name}.json" for record in records])
    (folder / page.PAGE).write_text(page.markdown(records, folder, MODULES))


if __name__ == "__main__":
    run()
