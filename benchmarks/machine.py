"""What the machine is, and how busy others kept it while something was measured."""

import os
import platform
import resource
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.records import Conditions

_ROOT = Path(__file__).parents[1]
_WRITTEN = ("results", "RESULTS.md")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Jiffies:
    """Seconds of processor time of all cores so far: used, given to others by the host, in all."""

    used_s: float
    steal_s: float
    total_s: float


def _jiffies() -> _Jiffies:
    try:
        with Path("/proc/stat").open() as lines:
            parts = [int(part) / _TICKS for part in lines.readline().split()[1:9]]
    except OSError:  # no Linux
        return _Jiffies(0.0, 0.0, 0.0)
    user, nice, system, idle, waiting, irq, soft, steal = parts
    return _Jiffies(user + nice + system + irq + soft, steal, sum(parts) or idle + waiting)


def _own_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(slots=True)
class Watch:
    """Looks at the machine from its making on."""

    command: str
    began_s: float = field(default_factory=time.monotonic)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    jiffies: _Jiffies = field(default_factory=_jiffies)
    own_s: float = field(default_factory=_own_s)

    def conditions(self) -> Conditions:
        """What there was to see."""
        seconds, now = time.monotonic() - self.began_s, _jiffies()
        total_s = now.total_s - self.jiffies.total_s
        others_s = now.used_s - self.jiffies.used_s - (_own_s() - self.own_s)
        return Conditions(
            date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            machine=describe(),
            commit=_commit(),
            command=self.command,
            seconds=seconds,
            load_before=self.load,
            load_after=os.getloadavg()[0],
            steal=(now.steal_s - self.jiffies.steal_s) / total_s if total_s else 0.0,
            others=max(0.0, others_s / seconds),
        )


def describe() -> str:
    """Cores, processor, memory, system and Python."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {_processor()}, {memory_gb:.0f} GB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _commit() -> str:
    """Which version of this repository it is; with a + where something but these records isn't committed."""
    commit = _git("describe", "--always").strip() or "unknown"
    changed = _git(
        "status", "--porcelain", "--", ".", *(f":!benchmarks/{name}" for name in _WRITTEN)
    )
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    """What git says; nothing where there is none."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout
