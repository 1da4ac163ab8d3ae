"""What vLLM's LoRA loader demands of an adapter folder for the Qwen-VL families, as rules to check by.

vLLM itself needs an accelerator's build of torch and can't be installed beside ours. The rules are what
its source said in 2026 (`vllm/lora/peft_helper.py`, `lora_model.py`, `utils.py`, `model_manager.py`,
`vllm/config/lora.py`, and the name maps of `qwen2_5_vl.py` and `qwen3_vl.py`).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot_backends.local.untyped import untyped

MAX_RANK: Final = 512
"""The largest that `--max-lora-rank` may be; unless it is said, it is 16."""

_RENAMED: Final = {
    "model.language_model.": "language_model.model.",
    "model.visual.": "visual.",
    "lm_head.": "language_model.lm_head.",
}
_TENSOR: Final = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


@dataclass(frozen=True)
class Serving:
    """A vLLM server: its model's layers with inputs and outputs, and what it was told.

    `takes_output_layer`: Qwen3's text model names lm_head among what LoRA may change since early 2026;
    Qwen2's, on which Qwen2-VL and Qwen2.5-VL stand, didn't in any version that was read.
    """

    linear: dict[str, tuple[int, int]]
    takes_output_layer: bool
    max_rank: int = MAX_RANK


def serving(base: Path) -> Serving:
    """The server of a base model's folder."""
    config: dict[str, Any] = json.loads((base / "config.json").read_text())
    text: dict[str, Any] = config["text_config"]
    hidden, heads = text["hidden_size"], text["num_attention_heads"]
    head = text.get("head_dim") or hidden // heads
    keys = text["num_key_value_heads"] * head
    layer = {
        "self_attn.q_proj": (hidden, heads * head),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (heads * head, hidden),
    }
    if "num_experts" not in text:
        inner = text["intermediate_size"]
        layer |= {
            "mlp.gate_proj": (hidden, inner),
            "mlp.up_proj": (hidden, inner),
            "mlp.down_proj": (inner, hidden),
        }
    linear = {
        f"language_model.model.layers.{number}.{name}": size
        for number in range(text["num_hidden_layers"])
        for name, size in layer.items()
    }
    linear["language_model.lm_head"] = (hidden, text["vocab_size"])
    return Serving(linear, takes_output_layer=config["model_type"].startswith("qwen3"))


def objections(adapter: Path, server: Serving) -> list[str]:
    """Everything in the folder that the server would refuse, or silently leave unused."""
    config: dict[str, Any] = json.loads((adapter / "adapter_config.json").read_text())
    return [*_of_config(config, server), *_of_tensors(adapter, config, server)]


def _of_config(config: dict[str, Any], server: Serving) -> Iterator[str]:
    for name in ("r", "lora_alpha", "target_modules"):
        if not config.get(name):
            yield f"{name} is missing"
    for name in ("modules_to_save", "use_dora"):
        if config.get(name):
            yield f"{name} is set"
    if config.get("bias", "none") != "none":
        yield "biases are trained"
    for name in ("rank_pattern", "alpha_pattern"):
        if config.get(name):
            yield f"{name} isn't read: one rank and one alpha are used for all layers"
    if config.get("r", 0) > server.max_rank:
        yield f"rank {config['r']} is greater than {server.max_rank}"


def _of_tensors(adapter: Path, config: dict[str, Any], server: Serving) -> Iterator[str]:
    open_file = untyped("safetensors").safe_open
    sides: dict[str, dict[str, list[int]]] = {}
    with open_file(str(adapter / "adapter_model.safetensors"), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            found = _TENSOR.fullmatch(name)
            if found is None:
                yield f"{name} is no LoRA weight"
                continue
            shape = list(file.get_slice(name).get_shape())
            sides.setdefault(_renamed(found[1]), {})[found[2]] = shape
    if not sides:
        yield "there are no weights"
    for module, shapes in sides.items():
        if module not in server.linear:
            yield f"{module} isn't there"
        elif module.endswith("lm_head") and not server.takes_output_layer:
            yield f"{module} isn't among the target modules"
        else:
            inputs, outputs = server.linear[module]
            if shapes != {"A": [config["r"], inputs], "B": [outputs, config["r"]]}:
                yield f"{module} has the shapes {shapes}"


def _renamed(module: str) -> str:
    for prefix, new in _RENAMED.items():
        if f"{module}.".startswith(prefix):
            return f"{new}{f'{module}.'.removeprefix(prefix)}".rstrip(".")
    return module
