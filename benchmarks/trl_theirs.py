"""TRL's side of `benchmarks.trl_peer`, in the environment that has TRL: its GRPOTrainer on the CPU.

The model is handed over as an object, and the processor as an instance of tokenizer and PIL image
processor, because AutoProcessor would ask for torchvision. Gradient checkpointing is off and nothing is
written or logged, which is to TRL's advantage.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.trl_task import (
    FORMAT_COEF,
    GROUP,
    LEARNING_RATE,
    MAX_TOKENS,
    TAU_KM,
    settings,
)
from benchmarks.turns import Turns
from geospot.data import GeoSample
from geospot.geo import haversine_km
from geospot.learning.photos import open_training_data, read_photo
from geospot.parsing import parse_geo_response
from geospot.prompts import TINY, target_text
from geospot.rl.geo_reward import coord_reward
from geospot_backends.local import tiny_vlm
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.tiny_processor import TinyVlmProcessor
from geospot_backends.local.untyped import untyped

Photo = tuple[GeoSample, bytes]

_QUESTION: Final[list[dict[str, Any]]] = [{"role": "user", "content": TINY}]


class Rewards:
    """The reward function, which counts what it sees."""

    __name__ = "coord"

    def __init__(self) -> None:
        self.rollouts = 0
        self.tokens = 0
        self.total = 0.0

    def __call__(
        self,
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        latitude: Sequence[float],
        longitude: Sequence[float],
        **_: Any,
    ) -> list[float]:
        """Of each completion: exp(−distance / tau), and what a failure costs."""
        texts = [str(completion[0]["content"]) for completion in completions]
        rewards = [
            _reward(text, *truth) for text, *truth in zip(texts, latitude, longitude, strict=True)
        ]
        self.rollouts += len(texts)
        self.tokens += sum(len(tokens) for tokens in completion_ids)
        self.total += sum(max(reward, 0.0) for reward in rewards)
        return rewards


def _reward(text: str, latitude: float, longitude: float) -> float:
    answer = parse_geo_response(text)
    if answer.latitude is None or answer.longitude is None:
        return -FORMAT_COEF
    km = float(haversine_km(answer.latitude, answer.longitude, latitude, longitude))
    return coord_reward(km, [TAU_KM])


def main(folder: Path, steps: int, images: int) -> None:
    """A whole training, which waits for its turn before each step."""
    turns = Turns()
    untyped("torch").set_num_threads(1)
    samples = _samples(folder, steps, images)
    rewards = Rewards()
    processor = _processor()
    trainer = untyped("trl").GRPOTrainer(
        model=untyped("transformers").Qwen3VLForConditionalGeneration.from_pretrained(
            str(tiny_vlm.FOLDER), dtype="float32"
        ),
        reward_funcs=rewards,
        args=_arguments(folder, steps, images),
        train_dataset=_dataset(samples),
        processing_class=processor,
        callbacks=[_callback(turns)],
    )
    turns.say({"logprobs": _logprobs(trainer.model, processor, samples[:images])})
    trainer.train()
    turns.say(
        {
            "rollouts": rewards.rollouts,
            "tokens": rewards.tokens,
            "reward": rewards.total / rewards.rollouts,
        }
    )


def _arguments(folder: Path, steps: int, images: int) -> Any:
    return untyped("trl").GRPOConfig(
        output_dir=str(folder / "trl"),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=images * GROUP,
        num_generations=GROUP,
        max_completion_length=MAX_TOKENS,
        max_steps=steps,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        loss_type="dapo",
        scale_rewards="none",
        beta=0.0,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        gradient_checkpointing=False,
        shuffle_dataset=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def _samples(folder: Path, steps: int, images: int) -> list[Photo]:
    """The photos of our run in its order."""
    config = settings(folder, steps, images)
    data = open_training_data(config)
    try:
        order = data.order(config.seed)
        chosen = [data.samples[one] for step in range(steps) for one in order.batch(step, images)]
        return [(one, read_photo(data.dataset, one, config.max_image_size).data) for one in chosen]
    finally:
        data.close()


def _dataset(samples: Sequence[Photo]) -> Any:
    datasets = untyped("datasets")
    rows = {
        "prompt": [_QUESTION] * len(samples),
        "image": [{"bytes": photo, "path": None} for _, photo in samples],
        "latitude": [sample.latitude for sample, _ in samples],
        "longitude": [sample.longitude for sample, _ in samples],
    }
    return datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())


def _processor() -> Any:
    tokenizer = load_tokenizer(tiny_vlm.FOLDER)
    tokenizer.padding_side = "left"
    pictures = untyped("transformers").AutoImageProcessor.from_pretrained(str(tiny_vlm.FOLDER))
    maker: Any = TinyVlmProcessor
    return maker(pictures, tokenizer, chat_template=tokenizer.chat_template)


def _callback(turns: Turns) -> Any:
    """From the end of one step to the end of the next is a turn."""

    class InTurn(untyped("transformers").TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turns.next()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.next()

    return InTurn()


def _logprobs(model: Any, processor: Any, samples: Sequence[Photo]) -> list[list[float]]:
    """Of the true answers to the photos.

    Placeholders of images and videos are left out of the distribution, as they are in our engine: TRL
    doesn't sample the former either.
    """
    torch, image = untyped("torch"), untyped("PIL.Image")
    question = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TINY}]}],
        add_generation_prompt=True,
        tokenize=False,
    )
    ends = [target_text(sample) + tiny_vlm.IM_END for sample, _ in samples]
    inputs = processor(
        images=[[image.open(io.BytesIO(photo))] for _, photo in samples],
        text=[question + end for end in ends],
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        logits = model(**inputs).logits[:, :-1]
    logits[..., [model.config.image_token_id, model.config.video_token_id]] = -torch.inf
    targets = inputs["input_ids"][:, 1:, None]
    found = logits.log_softmax(-1).gather(-1, targets)[..., 0]
    lengths = [len(processor.tokenizer(end)["input_ids"]) for end in ends]
    return [row[-length:].tolist() for row, length in zip(found, lengths, strict=True)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
