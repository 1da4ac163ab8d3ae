"""Whether photos reach the model, looked at before a run's first step.

A server that drops photos (or renders their tokens away) trains without a complaint: losses fall, since
the form of an answer and the most frequent places can be learned blindly. So the same answer to the same
question is weighed with a photo, with the photo's negative, and with the photo again. The negative has
the same size, and so the same tokens around it: only what is seen differs.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geospot.data.sample import GeoSample
from geospot.errors import (
    BackendError,
    BlindModelError,
    DivergedError,
    ImageError,
    RenderError,
    SourceUnavailableError,
)
from geospot.images import (
    PILLOW_ERRORS,
    PreparedImage,
    open_image,
    pillow_reason,
    prepare_decoded,
)
from geospot.learning.photos import TrainingData
from geospot.learning.session import Session
from geospot.learning.supervised import Example, ExampleMaker, make_batch
from geospot.textsafe import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN: Final = 1.5
"""How many times more another photo has to move the tokens' log-probabilities than asking again does.

Where a service computes alike each time asking again moves nothing, and `LEAST_NATS` counts.
"""
LEAST_NATS: Final = 1e-3
"""A difference below this is taken for rounding. With the tiny model, trained or not, it is some nats."""
WEIGHED: Final = 3
"""Photos that all have to look as if they weren't seen before a run is refused.

Of drawn noise of 0.1 nats a token and photos that move one by 0.3, not one in 1,500 models that see was
refused; of those that don't, 99 in 100 were with answers of 40 tokens, 91 with 20, 68 with 8. The largest
of the tokens' differences instead of their mean, for one photo and with a margin of 3, refused 84 in 100
that see.
"""

_TRIED: Final = 8
"""Photos of which one has to be readable; where none is, the first step says so."""


@dataclass(frozen=True, slots=True)
class Sight:
    """By how many nats a token of the answer changes in the mean, with another photo and when asked again."""

    by_photo: float
    by_chance: float

    @property
    def is_blind(self) -> bool:
        """Whether another photo changes nothing beyond chance."""
        return self.by_photo <= max(MARGIN * self.by_chance, LEAST_NATS)


async def refuse_blind(session: Session[Any], data: TrainingData) -> None:
    """Makes sure that photos reach the model, where a run begins and `check_photos` is set.

    Costs three readings of one example, without a gradient, and of two more before it refuses. Where the
    service or the renderer can't do that, or not one photo can be read, the run goes on and says in
    logs.log that nothing was checked.

    Raises:
        BlindModelError: they don't.
    """
    if not session.config.check_photos or session.first_step:
        return
    await session.stop.unless(_refuse_blind(session, data))


async def _refuse_blind(session: Session[Any], data: TrainingData) -> None:
    trainer, directory = session.trainer, session.directory
    try:
        found = None
        examples = _examples(ExampleMaker.of(trainer, data))
        for _ in range(WEIGHED):
            three = await asyncio.to_thread(next, examples, None)
            if three is None:
                break
            batch = await asyncio.to_thread(make_batch, three)
            found = sight_of(three[0], (await trainer.forward(batch.datums)).logprobs)
            if not found.is_blind:
                break
    except (BackendError, DivergedError, RenderError) as error:
        # What matters to the run ends it in its first step, with words of its own.
        directory.log(
            f"Whether photos reach the model couldn't be checked: {error}", level="WARNING"
        )
        return
    if found is None:
        directory.log(
            "Whether photos reach the model wasn't checked: none of the first can be read."
        )
        return
    if found.is_blind:
        raise BlindModelError(
            f"Photos don't reach {printable(trainer.model_name)}: with another photo its answer is as "
            f"likely as before (a token changes by {found.by_photo:.1g} nats in the mean, and by "
            f"{found.by_chance:.1g} when asked again).",
            "The server drops photos, and a model trained there would guess blindly: use one that passes "
            "them on (docs/clusters.md). check_photos=false trains all the same.",
        )
    directory.log(
        "Photos reach the model: another one changes an answer's tokens by "
        f"{found.by_photo:.1g} nats in the mean."
    )


def _examples(maker: ExampleMaker) -> Iterator[tuple[Example, Example, Example]]:
    """An answer behind a photo, its negative, and the photo again; of the first that can be read."""
    samples: list[GeoSample] = list(islice(maker.data.samples, _TRIED))
    for sample in samples:
        try:
            photo = maker.photo(sample)
            first = maker.about(sample, photo)
            other = maker.about(sample, negative(photo))
        except (ImageError, SourceUnavailableError):
            continue
        yield first, other, first


def negative(photo: PreparedImage) -> PreparedImage:
    """The photo with its colours inverted, of the same size.

    Raises:
        ImageError: it can't be decoded.
    """
    from PIL import ImageOps

    try:
        with open_image(photo.data) as image:
            inverted = ImageOps.invert(image.convert("RGB"))
    except PILLOW_ERRORS as error:
        raise ImageError(f"The image can't be decoded: {pillow_reason(error)}.") from error
    return prepare_decoded(inverted)


def sight_of(example: Example, logprobs: "Sequence[NDArray[np.float32]]") -> Sight:
    """What log-probabilities with a photo, with another, and with the first again say.

    Args:
        example: the first one; only its answer's tokens are looked at.
        logprobs: of three examples with the same N positions, an array of N each.
    """
    first_A, other_A, again_A = (one[example.learned_N > 0].astype(np.float64) for one in logprobs)
    return Sight(
        by_photo=float(np.abs(first_A - other_A).mean()),
        by_chance=float(np.abs(first_A - again_A).mean()),
    )
