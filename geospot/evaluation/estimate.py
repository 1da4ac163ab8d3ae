"""What a run would take, before anything is asked: images, tokens, dollars, minutes."""

from math import ceil
from statistics import fmean
from typing import Final

from geospot.config.evaluation import EvalConfig
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.data.selection import Selection
from geospot.errors import ImageError, KeyMissingError
from geospot.evaluation.backend import AsTrained, Backend
from geospot.evaluation.opening import asked_as_trained, make_backend, open_selection
from geospot.evaluation.pace import Pace, find_pace
from geospot.evaluation.report import dollars
from geospot.evaluation.results import RESULTS
from geospot.images import PreparedImage, prepare_image
from geospot.numbertext import compact, roughly
from geospot.prompts import Prompt, load_prompt
from geospot.textsafe import printable

_LOOKED_AT: Final = 8
_PIXELS_PER_TOKEN: Final = 750.0
"""Anthropic's published rule; Qwen-VL takes one a 28 × 28 patch, OpenAI's tiles come to about as many."""

_CHARACTERS_PER_TOKEN: Final = 4.0
_ANSWER_TOKENS: Final = 60.0
"""Five lines take about so many; reasoning models take many more, up to --max-tokens."""

_SECONDS_PER_REQUEST: Final = 3.0
_HERE: Final = "local"
"""The backend whose model is on this machine."""


def estimate(config: EvalConfig, progress: Progress = silent) -> str:
    """A few lines on what the run would take. Asks the backend nothing.

    Raises:
        GeospotError: as the run itself would before its first question.
    """
    backend = _backend(config)
    config, prompt = (
        (config, load_prompt(config.prompt, config.system_prompt))
        if backend is None
        else asked_as_trained(config, backend)
    )
    # Without a key no backend can be made; who needs one looks at images.
    needs_image = backend is None or backend.needs_image
    dataset, selection = open_selection(config, progress)
    try:
        images = _look(dataset, selection, config.max_image_size) if needs_image else []
    finally:
        dataset.close()
    requests = len(selection) * config.samples
    text_tokens = len(prompt.text + (prompt.system or "")) / _CHARACTERS_PER_TOKEN
    image_tokens = fmean([i.width * i.height / _PIXELS_PER_TOKEN for i in images] or [0.0])
    tokens_in = requests * (text_tokens + image_tokens)
    tokens_out = requests * min(_ANSWER_TOKENS, config.max_tokens)
    cost = config.cost_usd(tokens_in, tokens_out)
    ceiling = config.cost_usd(tokens_in, requests * config.max_tokens)
    lines = [
        f"images       {len(selection):,} of {config.dataset}, split {config.split}",
        f"fingerprint  {selection.fingerprint}",
        f"dropped      {_dropped(selection)}",
        *_asked(config, prompt, backend),
        f"requests     {requests:,} ({config.samples} an image)",
        *_upload(images, requests),
        f"tokens in    about {tokens_in:,.0f} (each image about {image_tokens:,.0f})",
        f"tokens out   about {tokens_out:,.0f}, at most {requests * config.max_tokens:,}",
        f"cost         {_cost(config, cost, ceiling)}",
        f"time         {_time(config, requests, tokens_in + tokens_out, _pace(config, backend))}",
    ]
    return "\n".join(lines)


def _cost(config: EvalConfig, cost: float | None, ceiling: float | None) -> str:
    if cost is not None and ceiling is not None:
        return f"about {dollars(cost)}, at most {dollars(ceiling)} if every answer runs to --max-tokens"
    if config.backend == _HERE:
        return "nothing: this machine computes"
    return "unknown; give --price-in and --price-out in USD per million tokens"


def _upload(images: list[PreparedImage], requests: int) -> list[str]:
    """What the images come to, in base64."""
    if not images:
        return []
    size_kb = fmean(len(image.data) for image in images) / 1000
    return [f"upload       about {requests * size_kb * 4 / 3 / 1000:,.1f} MB"]


def _backend(config: EvalConfig) -> Backend | None:
    try:
        return make_backend(config)
    except KeyMissingError:
        return None  # a price can be told without a key


def _asked(config: EvalConfig, prompt: Prompt, backend: Backend | None) -> list[str]:
    """How each image would be asked, as far as that is known before the service is."""
    if backend is not None and not backend.needs_image:
        return []
    trained = getattr(backend, "as_trained", None)
    text = f"prompt       {printable(prompt.name)}, {len(prompt.text)} characters"
    if isinstance(trained, AsTrained):
        said = config.model_fields_set & {"prompt", "system_prompt"}
        if trained.prompt is not None and prompt == trained.prompt:
            text += ", as the model was trained"
        elif not trained.settled and not said:
            text += ", unless the service names a base model with a prompt of its own"
    lines = [text]
    described = {} if backend is None else backend.describe()
    if "renderer" in described:
        renderer = described["renderer"] or "the one of the base model"
        lines.append(f"renderer     {printable(renderer)}")
    side = config.max_image_size
    lines.append(f"image size   {f'longest side at most {side} pixels' if side else 'as it is'}")
    return lines


def _look(dataset: GeoDataset, selection: Selection, max_side: int | None) -> list[PreparedImage]:
    """A few of the images as they would be sent; broken ones say nothing of the others."""
    images: list[PreparedImage] = []
    for sample in selection.table.take(range(min(_LOOKED_AT, len(selection)))):
        try:
            images.append(prepare_image(dataset.read_image(sample), max_side))
        except ImageError:
            continue
    return images


def _pace(config: EvalConfig, backend: Backend | None) -> Pace | None:
    """How fast the same model answered before, as results beside this one's place tell."""
    if backend is None:
        return None
    asked = {"name": backend.name, "model": backend.model, **backend.describe()}
    return find_pace(config.out.parent if config.out else RESULTS, asked)


def _time(config: EvalConfig, requests: int, tokens: float, pace: Pace | None) -> str:
    """What holds it back most, and for how long."""
    if pace is None:
        seconds = ceil(requests / config.concurrency) * _SECONDS_PER_REQUEST
        why = f"assuming {_SECONDS_PER_REQUEST:g} s a request, {config.concurrency} at a time"
    else:
        seconds = requests / pace.answers_a_second
        why = f"at {compact(pace.answers_a_second)} answers a second, as in {printable(str(pace.folder))}"
        if pace.concurrency not in (None, config.concurrency):
            why += f" with {pace.concurrency} at a time"
    limits = [(seconds, why)]
    if config.rpm:
        limits.append((requests / config.rpm * 60.0, f"at {config.rpm:g} requests a minute"))
    if config.tpm:
        limits.append((tokens / config.tpm * 60.0, f"at {config.tpm:g} tokens a minute"))
    seconds, why = max(limits)
    return f"about {roughly(seconds)} {why}"


def _dropped(selection: Selection) -> str:
    dropped = selection.table.dropped
    return ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "none"
