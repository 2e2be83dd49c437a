"""A run's files may have been edited: every edit ends in a valid result or in one clear line.

NUMCNN_EDITS=all makes every edit; else every 20th is made.
"""

import copy
import json
import os
import random
import shutil
import zipfile

import pytest
from conftest import BACKEND, draw_digits

from numcnn import NumcnnError
from numcnn.cli import main
from numcnn.data import idx, mnist
from numcnn.evaluation.plots import style
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.session import Options, new_session, resumed_session

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("small_canonical")]
VALUES = (None, True, -1, 0, 5, 2.5, 1e300, float("inf"), float("nan"), 10**400, "", "x", "a\0b", "\ud800", [], [1], {})
GONE = object()


def places(document, path=()):
    """Yield the path of every entry of a JSON document."""
    for key in document if isinstance(document, dict) else range(len(document)):
        yield (*path, key)
        if isinstance(document[key], dict | list):
            yield from places(document[key], (*path, key))


def edited(document, path, value):
    """Return a copy of the document with one entry changed, or deleted."""
    twin = copy.deepcopy(document)
    *way, last = path
    part = twin
    for key in way:
        part = part[key]
    if value is GONE:
        del part[last]
    else:
        part[last] = value
    return twin


def edits(document):
    """Return all edits of a document: (path, value)."""
    return [(path, value) for path in places(document) for value in (GONE, *VALUES)]


def some_of(found):
    if os.environ.get("NUMCNN_EDITS") != "all":
        found = random.Random(1).sample(found, len(found) // 20)
    return found


@pytest.fixture
def small(small_canonical, tmp_path_factory):
    """Return the folder of a run that was stopped in the middle of its second epoch."""
    base = tmp_path_factory.mktemp("record")
    (base / "data").mkdir()
    images, labels = draw_digits(200, 12)
    for part, rows in (("train", slice(0, 90)), ("test", slice(90, 110))):
        idx.write_images(base / "data" / mnist.FILES[f"{part}_images"].name, images[rows])
        idx.write_labels(base / "data" / mnist.FILES[f"{part}_labels"].name, labels[rows])
    config = TrainConfig(epochs=2, batch_size=20, val=10, backend=BACKEND, average=0.5)
    session = new_session(config, base / "data", Options(quiet=True), watch_gradients=True)
    files = session.open_folder(base / "run")
    step, seen = files.on_batch, []

    def on_batch(*arguments):
        step(*arguments)
        seen.append(1)
        files.stop_signal = 2 if len(seen) == 6 else None

    files.on_batch = on_batch
    session.train()
    return base / "run"


def with_meta(path, change):
    """Rewrite a weights file with its description changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["meta.json"] = json.dumps(change(json.loads(members["meta.json"])))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def info_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("meta.json"))["info"]


def test_every_edit_of_last_npz_ends_in_a_result_or_one_line(small, tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "MOST_SECONDS", 1e9)
    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 1e9)
    out, info, refused = tmp_path / "run", info_of(small / "last.npz"), 0
    todo = some_of(edits(info))
    for path, value in todo:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(small, out)
        with_meta(out / "last.npz", lambda meta, path=path, value=value: {**meta, "info": edited(info, path, value)})
        try:
            session = resumed_session(run_folder.load_run(out), Options(quiet=True, report=lambda line: None))
            if session.run.config.epochs > 5:
                continue  # an edit that asks for more epochs is a valid one
            session.open_folder()
            session.train()
            json.dumps(session.finish()[0], allow_nan=False)
            session.release()
        except NumcnnError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 600, (path, value)
            refused += 1
        except Exception as error:
            raise AssertionError(f"{path} = {value!r}: {error!r}") from error
    assert refused > len(todo) / 2


def test_every_edit_of_a_run_card_ends_in_a_result_or_one_line(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(style, "DPI", 20)
    out = tmp_path / "run"
    shutil.copytree(small, out)
    assert main(["train", "--quiet", "--resume", str(out)]) == 0
    card = json.loads((out / "run.json").read_text())
    documents = [edited(card, *edit) for edit in some_of(edits(card))]
    texts = [json.dumps(document) for document in [*documents, *VALUES, [], [card]]]
    for text in [*texts, "", "{", "[" * 100_000, " " * (2 << 20)]:
        (out / "run.json").write_text(text)
        for options in ([], ["--json"]):
            capsys.readouterr()
            code = main(["train", "--resume", str(out), *options])
            captured = capsys.readouterr()
            captured.out.encode()
            if code != 0:
                assert code == 2 and captured.err.count("\n") == 1 and captured.out == "", text[:200]
                assert (
                    "run.json: it isn't a run card" in captured.err and "delete it, and --resume writes" in captured.err
                )
    (out / "run.json").unlink()
    assert main(["train", "--quiet", "--resume", str(out)]) == 0
    again = json.loads((out / "run.json").read_text())
    assert again["test_accuracy"] == card["test_accuracy"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_a_run_card_is_refused(small, tmp_path, capsys):
    shutil.copytree(small, tmp_path / "run")
    os.mkfifo(tmp_path / "run" / "run.json")
    assert main(["train", "--resume", str(tmp_path / "run")]) == 2
    assert "it is no small file" in capsys.readouterr().err
