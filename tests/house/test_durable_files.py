"""Files that a person named, and files that can't be written: old or new, never half; what to do."""

import errno
import os
from pathlib import Path

import pytest

from geospot.durable import WriteError, mend_torn_end, put_file, unwritable


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    put_file(link, b"new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    put_file(tmp_path / "new" / "folder" / "board.csv", b"first")
    assert (tmp_path / "new" / "folder" / "board.csv").read_text() == "first"


def test_what_is_no_plain_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    put_file(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    with pytest.raises(WriteError, match="No space left"):
        put_file(Path("/dev/full"), b"anything")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("mode", [0o664, 0o600, 0o444])
def test_who_may_read_and_write_a_file_stays_when_it_is_replaced(tmp_path: Path, mode: int) -> None:
    board = tmp_path / "board.csv"
    board.write_text("old")
    board.chmod(mode)
    put_file(board, b"new")
    assert (board.read_text(), board.stat().st_mode & 0o7777) == ("new", mode)


def test_links_in_a_circle_are_a_sentence(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to(tmp_path / other)
    for path in (tmp_path / "a", tmp_path / "a" / "board.csv"):
        with pytest.raises(WriteError, match="Too many levels of symbolic links"):
            put_file(path, b"new")
    assert (tmp_path / "a").is_symlink()


def test_a_file_whose_folder_takes_nothing_stays_as_it_was() -> None:
    with pytest.raises(WriteError, match="/proc/version can't be written"):
        put_file(Path("/proc/version"), b"new")


def test_lines_that_may_not_be_mended_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise OSError(errno.EROFS, f"Read-only file system ({mode})", str(self))

    (tmp_path / "lines.jsonl").write_text("{}\n{")
    monkeypatch.setattr(Path, "open", refuse)  # root is refused nothing
    with pytest.raises(WriteError, match=r"can't be written: Read-only .*Make room"):
        mend_torn_end(tmp_path / "lines.jsonl")


def test_the_advice_is_about_what_is_wrong() -> None:
    path = Path("x")
    full = unwritable(path, OSError(errno.ENOSPC, "No space left on device"))
    no_files = unwritable(path, OSError(errno.EMFILE, "Too many open files"))
    assert "Make room" in full.advice
    assert "ulimit -n" in no_files.advice


def test_a_folder_where_a_file_is_to_be_lacks_no_room(tmp_path: Path) -> None:
    with pytest.raises(WriteError) as refused:
        put_file(tmp_path, b"new")
    assert refused.value.advice == "Name a file in it."
