"""The pad's user data: nothing is lost or half-written, with two pads, killed ones, and no room on the disk."""

import contextlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import read_until, running

from numcnn.errors import DataError, ShapeError
from numcnn.pad import store
from numcnn.pad.canvas import read_strokes

FOUR = [[(0.0, 0.0), (0.5, 40.25), (30.0, 40.0)], [(25, 5), (25, 80)]]
DOT = [[(3, 4)]]


@pytest.fixture
def own(tmp_path):
    return store.OwnSet(tmp_path / "data" / "own.jsonl")


def labels(own):
    digits, problems = own.read()
    assert problems == []
    return [digit.label for digit in digits]


def test_the_folder_is_the_system_s_or_the_one_that_is_named(home, monkeypatch, tmp_path):
    assert store.home() == home  # in every test a folder of its own, not the user's
    monkeypatch.delenv("NUMCNN_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert sys.platform != "linux" or store.home() == tmp_path / "data" / "numcnn"
    monkeypatch.setenv("NUMCNN_HOME", str(tmp_path / "mine"))
    assert store.OwnSet().path == tmp_path / "mine" / "own.jsonl"
    assert store.personal_weights().parent == store.Autosave().path.parent == tmp_path / "mine"


def test_digits_come_back_as_they_were_drawn(own):
    assert own.read() == ([], []) and len(own) == 0
    own.add(4, FOUR)
    own.add(np.int64(1), DOT)
    (four, one), problems = own.read()
    assert problems == [] and (four.label, one.label) == (4, 1) and four.time.startswith("20")
    for stroke, drawn in zip(four.strokes, FOUR, strict=True):
        np.testing.assert_array_equal(stroke, drawn)
    assert own.counts() == [0, 1, 0, 0, 1, 0, 0, 0, 0, 0] and len(own) == 2
    first = json.loads(own.path.read_text().splitlines()[0])
    assert first.keys() == {"label", "strokes", "time"} and first["strokes"][1] == [[25.0, 5.0], [25.0, 80.0]]


@pytest.mark.parametrize(
    ("label", "strokes", "text"),
    [
        (10, DOT, "the label is 10; it must be a digit from 0 to 9"),
        ("4", DOT, "the label is '4'"),
        (True, DOT, "it must be a digit from 0 to 9"),
        (4, [], "nothing is drawn"),
        (4, [[]], "nothing is drawn"),
        (4, [[(0, float("nan"))]], "NaN"),
    ],
)
def test_what_is_no_labelled_digit_is_not_added(own, label, strokes, text):
    own.add(7, DOT)
    before = own.path.read_bytes()
    with pytest.raises(DataError, match=text):
        own.add(label, strokes)
    assert own.path.read_bytes() == before


def test_the_last_labelling_can_be_taken_back(own):
    own.add(3, DOT)
    earlier = own.path.read_bytes()
    again = store.OwnSet(own.path)
    again.add(4, FOUR)
    again.add(5, DOT)
    assert again.remove_last() == 5 and labels(own) == [3, 4]
    assert again.remove_last() == 4 and own.path.read_bytes() == earlier
    assert again.remove_last() is None and own.path.read_bytes() == earlier  # yesterday's digits are safe
    own.path.unlink()
    with pytest.raises(DataError, match=r"cannot use .*No such file"):
        own.remove_last()


def test_taking_back_leaves_what_another_pad_has_added_since(own):
    other = store.OwnSet(own.path)
    own.add(3, DOT)
    own.add(4, FOUR)
    other.add(8, DOT)
    assert own.remove_last() == 4 and labels(own) == [3, 8]
    assert other.remove_last() == 8 and labels(own) == [3]
    own.path.write_text("edited by hand, so that the line is another one".ljust(own.path.stat().st_size))
    before = own.path.read_bytes()
    assert own.remove_last() is None and own.path.read_bytes() == before


def test_the_label_of_the_same_strokes_is_found_whoever_added_it_and_removed(own):
    assert own.label_of(FOUR) is None
    own.add(4, FOUR)
    assert own.label_of(FOUR) == 4 and own.label_of([np.array(stroke) for stroke in FOUR]) == 4
    assert own.label_of(FOUR[:1]) is None and own.label_of(DOT) is None
    later = store.OwnSet(own.path)  # as after a restart
    later.add(8, DOT)
    assert own.label_of(FOUR) == later.label_of(FOUR) == 4 and own.label_of(DOT) == 8
    later.remove(FOUR)
    assert labels(own) == [8] and own.label_of(FOUR) is None and own.remove_last() is None
    later.remove(DOT)
    later.remove(DOT)
    assert labels(own) == [] and later.remove_last() is None
    own.add(4, FOUR)
    own.path.write_bytes(own.path.read_bytes().replace(b'"label":4', b'"label":9'))  # edited by hand
    assert own.label_of(FOUR) == 9
    own.path.write_bytes(own.path.read_bytes().replace(b'"label":9', b'"label":"9"'))
    assert own.label_of(FOUR) is None
    own.path.unlink()
    assert own.label_of(FOUR) is None


def test_a_digit_of_a_picture_is_kept_as_what_the_network_read(own):
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 12:16] = np.arange(80).reshape(20, 4)
    own.add(1, [], image)
    own.add(4, FOUR)
    (one, four), problems = own.read()
    assert (one.label, one.strokes, four.image, problems) == (1, [], None, [])
    np.testing.assert_array_equal(one.image, image)
    assert own.label_of([], image) == 1 and own.label_of([], image.T.copy()) is None
    store.OwnSet(own.path).remove([], image)
    assert labels(own) == [4]
    for wrong in (image[:27], image.astype(np.float32)):
        with pytest.raises(ShapeError, match=r"wants \(28, 28\) of uint8"):
            own.add(1, [], wrong)
    with pytest.raises(DataError, match="not all 0"):
        own.add(1, [], np.zeros_like(image))
    for text in ("[1, 2]", "null", '"AAAA"', '"?"'):
        own.path.write_text(f'{{"label": 1, "image": {text}}}\n')
        digits, (problem,) = own.read()
        assert not digits and "its image can't be used" in problem


