"""Which renderer belongs to which model."""

import difflib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import UsageError
from geospot.renderers.base import Renderer
from geospot.renderers.cookbook import PREFIX, cookbook_renderer
from geospot.renderers.qwen import Qwen3VLRenderer
from geospot.renderers.style import CHAT_TEMPLATE, STYLES
from geospot.renderers.tokens import Tokenizer
from geospot.renderers.vision import TINY_GRID, VisionGrid, grid_in

_TINY: Final = re.compile(r"\btiny-vlm")
# The first that is found in a model's name, lower case. Families that think unless told otherwise get
# the renderer that tells them: an answer of five lines needs no reasoning, and training teaches none.
_FAMILIES: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"qwen-?2(\.5)?-?vl", "qwen2_5_vl"),
        (r"qwen-?3-?vl.*thinking", "qwen3_vl"),
        (r"qwen-?3-?vl", "qwen3_vl_instruct"),
        (r"qwen-?3\.[56]\b", "qwen3_5_disable_thinking"),
        (r"qwen-?3\.8\b", "qwen3_8_disable_thinking"),
        (_TINY.pattern, "qwen3_vl_instruct"),
    )
)
# `model_type` in a model directory's config.json, and the renderer of what usually calls itself so.
_MODEL_TYPES: Final = {
    "qwen2_vl": "qwen2_5_vl",
    "qwen2_5_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl_instruct",
    "qwen3_vl_moe": "qwen3_vl_instruct",
    "qwen3_5": "qwen3_5_disable_thinking",
    "qwen3_5_moe": "qwen3_5_disable_thinking",
}
# Models that call themselves alike and answer differently: Qwen3.6 and 3.8 are of type qwen3_5, and
# those of Qwen3-VL that always think share the type of those that never do.
_SAME_TYPE: Final = {
    "qwen3_vl": ("qwen3_vl",),
    "qwen3_vl_moe": ("qwen3_vl",),
    "qwen3_5": ("qwen3_8_disable_thinking",),
    "qwen3_5_moe": ("qwen3_8_disable_thinking",),
}


def get_renderer(
    name_or_model: str,
    tokenizer: Tokenizer,
    image_processor: Any = None,
    *,
    renderer_name: str | None = None,
    max_image_side: int | None = None,
) -> Renderer:
    """The renderer of that name, or the one that belongs to that model.

    Args:
        name_or_model: a renderer's name (`qwen3_8_disable_thinking`), a model's (`Qwen/Qwen3.8-27B`), a
            model directory, or `cookbook:NAME` for one of tinker-cookbook's.
        tokenizer: the model's fast tokenizer.
        image_processor: the model's image processor from transformers, or a `VisionGrid`; None for
            what the model's directory says, or else what the family was released with (of Qwen,
            also behind tinker-cookbook's renderers). For `chat_template` the model's whole processor,
            or None to make it from the model's files.
        renderer_name: overrides what the model's name says.
        max_image_side: longest side of a photo in pixels; larger ones are shrunk.

    Raises:
        UsageError: no renderer is known by that name or for that model.
        RenderError: the tokenizer or image processor is of another kind.
    """
    name = renderer_name or renderer_name_of(name_or_model)
    if name in STYLES:
        if image_processor is None:
            image_processor = _grid_of_model(name_or_model)
        return Qwen3VLRenderer(
            tokenizer, image_processor, style=STYLES[name], max_image_side=max_image_side
        )
    if name == CHAT_TEMPLATE:
        if renderer_name is None and not getattr(tokenizer, "chat_template", None):
            raise _unknown(name_or_model)
        return _by_chat_template(name_or_model, tokenizer, image_processor, max_image_side)
    if name.startswith(PREFIX) or importlib.util.find_spec("tinker_cookbook") is not None:
        theirs_name = name.removeprefix(PREFIX)
        if image_processor is None:
            image_processor = _grid_for_cookbook(name_or_model, theirs_name)
        theirs = cookbook_renderer(theirs_name, tokenizer, image_processor, max_image_side)
        if theirs is not None:
            return theirs
    raise _unknown(name)


