"""Zip directories and members by byte range, against archives that Python's zipfile wrote."""

import io
import random
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.data import zipindex
from geospot.data.osv5m import LocalFile
from geospot.data.zipindex import Member, is_safe_name, read_directory, read_member
from geospot.errors import DataError, ImageError


class Bytes:
    """An archive in memory that notes which ranges are read."""

    label = "test.zip"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return len(self.data)

    def read_range(self, start: int, length: int) -> bytes:
        assert 0 <= start <= start + length <= self.size
        self.read.append((start, length))
        return self.data[start : start + length]


def archive(
    members: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.comment = comment
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def short(value: object) -> str:
    """The name of a test case: archives are too long for one."""
    return "archive" if isinstance(value, bytes) else str(value)


def only_member(data: bytes) -> tuple[Bytes, Member]:
    reader = Bytes(data)
    [member] = read_directory(reader)
    return reader, member


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "comment", [b"", b"PK\x05\x06 a comment that looks like a record" * 9], ids=len
)
def test_members_read_as_zipfile_reads_them(method: int, comment: bytes) -> None:
    rng = random.Random(1)
    contents = {f"00/{n}.jpg": rng.randbytes(n * 10) for n in range(300)}
    reader = Bytes(
        archive(contents, method) if not comment else archive(contents, method, b"plain")
    )
    members = read_directory(reader)
    assert [m.name for m in members] == list(contents)
    assert {m.name: read_member(reader, m) for m in members} == contents
    container, again = Member.from_handle(members[7].handle("00.zip"))
    assert (container, again) == ("00.zip", members[7])


def test_an_image_takes_one_request_of_its_own_length() -> None:
    data = archive({f"00/{n}.jpg": bytes(5000) for n in range(50)})
    reader = Bytes(data)
    members = read_directory(reader)
    reader.read.clear()
    read_member(reader, members[20])
    assert reader.read == [(members[20].offset, members[21].offset - members[20].offset)]


def test_a_directory_longer_than_the_tail_is_read_once_and_whole() -> None:
    reader = Bytes(archive({f"00/{n:040}.jpg": b"x" for n in range(3000)}))
    assert len(read_directory(reader)) == 3000
    fetched = sum(length for _, length in reader.read)
    start = zipfile.ZipFile(io.BytesIO(reader.data)).start_dir
    assert fetched == reader.size - start
    assert len(reader.read) == 2


def test_more_than_65535_members_need_zip64() -> None:
    reader = Bytes(archive({f"{n}.jpg": b"" for n in range(66_000)}))
    assert len(read_directory(reader)) == 66_000


def test_an_archive_beyond_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(5 << 30)  # sparse: takes no disk
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("00/1.jpg", b"one" * 1000)
        file.writestr("00/2.jpg", b"two" * 1000)
    reader = LocalFile(path)
    first, second = read_directory(reader)
    assert first.offset > 4 << 30
    assert read_member(reader, first) == b"one" * 1000
    assert read_member(reader, second) == b"two" * 1000
    reader.close()


def test_an_archive_with_something_in_front() -> None:
    reader = Bytes(b"#!/bin/sh\n" * 100 + archive({"a.jpg": b"abc"}))
    [member] = read_directory(reader)
    assert read_member(reader, member) == b"abc"


