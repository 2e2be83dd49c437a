"""Damaged files of every kind are read or refused, by a reason with the path, in little time and memory.

``python tests/hostile.py 20000`` runs more, others each time.
"""

import mmap
import os
import tempfile

import pytest

pytest.importorskip("resource")  # not on Windows

import hostile

CASES = 500
WHOLE = sum(kind.share for kind in hostile.KINDS.values())


@pytest.mark.parametrize("name", hostile.KINDS)
def test_damaged_files_are_read_or_refused(name):
    cases = CASES * hostile.KINDS[name].share // WHOLE
    report = hostile.run(name, cases)
    assert report.cases >= cases / 2


def test_an_undamaged_file_of_each_kind_is_read(tmp_path):
    for kind in hostile.KINDS.values():
        for content in kind.contents():
            (tmp_path / kind.name).write_bytes(content)
            assert hostile._read(kind, tmp_path / kind.name), kind.name


def take_40_megabytes(path):
    """An array would do, if it didn't get memory that the process has had before."""
    with mmap.mmap(-1, 40 << 20) as memory:
        memory[:: mmap.PAGESIZE] = bytes(len(memory) // mmap.PAGESIZE)


@pytest.mark.parametrize("limit", ["SECONDS", "MEGABYTES"])
def test_a_file_that_takes_too_much_fails_and_is_kept(limit, tmp_path, monkeypatch):
    if limit == "MEGABYTES" and not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("cannot measure one file's memory here")
    monkeypatch.setattr(hostile, limit, 0.0 if limit == "SECONDS" else 20)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    greedy = hostile.Kind("greedy.json", lambda: [b"[]"], take_40_megabytes, 1)
    monkeypatch.setitem(hostile.KINDS, "greedy", greedy)
    with pytest.raises(AssertionError, match=r"greedy: \d\.\d\d s, \d+ MB"):
        hostile.run("greedy", 5)
    assert (tmp_path / "hostile-greedy.json").exists()
