"""What `--model` means for the backends that sample through a Tinker service."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from geospot.config.recipes import TINY_MODELS
from geospot.errors import UsageError
from geospot.prompts import Prompt, load_prompt
from geospot.renderers import Tokenizer, tokenizers
from geospot.runs.checkpoints import (
    CHECKPOINTS,
    SCHEME,
    RunSettings,
    choose_checkpoint,
    read_settings,
    split_name,
    whole_sampler_path,
)
from geospot.runs.exported import read_asked
from geospot.textsafe import printable

_ADAPTER: Final = "adapter_config.json"
_MODEL: Final = (_ADAPTER, "preprocessor_config.json", "processor_config.json")
"""One of these lies in the folder of a model or an adapter, and in no run directory."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be asked: a checkpoint for sampling, or a base model (None: the service's choice).

    `title` is its name in results; `trained` is what its run or, of an exported model, its folder says.
    """

    title: str
    path: str | None = None
    base_model: str | None = None
    run: Path | None = None
    checkpoint: str | None = None
    trained: RunSettings = field(default_factory=RunSettings)


def parse_target(text: str | None) -> Target:
    """The target that the text names.

    Args:
        text: a run directory, `DIRECTORY@NAME`, a `tinker://` path, a base model or its folder, or None.

    Raises:
        UsageError: a checkpoint that can't be sampled from, or a run that has none.
    """
    if text is None:
        return Target("")
    if text.startswith(SCHEME):
        return Target(text, path=_sampler_path(text))
    folder, name = split_name(text)
    if name is not None:
        return _of_run(folder, name)
    if not folder.is_dir():
        return Target(text, base_model=text)
    if (folder / CHECKPOINTS).is_file() or not any((folder / name).is_file() for name in _MODEL):
        return _of_run(folder, None)
    asked = read_asked(folder) or RunSettings()
    if (folder / _ADAPTER).is_file():
        raise _adapter(folder, asked)
    own = asked.prompt or own_prompt(asked.model_name)
    return Target(text, base_model=text, trained=replace(asked, prompt=own))


def own_prompt(base_model: str | None) -> Prompt | None:
    """The question that a base model's adapters are asked where nothing else is known of them.

    The shipped tiny model was trained on one short question and understands no other.
    """
    return load_prompt("tiny") if base_model in TINY_MODELS else None


def load_tokenizer(base_model: str) -> Tokenizer:
    """The model's own tokenizer, from the package, a folder, or the Hugging Face hub.

    Raises:
        ModelNotFoundError: there is none to be had.
    """
    if base_model not in TINY_MODELS:
        return tokenizers.load_tokenizer(base_model)
    from geospot_backends.local.tiny_vlm import FOLDER

    return tokenizers.load_tokenizer(base_model, FOLDER)


def _sampler_path(text: str) -> str:
    text = whole_sampler_path(text)
    parts = text.removeprefix(SCHEME).split("/")
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"{printable(text)!r} is no checkpoint's path.",
            "They look like tinker://RUN/sampler_weights/NAME.",
        )
    if parts[1] == "weights":
        raise UsageError(
            f"{printable(text)} was saved to go on training from, and can't be sampled.",
            "Name the checkpoint saved beside it, with sampler_weights in its path, or the run "
            "directory, which knows it.",
        )
    if parts[1] != "sampler_weights":
        raise UsageError(
            f"{printable(text)} is of a kind that can't be sampled.",
            "Name a path with sampler_weights in it.",
        )
    return text


def _of_run(run: Path, name: str | None) -> Target:
    checkpoint = choose_checkpoint(run, name)
    return Target(
        title=f"{run.resolve().name}@{checkpoint.name}",
        path=checkpoint.sampler_path,
        run=run,
        checkpoint=checkpoint.name,
        trained=read_settings(run),
    )


def _adapter(folder: Path, asked: RunSettings) -> UsageError:
    of = f" of {printable(asked.model_name)}" if asked.model_name else ""
    return UsageError(
        f"{printable(str(folder))} holds a LoRA adapter{of} for other programs, and no whole model.",
        "Name the run directory that it was exported from, or that checkpoint's path: "
        "tinker://RUN/sampler_weights/NAME.",
    )
