"""`make bench`: every benchmark's table, as Markdown."""

import argparse
import os
import platform
import time
from importlib import import_module
from typing import Any, Final

MODULES: Final = (
    "evaluation",
    "scoring",
    "osv5m",
    "engine",
    "tinker_server",
    "accelerator",
    "trl_peer",
    "learning",
    "tui",
    "demo",
)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            return next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def run() -> None:
    """Prints one section a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*MODULES, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="smaller sizes: does it run at all?")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}")
    for name in options.only or MODULES:
        module: Any = import_module(f"benchmarks.{name}")
        print(f"\n## {module.NAME}\n", flush=True)
        print(module.main(options.quick), flush=True)


if __name__ == "__main__":
    run()
