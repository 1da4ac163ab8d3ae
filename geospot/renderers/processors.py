"""A model's own processor from transformers: what an image becomes in its prompt.

For the families that geospot has no arithmetic of its own for. Only images: a processor's part for
videos is left out, since transformers wants torchvision for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from geospot.errors import ImageError, RenderError

if TYPE_CHECKING:
    from PIL.Image import Image

_SETTINGS: Final = {"trust_remote_code": False}
_CONFIGS: Final = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_FILES: Final = ("*.json", "*.txt", "*.jinja", "*.model")
_UNUSABLE: Final = (
    ImportError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
)
"""What processors raise where a package or file lacks, or where an image doesn't suit them."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What stands for an image in a prompt.

    Attributes:
        before: white space in front of it, which belongs to the text there.
        tokens_N: its N tokens: placeholders, and marks around them.
        after: white space behind it, which belongs to the text there.
        kinds: other arrays of shape (N,) that the model reads, such as `token_type_ids`.
    """

    before: str
    tokens_N: npt.NDArray[np.int64]
    after: str
    kinds: Mapping[str, npt.NDArray[np.int64]]


class ModelProcessor:
    """Expands images as the model's own processor does.

    Args:
        processor: transformers' processor of the model, with its tokenizer.

    Raises:
        RenderError: one that has no placeholder for images that is a single token.
    """

    def __init__(self, processor: Any) -> None:
        self.tokenizer: Any = processor.tokenizer
        self.placeholder = str(getattr(processor, "image_token", None) or "")
        self._processor = processor
        tokens = self.tokenizer.encode(self.placeholder, add_special_tokens=False)
        if not self.placeholder or len(tokens) != 1:
            raise RenderError(
                f"{type(processor).__name__} has no placeholder for images that is one token.",
                "Take a model of another family.",
            )
        self.placeholder_token = int(tokens[0])

    def expand(self, image: "Image") -> Expansion:
        """What stands for an RGB image in a prompt.

        Raises:
            ImageError: the processor refuses it.
        """
        read = self._read([image])
        tokens: list[int] = np.asarray(read["input_ids"])[0].tolist()
        first, last = 0, len(tokens)
        while first < last and self._is_space(tokens[first]):
            first += 1
        while last > first and self._is_space(tokens[last - 1]):
            last -= 1
        return Expansion(
            before=self._text(tokens[:first]),
            tokens_N=np.array(tokens[first:last], np.int64),
            after=self._text(tokens[last:]),
            kinds={
                name: np.asarray(value, np.int64)[0, first:last]
                for name, value in read.items()
                if name.endswith("token_type_ids")
            },
        )

    def tensors(self, images: Sequence["Image"]) -> dict[str, npt.NDArray[np.generic]]:
        """What the model takes for all images of one sequence together, by the names it uses.

        Raises:
            ImageError: the processor refuses them.
        """
        return {
            name: np.asarray(value)
            for name, value in self._read(images).items()
            if name not in ("input_ids", "attention_mask") and not name.endswith("token_type_ids")
        }

    def _read(self, images: Sequence["Image"]) -> Mapping[str, Any]:
        try:
            read: Any = self._processor(
                images=list(images),
                text=[self.placeholder * len(images)],
                return_tensors="np",
                add_special_tokens=False,
            )
        except _UNUSABLE as error:
            raise ImageError(
                f"{type(self._processor).__name__} refuses an image: {_first_sentence(error)}"
            ) from error
        return cast(Mapping[str, Any], read)

    def _is_space(self, token: int) -> bool:
        return self._text([token]).isspace()

    def _text(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens))


def model_folder(model: str) -> Path:
    """The folder of a model: itself, or the small files of a Hugging Face repository.

    Raises:
        RenderError: there is none.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    hub: Any = import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(model, allow_patterns=list(_FILES)))
    except _UNUSABLE as error:
        raise RenderError(
            f"The model {model} isn't found: {_first_sentence(error)}",
            "Give its folder or its id on the Hugging Face hub.",
        ) from error


def end_tokens(folder: Path) -> list[int]:
    """What ends an answer by the model's generation settings; empty where it has none."""
    try:
        found: Any = _json(folder / "generation_config.json").get("eos_token_id")
    except (OSError, ValueError):
        return []
    tokens = cast(list[Any], found) if isinstance(found, list) else [found]
    return [token for token in tokens if isinstance(token, int)]


def load_processor(folder: Path, tokenizer: Any = None) -> ModelProcessor:
    """The processor of a model in a folder.

    Args:
        folder: with the files of tokenizer and image processor.
        tokenizer: the model's; None loads it.

    Raises:
        RenderError: none can be made, with the reason in one sentence.
    """
    try:
        kind = _processor_class(folder)
        settings = _json(folder / "processor_config.json")
        parts = [_part(name, folder, tokenizer) for name in kind.get_attributes()]
        # transformers checks that each part is there and of its class; videos have none here.
        images_only = type(kind.__name__, (kind,), {"check_argument_for_proper_class": _unchecked})
        return ModelProcessor(images_only.from_args_and_dict(parts, settings))
    except _UNUSABLE as error:
        raise RenderError(
            f"The processor in {folder} can't be made: {_first_sentence(error)}",
            "Without it nobody knows what an image becomes in this model's prompt.",
        ) from error


def _processor_class(folder: Path) -> Any:
    """The class that the folder names, or that transformers has for its type of model."""
    named = [_json(folder / file).get("processor_class") for file in _CONFIGS]
    auto: Any = import_module("transformers.models.auto.processing_auto")
    named.append(auto.PROCESSOR_MAPPING_NAMES.get(_json(folder / "config.json").get("model_type")))
    name = next((one for one in named if one), None)
    if name is None:
        raise ValueError("transformers knows no processor for this type of model.")
    found: Any = auto.processor_class_from_name(name)
    if found is None:
        raise ValueError(f"transformers has no {name}.")
    return found


def _part(name: str, folder: Path, tokenizer: Any) -> Any:
    transformers: Any = import_module("transformers")
    if name == "tokenizer":
        return tokenizer or transformers.AutoTokenizer.from_pretrained(str(folder), **_SETTINGS)
    if name == "image_processor":
        return transformers.AutoImageProcessor.from_pretrained(
            str(folder), backend="pil", **_SETTINGS
        )
    return None  # for videos or sound: none are read


def _unchecked(self: Any, name: str, part: Any) -> None:
    del self, name, part


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    content: Any = json.loads(file.read_text(encoding="utf-8"))
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text.partition('. ')[0].rstrip('.')}."
