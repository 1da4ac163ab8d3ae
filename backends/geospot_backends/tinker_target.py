"""What `--model` means for the backends that sample through a Tinker service."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import ModelNotFoundError, RenderError, UsageError
from geospot.prompts import Prompt, load_prompt
from geospot.renderers import Tokenizer
from geospot.renderers.processors import model_folder
from geospot.runs.checkpoints import RunSettings, choose_checkpoint, read_settings
from geospot.textsafe import printable

_SCHEME: Final = "tinker://"
TINY: Final = ("geospot/tiny-vlm", "geospot/tiny-vlm-scratch")
"""Models that every embedded engine has."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be asked: a checkpoint for sampling, or a base model (None: the service's choice).

    `title` is its name in results.
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
        text: a run directory, `DIRECTORY@NAME`, a `tinker://` path, a base model, or None.

    Raises:
        UsageError: a checkpoint that can't be sampled from, or a run that has none.
    """
    if text is None:
        return Target("")
    if text.startswith(_SCHEME):
        return Target(text, path=_sampler_path(text))
    directory, _, name = text.rpartition("@")
    if directory and Path(directory).is_dir():
        return _of_run(Path(directory), name)
    if Path(text).is_dir() and not _is_model_folder(Path(text)):
        return _of_run(Path(text), None)
    return Target(text, base_model=text)


def own_prompt(base_model: str | None) -> Prompt | None:
    """The question that a base model's adapters are asked where nothing else is known of them.

    The shipped tiny model was trained on one short question and understands no other.
    """
    return load_prompt("tiny") if base_model in TINY else None


def load_tokenizer(base_model: str) -> Tokenizer:
    """The model's own tokenizer, from the package, a folder, or the Hugging Face hub.

    Raises:
        ModelNotFoundError: there is none to be had.
    """
    from transformers import AutoTokenizer

    place = base_model
    if base_model in TINY:
        from geospot_backends.local.tiny_vlm import FOLDER

        place = str(FOLDER)
    loader = cast(Any, AutoTokenizer)
    try:
        # Fetched beforehand: from_pretrained goes on trying for a minute where the hub is out of reach.
        folder = model_folder(place)
        return cast(Tokenizer, loader.from_pretrained(str(folder), trust_remote_code=False))
    except (OSError, ValueError, RenderError) as error:
        why = error.message if isinstance(error, RenderError) else str(error)
        raise ModelNotFoundError(
            f"The tokenizer of {printable(base_model)} can't be loaded: "
            f"{printable(why.partition('. ')[0]).rstrip('.')[:200]}.",
            "It comes from the Hugging Face hub: is that reachable, and HF_TOKEN set if it is gated?",
        ) from error


def _sampler_path(text: str) -> str:
    parts = text.removeprefix(_SCHEME).split("/")
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


def _is_model_folder(folder: Path) -> bool:
    """Whether it holds a model's configuration and no run's checkpoints: a base model of one's own."""
    return (folder / "preprocessor_config.json").is_file() and not (
        folder / "checkpoints.jsonl"
    ).is_file()
