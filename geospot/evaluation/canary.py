"""Are images seen at all? Two pictures of a number are sent before a thousand photos are.

A server that drops images, or a proxy that forgets them, still gives fluent answers, and their score
is that of a good guesser. Nobody guesses a number of five digits.
"""

import asyncio
import io
import random
import re
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any, Final

from geospot.evaluation.backend import Backend, BackendFault, Question
from geospot.images import PreparedImage
from geospot.prompts import Prompt

_PROMPT: Final = Prompt(
    "canary", "Which number is written in this picture? Answer with the digits only."
)
_SIZE: Final = (640, 320)
_TRIES: Final = 3
_LONGEST: Final = 2000
"""Characters of an answer that are looked at: normalising hostile text takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Canary:
    """Whether the pictures were asked about and the numbers read.

    One right answer of two proves that images arrive, so it passes; a weak reader isn't blind.
    `passed` is None where nothing was learned: not asked, or the server failed.
    """

    asked: bool
    passed: bool | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """For eval.json and summary.json."""
        return asdict(self)


async def ask_canary(backend: Backend, *, seed: str) -> Canary:
    """Sends the two pictures and compares the answers.

    Args:
        seed: of the numbers, so that an evaluation done again has the same.

    Raises:
        BackendError: the backend can't be used at all.
    """
    draw = random.Random(seed)
    numbers = [f"{draw.randrange(10_000, 100_000)}" for _ in range(2)]
    answers = [await _answer(backend, number, index) for index, number in enumerate(numbers)]
    pairs = list(zip(numbers, answers, strict=True))
    right = sum(number in _digits(answer or "") for number, answer in pairs)
    told = "; ".join(
        f"{number} got no answer" if answer is None else f"{number} was read as {answer[:60]!r}"
        for number, answer in pairs
    )
    lost = right == 0 and None in answers
    passed = None if lost else right > 0
    return Canary(asked=True, passed=passed, detail=f"{right} of 2 numbers read: {told}")


def draw_number(number: str) -> PreparedImage:
    """A white picture with large black digits, as JPEG."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", _SIZE, "white")
    pen = ImageDraw.Draw(picture)
    middle = (_SIZE[0] / 2, _SIZE[1] / 2)
    pen.text(middle, number, fill="black", font=ImageFont.load_default(size=190), anchor="mm")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return PreparedImage(out.getvalue(), "image/jpeg", *_SIZE)


async def _answer(backend: Backend, number: str, index: int) -> str | None:
    """What was read, None if the server failed; an image that it refuses is an empty answer."""
    question = Question(f"canary-{index}", 0, _PROMPT, draw_number(number))
    for attempt in range(_TRIES):
        try:
            return (await backend.ask(question)).text.strip()
        except BackendFault as fault:
            if fault.kind == "image":
                return ""
            if fault.kind == "permanent":
                return None
            if attempt < _TRIES - 1:
                await asyncio.sleep(min(fault.retry_after_s or 0.5 * 2**attempt, 30.0))
    return None


def _digits(answer: str) -> str:
    """The answer with digits joined over spaces and separators: `4 7 2 9 1`, `47,291`."""
    plain = unicodedata.normalize("NFKC", answer[:_LONGEST])
    return re.sub(r"(?<=\d)[\s.,_'-]+(?=\d)", "", plain)
