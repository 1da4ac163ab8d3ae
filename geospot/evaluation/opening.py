"""What a configuration means: the backend, the question and the images, before anything is asked."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow as pa

from geospot.config.evaluation import AskConfig, EvalConfig
from geospot.data import open_dataset
from geospot.data.columns import parse_overrides
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.data.selection import Selection
from geospot.errors import DataError, GeospotError
from geospot.evaluation.backend import AsTrained, Backend, BackendFactory, BackendOptions
from geospot.evaluation.results import EVAL, read_json
from geospot.plugins import BACKENDS, load
from geospot.prompts import Prompt, load_prompt

ConfigT = TypeVar("ConfigT", bound=AskConfig)


def make_backend(config: AskConfig, *, tell: Callable[[str], None] | None = None) -> Backend:
    """The backend of a configuration; connects to nothing.

    Args:
        tell: is told in sentences what the backend waits for.

    Raises:
        PluginError: no such backend.
        UsageError, KeyMissingError: it can't be made like this.
    """
    factory = cast(BackendFactory, load(BACKENDS, config.backend))
    options = BackendOptions(
        model=config.model,
        base_url=config.base_url,
        api_key_env=config.api_key_env,
        temperature=config.temperature_or_none,
        max_tokens=config.max_tokens,
        timeout_s=config.timeout,
        seed=config.seed if isinstance(config, EvalConfig) else 0,
        renderer=config.renderer,
        extra_body=config.extra_body,
    )
    return factory(options if tell is None else replace(options, tell=tell))


def asked_as_trained(
    config: ConfigT, backend: Backend, *, recorded: Prompt | None = None
) -> tuple[ConfigT, Prompt]:
    """The configuration and the prompt, as the model was trained where the person says nothing.

    Args:
        recorded: what was asked before, for a backend that doesn't know yet how its model was trained.

    Raises:
        UsageError: there is no such prompt.
    """
    trained = getattr(backend, "as_trained", None)
    said, changes = config.model_fields_set, dict[str, Any]()
    prompt = load_prompt(config.prompt, config.system_prompt)
    if not isinstance(trained, AsTrained):
        return config, prompt
    own = trained.prompt or (None if trained.settled else recorded)
    if own is not None and not said & {"prompt", "system_prompt"}:
        prompt = own
        changes |= {"prompt": prompt.name, "system_prompt": prompt.system}
    if trained.max_image_size is not None and "max_image_size" not in said:
        changes["max_image_size"] = trained.max_image_size
    return config.model_copy(update=changes), prompt


def recorded_prompt(out: Path | None) -> Prompt | None:
    """What the evaluation in the directory asks, None where there is none."""
    if out is None:
        return None
    try:
        section: Mapping[str, Any] = (read_json(out / EVAL) or {}).get("prompt") or {}
    except GeospotError:
        return None  # opening the directory will say what is wrong with it
    name, text = section.get("name"), section.get("text")
    if not isinstance(name, str) or not isinstance(text, str):
        return None
    return Prompt(name, text, section.get("system"))


def open_selection(config: EvalConfig, progress: Progress = silent) -> tuple[GeoDataset, Selection]:
    """The data set and the images that are asked.

    Raises:
        DataError: not there, not understood, or without a single valid row.
    """
    dataset = open_dataset(
        config.dataset,
        config.split,
        columns=parse_overrides(config.columns),
        progress=progress,
    )
    selection = dataset.select(config.limit_or_none, config.seed)
    pa.default_memory_pool().release_unused()  # reading a table takes more than holding it
    if not len(selection):
        dataset.close()
        dropped = ", ".join(f"{n:,} {why}" for why, n in selection.table.dropped.items())
        raise DataError(
            f"{config.dataset}, split {config.split}, has no row with valid coordinates"
            f" ({dropped or 'it is empty'}).",
            "`geospot data check` shows more.",
        )
    return dataset, selection
