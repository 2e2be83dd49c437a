"""Damaged files of every kind are read or refused, by a reason with the path; nothing else happens.

``python tests/hostile.py 20000`` runs more, others each time.
"""

import sys

import pytest

pytest.importorskip("resource")  # not on Windows

import hostile

CASES = 500
WHOLE = sum(kind.share for kind in hostile.KINDS.values())
# Under coverage and on a busy machine; the command reports what it takes without.
PATIENCE = 5.0


@pytest.mark.parametrize("name", hostile.KINDS)
def test_damaged_files_are_read_or_refused(name):
    cases = CASES * hostile.KINDS[name].share // WHOLE
    report = hostile.run(name, cases)
    assert report.cases >= cases / 2
    assert report.slowest < PATIENCE * hostile.SECONDS
    assert report.grown < hostile.MEGABYTES or sys.platform == "darwin"


def test_an_undamaged_file_of_each_kind_is_read(tmp_path):
    for kind in hostile.KINDS.values():
        for content in kind.contents():
            (tmp_path / kind.name).write_bytes(content)
            assert hostile._read(kind, tmp_path / kind.name), kind.name
