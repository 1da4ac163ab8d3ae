"""Which images are asked: a deterministic choice that doesn't depend on the order of a file."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from geospot.arrow import text_column
from geospot.data.sample import SampleTable

pc: Any = pyarrow.compute

Order = Literal["hash", "stream"]

_BLOCK: Final = 1024  # lines that are Python objects at one time


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen samples, in the order in which they are asked, and the fingerprint of the choice."""

    table: SampleTable
    dataset: str
    split: str
    order: Order
    seed: int
    limit: int | None
    available: int | None
    """Rows with valid truth that could have been chosen; None for a stream of unknown length."""
    fingerprint: str

    def __len__(self) -> int:
        return len(self.table)


def select_by_hash(
    table: SampleTable, *, dataset: str, split: str, limit: int | None, seed: int
) -> Selection:
    """The `limit` samples with the smallest SHA-256 of `seed:id`; all of them if limit is None.

    A larger limit with the same seed always contains the smaller one.
    """
    return selection_of(
        table.take(ranked_indices(table.iter_ids(), limit=limit, seed=seed)),
        dataset=dataset,
        split=split,
        limit=limit,
        seed=seed,
        available=len(table),
    )


def ranked_indices(ids: Iterable[str], *, limit: int | None, seed: int) -> npt.NDArray[np.int64]:
    """Where the chosen ids stand, in the order in which they are asked.

    `ids` may be a stream: with a limit, no more than `limit` of them are held.
    """
    if limit is not None:
        ranked = ((_rank(seed, sample_id), index) for index, sample_id in enumerate(ids))
        return np.array([index for _, index in nsmallest(limit, ranked)], dtype=np.int64)
    # Side by side in one block of memory the digests take a fifth of what a list of pairs takes.
    digests = bytearray()
    for sample_id in ids:
        digests += _rank(seed, sample_id)
    words_N = np.frombuffer(digests, dtype=">u8").reshape(-1, 4)
    return np.lexsort(words_N.T[::-1])  # the last key counts first


def selection_of(
    selected: SampleTable, *, dataset: str, split: str, limit: int | None, seed: int, available: int
) -> Selection:
    """The selection of samples that were chosen by hash, with its fingerprint."""
    return Selection(
        table=selected,
        dataset=dataset,
        split=split,
        order="hash",
        seed=seed,
        limit=limit,
        available=available,
        fingerprint=fingerprint(dataset, split, selected.iter_ids(), order="hash"),
    )


def fingerprint(dataset: str, split: str, ids: Iterable[str], *, order: Order) -> str:
    """SHA-256 (hexadecimal) of data set name, split and the sorted ids, one a line, UTF-8.

    A selection in stream order is marked `order=stream:` in front: its ids depend on how the source
    was served, so it ranks only among its like.
    """
    digest = sorted_sha256(ids, head=[dataset, split])
    return f"order=stream:{digest}" if order == "stream" else digest


def sorted_sha256(lines: Iterable[str], head: Sequence[str] = ()) -> str:
    """SHA-256 (hexadecimal) of the head and, below it, the sorted lines, one a line, UTF-8.

    Arrow holds and sorts the lines, in a fifth of what a list takes; it compares UTF-8 byte by byte,
    which is Python's order, by code point.
    """
    stream, blocks = iter(lines), list[Any]()
    while block := list(islice(stream, _BLOCK)):
        blocks.append(text_column(block))
    column: Any = pa.chunked_array(blocks, pa.large_string()).combine_chunks()
    del blocks
    order = pc.sort_indices(column)
    digest = hashlib.sha256("\n".join(head).encode())
    between = "\n" if head else ""
    for start in range(0, len(column), _BLOCK):
        block = cast(list[str], column.take(order.slice(start, _BLOCK)).to_pylist())
        digest.update((between + "\n".join(block)).encode())
        between = "\n"
    return digest.hexdigest()


def _rank(seed: int, sample_id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()
