"""Sets of trainable weights that take turns in one network.

peft puts an adapter's layers into the frozen base, once for each shape of adapter; the numbers are owned
here and bound to the network before each pass. So any number of adapters and snapshots share a base, and
none can touch another.
"""

import math
import re
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from geospot_backends.local.api import EngineUserError, LoraSpec
from geospot_backends.local.models import SMALL_PARAMETERS, BaseModel, ModelRegistry
from geospot_backends.local.untyped import untyped

LORA_ALPHA: Final = 32
"""Fixed, as on the hosted service: the learning rate needn't change with the rank."""

MAX_RANK: Final = 1024

_TEXT_MODELS: Final = ("language_model", "text_model")
"""What transformers calls the text model inside a model of images and text."""

Weights = dict[str, torch.nn.Parameter]
"""By name: peft's in an adapter's file, or transformers' own where all weights are trained."""


@dataclass(frozen=True, slots=True)
class _Slots:
    """A network and where its trainable weights go: for each name the modules' attributes.

    `loaded` are the weights that were there before anything was bound: what a new model begins with.
    """

    network: Any
    places: dict[str, list[tuple[torch.nn.Module, str]]]
    adapter: str | None
    loaded: dict[str, torch.Tensor]


def _first(places: Mapping[str, list[tuple[torch.nn.Module, str]]]) -> dict[str, torch.Tensor]:
    """What stands at each name's first place now."""
    return {name: getattr(*where[0]) for name, where in places.items()}