def test_members_written_to_a_pipe_have_their_sizes_behind_them() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.jpg", b"abc" * 1000)
        file.writestr("b.jpg", b"xyz" * 1000)
    reader = Bytes(out.getvalue())
    assert [read_member(reader, m)[:3] for m in read_directory(reader)] == [b"abc", b"xyz"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no directory"),
        (b"\xff\xd8 no zip at all" * 99, "no directory"),
        (archive({"a.jpg": b"abc" * 999})[:2000], "no directory"),
        (archive({"a.jpg": b"abc"})[20:], "points outside"),
    ],
    ids=short,
)
def test_what_is_no_whole_zip_says_so(data: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_directory(Bytes(data))


@pytest.mark.parametrize(
    "name",
    ["/etc/a.jpg", "../a.jpg", "00/../../a.jpg", "00\\..\\a.jpg", "C:/a.jpg", "c:a.jpg", "00//a.jpg",
     "./a.jpg", "a\nb.jpg"],
)  # fmt: skip
def test_a_member_that_leaves_its_root_is_refused(name: str) -> None:
    assert not is_safe_name(name)
    reader, member = only_member(archive({name: b"abc"}))
    with pytest.raises(ImageError, match="refused"):
        read_member(reader, member)
    assert member.handle("00.zip").startswith("!")


def patched(data: bytes, signature: bytes, at: int, form: str, *values: int) -> bytes:
    """`data` with fields of the first record of this signature overwritten."""
    start = data.index(signature) + at
    return data[:start] + struct.pack(form, *values) + data[start + struct.calcsize(form) :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
ONE = archive({"a.jpg": b"abc" * 1000})
SQUEEZED = archive({"a.jpg": b"abc" * 1000}, zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (patched(ONE, CENTRAL, 8, "<H", 1), "encrypted"),
        (patched(ONE, CENTRAL, 10, "<H", 99), "method 99"),
        (archive({"a.jpg": b"abc" * 1000}, zipfile.ZIP_LZMA), "method 14"),
        (patched(ONE, LOCAL, 0, "<I", 0), "no local header"),
        (patched(ONE, LOCAL, 30, "<B", 0x62), "header of another file"),
        (patched(ONE, LOCAL, 26, "<H", 60_000), "header of another file"),
        (patched(ONE, LOCAL, 28, "<H", 60_000), "cut off"),
        (patched(ONE, LOCAL, 40, "<B", 7), "checksum"),
        (patched(SQUEEZED, CENTRAL, 24, "<I", 2000), "not as long"),
        (patched(SQUEEZED, CENTRAL, 24, "<I", 9000), "not as long"),
        (patched(SQUEEZED, LOCAL, 35, "<2B", 0xFF, 0xFF), "doesn't decompress"),
        (patched(ONE, CENTRAL, 24, "<I", 2000), "two different sizes"),
        (patched(ONE, CENTRAL, 20, "<2I", 65 << 20, 65 << 20), "larger than 64 MiB"),
        (patched(ONE, CENTRAL, 20, "<2I", 4000, 4000), "overlaps"),
        (patched(ONE, CENTRAL, 42, "<I", 1 << 30), "points outside"),
    ],
    ids=short,
)  # fmt: skip
def test_a_damaged_or_lying_member_says_what_is_wrong(data: bytes, sentence: str) -> None:
    reader, member = only_member(data)
    with pytest.raises(ImageError, match=sentence):
        read_member(reader, member)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = archive({"a.jpg": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    reader, member = only_member(patched(bomb, CENTRAL, 24, "<I", 1000))
    peak: list[int] = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, wbits: int) -> None:
            self.inner = real(wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            out = self.inner.decompress(data, limit)
            peak.append(len(out))
            return out

    monkeypatch.setattr(zipindex.zlib, "decompressobj", Watched)
    with pytest.raises(ImageError, match="not as long"):
        read_member(reader, member)
    assert peak == [1001]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SQUEEZED) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_an_error_of_ours_or_harmless(at: int, patch: bytes) -> None:
    data = (SQUEEZED[:at] + patch + SQUEEZED[at + len(patch) :])[: len(SQUEEZED)]
    reader = Bytes(data)
    try:
        for member in read_directory(reader):
            assert read_member(reader, member) == b"abc" * 1000
    except (DataError, ImageError):
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    reader = Bytes(data + b"PK\x05\x06" + data[:18].ljust(18, b"\0"))
    try:
        for member in read_directory(reader):
            read_member(reader, member)
    except (DataError, ImageError):
        pass
