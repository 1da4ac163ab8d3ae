"""Signals by which a person, a batch system or a terminal ends a program."""

import signal
from typing import Final

_ASKING: Final = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C; `kill`, or a batch system's end of time."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """Those that ask this process for its end.

    A terminal or SSH session that goes away is among them, unless the process was started to outlive it, by
    `nohup` for instance: it ignores SIGHUP then, and a handler of ours would undo that.
    """
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return _ASKING if outlives else (*_ASKING, signal.SIGHUP)


def hear_interrupts() -> None:
    """Has SIGINT interrupt this process also where it was started to ignore it.

    A shell starts so what a script has in the background. Once work is under way it asks for the end all the
    same, and before that `geospot runs stop` would ask in vain, and wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
