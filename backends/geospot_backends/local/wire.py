"""Between the Tinker protocol's messages and the engine's records; `batches` has those in protobuf.

Names and shapes are those of the tinker SDK 0.38. What arrives is checked here as far as its form
goes; whether it makes sense is the engine's to say.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np

from geospot_backends.local.api import (
    MAX_SAMPLES,
    NO_LOGPROB,
    AdamParams,
    Chunk,
    Chunks,
    EngineError,
    EngineUserError,
    ImageChunk,
    LoraSpec,
    SampleResult,
    SamplingParams,
    TokenChunk,
    TopTokens,
)
from geospot_backends.local.checkpoints import check_life
from geospot_backends.local.fields import BadMessageError, Fields, in_range
from geospot_backends.local.futures import PROTO, Payload

_NOT_OFFERED: Final = (
    "target_prompt_logprobs",
    "prompt_alt_tokens_k",
)


def lora_spec(fields: Fields) -> LoraSpec | None:
    """`lora_config` of a create_model request; None where all weights are to be trained.

    That is a rank of 0: the SDK has no other word for it.
    """
    if "lora_config" not in fields:
        return None
    config = fields.object("lora_config")
    if config.whole("rank") == 0:
        return None
    return LoraSpec(
        rank=config.whole("rank"),
        seed=config.whole_or_none("seed"),
        train_attn=config.flag("train_attn", default=True),
        train_mlp=config.flag("train_mlp", default=True),
        train_unembed=config.flag("train_unembed", default=True),
    )


def weights_seed(fields: Fields) -> int | None:
    """The seed of `lora_config`, which is that of all weights where these are trained."""
    return fields.object("lora_config").whole_or_none("seed") if "lora_config" in fields else None


def adam_params(fields: Fields) -> AdamParams:
    """`adam_params` of an optim_step request.

    Raises:
        EngineUserError: it asks for another optimiser.
    """
    if "adam_params" not in fields:
        raise EngineUserError("this server has one optimiser, Adam: send adam_params")
    sent, usual = fields.object("adam_params"), AdamParams()
    return AdamParams(
        learning_rate=sent.number("learning_rate", usual.learning_rate),
        beta1=sent.number("beta1", usual.beta1),
        beta2=sent.number("beta2", usual.beta2),
        eps=sent.number("eps", usual.eps),
        weight_decay=sent.number("weight_decay", usual.weight_decay),
        grad_clip_norm=sent.number("grad_clip_norm", usual.grad_clip_norm),
    )


def time_to_live_s(fields: Fields) -> int | None:
    """`ttl_seconds` of a request that saves; None: for ever.

    Raises:
        EngineUserError: not between an hour and ten years.
    """
    seconds = fields.whole_or_none("ttl_seconds")
    check_life(seconds)
    return seconds


def sampling_params(fields: Fields) -> SamplingParams:
    """`sampling_params` of a sample request."""
    sent = fields.object("sampling_params")
    return SamplingParams(
        max_tokens=sent.whole_or_none("max_tokens"),
        seed=sent.whole_or_none("seed"),
        stop=_stop(sent.raw("stop")),
        temperature=sent.number("temperature", 1.0),
        top_k=sent.whole("top_k") if "top_k" in sent else -1,
        top_p=sent.number("top_p", 1.0),
    )


def _stop(value: Any) -> str | list[str] | list[int] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        items = cast(list[Any], value)
        if all(isinstance(item, str) for item in items):
            return cast(list[str], items)
        if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            return in_range("stop", cast(list[int], items))
    raise BadMessageError("stop must be a string, a list of strings or a list of token ids")


def num_samples(fields: Fields) -> int:
    """How many answers a sample request wants."""
    wanted = fields.whole("num_samples") if "num_samples" in fields else 1
    if not 1 <= wanted <= MAX_SAMPLES:
        raise BadMessageError(f"num_samples must be between 1 and {MAX_SAMPLES}")
    return wanted


def check_offered(fields: Fields) -> None:
    """Refuses what the hosted service does and this server doesn't, instead of leaving it out.

    Raises:
        EngineUserError: names it.
    """
    for name in _NOT_OFFERED:
        if fields.raw(name):
            raise EngineUserError(f"this server doesn't offer {name}")


def prompt(fields: Fields) -> Chunks:
    """`prompt` of a sample request."""
    return tuple(_chunk(chunk) for chunk in fields.object("prompt").objects("chunks"))


def _chunk(fields: Fields) -> Chunk:
    kind = fields.raw("type") or "encoded_text"
    if kind == "encoded_text":
        tokens: Any = fields.raw("tokens")
        if not isinstance(tokens, list):
            raise BadMessageError("tokens must be a list of token ids")
        ids = cast(list[Any], tokens)
        if not all(type(token) is int for token in ids):
            raise BadMessageError("tokens must be a list of token ids")
        return TokenChunk(tuple(in_range("tokens", cast(list[int], ids))))
    if kind == "image":
        try:
            data = base64.b64decode(fields.text("data"), validate=True)
        except (binascii.Error, ValueError):
            raise BadMessageError("an image's data must be base64") from None
        return ImageChunk(data, fields.text("format"), fields.whole_or_none("expected_tokens"))
    raise EngineUserError(f"this server takes text and images, and no chunks of type {kind!r}")


def sample_payload(result: SampleResult, last_n: int | None) -> Payload:
    """A SampleResponse.

    Args:
        last_n: how many prompt tokens from the end keep their log-probability; None: all of them.
    """
    from tinker.proto import tinker_public_pb2 as pb

    message = pb.SampleResponse()
    for sequence in result.sequences:
        sent = message.sequences.add()
        stopped = sequence.stop_reason == "stop"
        sent.stop_reason = pb.STOP_REASON_STOP if stopped else pb.STOP_REASON_LENGTH
        sent.tokens = np.asarray(sequence.tokens, dtype=np.int32).tobytes()
        sent.logprobs = np.asarray(sequence.logprobs, dtype=np.float32).tobytes()
        if sequence.top is not None:
            sent.topk_sampled_logprobs.CopyFrom(_top_message(sequence.top))
    if result.prompt_top is not None:
        rows = result.prompt_top
        message.topk_prompt_logprobs.CopyFrom(_top_message(_last(rows, last_n)))
    if result.prompt_logprobs is not None:
        known = [np.nan if logprob is None else logprob for logprob in result.prompt_logprobs]
        scored = np.asarray(known, dtype=np.float32)
        if last_n is not None:
            scored[: max(0, len(scored) - last_n)] = np.nan
        message.prompt_logprobs = scored.tobytes()
    return Payload(message.SerializeToString(), PROTO)


def _last(rows: Sequence[TopTokens | None], last_n: int | None) -> list[TopTokens | None]:
    """The rows, all but the last `last_n` emptied."""
    left_out = 0 if last_n is None else max(0, len(rows) - last_n)
    return [None] * left_out + list(rows[left_out:])


def _top_message(rows: Sequence[TopTokens | None]) -> Any:
    """A TopkLogprobs: as wide as the longest row, its gaps filled as the SDK knows them."""
    from tinker.proto import tinker_public_pb2 as pb

    width = max((len(row) for row in rows if row), default=0)
    token_T_K = np.zeros((len(rows), width), dtype=np.int32)
    logprob_T_K = np.full((len(rows), width), NO_LOGPROB, dtype=np.float32)
    for at, row in enumerate(rows):
        for place, (token, logprob) in enumerate(row or ()):
            token_T_K[at, place], logprob_T_K[at, place] = token, logprob
    return pb.TopkLogprobs(
        token_ids=token_T_K.tobytes(), logprobs=logprob_T_K.tobytes(), k=width, length=len(rows)
    )


def json_payload(value: Mapping[str, Any]) -> Payload:
    """A JSON object."""
    return Payload(json.dumps(value).encode())


def error_payload(error: EngineError) -> Payload:
    """A failed request, as the SDK expects it: answered with status 200."""
    return json_payload({"error": error.message, "category": error.category})
