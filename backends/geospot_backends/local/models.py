"""Base models: which are served, how one is loaded, and what the engine needs to know of it.

Everything that torch, transformers and peft leave untyped is fenced in here and in the two families.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from geospot.config.load import nearest
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import EngineUserError
from geospot_backends.local.families import Family
from geospot_backends.local.general_family import load_general
from geospot_backends.local.quick_text import make_quick
from geospot_backends.local.qwen_family import (
    ARCHITECTURES,
    QwenFamily,
    patch_embedding_as_linear,
    quick_vision,
)
from geospot_backends.local.untyped import untyped

SMALL_PARAMETERS: Final = 100_000_000
"""All weights are trained only of models up to this size: each holds a copy of its own."""

_SCRATCH_SEED: Final = 0
_LOCAL: Final[dict[str, Any]] = {"trust_remote_code": False, "local_files_only": True}
"""A model is data: nothing in its folder is run (weights are safetensors alone), nothing is fetched."""

_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "tokenizer.model")
"""Without any of them transformers makes an empty tokenizer, and says nothing."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One base model in memory. Frozen; trainable copies and adapters are bound to `network`."""

    name: str
    folder: Path
    """Local folder with configuration, tokenizer and image processor settings."""
    network: Any
    """The transformers model: vision tower, text model and output layer."""
    tokenizer: Any
    family: Family
    device: torch.device
    context_length: int
    vocabulary: int
    """Rows of the output layer."""
    image_token: int
    """What stands at an image's positions."""
    end_tokens: frozenset[int]
    """What stops sampling unless a request says otherwise."""
    unspeakable_V: torch.Tensor
    """bool: tokens that no text holds. They are never sampled, and have no log-probability."""
    has_experts: bool

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(int(parameter.numel()) for parameter in self.network.parameters())


class ModelRegistry:
    """Loads each base model once.

    Args:
        device: `cpu`, `cuda`, …; None takes CUDA where there is one. The tiny models stay on the CPU
            unless a device is named.
        dtype: of the frozen weights; None takes bfloat16 on an accelerator and float32 on the CPU.
        extra_models: Hugging Face ids or local folders to be listed as served. Only these are
            downloaded.
    """

    def __init__(
        self,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        extra_models: Sequence[str] = (),
    ) -> None:
        self._device = device
        self._dtype = dtype
        self._loaded: dict[str, BaseModel] = {}
        self.names: list[str] = [tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME, *extra_models]

    def get(self, name: str) -> BaseModel:
        """The base model of this name.

        Raises:
            EngineUserError: no such model, one of another architecture, or one whose files lack.
        """
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(name)
            except _loading_errors() as error:
                raise EngineUserError(
                    f"The model {name!r} can't be loaded: {str(error).splitlines()[0]}"
                ) from error
        return self._loaded[name]

    def context_length(self, name: str) -> int:
        """Tokens that fit, from the configuration alone: nothing is loaded.

        Raises:
            EngineUserError: no such model, or one of another architecture.
        """
        if name in (tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME):
            return tiny_vlm.CONTEXT_LENGTH
        folder = _find(name, download=name in self.names)
        _kind(name, folder)
        config = untyped("transformers").AutoConfig.from_pretrained(str(folder), **_LOCAL)
        return _context_length(name, config)

    def is_random(self, base: BaseModel) -> bool:
        """Whether the base's weights are drawn from a seed."""
        return base.name == tiny_vlm.SCRATCH_NAME

    def fresh_network(self, base: BaseModel, seed: int = _SCRATCH_SEED) -> Any:
        """Another copy of the weights as they were loaded, to be trained in all of them.

        Args:
            seed: what random weights are drawn from; others are the file's.
        """
        network = _network(base.name, base.folder, base.network.dtype, base.device, seed)
        make_quick(network)
        return network

    def network_from(self, base: BaseModel, folder: Path) -> Any:
        """A network of the base's kind with the weights in a folder that transformers wrote."""
        return _network("", folder, base.network.dtype, base.device)

    def _load(self, name: str) -> BaseModel:
        tiny = name in (tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME)
        device = self._pick_device(tiny=tiny)
        folder = tiny_vlm.FOLDER if tiny else _find(name, download=name in self.names)
        kind = _kind(name, folder)
        dtype = torch.float32 if tiny and self._dtype is None else self._weights_dtype(device)
        if not any((folder / file).exists() for file in _VOCABULARIES):
            raise EngineUserError(f"The folder of {name!r} has no tokenizer.")
        network = _network(name, folder, dtype, device)
        tokenizer = load_tokenizer(folder)
        if kind in ARCHITECTURES:
            family: Family = QwenFamily.of(network.config, folder, _LOCAL)
        else:
            family = _general(name, network, folder, tokenizer)
        vocabulary = int(network.lm_head.out_features)
        return BaseModel(
            name=name,
            folder=folder,
            network=network,
            tokenizer=tokenizer,
            family=family,
            device=device,
            context_length=_context_length(name, network.config),
            vocabulary=vocabulary,
            image_token=int(network.config.image_token_id),
            end_tokens=_end_tokens(network, tokenizer),
            unspeakable_V=_unspeakable(network, tokenizer, vocabulary).to(device),
            has_experts=any(key.endswith("experts") for key, _ in network.named_modules()),
        )

    def _pick_device(self, *, tiny: bool) -> torch.device:
        if self._device is not None:
            return torch.device(self._device)
        return torch.device("cuda" if torch.cuda.is_available() and not tiny else "cpu")

    def _weights_dtype(self, device: torch.device) -> torch.dtype:
        if self._dtype is not None:
            return self._dtype
        return torch.float32 if device.type == "cpu" else torch.bfloat16


