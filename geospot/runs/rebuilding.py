"""What a run was told, taken from its config.json, so that it can be told again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.config.recipes import recipe
from geospot.durable import parse_row, replace_bytes
from geospot.errors import DataError, UsageError
from geospot.prompts import PROMPTS
from geospot.runs.checkpoints import CONFIG, read_settings, split_name
from geospot.textsafe import printable

_INLINE: Final = "inline"
_PROMPT: Final = "prompt"
"""Folder in a run directory with the text of a prompt that came from a file."""

_OF_CHECKPOINT: Final = frozenset(
    ["model_name", "lora_rank", "train_attn", "train_mlp", "train_unembed"]
)
"""Decided by the weights that a run starts from."""
_OF_PROMPT: Final = frozenset(["prompt", "system_prompt", "renderer_name", "max_image_size"])
"""Taken over from the run whose weights they are, unless something else is said."""


def settings_again(run: Path) -> tuple[Literal["sft", "rl"], dict[str, Any]]:
    """The kind of a run, and the settings that make it again: those that aren't anyway as they were.

    Raises:
        UsageError: it isn't a run of ours, or can't be read.
    """
    kind, config = _read(run)
    model: type[LearnConfig] = RLConfig if kind == "rl" else SFTConfig
    always = recipe(kind, str(config.get("model_name"))).keys()
    if config.get("load_checkpoint_path"):
        always |= _OF_PROMPT  # else they'd be those of the run it started from
    settings: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in config:
            continue
        default = field.get_default(call_default_factory=True)
        if name in always or config[name] != default:
            settings[name] = config[name]
    settings = {name: value for name, value in settings.items() if name != "log_path"}
    return kind, _with_prompt(run, settings, config)


def settings_for_branch(run: Path) -> tuple[Literal["sft", "rl"], dict[str, Any]]:
    """The kind of a run, and its settings without what a run that starts from its weights takes from it.

    Raises:
        UsageError: it isn't a run of ours, or can't be read.
    """
    kind, settings = settings_again(run)
    left_out = _OF_CHECKPOINT | _OF_PROMPT | {"behavior_if_log_dir_exists", "load_checkpoint_path"}
    kept = {name: value for name, value in settings.items() if name not in left_out}
    data = {name: rooted(run, kept[name]) for name in ("hf_repo", "eval_hf_repo") if name in kept}
    return kind, kept | data


def rooted(run: Path, name: Any) -> Any:
    """A data set's name as it is meant from anywhere: a path from where the run was started, made whole.

    A path may be a pattern of tars; a name on the hub stays as it is.
    """
    directory = directory_of(run)
    if directory is None or not isinstance(name, str) or not name:
        return name
    path = directory / Path(name).expanduser()
    return str(path) if path.exists() or _names_tars(str(path)) else name


def _names_tars(path: str) -> bool:
    """Whether it is a pattern of tars that are there, as a data set may be named."""
    if not path.endswith((".tar", "}")):
        return False
    from geospot.data.open import expand_pattern

    try:
        return bool(expand_pattern(path))
    except (DataError, UsageError):
        return False  # it is named as it was told, and the sentence about it is the data set's own


def directory_of(run: Path) -> Path | None:
    """Where the run was started, from where its relative paths are meant; None if that isn't known."""
    provenance: Any = config_of(run).get("provenance")
    cwd: Any = provenance.get("cwd") if isinstance(provenance, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return Path(cwd) if isinstance(cwd, str) and Path(cwd).is_dir() else None


def config_of(run: Path) -> Mapping[str, Any]:
    """What config.json says, whoever wrote it; nothing where it can't be read."""
    return parse_row(_bytes(run)) or {}


def keep_prompt(run: Path, settings: Mapping[str, Any]) -> None:
    """Writes down a prompt that came from a file, where `settings_again` says that it is.

    Raises:
        WriteError: the disk is full.
    """
    path = settings.get("prompt")
    if isinstance(path, Path):
        path.parent.mkdir(exist_ok=True)
        replace_bytes(path, str(config_of(run)["prompt_text"]).encode())


def _read(run: Path) -> tuple[Literal["sft", "rl"], Mapping[str, Any]]:
    config = config_of(run)
    kind: Any = config.get("kind")
    if kind in ("sft", "rl"):
        return kind, config
    if (run / CONFIG).is_file():
        raise UsageError(
            f"{printable(str(run))} isn't a run that geospot wrote.",
            "Go on with it where it was started.",
        )
    raise UsageError(
        f"{printable(str(run))} is no run directory.", "`geospot runs list` lists them."
    )


def _bytes(run: Path) -> bytes:
    try:
        return (run / CONFIG).read_bytes()
    except OSError:
        return b""


def _with_prompt(run: Path, settings: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with a prompt that can be said: its name, its text, a file, or left out if inherited."""
    name, text = config.get("prompt"), config.get("prompt_text")
    if "prompt" not in settings or str(name) in PROMPTS or not isinstance(text, str):
        return settings
    if (name, text) == _inherited(config.get("load_checkpoint_path")):
        return {key: value for key, value in settings.items() if key != "prompt"}
    if name == _INLINE:
        return settings | {"prompt": text}
    file = str(name)
    if Path(file).name != file:
        raise UsageError(
            f"The prompt {printable(file)!r} of {printable(str(run))} is no file's name.",
            f"Mend its {CONFIG}.",
        )
    return settings | {"prompt": run.absolute() / _PROMPT / file}


def _inherited(checkpoint: Any) -> tuple[str, str] | None:
    """Name and text of the prompt of the run whose weights these are."""
    if not isinstance(checkpoint, str):
        return None
    prompt = read_settings(split_name(checkpoint)[0]).prompt
    return None if prompt is None else (prompt.name, prompt.text)
