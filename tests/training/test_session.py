"""A session from Python: what the command does without its printing."""

import json

import numpy as np
import pytest
from conftest import BACKEND, draw_digits, write_digits

import numcnn
from numcnn import ConfigError, DataError
from numcnn.data import idx, mnist
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.session import Options, new_session, peak_memory_mb, resumed_session

CONFIG = TrainConfig(epochs=2, batch_size=50, limit=200, backend=BACKEND)


@pytest.fixture
def drawn(tmp_path):
    return write_digits(tmp_path / "drawn")


def stop_after(files, steps):
    """Let the run end after so many steps, as a signal does."""
    step = files.on_batch

    def on_batch(*arguments):
        nonlocal steps
        step(*arguments)
        steps -= 1
        files.stop_signal = None if steps else 2

    files.on_batch = on_batch


def test_a_session_trains_finishes_and_draws(drawn, tmp_path, capsys):
    lines = []
    session = new_session(CONFIG, drawn, Options(report=lines.append, quiet=True))
    files = session.open_folder(tmp_path / "run")
    state = session.train()
    card, test = session.finish()
    session.draw()
    assert capsys.readouterr() == ("", "") and lines == []
    assert state.epoch == 2 and not state.interrupted
    assert json.loads(json.dumps(card)) == json.loads((files.folder / "run.json").read_text())
    assert card["test_accuracy"] == test.accuracy
    assert numcnn.load(files.best).info["result"]["test_accuracy"] == test.accuracy
    assert {path.name for path in files.folder.iterdir()} == {
        "best.npz", "last.npz", "log.csv", "run.json", "curves.png"
    }  # fmt: skip


def test_a_session_that_was_stopped_ends_as_if_it_had_not_been(drawn, tmp_path):
    options = Options(quiet=True)
    whole = new_session(CONFIG, drawn, options)
    whole.open_folder(tmp_path / "whole")
    whole.train()
    session = new_session(CONFIG, drawn, options)
    stop_after(session.open_folder(tmp_path / "run"), 5)  # of four an epoch
    assert session.train().interrupted
    run = run_folder.load_run(tmp_path / "run")
    resumed = resumed_session(run, options)
    assert resumed.open_folder().folder == tmp_path / "run"
    assert not resumed.train().interrupted
    np.testing.assert_array_equal(resumed.run.network.params, whole.run.network.params)
    assert resumed.finish()[0]["val_accuracy"] == whole.finish()[0]["val_accuracy"]


def test_a_run_resumes_only_with_the_data_that_it_began_with(drawn, tmp_path):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    stop_after(session.open_folder(tmp_path / "run"), 5)
    session.train()
    images, _ = draw_digits(200, 12)
    idx.write_images(drawn / mnist.FILES["test_images"].name, images[::-1])
    with pytest.raises(DataError, match=r"drawn isn't the one that the run in .*run began with \(drawn, SHA-256"):
        resumed_session(run_folder.load_run(tmp_path / "run"), Options(quiet=True))


def test_errors_name_keywords(drawn, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    session = new_session(CONFIG, drawn, Options(quiet=True))
    with pytest.raises(ConfigError, match=r"`out='.*full'` exists and isn't empty; name another folder$"):
        session.open_folder(tmp_path / "full")
    with pytest.raises(ConfigError, match="`dataset='nowhere'` is neither a folder nor"):
        new_session(CONFIG, "nowhere", Options(quiet=True))


def test_peak_memory_counts_what_was_used():
    before = peak_memory_mb()
    block = np.ones(int(before * 1e6) // 8 + 25_000_000)  # more than the peak so far
    assert peak_memory_mb() > before + 100
    del block
