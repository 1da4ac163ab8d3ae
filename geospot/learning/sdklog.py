"""What the SDK has to say while a run goes on: into the run's log, and a line of it to the person."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from geospot.errors import GeospotError
from geospot.runs.directory import RunDirectory
from geospot.services.sdklog import now_and_then, sdk_heard


@contextmanager
def sdk_speaks_into(directory: RunDirectory, tell: Callable[[str], None]) -> Generator[None]:
    """While it is open, the SDK's warnings are lines of logs.log; the person hears one a minute."""
    rarely = now_and_then(tell)

    def hear(line: str, is_error: bool) -> None:
        try:
            directory.log(line, level="ERROR" if is_error else "WARNING")
        except GeospotError:
            return  # a full disk: the run's own next line will say so
        rarely(f"{line}; logs.log has the rest.")

    with sdk_heard(hear):
        yield
