"""Files are written whole or not at all, and nothing but a file is ever replaced."""

import os
import stat
import threading

import pytest
from processes import PATIENCE_SECONDS

from numcnn.errors import CheckpointError, DataError
from numcnn.files import (
    as_path,
    atomic_write,
    check_writable,
    is_temporary,
    named_errors,
    read_at_most,
    sweep,
)


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_is_replaced_and_nothing_else_left(tmp_path):
    write(tmp_path / "a", b"old")
    check_writable(tmp_path / "a")
    write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="other systems open no folder")
def test_the_content_is_on_the_disk_before_the_name_and_then_the_name_is(tmp_path, monkeypatch):
    """What survives a power cut: the order of system calls, each of which is really made."""
    calls, sync, rename = [], os.fsync, os.replace

    def fsync(descriptor):
        status = os.fstat(descriptor)
        calls.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        same = os.stat(tmp_path) if stat.S_ISDIR(status.st_mode) else next(tmp_path.glob(".a.*.tmp")).stat()
        assert os.path.samestat(status, same)
        sync(descriptor)

    def replace(*names):
        calls.append("rename")
        rename(*names)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write(tmp_path / "a", bytes(100_001))
    assert calls == ["100001 bytes", "rename", "folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_is_written_to_and_stays_one(tmp_path, by_link):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    target = link if by_link else pipe
    check_writable(target)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(target)
    reader.join(PATIENCE_SECONDS)
    assert received == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode) and link.is_symlink() and len(os.listdir(tmp_path)) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_failure_of_a_device_names_the_path(tmp_path):
    (tmp_path / "link").symlink_to("/dev/full")
    check_writable(tmp_path / "link")
    with pytest.raises(OSError, match=r"No space left on device: .*link"):
        write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and os.listdir(tmp_path) == ["link"]


def test_a_link_stays_one_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old", "not yet"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "there" / "old").write_bytes(b"old")
    for name in ("old", "not yet"):
        check_writable(tmp_path / name)
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink() and (tmp_path / "there" / name).read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path / "there")) == ["not yet", "old"]


@pytest.mark.parametrize(("name", "error"), [("folder", IsADirectoryError), ("no/file", FileNotFoundError)])
def test_what_can_t_be_written_is_reported_before_too(tmp_path, name, error):
    (tmp_path / "folder").mkdir()
    for attempt in (check_writable, write):
        with pytest.raises(error) as caught:
            attempt(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("error_class", [DataError, CheckpointError])
def test_an_error_of_the_system_becomes_one_that_names_the_path_and_what_to_do(tmp_path, error_class):
    path = tmp_path / "no folder" / "file"
    text = f"cannot write {path}: No such file or directory; name another file"
    with (
        pytest.raises(error_class) as caught,
        named_errors(path, "name another file", action="write", error_class=error_class),
    ):
        write(path)
    assert str(caught.value) == text and isinstance(caught.value.__cause__, FileNotFoundError)


def test_an_error_without_the_system_s_words_keeps_its_own_and_others_pass_through():
    with pytest.raises(DataError) as caught, named_errors("a"):
        raise OSError("cut off")
    assert str(caught.value) == "cannot use a: cut off; check the folder and the space left"
    with pytest.raises(ZeroDivisionError), named_errors("a"):
        raise ZeroDivisionError


def test_what_a_killed_writer_left_is_swept_once_it_is_old_enough(tmp_path):
    for name in (".best.npz.abcd1234.tmp", ".own.jsonl.a_b1c2d3.tmp", ".mine.tmp", "a.tmp", ".lock"):
        (tmp_path / name).touch()
    (tmp_path / ".folder.abcd1234.tmp").mkdir()
    left = sorted(os.listdir(tmp_path))
    os.utime(tmp_path / ".best.npz.abcd1234.tmp", (0, 0))
    assert [name for name in left if not is_temporary(tmp_path / name)] == [".mine.tmp", "a.tmp"]
    sweep(tmp_path, least_age=60)
    assert sorted(os.listdir(tmp_path)) == [name for name in left if "best" not in name]
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".folder.abcd1234.tmp", ".lock", ".mine.tmp", "a.tmp"]
    sweep(tmp_path / "nowhere")


def test_no_more_is_read_than_was_asked_for(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_at_most(tmp_path / "a", 5, "name another") == b"12345"
    with pytest.raises(DataError, match=r"a has more than 4 bytes, the most that are read; name another"):
        read_at_most(tmp_path / "a", 4, "name another")
    with pytest.raises(DataError, match=r"cannot read .*b: No such file or directory; name another"):
        read_at_most(tmp_path / "b", 4, "name another")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_may_never_end_is_not_begun(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero", "/dev/full"):
        with pytest.raises(DataError, match="is no regular file; name another"):
            read_at_most(path, 4, "name another")


def test_nobody_has_no_folder():
    assert as_path("~").is_absolute() and as_path("a/~").name == "~"
    with pytest.raises(DataError, match=r"~nobody-here/x can't be found: .*; name a folder"):
        as_path("~nobody-here/x")
