"""What an evaluation would take: its own --dry-run, asked once for each thing that it could say."""

import re
from collections.abc import Sequence
from typing import Final

from geospot.runs.forecast import Line
from geospot.textsafe import printable
from geospot.tui.form import Form
from geospot.tui.looking import ask_process

_LIMIT_S: Final = 120.0
_FIRST: Final = ("images", "cost", "time", "tokens in", "tokens out")
_LAST: Final = "fingerprint"
_IN_VAIN: Final = ("--out=", "--resume", "--no-resume")
"""Where the result goes changes nothing of what it takes."""

_LINE: Final = re.compile(r"(\w+(?: \w+)?)  +(\S.*)")
_FLAG: Final = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


class DryRun:
    """The newest estimate. `lines` are of the form as it was when it was asked about, else there is none."""

    def __init__(self) -> None:
        self._about: Sequence[str] = ()
        self._lines: Sequence[Line] = ()
        self._why_none = ""

    def is_about(self, command: Sequence[str]) -> bool:
        """Whether this command's estimate is there, or on its way."""
        return bool(command) and self._about == _telling(command)

    def said(self, command: Sequence[str]) -> tuple[Sequence[Line], str]:
        """The estimate of a command, or why there is none; both empty where nobody asked yet."""
        return (self._lines, self._why_none) if self.is_about(command) else ((), "")

    def begin(self, command: Sequence[str]) -> None:
        """From now on it is about this command, of which nothing is known yet."""
        self._about, self._lines = _telling(command), ()
        self._why_none = "… counting photos and tokens"

    async def ask(self, command: Sequence[str], form: Form) -> None:
        """Asks a process; reads the data set, and asks no model anything."""
        said = await ask_process([*command, "--dry-run"], limit_s=_LIMIT_S)
        if not self.is_about(command):
            return
        if said is None:
            self._why_none = f"it took longer than {_LIMIT_S:.0f} s to read the data set"
            return
        text = (said.err if said.code else said.out).decode("utf-8", "replace")
        if said.code:
            self._why_none = "\n".join(_in_fields(form, line) for line in text.splitlines()[-5:])
        else:
            self._lines, self._why_none = _read(form, text), ""


def _telling(command: Sequence[str]) -> Sequence[str]:
    return [word for word in command if not word.startswith(_IN_VAIN)]


def _read(form: Form, text: str) -> Sequence[Line]:
    """Its lines, those first by which one decides."""
    found: dict[str, Line] = {}
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        label, said = match[1], _in_fields(form, match[2])
        found[label] = Line(label, said, "unknown" not in said)
    order = [*_FIRST, *(label for label in found if label not in (*_FIRST, _LAST)), _LAST]
    return [found[label] for label in order if label in found]


def _in_fields(form: Form, said: str) -> str:
    """What a command says in the form's words, whose fields have the settings' names."""

    def field(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        return name if name in form.by_name else match[0]

    return _FLAG.sub(field, printable(said, limit=300))
