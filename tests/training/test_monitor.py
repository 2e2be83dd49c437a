"""What a run tells others: the examples of Monitor run as they stand; the gradient watch measures norms."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKEND, draw_digits, write_digits

from numcnn import Dense, Flatten, Network, ReLU
from numcnn.training import monitor
from numcnn.training.config import PRESETS, TrainConfig
from numcnn.training.monitor import GradientWatch, TrainState
from numcnn.training.session import Options, new_session


def test_the_example_in_monitors_docstring_runs():
    images, labels = draw_digits(600, 11)
    network = Network([Flatten(), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)
    names = {"Monitor": monitor.Monitor, "network": network, "images": images, "labels": labels}
    (test,) = (test for test in doctest.DocTestFinder().find(monitor.Monitor, "Monitor", globs=names) if test.examples)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_state_is_shown_in_a_short_line():
    state = TrainState(epoch=3, best_epoch=2, best_accuracy=0.9918, history=[{"val_accuracy": 0.99}])
    assert repr(state) == "<TrainState: 3 epochs, best 2, validation 99.2%>"
    state = TrainState(epoch=1, batch=7, interrupted=True, history=[{"val_accuracy": None, "train_accuracy": 0.5}])
    assert repr(state) == "<TrainState: 1 epoch and 7 batches, training 50.0%, interrupted>"
    assert repr(TrainState()) == "<TrainState: 0 epochs>"


def test_the_watch_measures_norms_and_ratios():
    network = Network([Dense(3), ReLU(), Dense(2)], (4,), seed=1, backend="reference")
    watch = GradientWatch(network)
    assert watch.columns[:3] == ["dense1.gradient_norm", "dense1.weight_norm", "dense1.update_ratio"]
    before = network.params.copy()
    network.grads[...] = np.arange(network.grads.size)
    for factor in (1.5, 1.5):
        watch.before_step()
        network.params *= factor
        watch.after_step()
    row = watch.row(2)
    first = slice(0, 4 * 3 + 3)
    assert row["dense1.gradient_norm"] == pytest.approx(np.linalg.norm(network.grads[first]))
    norm = np.linalg.norm(before[first])
    assert row["dense1.weight_norm"] == pytest.approx((norm + 1.5 * norm) / 2)
    assert row["dense1.update_ratio"] == pytest.approx(0.5)
    watch.before_step()
    watch.after_step()
    assert watch.row(1)["dense2.update_ratio"] == 0


@pytest.mark.compiled
def test_the_examples_in_the_readme_run(tmp_path, monkeypatch, capsys):
    readme = Path(monitor.__file__).parent / "README.md"
    watch, resume = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    watch = watch.replace("Dense(10)]", f"Dense(10)], backend={BACKEND!r}")
    watch = watch.replace("seed=11", f"seed=11, backend={BACKEND!r}")
    names = {}
    exec(compile(watch, str(readme), "exec"), names)
    accuracies = names["monitor"].accuracies
    assert all(accuracy < 0.5 for accuracy in accuracies[:-1]) and accuracies[-1] >= 0.5 and names["state"].interrupted
    assert capsys.readouterr().out == f"{accuracies} True\n"

    monkeypatch.chdir(tmp_path)
    config = TrainConfig(epochs=2, batch_size=50, limit=200, backend=BACKEND)
    session = new_session(config, write_digits(tmp_path / "drawn"), Options(quiet=True))
    files = session.open_folder("runs/mnist-canonical-1")
    files.stop_signal = 2  # as Ctrl-C sets it
    assert session.train().interrupted
    exec(compile(resume, str(readme), "exec"), names)
    assert names["card"]["epochs"] == 2 and names["test"].accuracy == names["card"]["test_accuracy"]
    assert {"run.json", "curves.png"} <= {path.name for path in Path("runs/mnist-canonical-1").iterdir()}


def test_the_readme_names_every_file_and_every_preset():
    folder = Path(monitor.__file__).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in text, path
    assert set(re.findall(r"--preset ([a-z]+)", text)) == set(PRESETS) - {"default"}
