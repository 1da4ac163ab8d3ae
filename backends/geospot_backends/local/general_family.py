"""Any architecture that transformers loads for images and text, read one sequence at a time.

No padding, no shared beginnings: masks, positions and image tensors are whatever the model makes of a
single sequence by itself. Samples of one prompt share its cache. A model is tried when it is loaded, so
one that decodes otherwise than it reads is refused instead of being trained on the wrong numbers.
"""

import inspect
import io
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from geospot.errors import GeospotError
from geospot.renderers.processors import ModelProcessor, load_processor
from geospot_backends.local.api import EngineUserError
from geospot_backends.local.caches import new_cache
from geospot_backends.local.families import Heads
from geospot_backends.local.sequences import Pixels, PlacedImage, Sequence
from geospot_backends.local.tensors import tensor_of

_TRIED_TEXT: Final = 6
_TRIED_SIDE: Final = 64
_EXACT: Final = 1e-3
_ROUNDED: Final = 0.1
"""How far logits may be apart, as a share of their size: in float32, and in 16 bits."""


@dataclass(frozen=True, slots=True)
class GeneralFamily:
    """See `families.Family`."""

    processor: ModelProcessor
    takes: frozenset[str]
    """What the model's forward pass takes, by name."""
    softcap: float | None
    """Logits are bounded by this, by a hyperbolic tangent (Gemma)."""
    shares: bool = False

    def image(self, data: bytes, digest: bytes, picture: Image.Image) -> Pixels:
        """The image as the model's processor expands it."""
        try:
            expansion = self.processor.expand(picture)
            tensors = self.processor.tensors([picture])
        except GeospotError as error:
            raise EngineUserError(error.message) from error
        count = len(expansion.tokens_N)
        return Pixels(
            digest,
            data,
            tokens_N=expansion.tokens_N,
            offsets_3_N=np.tile(np.arange(count), (3, 1)),
            advance=count,
            tensors=self._tensors(tensors),
            kinds={name: kind for name, kind in expansion.kinds.items() if name in self.takes},
        )

    def read(self, network: Any, sequences: Many[Sequence], *, remember: bool) -> Heads:
        """One sequence."""
        (sequence,) = sequences
        if hasattr(network.model, "rope_deltas"):
            network.model.rope_deltas = None  # of the sequence before
        cache = new_cache(network) if remember else None
        device = network.device
        out = network.model(
            input_ids=tensor_of(sequence.tokens_L, device)[None],
            past_key_values=cache,
            use_cache=remember,
            **{name: _moved(tensor, network) for name, tensor in self._vision(sequence).items()},
            **{name: tensor_of(k, device)[None] for name, k in _kinds(sequence).items()},
        )
        hidden_1_L_D: torch.Tensor = out.last_hidden_state
        mask_1_L = torch.ones(hidden_1_L_D.shape[:2], dtype=torch.long, device=device)
        return Heads(hidden_1_L_D, cache, mask_1_L, [0], [sequence.next_position])

    def go_on(
        self,
        network: Any,
        cache: Any,
        tokens_N_L: torch.Tensor,
        positions_3_N_L: torch.Tensor,
        mask_N_K: torch.Tensor,
    ) -> torch.Tensor:
        """The next tokens of samples of one prompt; the model counts positions by itself."""
        del positions_3_N_L, mask_N_K
        out = network.model(input_ids=tokens_N_L, past_key_values=cache, use_cache=True)
        hidden_N_L_D: torch.Tensor = out.last_hidden_state
        return hidden_N_L_D

    def logits(self, network: Any, hidden_T_D: torch.Tensor) -> torch.Tensor:
        """The output layer, and what bounds it."""
        logit_T_V: torch.Tensor = network.lm_head(hidden_T_D)
        if self.softcap is not None:
            logit_T_V = torch.tanh(logit_T_V / self.softcap) * self.softcap
        return logit_T_V.float()

    def _vision(self, sequence: Sequence) -> dict[str, torch.Tensor]:
        """Image tensors of the whole sequence; several images are read together, as trained."""
        if len(sequence.images) == 1:
            return dict(sequence.images[0].pixels.tensors)
        pictures: list[Image.Image] = []
        for image in sequence.images:
            with Image.open(io.BytesIO(image.pixels.data)) as opened:
                pictures.append(opened.convert("RGB"))
        return self._tensors(self.processor.tensors(pictures)) if pictures else {}

    def _tensors(self, arrays: dict[str, npt.NDArray[np.generic]]) -> dict[str, torch.Tensor]:
        cpu = torch.device("cpu")
        return {name: tensor_of(a, cpu) for name, a in arrays.items() if name in self.takes}


