"""Turns a configuration model into a command's options, so that each is defined once."""

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from geospot.cli.completion import OPTIONS
from geospot.config.text import read_json_object


def options_from(model: type[BaseModel], *, skip: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Decorator: gives a function `f(*args, said)` one option a field of the model.

    `said` holds only what was said on the command line, so that a TOML file can stand between the
    defaults and it. The function's other parameters stay as they are, in front.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.name != "said"]
        fields = [name for name in model.model_fields if name not in skip]

        def command(**values: Any) -> Any:
            said = {name: values.pop(name) for name in fields}
            said = {name: value for name, value in said.items() if value not in (None, [])}
            if isinstance(said.get("extra_body"), str):
                said["extra_body"] = read_json_object(said["extra_body"])
            return function(**values, said=said)

        options = [_parameter(name, model) for name in fields]
        command.__doc__ = function.__doc__
        command.__name__ = function.__name__
        command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*own, *options]}
        return command

    return decorate


def _parameter(name: str, model: type[BaseModel]) -> inspect.Parameter:
    field = model.model_fields[name]
    kind = _command_line_type(field.annotation)
    flag = "--" + name.replace("_", "-")
    default = field.default
    shown = ""
    if default is not PydanticUndefined and default is not None and not isinstance(default, bool):
        shown = f" [default: {default}]"
    if kind is bool:
        negative = f"/--no-{flag[2:]}" if default else ""
        shown = f" [default: {'yes' if default else 'no'}]" if negative else ""
        flag += negative
    option = typer.Option(
        flag,
        help=(field.description or "") + shown,
        show_default=False,
        autocompletion=OPTIONS.get(name),
    )
    annotation: Any = list[str] | None if kind is list else kind | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation, option]
    )


def _command_line_type(annotation: Any) -> type:
    """bool, int, float, Path, list or str: the widest that typer can read for the field."""
    if get_origin(annotation) is Annotated:
        return _command_line_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [k for k in get_args(annotation) if k is not type(None)]
        return _command_line_type(kinds[0]) if len(kinds) == 1 else str
    if get_origin(annotation) is list:
        return list
    if get_origin(annotation) is Literal or annotation is float:
        return str if annotation is not float else float
    return annotation if annotation in (bool, int, Path) else str
