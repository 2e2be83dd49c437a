"""What a run tells others: the examples of Monitor run as they stand; the gradient watch measures norms."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKEND, draw_digits

from numcnn import Dense, Flatten, Network, ReLU
from numcnn.training import monitor
from numcnn.training.config import PRESETS
from numcnn.training.monitor import GradientWatch, TrainState


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


def test_the_example_in_the_readme_runs(capsys):
    readme = Path(monitor.__file__).parent / "README.md"
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    images, labels = draw_digits(600, 11)
    network = Network([Flatten(), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)
    names = {"network": network, "images": images[:500], "labels": labels[:500]}
    names |= {"more_images": images[500:], "more_labels": labels[500:]}
    exec(compile(code, str(readme), "exec"), names)
    accuracies = names["monitor"].accuracies
    assert all(accuracy < 0.5 for accuracy in accuracies[:-1]) and accuracies[-1] >= 0.5 and names["state"].interrupted
    assert capsys.readouterr().out == f"{accuracies} True\n"


def test_the_readme_names_every_file_and_every_preset():
    folder = Path(monitor.__file__).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in text, path
    assert set(re.findall(r"--preset ([a-z]+)", text)) == set(PRESETS) - {"default"}