class WeightsHost:
    """The networks of one base model, and what is bound to them."""

    def __init__(self, base: BaseModel, registry: ModelRegistry) -> None:
        self.base = base
        self._registry = registry
        self._text, self._layers = _text_layers(base.network)
        self._peft: Any = None
        self._slots: dict[LoraSpec | None, _Slots] = {}

    def all_weights(self, seed: int | None = None) -> Weights:
        """A copy of the base's weights to begin with.

        Args:
            seed: where the base's weights are random, the copy's are drawn from it.

        Raises:
            EngineUserError: the model is too large for that.
        """
        if self.base.parameters > SMALL_PARAMETERS:
            raise EngineUserError(
                f"All weights are trained only of models up to {SMALL_PARAMETERS:,} parameters; "
                f"{self.base.name} has more. Ask for a LoRA rank."
            )
        loaded = self._slots_of(None).loaded
        if seed is not None and self._registry.is_random(self.base):
            drawn = self._registry.fresh_network(self.base, seed)
            loaded = {name: drawn.get_parameter(name) for name in loaded}
        return {name: torch.nn.Parameter(one.detach().clone()) for name, one in loaded.items()}

    def adapter(self, lora: LoraSpec, seed: int) -> Weights:
        """An adapter that changes nothing yet.

        A is uniform in ±1/√(inputs), drawn on the CPU from `seed`; B is 0 (Hu et al. 2021).

        Raises:
            EngineUserError: it makes no sense for this model.
        """
        slots = self._slots_of(lora)
        random = torch.Generator().manual_seed(seed % 2**63)
        weights: Weights = {}
        for name in slots.places:
            now = slots.loaded[name]
            if ".lora_A." in name:
                bound = 1 / math.sqrt(now.shape[1])
                value = torch.empty(now.shape).uniform_(-bound, bound, generator=random)
            else:
                value = torch.zeros(now.shape)
            weights[name] = torch.nn.Parameter(value.to(now.device, now.dtype))
        return weights

    def shapes(self, lora: LoraSpec | None) -> dict[str, tuple[int, ...]]:
        """The names and shapes that weights of this kind have."""
        places = self._slots_of(lora).places
        return {name: tuple(getattr(*where[0]).shape) for name, where in places.items()}

    def bind(self, lora: LoraSpec | None, weights: Mapping[str, torch.nn.Parameter]) -> Any:
        """The network with these weights in place, until the next call."""
        slots = self._slots_of(lora)
        if slots.adapter is not None:
            self._peft.base_model.set_adapter(slots.adapter)
        for name, places in slots.places.items():
            for module, attribute in places:
                module.register_parameter(attribute, weights[name])
        return slots.network

    @contextmanager
    def plain(self) -> Generator[Any]:
        """The network as it was loaded."""
        if self._peft is None:
            yield self.base.network
            return
        with self._peft.disable_adapter():
            yield self.base.network

    def peft_config(self, lora: LoraSpec) -> Any:
        """What peft writes into adapter_config.json."""
        adapter = self._slots_of(lora).adapter
        return self._peft.peft_config[adapter]

    def _slots_of(self, lora: LoraSpec | None) -> _Slots:
        key = lora and replace(lora, seed=None)
        if key not in self._slots:
            self._slots[key] = self._all_weights() if key is None else self._adapter(key)
        return self._slots[key]

    def _all_weights(self) -> _Slots:
        network = self._registry.fresh_network(self.base)
        places: dict[str, list[tuple[torch.nn.Module, str]]] = {}
        names: dict[int, str] = {}
        for name, parameter in network.named_parameters(remove_duplicate=False):
            path, _, attribute = name.rpartition(".")
            first = names.setdefault(id(parameter), name)  # tied weights are one, under one name
            places.setdefault(first, []).append((network.get_submodule(path), attribute))
        return _Slots(network, places, None, _first(places))

    def _adapter(self, lora: LoraSpec) -> _Slots:
        peft = untyped("peft")
        config = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=LORA_ALPHA,
            lora_dropout=0.0,
            bias="none",
            task_type="CAUSAL_LM",
            target_modules=self._targets(lora),
            inference_mode=True,
        )
        name = f"shape{len(self._slots)}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # tied output layers: never merged here
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
            if self._peft is None:
                self._peft = peft.get_peft_model(self.base.network, config, adapter_name=name)
            else:
                self._peft.add_adapter(name, config)
        # get_peft_model writes the folder of this machine there that the base was loaded from.
        config.base_model_name_or_path = self._base_for_others()
        places: dict[str, list[tuple[torch.nn.Module, str]]] = {}
        pattern = re.compile(rf"^(.+\.lora_[AB])\.{name}$")
        for path, module in self._peft.named_modules():
            if match := pattern.match(path):
                places[f"{match[1]}.weight"] = [(module, "weight")]
        return _Slots(self.base.network, places, name, _first(places))

    def _base_for_others(self) -> str:
        """How other programs find the base: by its id, or where it is a folder by its whole path."""
        given = Path(self.base.name).expanduser()
        return str(given.resolve()) if given.is_dir() else self.base.name

    def _targets(self, lora: LoraSpec) -> str:
        """Regular expression of the layers that get an adapter: those of the text model, never vision.

        Raises:
            EngineUserError: the model has none of those that were asked for.
        """
        asked = (
            (lora.train_attn, "attention", r"attn|attention"),
            (lora.train_mlp, "MLP", r"mlp|feed_forward"),
        )
        wanted: list[str] = []
        for flag, what, pattern in asked:
            layers = [name for name in self._layers if re.search(pattern, name)]
            if flag and not layers:
                raise EngineUserError(f"{self.base.name} has no {what} layers for an adapter.")
            wanted += layers if flag else []
        names = "|".join(re.escape(name) for name in wanted)
        targets = [rf".*{self._text}\.layers\.\d+\.({names})"] if wanted else []
        if lora.train_unembed:
            targets.append("lm_head")
        return "|".join(targets)


def check_lora(base: BaseModel, lora: LoraSpec) -> None:
    """Raises EngineUserError where the adapter asked for can't be made."""
    if not 1 <= lora.rank <= MAX_RANK:
        raise EngineUserError(f"A LoRA rank of {lora.rank} is not between 1 and {MAX_RANK}.")
    if not (lora.train_attn or lora.train_mlp or lora.train_unembed):
        raise EngineUserError("A LoRA that trains no layer makes no sense.")
    if lora.train_mlp and base.has_experts:
        raise EngineUserError(
            f"The experts of {base.name} can't be trained here; ask for train_mlp=False."
        )


def _text_layers(network: Any) -> tuple[str, list[str]]:
    """What the text model is called, and its linear layers, by their names within one layer of it."""
    text = next((name for name in _TEXT_MODELS if hasattr(network.model, name)), "model")
    inside = re.compile(rf"^(?:.+\.)?{text}\.layers\.\d+\.(.+)$")
    found = {
        match[1]
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and (match := inside.match(name))
    }
    return text, sorted(found)
