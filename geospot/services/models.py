"""Which of a service's models to use, and what to say of one that it doesn't serve."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from geospot.errors import ModelNotFoundError
from geospot.textsafe import printable

RETIRED: Final = {"Qwen/Qwen3-VL-30B-A3B-Instruct": "12 June 2026"}
"""Models that the hosted service has retired, and when."""

_VISION: Final = re.compile(
    r"[-_.\d]vl\b|vlm|vision|qwen3\.[5-9]|qwen[4-9]|kimi-k2\.[5-9]|kimi-k[3-9]|inkling|gemma-[3-9]"
    r"|llava|pixtral|internvl",
    re.IGNORECASE,
)
_QWEN: Final = re.compile(r"^Qwen/Qwen(\d+(?:\.\d+)?)", re.IGNORECASE)
_BILLIONS: Final = re.compile(r"(\d+(?:\.\d+)?)B\b", re.IGNORECASE)
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A base model that a service offers."""

    name: str
    context_length: int | None = None
    """Tokens of prompt and answer together."""
    trainable: bool = True


def is_vision_model(name: str) -> bool:
    """Whether a model takes images, as far as its name tells."""
    return bool(_VISION.search(name))


def choose_model(
    wanted: str | None, served: Sequence[ServedModel], *, service: str, hosted: bool = False
) -> ServedModel:
    """The model asked for, or the one to take where none was named.

    Unnamed, it is an open Qwen vision model, the latest family and of it the smallest; failing that
    the service's first vision model. Never another one than was asked for.

    Args:
        service: how messages call the service.
        hosted: it is the hosted one, whose retired models are known.

    Raises:
        ModelNotFoundError: it isn't served, or nothing that is served takes images.
    """
    if wanted is None:
        return _preferred(served, service)
    for model in served:
        if model.name == wanted:
            return model
    reason = f"{service} doesn't serve the model {printable(wanted)!r}"
    if wanted in RETIRED:
        where = "it was" if hosted else "the hosted service"
        retired = "retired there" if hosted else "retired it"
        reason += f": {where} {retired} on {RETIRED[wanted]}"
    raise ModelNotFoundError(f"{reason}.", _advice(wanted, served))


def _preferred(served: Sequence[ServedModel], service: str) -> ServedModel:
    vision = [model for model in served if is_vision_model(model.name)]
    if not vision:
        raise ModelNotFoundError(
            f"{service} serves no model that is known to take images.", _advice(None, served)
        )
    qwen = [model for model in vision if _QWEN.match(model.name)]
    return (
        min(qwen, key=lambda model: (-_version(model.name), _size(model.name)))
        if qwen
        else vision[0]
    )


def _version(name: str) -> float:
    found = _QWEN.match(name)
    return float(found[1]) if found else 0.0


def _size(name: str) -> float:
    """Billions of parameters, as the name says."""
    found = _BILLIONS.search(name)
    return float(found[1]) if found else float("inf")


def _advice(wanted: str | None, served: Sequence[ServedModel]) -> str:
    if not served:
        return "It says that it serves no model at all."
    names = [model.name for model in served]
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.8) if wanted else []
    meant = f"Did you mean {printable(near[0])}? " if near else ""
    vision = [name for name in names if is_vision_model(name)]
    rest = [name for name in names if name not in vision]
    sentences: list[str] = []
    if vision:
        sentences.append(f"Vision models that it serves: {_listed(vision)}.")
    if rest:
        sentences.append(f"Others: {_listed(rest)}.")
    return meant + " ".join(sentences)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
