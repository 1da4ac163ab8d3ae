"""A model's own tokenizer, from a folder or the Hugging Face hub."""

from pathlib import Path
from typing import Any, cast

from geospot.errors import ModelNotFoundError, RenderError
from geospot.renderers.processors import model_folder
from geospot.renderers.tokens import Tokenizer
from geospot.textsafe import printable


def load_tokenizer(model: str, place: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a model. A hub that is out of reach is given up within seconds.

    Args:
        model: its name, as messages have it.
        place: a folder or an id on the hub; None stands for the model's name.

    Raises:
        ModelNotFoundError: there is none to be had.
    """
    try:
        from transformers import AutoTokenizer

        # Fetched beforehand: from_pretrained goes on trying for a minute where the hub is out of reach.
        folder = model_folder(str(place or model))
        loader = cast(Any, AutoTokenizer)
        return cast(Tokenizer, loader.from_pretrained(str(folder), trust_remote_code=False))
    except (OSError, ValueError, ImportError, RenderError) as error:
        why = error.message if isinstance(error, RenderError) else str(error)
        raise ModelNotFoundError(
            f"The tokenizer of {printable(model)} can't be loaded: "
            f"{printable(why.partition('. ')[0]).rstrip('.')[:200]}.",
            "It comes from the Hugging Face hub, through the package transformers: is that installed, "
            "the hub reachable, and HF_TOKEN set if the model is gated?",
        ) from error


def hub_id(model: str) -> str:
    """Where a hosted model's files lie: `org/model/variant` and `org/model:variant` are `org/model`."""
    return "/".join(model.partition(":")[0].split("/")[:2])
