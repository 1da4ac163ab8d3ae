"""Zip files read through byte ranges: the directory once, then single members.

Works the same on a local file and on one behind HTTP, because all it asks for is "these bytes". The
format is PKWARE's APPNOTE.TXT 6.3.10: end of central directory (4.3.16), its ZIP64 forms (4.3.14,
4.3.15), central directory headers (4.3.12), local file headers (4.3.7). An archive is hostile until
proved otherwise: what a member says about itself is checked before and after it is read.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

from geospot.errors import DataError, ImageError
from geospot.images import MAX_BYTES
from geospot.textsafe import printable

_END: Final = struct.Struct("<4s4H2IH")
_END64_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_TAIL_BYTES: Final = (
    65_535 + _END.size
)  # the longest comment there can be, and the record before it
_LOCAL_EXTRA_BYTES: Final = 1024  # room for a local header's extra field, whose length isn't listed
_STORED, _DEFLATED = 0, 8
# Absolute; a part that is empty, `.` or `..`; backslashes, control characters, and colons (a drive
# letter, or a stream of another file).
_UNSAFE: Final = re.compile(r"^/|(^|/)\.{0,2}(/|$)|[\\:\x00-\x1f]")
_ENCRYPTED, _UTF8 = 0x0001, 0x0800
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF


class RangeReader(Protocol):
    """Bytes that can be read from anywhere, by several threads at once."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    @property
    def label(self) -> str:
        """What to call it before a person."""
        ...

    def read_range(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`."""
        ...


class Member(NamedTuple):
    """One file in a zip: where it stands and what it should be. Sizes and offsets in bytes."""

    name: str
    offset: int
    """Of its local header, from the start of the file."""
    span: int
    """What to fetch from there: header and data, as far as can be told without the local header."""
    compressed: int
    size: int
    method: int
    crc: int
    problem: str | None = None
    """Why it will not be read, where the directory already shows that."""

    def handle(self, container: str) -> str:
        """Everything needed to read it again later, as one line."""
        if self.problem is not None:
            return f"!{printable(self.name, limit=200)} in {container} {self.problem}"
        numbers = (self.offset, self.span, self.compressed, self.size, self.method, self.crc)
        return "\t".join([container, self.name, *map(str, numbers)])

    @classmethod
    def from_handle(cls, handle: str) -> "tuple[str, Member]":
        """The container and the member that `handle` made a line of."""
        container, name, *numbers = handle.split("\t")
        offset, span, compressed, size, method, crc = map(int, numbers)
        return container, cls(name, offset, span, compressed, size, method, crc)


def read_directory(reader: RangeReader) -> list[Member]:
    """Every file in the zip, in the order of the directory; folders are left out.

    Two or three range requests: the tail of the file, then what of the directory isn't in it.

    Raises:
        DataError: this is no zip file, or it is cut off or damaged.
    """
    tail_start = max(reader.size - _TAIL_BYTES, 0)
    tail = reader.read_range(tail_start, reader.size - tail_start)
    at = _end_record_at(tail)
    if at < 0:
        raise _damaged(reader, "has no directory at its end")
    count, length, start = _end_record(reader, tail, tail_start, at)
    end = tail_start + at
    if count >= _FULL_16 or length == _FULL_32 or start == _FULL_32 or _has_locator(tail, at):
        count, length, start, end = _end_record_64(reader, tail, tail_start, at, count)
    prefix = end - length - start  # bytes put before the archive, as self-extractors have
    if prefix < 0 or start + prefix < 0:
        raise _damaged(reader, "has a directory that points outside the file")
    begin = start + prefix
    if begin >= tail_start:
        directory = tail[begin - tail_start : end - tail_start]
    else:
        rest = reader.read_range(begin, min(tail_start, end) - begin)
        directory = rest + tail[: max(end - tail_start, 0)]
    members = list(_entries(reader, directory, prefix, begin))
    if len(members) != count:
        raise _damaged(reader, f"lists {len(members)} members but announces {count}")
    return _with_spans(members, begin)


def read_member(reader: RangeReader, member: Member) -> bytes:
    """The bytes of one member, decompressed and checked against its size and CRC-32.

    Raises:
        ImageError: the member is refused, damaged, or not what the directory says it is.
    """
    if member.problem is not None:
        raise ImageError(_sentence(reader, member, member.problem))
    raw = reader.read_range(member.offset, member.span)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise ImageError(_sentence(reader, member, "has no local header where one should be"))
    _, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack_from(raw)
    name = _name(raw[_LOCAL.size : _LOCAL.size + name_length], flags)
    if name != member.name or method != member.method:
        raise ImageError(_sentence(reader, member, "has a local header of another file"))
    begin = _LOCAL.size + name_length + extra_length
    missing = begin + member.compressed - len(raw)
    if missing > 0:
        after = member.offset + len(raw)
        if after + missing > reader.size:
            raise ImageError(_sentence(reader, member, "is cut off"))
        raw += reader.read_range(after, missing)
    data = _decompressed(reader, member, raw[begin : begin + member.compressed])
    if len(data) != member.size:
        raise ImageError(_sentence(reader, member, "is not as long as the directory says"))
    if zlib.crc32(data) != member.crc:
        raise ImageError(_sentence(reader, member, "is damaged: its checksum doesn't match"))
    return data


def is_safe_name(name: str) -> bool:
    """Whether a path in an archive stays below the archive's root on every system."""
    return _UNSAFE.search(name) is None


def _end_record_at(tail: bytes) -> int:
    """Where the last record stands; what only looks like one, in a comment, has the wrong length."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        comment = tail[at + _END.size :]
        if len(tail) >= at + _END.size and _END.unpack_from(tail, at)[-1] == len(comment):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return -1


def _end_record(reader: RangeReader, tail: bytes, tail_start: int, at: int) -> tuple[int, int, int]:
    _, disk, first_disk, _, count, length, start, _ = _END.unpack_from(tail, at)
    if (disk, first_disk) not in ((0, 0), (_FULL_16, _FULL_16)):
        raise _damaged(reader, "is one part of a split archive")
    if length != _FULL_32 and length > tail_start + at:
        raise _damaged(reader, "has a directory larger than itself")
    return count, length, start


def _has_locator(tail: bytes, at: int) -> bool:
    before = at - _END64_LOCATOR.size
    return before >= 0 and tail[before : before + 4] == b"PK\x06\x07"


def _end_record_64(
    reader: RangeReader, tail: bytes, tail_start: int, at: int, count: int
) -> tuple[int, int, int, int]:
    """Count, length and start of the directory by the ZIP64 record, and where that record stands."""
    if not _has_locator(tail, at):
        if count == _FULL_16:
            raise _damaged(reader, "lacks its ZIP64 record")
        raise _damaged(reader, "has a directory that points outside the file")
    _, _, end, _ = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
    if end + _END64.size > reader.size:
        raise _damaged(reader, "has a ZIP64 record that points outside the file")
    if end >= tail_start:
        record = tail[end - tail_start : end - tail_start + _END64.size]
    else:
        record = reader.read_range(end, _END64.size)
    if record[:4] != b"PK\x06\x06":
        raise _damaged(reader, "lacks its ZIP64 record")
    _, _, _, _, _, _, _, total, length, start = _END64.unpack(record)
    if length > end or start > end:
        raise _damaged(reader, "has a directory that points outside the file")
    return total, length, start, end


def _entries(reader: RangeReader, directory: bytes, prefix: int, begin: int) -> Iterator[Member]:
    at = 0
    while at + _ENTRY.size <= len(directory) and directory[at : at + 4] == b"PK\x01\x02":
        fields = _ENTRY.unpack_from(directory, at)
        flags, method, crc, compressed, size = fields[3], fields[4], *fields[7:10]
        name_length, extra_length, comment_length, offset = *fields[10:13], fields[16]
        at += _ENTRY.size
        name = _name(directory[at : at + name_length], flags)
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        if at > len(directory):
            raise _damaged(reader, "has a directory that is cut off")
        size, compressed, offset = _wide(extra, size, compressed, offset)
        offset += prefix
        yield Member(
            name,
            offset,
            span=_LOCAL.size + name_length + compressed,
            compressed=compressed,
            size=size,
            method=method,
            crc=crc,
            problem=_problem(name, flags, method, compressed, size)
            or ("points outside the archive" if offset + _LOCAL.size > begin else None),
        )


def _wide(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """The three fields with their 64-bit values, where the ZIP64 extra field (4.5.3) holds them."""
    values = [size, compressed, offset]
    if _FULL_32 not in values:
        return size, compressed, offset
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 0x0001:
            wide = extra[at + 4 : at + 4 + length]
            for index, value in enumerate(values):
                if value == _FULL_32 and len(wide) >= 8:
                    values[index] = int.from_bytes(wide[:8], "little")
                    wide = wide[8:]
            break
        at += 4 + length
    return values[0], values[1], values[2]


def _problem(name: str, flags: int, method: int, compressed: int, size: int) -> str | None:
    if not is_safe_name(name.removesuffix("/")):
        return "has a path that leaves the archive's root, and is refused"
    if flags & _ENCRYPTED:
        return "is encrypted"
    if method not in (_STORED, _DEFLATED):
        return f"is compressed by method {method}, which isn't supported"
    if max(size, compressed) > MAX_BYTES:
        return f"is larger than {MAX_BYTES >> 20} MiB"
    if method == _STORED and size != compressed:
        return "is stored, but with two different sizes"
    return None


def _with_spans(members: list[Member], begin: int) -> list[Member]:
    """The members with what to fetch of each: up to the next one, if that is near.

    The length of a local header's extra field isn't in the directory. The start of the next member
    bounds it, so one request of the right length is enough in any archive without gaps.
    """
    offsets = sorted({member.offset for member in members})
    following = dict(pairwise([*offsets, max(begin, offsets[-1] if offsets else 0)]))
    for index, m in enumerate(members):
        room = following[m.offset] - m.offset
        problem = m.problem
        if problem is None and room < m.span:
            problem = "overlaps another member"
        span = max(min(room, m.span + _LOCAL_EXTRA_BYTES), 0)
        members[index] = m._replace(span=span, problem=problem)
    return [m for m in members if not m.name.endswith("/")]


def _decompressed(reader: RangeReader, member: Member, data: bytes) -> bytes:
    if member.method == _STORED:
        return data
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        out = inflate.decompress(data, member.size + 1)  # one more than announced shows a lie
    except zlib.error as error:
        raise ImageError(_sentence(reader, member, "is damaged: it doesn't decompress")) from error
    return out


def _name(raw: bytes, flags: int) -> str:
    """The name of a member; bytes that are no valid text stay visible as escapes."""
    if flags & _UTF8:
        return raw.decode("utf-8", errors="backslashreplace")
    return raw.decode("cp437")


def _sentence(reader: RangeReader, member: Member, problem: str) -> str:
    return f"{printable(member.name, limit=200)} in {reader.label} {problem}."


def _damaged(reader: RangeReader, problem: str) -> DataError:
    return DataError(
        f"{reader.label} is no complete zip file: it {problem}.",
        "Download it again; an interrupted download is the usual cause.",
    )
