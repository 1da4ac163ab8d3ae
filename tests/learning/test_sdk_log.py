"""What the SDK says goes into the run's log, a line each, and to the person now and then."""

import logging
from pathlib import Path

import pytest

from geospot.learning.sdklog import sdk_speaks_into
from geospot.runs.directory import RunDirectory


def test_a_traceback_becomes_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = RunDirectory.open(
        tmp_path / "run", {"seed": 0}, kind="sft", if_exists="raise", ask=None
    )
    told: list[str] = []
    speaker = logging.getLogger("tinker.lib.telemetry")
    with sdk_speaks_into(directory, told.append):
        for _ in range(3):
            try:
                raise ConnectionError("refused\nby the peer")
            except ConnectionError:
                speaker.exception("sending failed")
        speaker.info("nothing of interest")
    directory.close("finished")

    lines = (tmp_path / "run" / "logs.log").read_text().splitlines()
    spoken = [line for line in lines if "tinker SDK" in line]
    assert len(spoken) == 3
    assert spoken[0].endswith(
        "ERROR tinker SDK: sending failed (ConnectionError: refused by the peer)"
    )
    assert len(told) == 1
    assert capfd.readouterr().err == ""
    assert logging.getLogger("tinker").propagate
