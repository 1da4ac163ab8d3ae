"""What one split gives away about another: shared ids, shared drives, and photos that are the same.

Near-duplicates are looked for by perceptual hash (phash of 64 bits, confirmed by dhash; package
`imagehash`). On 38 street photos of OSV-5M, re-encoding, halving and 2% crops moved phash by at most
10 bits, mostly 0 to 4; two different photos were never closer than 18.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from geospot.data.sample import SampleTable
from geospot.errors import UsageError
from geospot.greatcircle import unit_vectors

if TYPE_CHECKING:
    from PIL.Image import Image

Hashes = npt.NDArray[np.uint64]

MAX_DISTANCE: Final = 7
"""The largest distance of phash in bits that the search finds completely."""

DEFAULT_DISTANCE: Final = 6
_DHASH_DISTANCE: Final = 10  # bits; a second opinion, for fog and other photos without features
_PAIRS_AT_ONCE: Final = 4_000_000
_NONE: Final = np.iinfo(np.int64).max
_INDEX: Final = 2**32 - 1

pc: Any = pyarrow.compute


@dataclass(frozen=True, slots=True)
class SharedRows:
    """Ids and sequences (drives of one camera) that are in both splits."""

    ids: list[str]
    sequences: list[str]
    images_in_shared_sequences: int
    """Images of the checked split that are in a shared sequence."""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two photos that look the same; `distance_bits` is between their phashes, of 64 bits."""

    id: str
    other_id: str
    distance_bits: int


def shared_rows(table: SampleTable, other: SampleTable) -> SharedRows:
    """Ids and sequences that both tables have."""
    sequences = _shared(table, other, "sequence")
    inside = pc.is_in(table.arrow.column("sequence"), value_set=sequences)
    return SharedRows(
        ids=sorted(_shared(table, other, "id").to_pylist()),
        sequences=sorted(sequences.to_pylist()),
        images_in_shared_sequences=int(pc.sum(inside).as_py() or 0),
    )


def perceptual_hashes(image: "Image") -> tuple[int, int]:
    """phash and dhash of a photo, 64 bits each."""
    import imagehash

    image.draft("RGB", (256, 256))  # a JPEG decoded smaller; both hashes shrink it anyway
    return _bits(imagehash.phash(image)), _bits(imagehash.dhash(image))


def near_duplicates(
    ids: Sequence[str],
    hashes: tuple[Hashes, Hashes],
    other_ids: Sequence[str],
    other_hashes: tuple[Hashes, Hashes],
    max_distance: int = DEFAULT_DISTANCE,
) -> list[NearDuplicate]:
    """Images whose phash differs from another image's in at most `max_distance` bits, dhash agreeing.

    Each is paired with the nearest one, the first of those equally near; nearest pairs come first.

    Args:
        ids, other_ids: of the N and M images.
        hashes, other_hashes: their phashes and dhashes, `uint64[N]` and `uint64[M]` each.
        max_distance: bits of 64, at most `MAX_DISTANCE`.
    """
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise UsageError(f"The distance of near-duplicates is 0 to {MAX_DISTANCE} bits.")
    ours, same_N = np.unique(np.stack(hashes, axis=-1), axis=0, return_inverse=True)
    theirs, first_M = np.unique(np.stack(other_hashes, axis=-1), axis=0, return_index=True)
    best_U = _nearest(ours, theirs, first_M, max_distance)
    best_N = best_U[same_N.reshape(-1)]
    order_N: list[int] = np.argsort(best_N, kind="stable").tolist()
    return [
        NearDuplicate(ids[index], other_ids[int(best_N[index]) & _INDEX], int(best_N[index] >> 32))
        for index in order_N
        if best_N[index] != _NONE
    ]


