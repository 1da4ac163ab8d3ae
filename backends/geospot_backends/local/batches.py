"""A forward_backward request and its result: the messages that are protobuf both ways."""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot_backends.local.api import (
    Chunk,
    Datum,
    EngineUserError,
    ForwardBackwardResult,
    ImageChunk,
    TokenChunk,
)
from geospot_backends.local.fields import BadMessageError
from geospot_backends.local.futures import PROTO, Payload

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