def _loading_errors() -> tuple[type[Exception], ...]:
    """What transformers raises where a file or package lacks, a configuration is wrong, or memory ends."""
    from huggingface_hub.errors import StrictDataclassError

    return (OSError, ValueError, ImportError, RuntimeError, StrictDataclassError)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder."""
    return untyped("transformers").AutoTokenizer.from_pretrained(str(folder), **_LOCAL)


def _find(name: str, *, download: bool) -> Path:
    """The local folder of a model: itself, or a snapshot of the hub's repository.

    Args:
        download: whether what isn't on this machine may be fetched.
    """
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder.resolve()
    except (OSError, RuntimeError) as error:  # too long a name; no such person's home
        raise EngineUserError(f"There is no model {name!r}: {error}.") from error
    if name.count("/") != 1 or name.startswith(("/", ".", "~")):
        meant = _meant(folder) if download else ""
        raise EngineUserError(f"There is no model {name!r}: neither a folder nor a hub id{meant}.")
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        found: str = untyped("huggingface_hub").snapshot_download(
            name,
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"],
            local_files_only=not download,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        if not download:
            raise EngineUserError(
                f"The model {name!r} isn't on the server's machine, and isn't listed to be fetched; "
                f"`geospot serve --models {name}` does that."
            ) from error
        if isinstance(error, GatedRepoError):
            why = "the Hugging Face hub gives it only to those who accepted its terms (HF_TOKEN)"
        elif isinstance(error, RepositoryNotFoundError):
            why = "the Hugging Face hub has none of this name, or wants a key for it (HF_TOKEN)"
        elif isinstance(error, HfHubHTTPError):
            why = f"the Hugging Face hub answers with HTTP {error.response.status_code}"
        elif isinstance(error, ValueError):
            why = "that is no id of the Hugging Face hub"
        else:
            why = "the Hugging Face hub can't be reached, and it isn't on this machine"
        raise EngineUserError(
            f"The model {name!r} can't be fetched: {why}{_meant(folder)}."
        ) from error
    return Path(found)


def _meant(folder: Path) -> str:
    """What a person may have meant who named a folder that isn't there; for those of this machine alone."""
    try:
        known = [one.name for one in folder.parent.iterdir() if one.is_dir()]
    except OSError:
        return ""  # a hub's organisation is no folder here
    near = nearest(folder.name, known)
    return f" (did you mean {str(folder.parent / near)!r}?)" if near else ""


def _network(
    name: str, folder: Path, dtype: torch.dtype, device: torch.device, seed: int = _SCRATCH_SEED
) -> Any:
    """The model's weights, frozen, in evaluation mode; there is no dropout anywhere."""
    logging = untyped("transformers").logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if name == tiny_vlm.SCRATCH_NAME:
        token_id = tiny_vlm.special_ids(load_tokenizer(folder))
        network = tiny_vlm.build_model(token_id, seed).to(dtype)
    else:
        transformers = untyped("transformers")
        architecture = ARCHITECTURES.get(_kind(name, folder), "AutoModelForImageTextToText")
        network = getattr(transformers, architecture).from_pretrained(
            str(folder), dtype=dtype, use_safetensors=True, **_LOCAL
        )
    network = network.to(device).eval().requires_grad_(False)
    if type(network).__name__ in ARCHITECTURES.values():
        patch_embedding_as_linear(network)
        if dtype == torch.float32 and device.type == "cpu":
            quick_vision(network)
    return network


def _kind(name: str, folder: Path) -> str:
    """`model_type` of a model that answers about images.

    Raises:
        EngineUserError: transformers knows it as no such model.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config.get("model_type"))
    except (OSError, ValueError, AttributeError) as error:
        raise EngineUserError(f"The folder of {name!r} has no readable config.json.") from error
    auto = untyped("transformers.models.auto.modeling_auto")
    if kind not in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise EngineUserError(
            f"The model {name!r} is of type {kind!r}, which this version of transformers doesn't know "
            "as one that takes images and text."
        )
    return kind


def _general(name: str, network: Any, folder: Path, tokenizer: Any) -> Family:
    try:
        return load_general(network, folder, tokenizer)
    except EngineUserError as error:
        raise EngineUserError(f"The model {name!r} can't be served: {error.message}") from error


def _context_length(name: str, config: Any) -> int:
    length: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    if length is None:
        raise EngineUserError(f"The config.json of {name!r} has no max_position_embeddings.")
    return int(length)


def _end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """The tokenizer's end of text and those that generation_config.json names."""
    ends: set[int] = set()
    for value in (tokenizer.eos_token_id, getattr(network.generation_config, "eos_token_id", None)):
        if isinstance(value, int):
            ends.add(value)
        elif value is not None:
            ends.update(int(token) for token in value)
    return frozenset(ends)


def _unspeakable(network: Any, tokenizer: Any, vocabulary: int) -> torch.Tensor:
    """Placeholders of images and videos, and rows of the output layer that are no token at all.

    An image placeholder without its image ends the next forward pass; a padding row can't be decoded.
    Other special tokens are sampled and trained like any other, as the hosted service does: renderers
    teach them when all tokens carry weight.
    """
    mask_V = torch.ones(vocabulary, dtype=torch.bool)
    known = torch.tensor(sorted(int(i) for i in tokenizer.get_vocab().values()))
    mask_V[known[known < vocabulary]] = False
    for name in ("image_token_id", "video_token_id", "audio_token_id"):
        token: int | None = getattr(network.config, name, None)
        if token is not None and token < vocabulary:
            mask_V[token] = True
    return mask_V
