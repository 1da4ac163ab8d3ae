"""A form of a configuration model: its fields, what is said in them, and what is wrong with it.

What is said is kept as text, as it would stand on the command line, and read by the same functions; what
isn't said is what the command would take. So the form, its command and its TOML are one configuration.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from geospot.config.load import complaints, nearest
from geospot.config.recipes import TINY_SCRATCH, recipe
from geospot.config.text import (
    is_choice,
    is_list,
    read_option,
    read_setting,
    setting_text,
    unit_of,
    words_of,
)
from geospot.errors import UsageError
from geospot.prompts import PROMPTS
from geospot.runs.launching import MODELS, Command, command_line

_TRAINING_SECTIONS: Final[Mapping[str, str]] = {
    "service": "Whom to train, and where",
    "hf_repo": "Which photos",
    "learning_rate": "How the weights move",
    "log_path": "The run",
    "price_prefill": "Cost",
    "max_retries": "Faults",
    "test_size": "The run",
    "replay_hard": "Which photos",
    "env": "Rollouts",
    "coord_tau": "Reward",
    "loss_fn": "Policy gradient",
    "rollouts_every": "The run",
}
"""Where in the model's order which section begins; a section may go on later."""

_EVAL_SECTIONS: Final[Mapping[str, str]] = {
    "backend": "Who is asked",
    "prompt": "Which question",
    "timeout": "Speed and faults",
    "dataset": "Which photos",
    "concurrency": "Speed and faults",
    "price_in": "Cost",
    "canary": "The result",
}

_ORDER: Final = (
    *("Whom to train, and where", "Who is asked", "Which photos", "Rollouts", "Reward"),
    *("How the weights move", "Policy gradient", "Which question", "The run", "The result"),
    *("Cost", "Speed and faults", "Faults"),
)
_USUAL_TRAINING: Final = frozenset(
    [
        *("service", "model_name", "load_checkpoint_path", "lora_rank", "hf_repo", "max_samples"),
        *("num_epochs", "max_steps", "batch_size", "learning_rate", "log_path", "eval_every"),
        *("behavior_if_log_dir_exists", "save_every"),
    ]
)
_USUAL: Final[Mapping[Command, frozenset[str]]] = {
    "sft": _USUAL_TRAINING,
    "rl": _USUAL_TRAINING
    | {"group_size", "coord_tau", "tau_schedule", "tau_start", "loss_fn", "kl_penalty_coef"},
    "eval": frozenset(
        [
            *("backend", "model", "base_url", "api_key_env", "prompt", "dataset", "split", "limit"),
            *("samples", "concurrency", "price_in", "price_out", "max_cost", "out", "resume"),
        ]
    ),
}
_HIDDEN: Final = frozenset(["dry_run"])
"""What a form does by itself."""

_RECORDED: Final = frozenset(["kind", "prompt_text", "provenance"])
"""Keys of a run's config.json that are no settings."""

_ALWAYS_SAID: Final = ("model_name", "load_checkpoint_path", "log_path", "out")
KEY_FIELD: Final = "api_key_env"
HIDDEN: Final = "•••"
YES_NO: Final = ("true", "false")


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting. `choices` are all it can be, where they are few; `words` are some that it knows."""

    name: str
    section: str
    description: str
    unit: str
    choices: tuple[str, ...]
    words: tuple[str, ...]
    is_switch: bool
    is_list: bool
    is_usual: bool
    info: FieldInfo = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the model says of a form: a configuration, or what is wrong, by setting and as a whole."""

    config: BaseModel | None = None
    wrong: Mapping[str, str] = field(default_factory=dict[str, str])
    whole: str = ""


def fields_of(kind: Command) -> tuple[FormField, ...]:
    """The settings of a command by section, in the order in which a person thinks of them."""
    fields: list[FormField] = []
    begins, section = _EVAL_SECTIONS if kind == "eval" else _TRAINING_SECTIONS, ""
    for name, info in MODELS[kind].model_fields.items():
        section = begins.get(name, section)
        if name not in _HIDDEN:
            fields.append(_field(kind, name, section, info))
    return tuple(sorted(fields, key=lambda f: (_ORDER.index(f.section), not f.is_usual)))


