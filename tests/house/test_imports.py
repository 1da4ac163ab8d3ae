"""The program starts light: heavy packages are imported by the commands that use them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.evaluating import environment
from tests.support.warm import Warm

HEAVY = (
    *("numpy", "pandas", "pydantic", "textual", "openai", "tinker", "datasets", "PIL", "scipy"),
    *("torch", "transformers", "pyarrow", "huggingface_hub", "httpx"),
)
PROBE = "import sys; print(','.join(m for m in {heavy!r} if m in sys.modules))"


def loaded_after(statement: str) -> str:
    """Which heavy packages are loaded after the statement, in a fresh interpreter."""
    program = f"{statement}\n{PROBE.format(heavy=HEAVY)}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_after("import numpy")


@pytest.mark.parametrize(
    "statement",
    [
        "import geospot",
        "import geospot; geospot.Outcome",
        "import geospot; geospot.parse_geo_response('1.5, 2.5')",
        "import sys; sys.argv = ['geospot', '--help']\n"
        "from geospot.cli import main\n"
        "try: main()\nexcept SystemExit: pass",
        "from geospot.tui import looking\n"  # a form does so whenever it is opened
        "print(looking._service(looking.Asked('service', 'local')))",
    ],
)
def test_nothing_heavy_is_loaded_by(statement: str) -> None:
    assert loaded_after(statement) == ""


def test_help_lists_every_command_and_each_of_them_has_help_of_its_own() -> None:
    from geospot.cli import Commands

    with Warm(environment(), imports=()) as fresh:  # each command imports all that it needs itself
        for name in Commands.table:
            done = fresh.run([name, "--help"], Path.cwd(), environment())
            assert done.returncode == 0, done.stderr
            assert "Usage: " in done.stdout
            assert len(done.stdout.splitlines()) > 6, name