def load_general(network: Any, folder: Path, tokenizer: Any) -> GeneralFamily:
    """The family of a model that was loaded, after a trial.

    Raises:
        EngineUserError: it can't be served, with the reason in one sentence.
    """
    if network.config.is_encoder_decoder:
        raise EngineUserError("it has an encoder and a decoder.")
    if not hasattr(network, "model") or not isinstance(
        getattr(network, "lm_head", None), torch.nn.Linear
    ):
        raise EngineUserError("its parts aren't a model and an output layer.")
    if getattr(network.config, "image_token_id", None) is None:
        raise EngineUserError("its configuration names no image token.")
    try:
        processor = load_processor(folder, tokenizer)
    except GeospotError as error:
        raise EngineUserError(error.message) from error
    text_config: Any = network.config.get_text_config()
    family = GeneralFamily(
        processor,
        takes=frozenset(inspect.signature(network.model.forward).parameters),
        softcap=getattr(text_config, "final_logit_softcapping", None),
    )
    try:
        with torch.no_grad():
            _try(family, network)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise EngineUserError(f"a trial of it failed: {str(error).splitlines()[0]}") from error
    return family


def _try(family: GeneralFamily, network: Any) -> None:
    """Reads an image between words at once and token by token, and compares.

    Raises:
        EngineUserError: the two differ, or the output layer isn't all that makes logits.
    """
    words = _words(family)
    data = io.BytesIO()
    Image.new("RGB", (_TRIED_SIDE, _TRIED_SIDE), (90, 120, 60)).save(data, "PNG")
    picture = Image.open(data).convert("RGB")
    pixels = family.image(data.getvalue(), b"", picture)
    whole = np.concatenate([words, pixels.tokens_N, words])
    image = PlacedImage(len(words), pixels)
    sequence = Sequence(whole, np.tile(np.arange(len(whole)), (3, 1)), (image,), len(whole))
    wanted_L_V = family.logits(
        network, family.read(network, [sequence], remember=False).hidden_H_L_D[0]
    )
    heads = family.read(network, [sequence.head(len(whole) - len(words))], remember=True)
    heads.cache.reorder_cache(torch.zeros(2, dtype=torch.long, device=network.device))
    steps = [
        family.go_on(
            network,
            heads.cache,
            torch.full((2, 1), int(token), device=network.device),
            heads.mask_H_L,
            heads.mask_H_L,
        )[1]
        for token in words
    ]
    allowed = _EXACT if network.dtype == torch.float32 else _ROUNDED
    stepped_L_V = family.logits(network, torch.cat(steps))
    if not _far(stepped_L_V, wanted_L_V[-len(words) :]) <= allowed:  # also where it is NaN
        raise EngineUserError("it answers otherwise token by token than read at once.")
    text = tensor_of(words, network.device)[None]
    theirs: torch.Tensor = network(input_ids=text).logits[0].float()
    alone = Sequence(words, np.tile(np.arange(len(words)), (3, 1)), (), len(words))
    ours = family.logits(network, family.read(network, [alone], remember=False).hidden_H_L_D[0])
    if not _far(ours, theirs) <= allowed:
        raise EngineUserError("more than an output layer makes its logits.")


def _words(family: GeneralFamily) -> npt.NDArray[np.int64]:
    tokens: list[int] = family.processor.tokenizer.encode(
        "one two three four five six", add_special_tokens=False
    )
    return np.array(tokens[:_TRIED_TEXT], np.int64)


def _far(found_T_V: torch.Tensor, wanted_T_V: torch.Tensor) -> float:
    """The difference as a share of what was wanted."""
    off, size = (found_T_V - wanted_T_V).square().mean(), wanted_T_V.square().mean()
    return float((off / size).sqrt())


def _moved(tensor: torch.Tensor, network: Any) -> torch.Tensor:
    """On the model's device; numbers as precise as its weights."""
    dtype = network.dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(network.device, dtype)


def _kinds(sequence: Sequence) -> dict[str, npt.NDArray[np.int64]]:
    """Arrays over all positions: an image's own where it stands, 0 for text."""
    kinds: dict[str, npt.NDArray[np.int64]] = {}
    for image in sequence.images:
        for name, kind_N in image.pixels.kinds.items():
            whole = kinds.setdefault(name, np.zeros(sequence.length, np.int64))
            whole[image.start : image.start + image.tokens] = kind_N
    return kinds
