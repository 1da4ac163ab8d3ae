"""Photos and their answers as training batches: what the model reads, and what it is to say next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geospot.data.sample import GeoSample
from geospot.errors import DataError, ImageError, RenderError, SourceUnavailableError
from geospot.images import PreparedImage
from geospot.learning.patience import read_patiently
from geospot.learning.photos import TrainingData, question, read_photo
from geospot.prompts import Prompt, target_text
from geospot.renderers import Message, Renderer
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker
    from numpy.typing import NDArray

    from geospot.learning.trainer import Trainer


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One photo's datum in the making.

    The input has N positions; position i predicts `targets_N[i]`. `learned_N` is 1 where that is part
    of the answer and 0 elsewhere.
    """

    model_input: "tinker.ModelInput"
    targets_N: "NDArray[np.int64]"
    learned_N: "NDArray[np.float32]"

    @property
    def answer_tokens(self) -> int:
        """Tokens that the model is to learn."""
        return int(np.count_nonzero(self.learned_N))


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Datums whose weights add up to 1: the service's summed loss is the mean over answer tokens, in
    nats. `lost` counts the photos that couldn't be had, with a reason for each; all of them may be.
    """

    datums: "list[tinker.Datum]"
    answer_tokens: int
    positions: int
    lost: list[str]


def none_could_be_had(lost: Sequence[str]) -> DataError:
    """What ends a run that has no photos to train on.

    Args:
        lost: why, photo by photo.
    """
    return DataError(
        f"Of a batch not one photo could be had ({len(lost)} lost). The first: {lost[0]}",
        "`geospot data check` looks through a data set.",
    )


def shifted(model_input: "tinker.ModelInput", weights_N: "NDArray[np.float32]") -> Example:
    """The example by which each position learns the token behind it: N − 1 positions of N.

    A photo takes as many positions as it has tokens; there the target is 0 and the weight, always 0,
    says that nothing is learned.

    Raises:
        RenderError: the example ends in an image, or too early for anything to be predicted.
    """
    import tinker

    *before, last = model_input.chunks
    if not isinstance(last, tinker.EncodedTextChunk) or model_input.length < 2:
        raise RenderError("An example ends in an image.", "Put the answer behind the photo.")
    rest = list(last.tokens)[:-1]
    chunks = [*before, tinker.EncodedTextChunk(tokens=rest)] if rest else before
    if not isinstance(chunks[-1], tinker.EncodedTextChunk):
        raise RenderError("An answer of one token stands right behind the image.")
    tokens: list[int] = []
    for chunk in model_input.chunks:
        is_text = isinstance(chunk, tinker.EncodedTextChunk)
        tokens += list(chunk.tokens) if is_text else [0] * chunk.length
    return Example(
        tinker.ModelInput(chunks=list(chunks)),
        np.asarray(tokens[1:], np.int64),
        np.asarray(weights_N, np.float32)[1:],
    )


def make_batch(examples: Sequence[Example], lost: Sequence[str] = ()) -> Batch:
    """The examples with weights of 1 over the answer tokens of all."""
    import tinker

    answer_tokens = sum(example.answer_tokens for example in examples)
    scale = np.float32(1 / max(answer_tokens, 1))
    datums = [
        tinker.Datum(
            model_input=example.model_input,
            loss_fn_inputs={
                "target_tokens": tinker.TensorData.from_numpy(example.targets_N),
                "weights": tinker.TensorData.from_numpy(example.learned_N * scale),
            },
        )
        for example in examples
    ]
    positions = sum(example.model_input.length for example in examples)
    return Batch(datums, answer_tokens, positions, list(lost))


@dataclass(frozen=True, slots=True)
class ExampleMaker:
    """Reads photos and puts question and answer into the model's tokens.

    Args:
        context_length: tokens that an example may have, where the service tells.
        max_retries: tries after a data source that didn't answer.
    """

    data: TrainingData
    renderer: Renderer
    prompt: Prompt
    max_image_size: int | None
    context_length: int | None = None
    max_retries: int = 0

    @classmethod
    def of(cls, trainer: "Trainer[Any]", data: TrainingData) -> Self:
        """What makes examples of these photos for the model in training."""
        return cls(
            data,
            trainer.renderer,
            trainer.prompt,
            trainer.max_image_size,
            trainer.context_length,
            trainer.config.max_retries,
        )

    async def batch(self, samples: Sequence[GeoSample]) -> Batch:
        """The samples as a batch; a photo that can't be had costs that sample, and is counted.

        Raises:
            DataError: not one of them could be had, and the source may have them another time.
            RenderError: the answer can't be rendered.
        """
        made = await asyncio.gather(*(self._example(sample) for sample in samples))
        examples = [one for one in made if isinstance(one, Example)]
        errors = [
            (sample, one)
            for sample, one in zip(samples, made, strict=True)
            if not isinstance(one, Example)
        ]
        lost = [f"{printable(sample.id)}: {error.message}" for sample, error in errors]
        if not examples and any(isinstance(error, SourceUnavailableError) for _, error in errors):
            raise none_could_be_had(lost)
        return await asyncio.to_thread(make_batch, examples, lost)

    async def _example(self, sample: GeoSample) -> Example | ImageError | SourceUnavailableError:
        """The sample's example, or why there is none."""
        try:
            return await read_patiently(
                lambda: asyncio.to_thread(self.example, sample), self.max_retries
            )
        except (ImageError, SourceUnavailableError) as error:
            return error

    def example(self, sample: GeoSample) -> Example:
        """Question and answer. Blocks while the photo is read.

        Raises:
            ImageError: the photo can't be read, or is too large for the model.
            SourceUnavailableError: a remote source didn't answer.
        """
        return self.about(sample, self.photo(sample))

    def photo(self, sample: GeoSample) -> PreparedImage:
        """The sample's photo as the model gets it. Blocks.

        Raises:
            ImageError: it can't be read.
            SourceUnavailableError: a remote source didn't answer.
        """
        return read_photo(self.data.dataset, sample, self.max_image_size)

    def about(self, sample: GeoSample, photo: PreparedImage) -> Example:
        """The question about this photo, and the sample's answer.

        Raises:
            ImageError: the photo is too large for the model.
        """
        answer: Message = {"role": "assistant", "content": target_text(sample)}
        made = shifted(
            *self.renderer.build_supervised_example([*question(self.prompt, photo), answer])
        )
        length = made.model_input.length + 1
        if self.context_length is not None and length > self.context_length:
            raise ImageError(
                f"With its answer it has {length:,} tokens, and the model's context "
                f"{self.context_length:,}.",
                "Shrink photos with a smaller max_image_size.",
            )
        return made
