"""Between the Tinker protocol's messages (JSON, protobuf) and the engine's records.

Names and shapes are those of the tinker SDK 0.38. What arrives is checked here as far as its form
goes; whether it makes sense is the engine's to say.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from geospot_backends.local.api import (
    AdamParams,
    Chunk,
    Chunks,
    Datum,
    EngineError,
    EngineUserError,
    ForwardBackwardResult,
    ImageChunk,
    LoraSpec,
    SampleResult,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.checkpoints import check_life
from geospot_backends.local.futures import Payload

PROTO: Final = "application/x-protobuf"

_MAX_SAMPLES: Final = 1024
_LARGEST: Final = 2**63 - 1
_NOT_OFFERED: Final = (
    "topk_prompt_logprobs",
    "topk_sample_logprobs",
    "target_prompt_logprobs",
    "prompt_alt_tokens_k",
)


class BadMessageError(EngineUserError):
    """A message that isn't of the form that it should have."""


class Fields:
    """A JSON object whose values are taken out with their types checked."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> "Fields":
        """The object in a request's body; an empty body is an empty object.

        Raises:
            BadMessageError: no JSON, or no object.
        """
        try:
            value: Any = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise BadMessageError(f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadMessageError("the body is no JSON object")
        return cls(cast(dict[str, Any], value))

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise BadMessageError(f"{name} must be a string")
        if not value:
            raise BadMessageError(f"{name} must be a string that isn't empty")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A string, or nothing."""
        return self.text(name) if name in self else None

    def whole(self, name: str) -> int:
        """An integer that must be there."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadMessageError(f"{name} must be an integer")
        if not -_LARGEST <= value <= _LARGEST:
            raise BadMessageError(f"{name} must be an integer of 64 bits")
        return value

    def whole_or_none(self, name: str) -> int | None:
        """An integer, or nothing."""
        return self.whole(name) if name in self else None

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadMessageError(f"{name} must be a number")
        try:
            return float(value)
        except OverflowError:
            raise BadMessageError(f"{name} must be a number of 64 bits") from None

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadMessageError(f"{name} must be true or false")
        return value

    def object(self, name: str) -> "Fields":
        """An object that must be there."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise BadMessageError(f"{name} must be an object")
        return Fields(cast(dict[str, Any], value))

    def objects(self, name: str) -> list["Fields"]:
        """A list of objects."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise BadMessageError(f"{name} must be a list")
        items = cast(list[Any], value)
        if not all(isinstance(item, dict) for item in items):
            raise BadMessageError(f"{name} must be a list of objects")
        return [Fields(item) for item in items]

    def raw(self, name: str) -> Any:
        """The value as it is, None where it is missing."""
        return self._values.get(name)


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
            return _in_range("stop", cast(list[int], items))
    raise BadMessageError("stop must be a string, a list of strings or a list of token ids")


def _in_range(name: str, ids: list[int]) -> list[int]:
    if any(not -_LARGEST <= id_ <= _LARGEST for id_ in ids):
        raise BadMessageError(f"{name} must be 64-bit integers")
    return ids


def num_samples(fields: Fields) -> int:
    """How many answers a sample request wants."""
    wanted = fields.whole("num_samples") if "num_samples" in fields else 1
    if not 1 <= wanted <= _MAX_SAMPLES:
        raise BadMessageError(f"num_samples must be between 1 and {_MAX_SAMPLES}")
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
        return TokenChunk(tuple(_in_range("tokens", cast(list[int], ids))))
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
    if result.prompt_logprobs is not None:
        known = [np.nan if logprob is None else logprob for logprob in result.prompt_logprobs]
        scored = np.asarray(known, dtype=np.float32)
        if last_n is not None:
            scored[: max(0, len(scored) - last_n)] = np.nan
        message.prompt_logprobs = scored.tobytes()
    return Payload(message.SerializeToString(), PROTO)


def numbered(start: bytes) -> tuple[str, int] | None:
    """Model and number of a forward_backward request of which only the start can be read.

    They are its first two fields. None where they aren't there: an error that nothing is lost by, except
    that requests with later numbers wait for this one.
    """
    from google.protobuf.message import DecodeError
    from tinker.proto import tinker_public_pb2 as pb

    fields = _FIRST_FIELDS.match(start)
    if fields is None:
        return None
    end = fields.end() + fields[1][0]
    number = _SEQ_ID.match(start, end)
    if number is None:
        return None
    try:
        message = pb.ForwardBackwardRequest.FromString(start[: number.end()])
    except DecodeError:
        return None
    return message.model_id, message.seq_id


def start_of_compressed(body: bytes) -> bytes:
    """The start of a body that the SDK compressed; empty where it is no zstd."""
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            return reader.read(_START_BYTES)
    except zstandard.ZstdError:
        return b""


_START_BYTES: Final = 4096
_FIRST_FIELDS: Final = re.compile(rb"\x0a([\x01-\x7f])")
"""Tag of `model_id` and its length."""
_SEQ_ID: Final = re.compile(rb"\x10[\x80-\xff]{0,9}[\x00-\x7f]")
"""Tag of `seq_id` and a variable-length integer."""


class ForwardBackward:
    """A forward_backward request. Its data are read only when they are asked for."""

    def __init__(self, body: bytes) -> None:
        from google.protobuf.message import DecodeError
        from tinker.proto import tinker_public_pb2 as pb

        self._message = pb.ForwardBackwardRequest()
        try:
            self._message.ParseFromString(body)
        except DecodeError as error:
            raise BadMessageError(f"the body is no ForwardBackwardRequest: {error}") from None
        self.model_id: str = self._message.model_id
        self.number: int = self._message.seq_id
        self.loss_fn: str = self._message.loss_fn
        self.forward_only: bool = self._message.forward_only

    def loss_config(self) -> dict[str, float]:
        """Settings of the loss.

        Raises:
            EngineUserError: one is a text; no loss offered here takes any.
        """
        config = dict(self._message.loss_fn_config)
        for name, value in self._message.loss_fn_config_v2.items():
            if value.HasField("text"):
                raise EngineUserError(f"the loss setting {name} must be a number")
            config[name] = value.number
        return config

    def datums(self) -> list[Datum]:
        """The training sequences.

        Raises:
            EngineUserError: a chunk of an unknown kind, or arrays whose bytes don't fit their shape.
        """
        return [self._datum(datum, at) for at, datum in enumerate(self._message.data)]

    def _datum(self, datum: Any, at: int) -> Datum:
        chunks = tuple(self._chunk(chunk, at) for chunk in datum.model_input)
        inputs = {
            name: _array(tensor, f"{name} of datum {at}")
            for name, tensor in datum.loss_fn_inputs.items()
        }
        return Datum(chunks, inputs)

    def _chunk(self, chunk: Any, at: int) -> Chunk:
        if chunk.HasField("encoded_text"):
            raw: bytes = chunk.encoded_text.tokens
            if len(raw) % 4:
                raise EngineUserError(f"datum {at} has tokens of an odd number of bytes")
            return TokenChunk(tuple(np.frombuffer(raw, dtype=np.int32).tolist()))
        if chunk.HasField("image"):
            image = chunk.image
            expected = image.expected_tokens if image.HasField("expected_tokens") else None
            return ImageChunk(image.data, image.format, expected)
        raise EngineUserError(f"datum {at} has a chunk that is neither text nor image")


def _array(tensor: Any, name: str) -> npt.NDArray[np.generic]:
    from tinker.proto import tinker_public_pb2 as pb

    kinds: dict[int, type[np.generic]] = {
        pb.DTYPE_FLOAT32: np.float32,
        pb.DTYPE_INT64: np.int64,
        pb.DTYPE_INT32: np.int32,
    }
    kind = kinds.get(tensor.dtype)
    if kind is None:
        raise EngineUserError(f"{name} has a number type that this server doesn't take")
    shape = list(tensor.shape)
    sparse = tensor.HasField("sparse_csr")
    raw: bytes = tensor.sparse_csr.values if sparse else tensor.dense
    if len(raw) % np.dtype(kind).itemsize:
        raise EngineUserError(f"{name} has bytes that are no whole numbers")
    values = np.frombuffer(raw, dtype=kind)
    if sparse:
        return _dense(values, tensor.sparse_csr, shape, name)
    if min(shape, default=0) < 0 or (shape and math.prod(shape) != values.size):
        raise EngineUserError(f"{name} has {values.size} numbers, and a shape of {shape}")
    return values.reshape(shape) if shape else values


def _dense(
    values: npt.NDArray[np.generic], csr: Any, shape: Sequence[int], name: str
) -> npt.NDArray[np.generic]:
    """A matrix from compressed sparse rows, zero where nothing is listed."""
    broken = EngineUserError(f"{name} is no sparse matrix that can be read")
    if len(shape) != 2 or len(csr.crow_indices) % 8 or len(csr.col_indices) % 8:
        raise broken
    starts = np.frombuffer(csr.crow_indices, dtype=np.int64)
    columns = np.frombuffer(csr.col_indices, dtype=np.int64)
    if min(shape) < 0 or shape[0] * shape[1] > 1 << 26 or len(starts) != shape[0] + 1:
        raise broken
    counts = np.diff(starts)
    if starts[0] != 0 or starts[-1] != values.size or columns.size != values.size:
        raise broken
    if (counts < 0).any() or ((columns < 0) | (columns >= shape[1])).any():
        raise broken
    dense = np.zeros((shape[0], shape[1]), dtype=values.dtype)
    dense[np.repeat(np.arange(shape[0]), counts), columns] = values
    return dense


def forward_backward_payload(result: ForwardBackwardResult) -> Payload:
    """A ForwardBackwardOutput with one `logprobs` array a datum."""
    from tinker.proto import tinker_public_pb2 as pb

    message = pb.ForwardBackwardOutput()
    message.loss_fn_output_type = "ArrayRecord"
    message.metrics.update(result.metrics)
    arrays = [np.ascontiguousarray(out.logprobs, dtype=np.float32) for out in result.outputs]
    record = message.loss_fn_outputs.add()
    record.num_datums = len(arrays)
    batched = record.fields["logprobs"]
    batched.dtype = pb.DTYPE_FLOAT32
    batched.data = b"".join(array.tobytes() for array in arrays)
    batched.offsets = np.cumsum([0, *(array.nbytes for array in arrays)]).astype(np.int64).tobytes()
    return Payload(message.SerializeToString(), PROTO)


def json_payload(value: Mapping[str, Any]) -> Payload:
    """A JSON object."""
    return Payload(json.dumps(value).encode())


def error_payload(error: EngineError) -> Payload:
    """A failed request, as the SDK expects it: answered with status 200."""
    return json_payload({"error": error.message, "category": error.category})