def _nearest(
    hash_U: Hashes, hash_V: Hashes, index_V: npt.NDArray[np.int64], max_distance: int
) -> npt.NDArray[np.int64]:
    """For each of U different pairs of hashes the nearest of V: its distance · 2³² + its index.

    Args:
        hash_U, hash_V: phash and dhash, `[U, 2]` and `[V, 2]`; each pair only once, as a thousand
            black photos would otherwise be a million pairs.
        index_V: where each of V stands among the other images.
    """
    best_U = np.full(len(hash_U), _NONE)
    for index_P, other_P in _candidates(hash_U[:, 0], hash_V[:, 0]):
        distance_P, second_P = np.bitwise_count(hash_U[index_P] ^ hash_V[other_P]).T
        near_P = (distance_P <= max_distance) & (second_P <= _DHASH_DISTANCE)
        nearness_P = distance_P[near_P].astype(np.int64) << 32 | index_V[other_P[near_P]]
        np.minimum.at(best_U, index_P[near_P], nearness_P)
    return best_U


def nearest_rows(table: SampleTable, other: SampleTable, most: int) -> npt.NDArray[np.int64]:
    """Indices of the at most `most` rows of `other` that were taken nearest to any of `table`.

    The same photo is nearly always at the same place, so these are the ones worth looking at where
    the other split is too large to look at all of it.
    """
    if len(other) <= most:
        return np.arange(len(other))
    if not len(table):
        return np.arange(most)
    from scipy.spatial import KDTree

    tree: Any = KDTree(_on_the_sphere(table))
    chord_M: npt.NDArray[np.float64] = tree.query(_on_the_sphere(other))[0]
    return np.sort(np.argsort(chord_M, kind="stable")[:most])


def _candidates(
    hash_N: Hashes, hash_M: Hashes
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of indices among which every pair within `MAX_DISTANCE` is, some of them repeatedly.

    Multi-index hashing (Norouzi et al. 2012): of four chunks of 16 bits, one differs in at most one
    bit where the whole differs in at most seven. So each chunk is looked up exactly and with each
    bit flipped, about N·M/1000 pairs instead of N·M.
    """
    for chunk in range(4):
        shift = np.uint64(16 * chunk)
        key_N = (hash_N >> shift).astype(np.uint16)
        key_M = (hash_M >> shift).astype(np.uint16)
        order_M = np.argsort(key_M, kind="stable")
        start_K = np.searchsorted(key_M[order_M], np.arange(0x10001))
        for flip in (0, *(1 << bit for bit in range(16))):
            looked_up_N = (key_N ^ np.uint16(flip)).astype(np.int64)
            first_N, count_N = start_K[looked_up_N], np.diff(start_K)[looked_up_N]
            yield from _expanded(first_N, count_N, order_M)


def _expanded(
    first_N: npt.NDArray[np.int64],
    count_N: npt.NDArray[np.int64],
    order_M: npt.NDArray[np.int64],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Ranges `first … first + count` of `order_M` as pairs, in pieces that fit in memory."""
    hit_H = np.flatnonzero(count_N)
    pieces = np.cumsum(count_N[hit_H]) // _PAIRS_AT_ONCE
    for piece in np.unique(pieces):
        index_H = hit_H[pieces == piece]
        count_H = count_N[index_H]
        before_H = np.cumsum(count_H) - count_H
        within_P = np.arange(int(count_H.sum())) - np.repeat(before_H, count_H)
        yield (
            np.repeat(index_H, count_H),
            order_M[np.repeat(first_N[index_H], count_H) + within_P],
        )


def _shared(table: SampleTable, other: SampleTable, column: str) -> Any:
    """The distinct values that a column has in both tables."""
    values = pc.unique(pc.drop_null(table.arrow.column(column)))
    others = pc.unique(pc.drop_null(other.arrow.column(column)))
    return values.filter(pc.is_in(values, value_set=others)).cast(pa.string())


def _bits(hashed: Any) -> int:
    return int.from_bytes(np.packbits(hashed.hash.flatten()).tobytes())


def _on_the_sphere(table: SampleTable) -> npt.NDArray[np.float64]:
    """Places as unit vectors, [N, 3], so that the date line and the poles are nowhere special."""
    return unit_vectors(np.stack([table.latitude_N, table.longitude_N], axis=-1)).T