def test_a_half_line_at_the_end_costs_only_itself(own):
    for label in (1, 2):
        own.add(label, FOUR)
    whole = own.path.read_bytes()
    own.path.write_bytes(whole[:-20])
    digits, problems = own.read()
    assert [digit.label for digit in digits] == [1]
    assert problems == [f"{own.path}, line 2: is cut off, as when a program is stopped while it writes; left out"]
    own.add(6, DOT)  # on a line of its own
    digits, problems = own.read()
    assert [digit.label for digit in digits] == [1, 6] and len(problems) == 1 and "line 2: is not JSON" in problems[0]
    own.path.write_bytes(whole[:-1])  # whole but for the line's end, as some editors leave it
    assert labels(own) == [1, 2]
    own.add(7, DOT)
    assert labels(own) == [1, 2, 7] and own.remove_last() == 7 and labels(own) == [1, 2]


GARBAGE = [
    (b"garbage", "is not JSON"),
    (b"\x00\xff\xfe", "is not JSON"),
    (b"[" * 100_000, "is not JSON"),
    (b"[1, 2]", 'expected an object like {"label": 4, "strokes": '),
    (b'{"label": 12, "strokes": [[[0, 0]]]}', "the label is 12; it must be a digit from 0 to 9"),
    (b'{"label": 4}', "its strokes can't be used: expected a list of strokes"),
    (b'{"label": 4, "strokes": [[[0, NaN]]]}', "beyond 1e+100; wants finite numbers; left out"),
    (b'{"label": 4, "strokes": [[[0, 1e999]]]}', "infinite"),
    (b'{"label": 4, "strokes": [[["0", 1]]]}', "expected a list of strokes"),
    (b'{"label": 4, "strokes": [[[0, 0]]], "time": 5}', "the time is 5"),
]


@pytest.mark.parametrize("content", [b"[[[0, 0], [50, 80]]]", b"\x89PNG", b'{"label": 4}'])
def test_a_whole_line_of_another_form_is_not_called_a_half_one(own, content):
    own.path.parent.mkdir()
    own.path.write_bytes(content)
    digits, (problem,) = own.read()
    assert digits == [] and "cut off" not in problem


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(("line", "text"), GARBAGE)
def test_a_garbage_line_is_named_with_its_number(own, line, text):
    own.add(1, DOT)
    with open(own.path, "ab") as file:
        file.write(line + b"\n\n")
    own.add(2, DOT)
    digits, (problem,) = own.read()
    assert [digit.label for digit in digits] == [1, 2]
    assert problem.startswith(f"{own.path}, line 2: ") and text in problem and problem.endswith("; left out")


def test_a_folder_that_cannot_be_used_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    own = store.OwnSet(tmp_path / "file" / "own.jsonl")
    with pytest.raises(DataError, match=r"cannot use .*; check the folder and the space left"):
        own.add(1, DOT)
    (tmp_path / "own.jsonl").mkdir()
    with pytest.raises(DataError, match=r"cannot use .*Is a directory"):
        store.OwnSet(tmp_path / "own.jsonl").read()


