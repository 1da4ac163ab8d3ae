"""From a configuration with gaps to a service, a model and every setting: resolved here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from geospot.config.learning import LearnConfig, RLConfig
from geospot.config.recipes import TINY_MODELS, TINY_SCRATCH, Kind, with_recipe
from geospot.errors import ModelNotFoundError, UsageError
from geospot.learning.starting import (
    START_PATH,
    Start,
    begun_with,
    filled,
    start_of,
    starting_point,
)
from geospot.prompts import Prompt, load_prompt
from geospot.renderers import renderer_name_of
from geospot.services import ServedModel, Service, ServiceOptions, open_service
from geospot.textsafe import printable

ConfigT = TypeVar("ConfigT", bound=LearnConfig)

_PARTS: Final = ("train_attn", "train_mlp", "train_unembed")


@dataclass(frozen=True, slots=True)
class Connected(Generic[ConfigT]):
    """An open service and what is to be trained there. `config` has no gaps any more."""

    config: ConfigT
    service: Service
    model: ServedModel
    prompt: Prompt
    start: Start

    def settings(self) -> dict[str, Any]:
        """What config.json records: every setting, the prompt's text, and the weights it starts from."""
        return self.config.model_dump(mode="json") | {
            START_PATH: self.start.state_path,
            "prompt": self.prompt.name,
            "prompt_text": self.prompt.text,
            "system_prompt": self.prompt.system,
        }


def unheard(sentence: str) -> None:
    """For those who want to be told nothing."""
    del sentence


def connect(config: ConfigT, tell: Callable[[str], None] = unheard) -> Connected[ConfigT]:
    """Opens the service and settles what the configuration leaves open. Blocks for some seconds.

    Where the run goes on, what it leaves open is as it was when the run began, and the checkpoint that
    the run started from needn't be there any more.

    Args:
        config: as the person filled it.
        tell: told in sentences what takes long.

    Raises:
        UsageError: settings that contradict the checkpoint to start from.
        BackendError: the service can't be used, or doesn't serve the model.
    """
    known = begun_with(config, _kind(config))
    if known:
        config = filled(config, known)
        start = start_of(config, known)
    else:
        start = starting_point(config.load_checkpoint_path)
    wanted = config.model_name or start.settings.model_name
    if wanted is None and config.service == "local" and start.state_path is None:
        wanted = TINY_SCRATCH
    own = (wanted,) if wanted and config.service == "local" and wanted not in TINY_MODELS else ()
    service = open_service(
        config.service, ServiceOptions(api_key_env=config.api_key_env, models=own, tell=tell)
    )
    try:
        if known:
            _check_reference(service, config, start)
        found = {} if known else _of_checkpoint(service, start)
        for name, value in found.items():
            said = getattr(config, name) if name in config.model_fields_set else None
            _agree(name, said, value)
        model = service.choose_model(found.get("model_name") or wanted)
        prompt = _prompt(config, start, model.name)
        full = with_recipe(config, _kind(config), model.name)
        _refuse_parts(full.model_copy(update=found))
        settled = found | {
            "model_name": model.name,
            "renderer_name": _renderer_name(config, start, model.name),
            "prompt": prompt.name,
            "system_prompt": prompt.system,
            "max_image_size": _max_image_size(config, start),
        }
        return Connected(full.model_copy(update=settled), service, model, prompt, start)
    except BaseException:
        service.close()
        raise


def _kind(config: LearnConfig) -> Kind:
    return "rl" if isinstance(config, RLConfig) else "sft"


def _of_checkpoint(service: Service, start: Start) -> dict[str, Any]:
    """Settings that the checkpoint to start from has decided, as far as the service tells them.

    Base model, rank (0 is all weights), and which layers have an adapter.
    """
    path = start.state_path
    if path is None:
        return {}
    import tinker

    try:
        info = service.ask(
            "about a checkpoint", lambda rest: rest.get_weights_info_by_tinker_path(path).result()
        )
    except tinker.NotFoundError as error:
        raise ModelNotFoundError(
            f"{service.title} has no checkpoint {printable(path)}.", service.where_it_may_be
        ) from error
    parts = {name: getattr(info, name) for name in _PARTS if info.is_lora}
    found = {"model_name": info.base_model, "lora_rank": info.lora_rank if info.is_lora else 0}
    return {name: value for name, value in (found | parts).items() if value is not None}


def _check_reference(service: Service, config: LearnConfig, start: Start) -> None:
    """A run that goes on needs the weights that it started from to measure how far it is from them."""
    needed = (
        isinstance(config, RLConfig) and config.kl_penalty_coef and config.kl_reference == "start"
    )
    if not needed:
        return
    try:
        _of_checkpoint(service, start)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{printable(str(config.log_path))} can't go on: kl_reference=start measures the "
            "divergence from the weights that it started from, and "
            f"{service.title[0].lower()}{service.title[1:]} has no checkpoint "
            f"{printable(str(start.state_path))} any more.",
            "Start a new run with load_checkpoint_path at this one: its weights are the reference then.",
        ) from error


def _refuse_parts(config: LearnConfig) -> None:
    """All weights are trained or none of them is left out."""
    left_out = [name for name in _PARTS if not getattr(config, name)]
    if left_out and not config.lora_rank:
        raise UsageError(
            f"{left_out[0]}=false is about a LoRA adapter, and lora_rank=0 trains all weights.",
            f"Give a lora_rank, such as 32, or leave {left_out[0]} out.",
        )


def _agree(name: str, said: Any, found: Any) -> None:
    if said is not None and found is not None and said != found:
        raise UsageError(
            f"{name} is {_written(said)}, and the checkpoint to start from has {_written(found)}.",
            f"Leave {name} out, or start from another checkpoint.",
        )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else printable(str(value))


def _prompt(config: LearnConfig, start: Start, model_name: str) -> Prompt:
    """As it is said, as the run before asked, or as the recipe has it."""
    if config.prompt is None and start.settings.prompt is not None:
        before = start.settings.prompt
        system = config.system_prompt if config.system_prompt is not None else before.system
        return Prompt(before.name, before.text, system)
    named = with_recipe(config, _kind(config), model_name).prompt
    return load_prompt(str(named), config.system_prompt)


def _renderer_name(config: LearnConfig, start: Start, model_name: str) -> str:
    return config.renderer_name or start.settings.renderer_name or renderer_name_of(model_name)


def _max_image_size(config: LearnConfig, start: Start) -> int | None:
    if "max_image_size" in config.model_fields_set or start.settings.max_image_size is None:
        return config.max_image_size
    return start.settings.max_image_size
