"""Telling a process from another that got its number later, and signalling exactly the one that is meant."""

import os
import platform
import signal
from functools import cache
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_HAS_PIDFD: Final = hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


@cache
def this_host() -> str:
    """This machine's name, as heartbeats have it."""
    return platform.node()


@cache
def this_boot() -> str:
    """Names the time since this machine was started; empty where the system doesn't tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def birth_of(pid: int) -> str:
    """When the process began, in words that no other process of this number ever has; empty if it is gone.

    On Linux the boot and the clock tick after it, which a clock that is set doesn't change; elsewhere
    the time since 1970. A process that has ended and whose parent hasn't noticed yet is gone.
    """
    if pid <= 0:
        return ""
    if this_boot():
        ticks = _start_ticks(pid)
        return f"{this_boot()}/{ticks}" if ticks else ""
    created = created_s(pid)
    return "" if created is None else f"/{created:.2f}"


def boot_of(birth: str) -> str:
    """The boot in which a process of this birth began; empty where the birth doesn't say."""
    return birth.rpartition("/")[0]


def created_s(pid: int) -> float | None:
    """When the process began, in seconds since 1970; None if it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None


def owner_of(pid: int) -> int | None:
    """The user id whose process it is; None if it is gone."""
    import psutil

    try:
        return psutil.Process(pid).uids().real
    except (psutil.Error, ValueError, OverflowError):
        return None


def signal_process(pid: int, birth: str, number: signal.Signals) -> bool:
    """Signals the process of this number and birth; False, and nothing is signalled, if it is gone.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    if pid <= 0 or not birth:  # to `kill`, 0 and below are whole groups of processes
        return False
    if not _HAS_PIDFD:
        if birth_of(pid) != birth:
            return False
        os.kill(pid, number)
        return True
    # The descriptor stands for one process whatever becomes of its number, so the check holds.
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OverflowError):
        return False
    try:
        if birth_of(pid) != birth:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _start_ticks(pid: int) -> str:
    """The start time in clock ticks since the boot; empty if the process is gone or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    state, *rest = text.rpartition(b")")[2].split()  # its name, in brackets, may hold anything
    return "" if state in (b"Z", b"X") else rest[18].decode("ascii")
