"""A run's configuration: every setting, searchable, and which of them aren't the default."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from rich.cells import cell_len
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from geospot.query import Query
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.table import Cell, Cells, Column, Table

_LONGEST: Final = 2000
_DEEPEST: Final = 12
_KEYS: Final[Mapping[str, Sequence[str]]] = {"key": (), "value": (), "changed": ("yes", "no")}

Defaults = Mapping[str, Any]
"""The defaults of a command's settings, as they would stand in config.json."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A row: a setting by its path, and its value."""

    key: str
    value: str
    default: str
    """The default where it is another one, and what there is to say where there is none; else empty."""
    is_other: bool
    """Whether there is a default, and the value is another."""


def settings_of(config: Mapping[str, Any], defaults: Defaults) -> list[Setting]:
    """Every setting of a configuration in the order of the file; nested ones by their path."""
    return [_setting(key, value, defaults) for key, value in _flat(config, "", 0)]


def _setting(key: str, value: Any, defaults: Defaults) -> Setting:
    shown, text = printable(key, limit=200), written(value)
    if key not in defaults or defaults[key] == value:
        return Setting(shown, text, "", is_other=False)
    if defaults[key] is None:  # a run settles what is left open before it writes its configuration
        return Setting(shown, text, "open until settled", is_other=False)
    return Setting(shown, text, f"≠ {written(defaults[key])}", is_other=True)


def _flat(config: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value and depth < _DEEPEST:
            yield from _flat(cast(dict[str, Any], value), f"{path}{key}.", depth + 1)
        else:
            yield f"{path}{key}", value


def written(value: Any) -> str:
    """A value on one line: text as it is, `none` where there is none, everything else as JSON."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return printable(text, limit=_LONGEST)


def defaults_of(kind: str) -> Defaults:
    """The defaults of `geospot sft` or `geospot rl`; none of another program. Imports pydantic."""
    if kind not in ("sft", "rl"):
        return {}
    from geospot.config.learning import RLConfig, SFTConfig

    model = SFTConfig if kind == "sft" else RLConfig
    plain = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    return cast(Defaults, json.loads(json.dumps(plain, default=str)))


class _Settings(Table):
    """The settings; there is nothing to open in one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Copy", show=False, tooltip="Copy the setting as KEY=VALUE"),
    ]


class ConfigView(Vertical):
    """The settings as a table."""

    DEFAULT_CSS = """
    ConfigView { height: 1fr; }
    ConfigView #config-nothing {
        display: none; height: 1fr; content-align: center middle; color: $text-muted;
    }
    ConfigView.-nothing > Table { display: none; }
    ConfigView #config-whole {
        display: none; height: auto; max-height: 40%; padding: 0 1; background: $surface;
    }
    ConfigView.-nothing > #config-nothing { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="Copy the setting as KEY=VALUE"),
    ]

    def __init__(self, history: list[str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._history = history
        self._config: Mapping[str, Any] | None = None
        self._defaults: Defaults = {}
        self._settings: list[Setting] = []
        self._shown: list[Setting] = []
        self._query = Query()

    def compose(self) -> ComposeResult:
        """The filter, the table."""
        yield FilterBar(_KEYS, history=self._history)
        yield _Settings(
            [
                Column("key", "Setting", 26),
                Column("value", "Value", 20, flexible=True),
                Column("default", "Default", 18, priority=1),
            ]
        )
        yield Static("", id="config-whole", markup=False)
        yield Static("", id="config-nothing", markup=False)

    def show(self, state: RunState, defaults: Defaults) -> None:
        """Shows a run's configuration beside its command's defaults."""
        if state.config is self._config and defaults is self._defaults:
            return
        self._config, self._defaults = state.config, defaults
        self._settings = settings_of(state.config, defaults)
        self._show_settings()

    @property
    def counts(self) -> tuple[int, int]:
        """Settings, and those that aren't the default."""
        return len(self._settings), sum(one.is_other for one in self._settings)

    @property
    def chosen(self) -> Setting | None:
        """The setting under the cursor."""
        place = self.query_one(Table).cursor
        return self._shown[place] if place < len(self._shown) else None

    def _show_settings(self) -> None:
        self._shown = [one for one in self._settings if self._passes(one)]
        self.set_class(not self._shown, "-nothing")
        words = "No setting passes the filter." if self._settings else "There is no config.json."
        self.query_one("#config-nothing", Static).update(words)
        self.query_one(Table).show(len(self._shown), self._cells)
        self._show_whole()

    def _show_whole(self) -> None:
        """What of the setting under the cursor doesn't fit into its cells, below the table."""
        one, table = self.chosen, self.query_one(Table)
        texts = ("", "", "") if one is None else (one.key, one.value, one.default)
        shown = zip(table.shown, table.widths, strict=True)
        whole = self.query_one("#config-whole", Static)
        whole.display = any(cell_len(texts[number]) > width for number, width in shown)
        whole.update(Text(f"{texts[0]}: {texts[1]}" + (f"  ({texts[2]})" if texts[2] else "")))

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Another setting."""
        event.stop()
        self._show_whole()

    def on_table_selected(self, event: Table.Selected) -> None:
        """Enter, or a click on the chosen setting, copies it."""
        event.stop()
        self.action_copy()

    def on_resize(self) -> None:
        """Other texts fit."""
        self.call_after_refresh(self._show_whole)

    def _passes(self, one: Setting) -> bool:
        row = {
            "key": one.key.casefold(),
            "value": one.value.casefold(),
            "changed": "yes" if one.is_other else "no",
        }
        return self._query.matches(row, lambda: f"{one.key} {one.value}".casefold())

    def _cells(self, row: int) -> Cells:
        one = self._shown[row]
        style = "bold" if one.is_other else ""
        return (Cell(one.key, style), Cell(one.value, style), Cell(one.default, style or "dim"))

    def focus_first(self) -> None:
        """Gives the keys to the table."""
        self.query_one(Table).focus()

    def find(self) -> None:
        """Opens the filter."""
        self.query_one(FilterBar).open()

    def action_copy(self) -> None:
        """Copies the setting under the cursor."""
        if (one := self.chosen) is not None:
            cast("App[None]", self.app).copy_to_clipboard(f"{one.key}={one.value}")
            self.notify(f"Copied {one.key}.", markup=False)

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what passes."""
        event.stop()
        self._query = event.query
        self._show_settings()
