"""What stands beside the fields: meaning of the one with the cursor, service, estimate, command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from geospot.config.text import setting_text
from geospot.runs.forecast import Line
from geospot.textsafe import printable
from geospot.tui.form import Form
from geospot.tui.inks import Inks
from geospot.tui.looking import Look

_LABEL: Final = 8
_LONGEST: Final = 1200
_LINES: Final = 5
"""So much of an estimate is shown where there is little room; what matters most comes first."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Everything that the panel shows."""

    form: Form
    name: str | None
    """The field with the cursor."""
    wrong: str | None
    """The reason against that field."""
    note: str | None
    whom: str
    """Service or backend, as it is called."""
    look: Look | None
    """None while it is being looked at."""
    reasons: Sequence[str]
    """What else keeps it from starting, beside this field and the service."""
    lines: Sequence[Line]
    why_none: str
    """Why there is no estimate."""
    command: str
    """Empty while something is wrong."""


def panel(shown: Beside, inks: Inks, *, is_narrow: bool) -> RenderableType:
    """The panel: with room whole sentences under headings, without it a line each, cut off at its end."""
    if is_narrow:
        trouble = None if shown.look is None else shown.look.trouble
        is_said = trouble is not None and trouble == shown.wrong  # beside the field already
        service = [] if is_said else [_service(shown, inks)]
        lines = [*service, *_estimate(shown, inks)[:_LINES]]
        cut = [_cut(line) for line in lines]
        return Group(_meaning(shown, inks, is_narrow=True), *cut, _command(shown, inks))
    what = "Backend" if shown.form.kind == "eval" else "Service"
    parts: list[RenderableType] = [
        _meaning(shown, inks, is_narrow=False),
        _heading(f"{what} {printable(shown.whom, limit=40)}", inks),
        _service(shown, inks),
    ]
    if shown.reasons:
        parts.append(_heading("What keeps it from starting", inks))
        parts += [
            Text(f"✗ {printable(one, limit=_LONGEST)}", _hex(inks.bad)) for one in shown.reasons
        ]
    parts += [_heading("Estimate", inks), _grid(shown, inks), _heading("Command", inks)]
    return Group(*parts, _command(shown, inks))


def _grid(shown: Beside, inks: Inks) -> RenderableType:
    """The estimate with its labels in a column of their own."""
    if not shown.lines:
        return Group(*_estimate(shown, inks))
    grid = Table.grid(Column(width=_label_width(shown)), Column(ratio=1), expand=True)
    for line in shown.lines:
        ink = inks.foreground if line.is_known else inks.warning
        grid.add_row(Text(line.label, _hex(inks.muted)), Text(printable(line.text), _hex(ink)))
    return grid


def _label_width(shown: Beside) -> int:
    return max([_LABEL, *(len(line.label) + 1 for line in shown.lines)])


def _meaning(shown: Beside, inks: Inks, *, is_narrow: bool) -> Text:
    form, name, text = shown.form, shown.name, Text()
    if name is None:
        return text.append("Enter shows the settings that are folded away.", _hex(inks.muted))
    text.append(printable(name, limit=60), "bold")
    field = form.by_name.get(name)
    reason = shown.wrong or shown.note
    if field is not None:
        details = [f"in {field.unit}"] if field.unit else []
        details.append(_default_said(form, name))
        text.append(f"  {' · '.join(details)}", _hex(inks.muted))
        if not (is_narrow and reason):
            text.append(" " if is_narrow else "\n")
            text.append(field.description)
            if field.words and not field.is_switch:
                text.append(f" [{', '.join(field.words)}]", _hex(inks.muted))
    if shown.wrong is not None:
        text.append(f"\n✗ {printable(shown.wrong, limit=_LONGEST)}", _hex(inks.bad))
    elif shown.note is not None:
        text.append(f"\n{printable(shown.note, limit=_LONGEST)}", _hex(inks.muted))
    return text


def _default_said(form: Form, name: str) -> str:
    usual = form.usual(name)
    if usual in (None, []):
        return "no default"
    return f"default {printable(setting_text(usual), limit=40)}"


def _service(shown: Beside, inks: Inks) -> Text:
    look, whom = shown.look, printable(shown.whom, limit=30)
    if look is None:
        return Text(f"… {whom} is being looked at, 10 s at most", _hex(inks.muted))
    if look.trouble is not None:
        return Text(f"✗ {printable(look.trouble, limit=_LONGEST)}", _hex(inks.bad))
    return Text.assemble((f"✓ {whom}: ", _hex(inks.good)), printable(look.said))


def _estimate(shown: Beside, inks: Inks) -> Sequence[Text]:
    """A line each; the steps say enough of the photos."""
    if not shown.lines:
        return [Text(line, _hex(inks.muted)) for line in shown.why_none.split("\n")]
    return [
        Text.assemble(
            (line.label.ljust(_label_width(shown)), _hex(inks.muted)),
            (printable(line.text), _hex(inks.foreground if line.is_known else inks.warning)),
        )
        for line in shown.lines
        if line.label != "photos"
    ]


def _command(shown: Beside, inks: Inks) -> Text:
    if not shown.command:
        return Text("The command comes when nothing is wrong any more.", _hex(inks.muted))
    return Text(printable(shown.command, limit=_LONGEST), _hex(inks.foreground))


def _cut(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _heading(title: str, inks: Inks) -> Text:
    return Text(f"\n{title}", f"bold {_hex(inks.accent)}")


def _hex(colour: int) -> str:
    return f"#{colour:06x}"