class Form:
    """What is said for one command. `unknown` holds what a file said that is no setting."""

    def __init__(self, kind: Command, settings: Mapping[str, Any] | None = None) -> None:
        self.kind: Command = kind
        self.model = MODELS[kind]
        self.fields = fields_of(kind)
        self.by_name = {f.name: f for f in self.fields}
        self.said: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        self.checkpoint_model: str | None = None
        """Base model of the checkpoint that the run starts from, once it is known."""
        if settings:
            self.fill(settings)

    def fill(self, settings: Mapping[str, Any]) -> None:
        """Says what is settled there, and nothing else; what would be taken anyway is left out.

        Raises:
            UsageError: a value that can't be written in a field.
        """
        names = {name.replace("-", "_"): value for name, value in settings.items()}
        if "prompt_text" in names and names.get("prompt") not in PROMPTS:
            names["prompt"] = names["prompt_text"]  # a file's name, which needn't be there any more
        known = {n: v for n, v in names.items() if n in self.by_name}
        said: dict[str, str] = {}
        for name in (f.name for f in self.fields if f.name in known):
            if known[name] is not None or self._default(name) is not None:
                said[name] = setting_text(known[name])
        unknown = {
            name: setting_text(value)
            for name, value in names.items()
            if name not in known and name not in _RECORDED and name not in _HIDDEN
        }
        self.said, self.unknown = said, unknown

    def leave_out_what_is_usual(self) -> None:
        """Takes back what the command would take anyway: of a run's record, what makes it this run stays.

        Nothing is taken back while the model isn't known, and with it its recipe.
        """
        if "load_checkpoint_path" in self.said and not self.base_model:
            return
        for name, text in list(self.said.items()):
            usual = self.usual(name)
            if name not in _ALWAYS_SAID and usual is not None and setting_text(usual) == text:
                del self.said[name]

    def say(self, name: str, text: str) -> None:
        """Sets a field to a text; an empty one takes back what was said."""
        if text.strip():
            self.said[name] = text
        else:
            self.take_back(name)

    def take_back(self, name: str) -> None:
        """Leaves a setting to the command again, or drops what is no setting."""
        self.said.pop(name, None)
        self.unknown.pop(name, None)

    def usual(self, name: str) -> Any:
        """What the command takes where nothing is said: the recipe's, or the model's default."""
        own = self._default(name)
        return own if self.kind == "eval" else recipe(self.kind, self.base_model).get(name, own)

    @property
    def base_model(self) -> str:
        """The model whose recipe holds; empty where the form doesn't tell."""
        said = self.said.get("model_name") or self.checkpoint_model
        is_scratch = self.said.get("service") == "local" and "load_checkpoint_path" not in self.said
        return said or (TINY_SCRATCH if is_scratch else "")

    def shown(self, name: str) -> str:
        """The text of a field: what is said, or what is usual."""
        if name in self.unknown:
            return self.unknown[name]
        if name == KEY_FIELD and _is_no_variable(self.said.get(name, "")):
            return HIDDEN  # somebody pasted the key itself
        usual = self.usual(name)
        return self.said.get(name) or ("" if usual in (None, []) else setting_text(usual))

    def meant(self, name: str) -> str:
        """What a text doesn't say by itself: the model that is trained where none is named; all weights."""
        if name == "model_name" and name not in self.said and self.base_model:
            is_saved = "load_checkpoint_path" in self.said
            return f"{self.base_model}, {'the checkpoint’s' if is_saved else 'untrained'}"
        return "0, all weights" if name == "lora_rank" and self.shown(name) == "0" else ""

    def check(self) -> Checked:
        """Reads every field, and the model as a whole where each field is fine."""
        wrong: dict[str, str] = {}
        values = self._values(wrong)
        if _is_no_variable(self.said.get(KEY_FIELD, "")):
            wrong[KEY_FIELD] = "takes the NAME of an environment variable, and this is none"
        for name in self.unknown:
            near = nearest(name, self.by_name)
            wrong[name] = "no such setting" + (f"; did you mean {near}?" if near else "")
        try:
            config = self.model(**values)
        except ValidationError as error:
            found = complaints(error)
            whole = found.pop("", "")
            return Checked(None, found | wrong, whole)
        return Checked(None if wrong else config, wrong)

    def settings(self) -> dict[str, Any]:
        """What is said as values of their types, in the form's order.

        Raises:
            UsageError: something is wrong with a field.
        """
        config = self.check().config
        if config is None:
            raise UsageError("Something in the form is wrong.", "The field says what.")
        return {f.name: getattr(config, f.name) for f in self.fields if f.name in self.said}

    def command(self) -> list[str]:
        """The command that does the same, as arguments beginning with `geospot`.

        Raises:
            UsageError: something is wrong, or can't be said on a command line.
        """
        return command_line(self.kind, self.settings())

    def _values(self, wrong: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, text in self.said.items():
            info = self.by_name[name].info
            try:
                values[name] = (
                    read_option(info, text) if self.kind == "eval" else read_setting(info, text)
                )
            except UsageError as error:
                wrong[name] = str(error).rstrip(".")
        return values

    def _default(self, name: str) -> Any:
        return self.model.model_fields[name].get_default(call_default_factory=True)


def fitting_kind(names: Iterable[str], first: Command) -> Command:
    """The command that knows most of these settings; `first` where others know no more."""
    wanted = {name.replace("-", "_") for name in names}
    order: list[Command] = [first, *(kind for kind in MODELS if kind != first)]
    return max(order, key=lambda kind: len(wanted & MODELS[kind].model_fields.keys()))


def _is_no_variable(text: str) -> bool:
    """Whether this is no name of an environment variable, and so perhaps a key."""
    return bool(text) and not (text.isascii() and text.isidentifier())


def _field(kind: Command, name: str, section: str, info: FieldInfo) -> FormField:
    is_switch = info.annotation is bool
    words = YES_NO if is_switch else words_of(info)
    return FormField(
        name=name,
        section=section,
        description=str(info.description or ""),
        unit=unit_of(info),
        choices=words if is_switch or is_choice(info) else (),
        words=words,
        is_switch=is_switch,
        is_list=is_list(info),
        is_usual=name in _USUAL[kind],
        info=info,
    )
