"""Answers in a file: continued wherever the process was killed, and no other file is touched."""

import csv
import json
import os
import sys

import numpy as np
import pytest

from numcnn.errors import ConfigError, DataError
from numcnn.recognition.answer_log import AnswerLog, form_of
from numcnn.recognition.documents import COLUMNS, csv_line, document, json_line
from numcnn.recognition.page import Digit, Page

NAMES = [
    "a.png",
    "scan.tif#1",
    "scan.tif#2",
    'odd, "name"\nwith two lines.png',
    "ünï.png",
    "\udcff.png",  # a byte that is no UTF-8
    "other.tif#1",
    "other.tif#2",
    "z#1.png",
]
FILES = ["a.png", "scan.tif", NAMES[3], "ünï.png", "\udcff.png", "other.tif", "z#1.png"]
LINE = {".jsonl": json_line, ".csv": csv_line}


def page_of(text):
    digits = [
        Digit((1, 2, 3, 4), int(letter), 0.9, True, line, np.full(10, 0.1, np.float32), np.zeros((28, 28), np.uint8))
        for line, letters in enumerate(text.split("\n"))
        for letter in letters
    ]
    return Page(digits, (10, 10))


def lines(suffix, file):
    """Return the lines about a file's pages."""
    names = [name for name in NAMES if name == file or name.startswith(f"{file}#")]
    return [LINE[suffix](document(name, page_of("12\n34"))) for name in names]


def write(path):
    """Answer what isn't yet, as ``numcnn predict --out`` does; return which files that were."""
    with AnswerLog(path) as log:
        left = [file for file in FILES if file not in log.answered]
        for file in left:
            log.add(lines(path.suffix, file))
    return left


def names_in(path):
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in text.splitlines()]
    header, *rows = csv.reader(text.splitlines(keepends=True))
    assert tuple(header) == COLUMNS and all(len(row) == len(COLUMNS) for row in rows)
    return [row[0] for row in rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_cut_off_anywhere_it_is_continued_and_ends_up_the_same(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    assert write(whole) == FILES
    assert names_in(whole) == NAMES
    want = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    ends = {i + 1 for i, byte in enumerate(want) if byte == 10}
    near = {end + step for end in (0, *ends) for step in range(-3, 4)}
    for length in sorted(near | set(range(0, len(want), 61))):
        if not 0 <= length <= len(want):
            continue
        path.write_bytes(want[:length])
        left = write(path)
        assert path.read_bytes() == want, length
        assert left == FILES[len(FILES) - len(left) :]
    assert write(path) == []  # the last file's name says that it is one page


def test_a_file_with_pages_at_the_end_is_read_again_for_there_may_be_more(tmp_path):
    path = tmp_path / "a.jsonl"
    with AnswerLog(path) as log:
        log.add(lines(".jsonl", "a.png"))
        log.add(lines(".jsonl", "scan.tif"))
    with AnswerLog(path) as log:
        assert log.answered == {"a.png"}
    assert names_in(path) == ["a.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"name,price\n1,2\n"),
        ("a.csv", b"name,price"),
        ("a.csv", b"path,text,sure,probability,digits\nonly one value\n"),
        ("a.jsonl", b'{"label": 4, "strokes": []}\n'),
        ("a.jsonl", b'{"label": 4, "strokes": []}'),
        ("a.jsonl", b"[1, 2]\n"),
        ("a.jsonl", b'{"path": "a.png", "text": "", "digits": []}\nnot JSON\n{"path": "b'),
        ("a.jsonl", b"\xff\xfe\x00"),
    ],
)
def test_another_kind_of_file_is_refused_and_stays_as_it_is(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"whose line \d is no answer of numcnn predict"):
        AnswerLog(path)
    assert path.read_bytes() == content


def test_files_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"wants a file that ends in \.jsonl or \.csv"):
        form_of("a.txt")
    assert form_of("A.CSV") == "csv"
    with pytest.raises(DataError, match=r"cannot open .*missing.*a\.csv"):
        AnswerLog(tmp_path / "missing" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="no regular file"):
        AnswerLog(tmp_path / "folder.csv")


def test_other_settings_are_refused_with_the_difference_and_the_file_stays_as_it_is(tmp_path):
    path = tmp_path / "a.jsonl"
    with AnswerLog(path, {"weights": "a.npz", "--single": "no"}) as log:
        log.add(lines(".jsonl", "a.png"))
    with open(path, "ab") as file:
        file.write(b'{"path": "b')  # unfinished
    content = path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"other settings \(weights: a\.npz, now b\.npz; --single: no, now yes\); use"
    ):
        AnswerLog(path, {"weights": "b.npz", "--single": "yes"})
    assert path.read_bytes() == content
    with AnswerLog(path, {"weights": "a.npz", "--single": "no"}) as log:
        assert log.answered == {"a.png"}
    (tmp_path / "a.jsonl.settings").write_text("not JSON")
    with pytest.raises(ConfigError, match=r"a\.jsonl\.settings is no list of settings"):
        AnswerLog(path, {"weights": "a.npz", "--single": "no"})
    path.unlink()  # begun anew, with what it is begun with
    with AnswerLog(path, {"weights": "b.npz"}):
        pass
    assert json.loads((tmp_path / "a.jsonl.settings").read_text()) == {"weights": "b.npz"}


def test_a_foreign_file_gets_no_settings_beside_it(tmp_path):
    (tmp_path / "a.csv").write_text("name,price\n1,2\n")
    with pytest.raises(ConfigError, match="is no answer"):
        AnswerLog(tmp_path / "a.csv", {"weights": "a.npz"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_two_cannot_write_to_one_file(tmp_path):
    with AnswerLog(tmp_path / "a.csv"), pytest.raises(ConfigError, match="another process writes to"):
        AnswerLog(tmp_path / "a.csv")
    AnswerLog(tmp_path / "a.csv").__exit__()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_disk_is_an_error(tmp_path):
    with AnswerLog(tmp_path / "a.jsonl") as log:
        full = os.open("/dev/full", os.O_WRONLY)
        kept = os.dup(log._file.fileno())
        os.dup2(full, log._file.fileno())
        with pytest.raises(DataError, match=r"cannot write to .*a\.jsonl: No space left"):
            log.add(["a line"])
        os.dup2(kept, log._file.fileno())
        os.close(full)
        os.close(kept)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_line_without_an_end_is_not_read_to_it(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("numcnn.recognition.answer_log.MAX_RECORD_BYTES", 1000)
    path = tmp_path / f"out{suffix}"
    start = b",".join(name.encode() for name in COLUMNS) + b"\n" if suffix == ".csv" else b""
    for content in (b"[" * 2000, b'"\n' + b"a\n" * 2000 if suffix == ".csv" else b"[" * 1001 + b"\n"):
        path.write_bytes(start + content)
        with pytest.raises(ConfigError, match="which has a line of more than 1,000 bytes at"):
            AnswerLog(path)
        assert path.read_bytes() == start + content
