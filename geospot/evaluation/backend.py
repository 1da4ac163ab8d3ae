"""What a backend is: the protocol that ours and a third party's fulfil alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from geospot.images import PreparedImage
from geospot.prompts import Prompt


def _unheard(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What the person asked for; a backend takes from it what it understands."""

    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    temperature: float | None = None
    max_tokens: int = 4096
    timeout_s: float = 120.0
    seed: int = 0
    renderer: str | None = None
    """Name of the chat format, for a backend that writes tokens itself."""
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tell: Callable[[str], None] = field(default=_unheard, repr=False, compare=False)
    """Is told in a sentence what is waited for, where that takes long."""


@dataclass(frozen=True, slots=True)
class Question:
    """One image to be located. `image` is None for a backend with `needs_image = False`."""

    sample_id: str
    draw: int
    """Which of the answers asked for this image: 0 … samples−1."""
    prompt: Prompt
    image: PreparedImage | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the server counts them; zero where it doesn't say."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said. Exactly what was received: parsing is not the backend's business."""

    text: str
    usage: Usage = Usage()
    truncated: bool = False
    """The answer was cut off by the token limit."""
    refused: bool = False
    """A content filter, or the model through the protocol's own field, declined."""
    coordinates: tuple[float, float] | None = None
    """Latitude and longitude in degrees, for a backend that answers in numbers (`text` may be '')."""


@dataclass(frozen=True, slots=True)
class AsTrained:
    """How a model was asked in training. A backend may have it as its attribute `as_trained`; then an
    evaluation asks alike, except for what the person says.
    """

    prompt: Prompt | None = None
    max_image_size: int | None = None
    """Longest side in pixels."""
    settled: bool = True
    """False: `check` may find out more, and change the attribute."""


FaultKind = Literal["rate_limit", "transient", "permanent", "image", "missing"]


class BackendFault(Exception):  # noqa: N818 - not every fault is an error of ours
    """One question that got no answer.

    `rate_limit`: the server asks for fewer requests (`retry_after_s` if it said for how long).
    `transient`: server or network failed; may work on another try.
    `permanent`: this request will fail however often it is made; the sample is a transport error.
    `image`: the server can't use this image.
    `missing`: a recorded file has no answer for this id.
    """

    def __init__(
        self, kind: FaultKind, message: str, *, retry_after_s: float | None = None, label: str = ""
    ) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.message = message
        self.retry_after_s = retry_after_s
        self.label = label or kind
        """Short name under which the progress display counts it, such as `503` or `timeout`."""


class Backend(Protocol):
    """Anything that can be asked where a photo was taken.

    Methods run on one event loop; `ask` is called concurrently. Retries, rate limits, parsing and
    scoring belong to the harness: `ask` makes one request and says what came of it.
    """

    name: str
    model: str
    needs_image: bool
    remote: bool
    """Whether asking costs money or time of somebody's server: baselines skip canary and probe."""

    async def check(self) -> None:
        """Fails within 10 s if the backend can't be used at all.

        Raises:
            BackendError: wrong key, unknown model, unreachable host, with advice.
        """
        ...

    async def ask(self, question: Question) -> Reply:
        """One answer.

        Raises:
            BackendFault: no answer this time, and why.
            BackendError: nothing will ever be answered (a key that was revoked); ends the run.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What goes into eval.json: settings and what was learned of the server, never a key."""
        ...

    async def aclose(self) -> None:
        """Closes connections."""
        ...


BackendFactory = Callable[[BackendOptions], Backend]
"""What an entry point of group `geospot.backends` names. May raise UsageError; must not connect."""