def _by_chat_template(
    name_or_model: str, tokenizer: Tokenizer, image_processor: Any, max_image_side: int | None
) -> Renderer:
    from geospot.renderers.chat_template import ChatTemplateRenderer
    from geospot.renderers.processors import (
        ModelProcessor,
        end_tokens,
        load_processor,
        model_folder,
    )

    if hasattr(image_processor, "image_processor"):  # a whole processor, with its tokenizer
        return ChatTemplateRenderer(ModelProcessor(image_processor), max_image_side=max_image_side)
    named = name_or_model != CHAT_TEMPLATE
    folder = model_folder(name_or_model if named else str(getattr(tokenizer, "name_or_path", "")))
    return ChatTemplateRenderer(
        load_processor(folder, tokenizer), ends=end_tokens(folder), max_image_side=max_image_side
    )


def renderer_name_of(name_or_model: str) -> str:
    """The name of the renderer that belongs to a model; any other name is returned as it is.

    A model of a family that isn't known (a directory with a chat template, or an id with a `/`) is asked
    by its chat template.

    Of a model directory config.json is believed first. Its own name, never that of a folder above it,
    says only what config.json leaves open: which of the models that share a `model_type` it is.
    """
    if name_or_model in (*STYLES, CHAT_TEMPLATE) or name_or_model.startswith(PREFIX):
        return name_or_model
    directory = Path(name_or_model)
    if not directory.is_dir():
        other = CHAT_TEMPLATE if "/" in name_or_model else name_or_model
        return _by_name(name_or_model) or other
    model_type = _model_type(directory)
    usual = _MODEL_TYPES.get(model_type)
    named = _by_name(_own_name(directory))
    if usual is None or named in _SAME_TYPE.get(model_type, ()):
        return named or (CHAT_TEMPLATE if _has_template(directory) else name_or_model)
    return usual


def _has_template(directory: Path) -> bool:
    if (directory / "chat_template.jinja").is_file():
        return True
    return bool(_json(directory / "tokenizer_config.json").get("chat_template"))


def _own_name(directory: Path) -> str:
    """A model directory's last part; in the Hugging Face cache, where that is a commit, the model's."""
    place = directory.absolute()
    repository = place.parent.parent.name
    if place.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.rpartition("--")[2]
    return place.name


def _by_name(name: str) -> str | None:
    lowered = name.lower()
    return next((renderer for pattern, renderer in _FAMILIES if pattern.search(lowered)), None)


def _grid_of_model(name_or_model: str) -> VisionGrid | None:
    directory = Path(name_or_model)
    if directory.is_dir():
        return grid_in(directory) or _tiny_grid(_own_name(directory))
    return _tiny_grid(name_or_model)


def _grid_for_cookbook(name_or_model: str, theirs_name: str) -> VisionGrid | None:
    """What stands in for an image processor: the model's own grid, or that of a family known here."""
    families = (renderer_name_of(name_or_model), theirs_name)
    known = (STYLES[family].grid for family in families if family in STYLES)
    return _grid_of_model(name_or_model) or next(known, None)


def _tiny_grid(name: str) -> VisionGrid | None:
    return TINY_GRID if _TINY.search(name.lower()) else None


def _model_type(directory: Path) -> str:
    """What a model directory says it is, empty where there is none or it says nothing."""
    return str(_json(directory / "config.json").get("model_type", ""))


def _json(file: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _unknown(name: str) -> UsageError:
    near = difflib.get_close_matches(name, STYLES, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    what = "for the model" if "/" in name else "by the name"
    return UsageError(
        f"No renderer is known {what} {name!r}.",
        f"{hint}There are {', '.join((*STYLES, CHAT_TEMPLATE))}; with tinker-cookbook installed, any of "
        "its own too.",
    )
