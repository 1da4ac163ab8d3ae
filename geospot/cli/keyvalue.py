"""Commands that take their settings as KEY=VALUE, as tinker-cookbook's recipes do."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from pydantic import BaseModel
from typer.core import TyperCommand

from geospot.cli.completion import SETTINGS
from geospot.config.load import build, read_toml
from geospot.config.recipes import TINY_SCRATCH, Kind, recipe
from geospot.config.text import read_setting, setting_text, unit_of
from geospot.errors import UsageError
from geospot.textsafe import printable

Model = TypeVar("Model", bound=BaseModel)

CONFIG: Final = "config"
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with any of the settings; config=FILE is the same."),
]


def read_settings(model: type[Model], arguments: Sequence[str], config: Path | None) -> Model:
    """The model filled from its defaults, a TOML file, and `key=value` arguments, the last one said wins.

    Lists are written with commas, nothing is `none`.

    Raises:
        UsageError: an argument that is no key=value, an unknown key, or a value that doesn't fit.
    """
    said = said_in(model, arguments)
    config = Path(said.pop(CONFIG)) if CONFIG in said else config
    return build(model, read_toml(config) if config else {}, said, dashes=False)


def said_in(model: type[BaseModel], arguments: Sequence[str]) -> dict[str, Any]:
    """What `key=value` arguments say, the last one of a key, for the model to check.

    Raises:
        UsageError: an argument that is no key=value.
    """
    said: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise UsageError(
                f"{printable(argument)!r} is no setting.",
                "Settings are written KEY=VALUE, without spaces around the =; --help lists them.",
            )
        name = key.strip().replace("-", "_")
        said[name] = read_setting(model.model_fields.get(name), text)
    return said


def settings_argument(model: type[BaseModel]) -> Any:
    """The argument that takes `key=value`, completed by the shell with the model's keys."""

    def complete(incomplete: str) -> list[str]:
        return complete_key(model, incomplete)

    return typer.Argument(
        metavar="KEY=VALUE",
        help="Settings, listed below.",
        show_default=False,
        autocompletion=complete,
    )


def complete_key(model: type[BaseModel], incomplete: str) -> list[str]:
    """Keys that begin so, for the shell; behind the =, values where those that exist are known."""
    key, equals, value = incomplete.partition("=")
    if equals:
        values = SETTINGS[key](value) if key in SETTINGS and key in model.model_fields else []
        return [f"{key}={one}" for one in values]
    return [f"{name}=" for name in (CONFIG, *model.model_fields) if name.startswith(incomplete)]


class SettingsCommand(TyperCommand):
    """A command whose `--help` lists the settings of its `model`."""

    model: type[BaseModel] = BaseModel
    kind: Kind | None = None

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options, and behind them a line for each setting."""
        formatter.width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        super().format_options(ctx, formatter)
        with formatter.section("Settings, as KEY=VALUE"):
            formatter.write_dl(setting_rows(self.model, self.kind))


def setting_rows(model: type[BaseModel], kind: Kind | None = None) -> list[tuple[str, str]]:
    """Key, and meaning with unit and default, of every setting in the order of the model.

    Args:
        kind: whose recipes fill what the model leaves open.
    """
    usual = recipe(kind, "") if kind else {}
    tiny = recipe(kind, TINY_SCRATCH) if kind else {}
    rows: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        own = field.get_default(call_default_factory=True)
        default = usual.get(name) if own is None else own
        parts = [unit_of(field)]
        if default not in (None, []):
            parts.append(f"default: {setting_text(default)}")
        if tiny.get(name, default) != default:
            parts.append(f"tiny models: {setting_text(tiny[name])}")
        behind = ", ".join(filter(None, parts))
        rows.append((name, f"{field.description} [{behind}]" if behind else str(field.description)))
    return rows
