"""The same work by transformers and peft alone: `generate`, and a LoRA step written out.

Photos are made into tensors once, beforehand: their reading isn't counted here, as the engine's is.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accelerator_model import Size
from geospot_backends.local.api import Chunks, Datum, TokenChunk
from geospot_backends.local.untyped import untyped


class Plain:
    """A model from a folder with a LoRA adapter of peft and torch's AdamW.

    Args:
        folder: as `write_model` writes it.
        size: of the model and the work.
        device: where it is computed.
        prompts: one a photo, all equally long.
    """

    def __init__(self, folder: Path, size: Size, device: str, prompts: Sequence[Chunks]) -> None:
        self._torch: Any = untyped("torch")
        self._size = size
        self._device = device
        transformers, peft = untyped("transformers"), untyped("peft")
        network = transformers.Qwen3VLForConditionalGeneration.from_pretrained(
            str(folder), dtype=getattr(self._torch, size.dtype)
        ).to(device)
        self._image_token = int(network.config.image_token_id)
        layers = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
        lora = peft.LoraConfig(r=size.rank, lora_alpha=32, target_modules=layers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
            self._network: Any = peft.get_peft_model(network, lora).eval()
        trained = [one for one in self._network.parameters() if one.requires_grad]
        self._adam: Any = self._torch.optim.AdamW(trained, lr=1e-6)
        processor = transformers.AutoImageProcessor.from_pretrained(str(folder), backend="pil")
        self._inputs = [self._read(processor, prompt) for prompt in prompts]

    def generate(self) -> None:
        """Samples `group` answers of `max_tokens` tokens to each prompt, all in one batch."""
        size = self._size
        whole = {
            name: self._torch.cat([one[name] for one in self._inputs]) for name in self._inputs[0]
        }
        with self._torch.no_grad():
            out = self._network.generate(
                **whole,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=size.group,
                min_new_tokens=size.max_tokens,
                max_new_tokens=size.max_tokens,
            )
        wanted = (
            size.photos * size.group,
            self._inputs[0]["input_ids"].shape[1] + size.max_tokens,
        )
        assert tuple(out.shape) == wanted, (out.shape, wanted)

    def step(self, datums: Sequence[Datum]) -> list[float]:
        """Forward, backward and AdamW on importance sampling, the answers to one photo at a time.

        Returns:
            The log-probability of each answer's tokens, one answer after the other.
        """
        group = self._size.group
        logprobs = [
            self._backward(inputs, datums[number * group : (number + 1) * group])
            for number, inputs in enumerate(self._inputs)
        ]
        self._adam.step()
        self._adam.zero_grad()
        found: list[float] = self._torch.cat(logprobs).flatten().tolist()
        return found

    def _backward(self, inputs: dict[str, Any], datums: Sequence[Datum]) -> Any:
        """Adds to the gradient; log-probabilities of shape (answers, tokens of an answer)."""
        torch, answer = self._torch, self._size.max_tokens
        targets = self._tensor([one.inputs["target_tokens"][-answer:] for one in datums])
        sampled = self._tensor([one.inputs["logprobs"][-answer:] for one in datums])
        advantages = self._tensor([one.inputs["advantages"][-answer:] for one in datums])
        repeated = {
            name: value.repeat(len(datums), *[1] * (value.dim() - 1))
            for name, value in inputs.items()
        }
        repeated["input_ids"] = torch.cat((repeated["input_ids"], targets[:, :-1]), dim=1)
        text = torch.zeros_like(targets[:, :-1])
        for name, more in (("attention_mask", text + 1), ("mm_token_type_ids", text)):
            repeated[name] = torch.cat((repeated[name], more), dim=1)
        logits = self._network(**repeated, logits_to_keep=answer, use_cache=False).logits
        logprobs = (
            torch.log_softmax(logits.float(), dim=-1).gather(-1, targets[..., None]).squeeze(-1)
        )
        (-torch.exp(logprobs - sampled) * advantages).sum().backward()
        return logprobs.detach()

    def _tensor(self, arrays: Sequence["np.ndarray[Any, Any]"]) -> Any:
        return self._torch.from_numpy(np.stack(arrays)).to(self._device)

    def _read(self, processor: Any, prompt: Chunks) -> dict[str, Any]:
        """What the network takes for one prompt with its photo."""
        from PIL import Image

        tokens: list[int] = []
        pixels: dict[str, Any] = {}
        for chunk in prompt:
            if isinstance(chunk, TokenChunk):
                tokens += chunk.tokens
            else:
                with Image.open(io.BytesIO(chunk.data)) as image:
                    pixels = dict(processor(image, return_tensors="pt"))
                tokens += [self._image_token] * self._size.image_tokens
        ids = self._torch.tensor([tokens])
        pixels["pixel_values"] = pixels["pixel_values"].to(getattr(self._torch, self._size.dtype))
        whole = {
            **pixels,
            "input_ids": ids,
            "attention_mask": self._torch.ones_like(ids),
            "mm_token_type_ids": (ids == self._image_token).int(),
        }
        return {name: value.to(self._device) for name, value in whole.items()}