@pytest.fixture
def little_room():
    """Give the function that limits files to so many bytes, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_set_as_it_was(own, little_room):
    own.add(1, FOUR)
    before = own.path.read_bytes()
    for room in (0, 10):  # none at all, and enough for a part of the line
        little_room(len(before) + room)
        with pytest.raises(DataError, match=r"cannot use .*; check the folder and the space left"):
            own.add(2, FOUR)
        assert own.path.read_bytes() == before
    little_room(resource.RLIM_INFINITY)
    own.add(3, FOUR)
    assert labels(own) == [1, 3]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_an_error_too():
    with pytest.raises(DataError, match="No space left on device"):
        store.OwnSet("/dev/full").add(1, DOT)


ADD_MANY = """
import sys
from numcnn.pad.store import OwnSet
own = OwnSet(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[3])):
    own.add(int(sys.argv[2]), [[(j, i) for j in range(300)]])
    if i % 5 == 4:
        own.remove_last()
    print(i, flush=True)
"""


def at_once(code, *arguments):
    """Run code in two processes, one for each of the ``arguments``, that begin together; see both of them end well."""
    with waiting(code, *arguments[0]) as one, waiting(code, *arguments[1]) as other:
        for process in (one, other):
            begin(process)
        for process in (one, other):
            _, reported = process.communicate()
            assert process.returncode == 0, reported


@contextlib.contextmanager
def waiting(code, *arguments):
    """Run code in a process that has said "ready", and waits for a line."""
    with running("-c", code, *arguments, stdin=subprocess.PIPE) as process:
        read_until(process.stdout, "ready")
        yield process


def begin(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_pads_at_once_lose_nothing(own):
    at_once(ADD_MANY, (own.path, 1, 40), (own.path, 2, 40))
    assert sorted(labels(own)) == [1] * 32 + [2] * 32


def test_a_killed_pad_leaves_whole_lines(own):
    with waiting(ADD_MANY, own.path, 3, 100_000) as pad:
        begin(pad)
        for _ in range(20):
            assert pad.stdout.readline()
        pad.kill()
        reported = 20 + len(pad.stdout.readlines())
    digits, problems = own.read()
    kept = reported - reported // 5
    assert kept - 1 <= len(digits) <= kept + 1 and problems == []
    own.add(4, DOT)  # the dead one's lock is gone
    assert labels(own)[-1] == 4


# The last drawing


@pytest.fixture
def autosave(tmp_path):
    return store.Autosave(tmp_path / "data" / "drawing.json")


def test_the_last_drawing_comes_back(autosave):
    assert autosave.restore() == [] and autosave.problem is None
    autosave.save(FOUR)
    (first, second) = store.Autosave(autosave.path).restore()
    np.testing.assert_array_equal(first, FOUR[0])
    np.testing.assert_array_equal(second, FOUR[1])
    assert len(read_strokes(autosave.path)) == 2  # what `numcnn draw --strokes` reads
    autosave.save([])
    assert store.Autosave(autosave.path).restore() == [] and autosave.problem is None


def test_it_is_written_only_when_it_is_new(autosave):
    autosave.save(DOT)
    assert len(autosave.restore()) == 1
    autosave.path.unlink()
    autosave.save(DOT)
    assert not autosave.path.exists()
    autosave.save(FOUR)
    assert len(autosave.restore()) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\xff\x00", b'{"a": 1}', b"[[[0, NaN]]]", b"[[[0, Infinity]]]", b"[[[0, 1], [2", b"[1]"],
)
def test_a_damaged_drawing_is_reported_and_the_sheet_empty(autosave, content):
    autosave.path.parent.mkdir()
    autosave.path.write_bytes(content)
    assert autosave.restore() == []
    assert autosave.problem.startswith(f"the last drawing is lost: {autosave.path}: ")
    assert autosave.problem.endswith("; the file is now drawing.json.damaged")
    autosave.save(FOUR)
    assert autosave.problem is None and len(autosave.restore()) == 2
    aside = autosave.path.with_name("drawing.json.damaged")
    assert aside.read_bytes() == content
    autosave.path.write_bytes(b"damaged again")
    assert autosave.restore() == [] and aside.read_bytes() == b"damaged again"


def test_a_drawing_that_came_back_and_stays_as_it_is_is_not_written_again(autosave):
    autosave.save(FOUR)
    again = store.Autosave(autosave.path)
    strokes = again.restore()
    autosave.save(DOT)  # another pad
    again.save(strokes)
    assert len(store.Autosave(autosave.path).restore()) == 1


def test_a_drawing_that_cannot_be_kept_is_reported_and_the_last_one_stays(autosave, little_room):
    autosave.save(FOUR)
    little_room(20)
    autosave.save([*FOUR, *DOT])
    assert "cannot keep the drawing in" in autosave.problem and len(autosave.restore()) == 2
    assert os.listdir(autosave.path.parent) == ["drawing.json"]
    little_room(resource.RLIM_INFINITY)
    autosave.save([[(float("nan"), 0)]])
    assert "NaN" in autosave.problem and len(autosave.restore()) == 2
    autosave.save(FOUR)  # undone: then the file has it already
    assert autosave.problem is None
    autosave.save([*FOUR, *DOT])
    assert autosave.problem is None and len(autosave.restore()) == 3


# Personal weights


@pytest.mark.usefixtures("no_collection")
def test_settings_come_back_and_damaged_ones_are_none(tmp_path):
    settings = store.Settings(tmp_path / "data" / "settings.json")
    assert settings.read() == {}
    settings.change({"theme": "light", "pen": 0.04})
    settings.change({"theme": "dark"})
    assert store.Settings(settings.path).read() == {"theme": "dark", "pen": 0.04}
    for content in (b"", b'{"theme": "da', b"[1, 2]", b'"dark"', b"\xff\xfe", b"[" * 100_000):
        settings.path.write_bytes(content)
        assert settings.read() == {}
    settings.path.unlink()
    settings.path.mkdir()  # what can't be read, nor written
    assert settings.read() == {}
    with pytest.raises(DataError, match=r"cannot use .*settings\.json"):
        settings.change({"theme": "light"})


CHANGE_MANY = """
import sys
from numcnn.pad.store import Settings
settings = Settings(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for i in range(30):
    settings.change({sys.argv[2]: i})
    assert settings.read()[sys.argv[2]] == i
"""


def test_two_pads_that_change_settings_at_once_lose_none(tmp_path):
    path = tmp_path / "settings.json"
    at_once(CHANGE_MANY, (path, "theme"), (path, "pen"))
    assert store.Settings(path).read() == {"theme": 29, "pen": 29}


def test_personal_weights_are_forgotten_and_taken_back(home):
    home.mkdir()
    assert not store.forget() and not store.restore()
    personal = store.personal_weights()
    personal.write_bytes(b"one")
    assert store.forget() and not personal.exists()
    assert store.restore() and personal.read_bytes() == b"one"
    assert store.forget()
    personal.write_bytes(b"two")  # learned anew
    assert not store.restore() and personal.read_bytes() == b"two"
    assert store.forget() and store.restore() and personal.read_bytes() == b"two"


ENDLESS = ["/dev/zero", "/dev/full", "pipe"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("place", ENDLESS)
def test_what_never_ends_is_refused_at_once(place, tmp_path):
    path = Path(place)
    if place == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(DataError, match="is no regular file; name a file of own digits"):
        store.OwnSet(path).read()
    with pytest.raises(DataError, match="is no regular file; name a strokes file"):
        read_strokes(path)
    assert store.Settings(path).read() == {}
    link = tmp_path / "drawing.json"
    link.symlink_to(path)
    drawing = store.Autosave(link)
    assert drawing.restore() == [] and "is no regular file" in drawing.problem
    assert path.exists() and not link.exists()


LINE = json.dumps({"label": 4, "strokes": [[[0, 0], [50, 80]]], "time": ""})


def test_an_own_set_is_read_in_bounded_time_and_memory(own):
    own.path.parent.mkdir(parents=True, exist_ok=True)
    point = "[0.5,0.5]"
    long = json.dumps({"label": 4, "strokes": [[[i, i] for i in range(49_999)]], "time": "x" * 500_000})
    own.path.write_text(f"{LINE}\n{long}\n{LINE}\n")
    digits, (problem,) = own.read()
    assert len(digits) == 2 and "line 2: has" in problem and "1,048,576 are the most; left out" in problem
    own.path.write_text("x\n" * (store.MAX_LINES + 1))
    with pytest.raises(DataError, match=r"has 50,001 lines; 50,000 are the most; move some"):
        own.read()
    own.path.write_text(f'{{"label": 4, "strokes": [[{",".join([point] * 2_000_000)}]]}}')
    with pytest.raises(DataError, match=r"has more than 16,777,216 bytes, the most that are read; move some"):
        own.read()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[[" + ",".join(["[0,0]"] * 2_000_000) + "]]", "has more than 4,194,304 bytes"),
        ("[[" + ",".join(["[0,0]"] * 50_001) + "]]", "more than 5,000 strokes or 50,000 points are too many"),
        ("[" + ",".join(["[[0,0]]"] * 5001) + "]", "more than 5,000 strokes or 50,000 points are too many"),
        ("[" + ",".join(["[]"] * 1_000_000) + "]", "more than 5,000 strokes or 50,000 points are too many"),
    ],
)
def test_a_drawing_of_too_many_points_is_refused(tmp_path, content, text):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(DataError, match=text):
        read_strokes(tmp_path / "s.json")


def test_huge_settings_are_none(tmp_path):
    (tmp_path / "settings.json").write_text('{"theme": "dark"}' + " " * 100_000)
    assert store.Settings(tmp_path / "settings.json").read() == {}
