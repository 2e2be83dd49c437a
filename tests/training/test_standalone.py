"""An ejected network computes numcnn's numbers to the last bit, needs NumPy alone, and stays short."""

import ast
import copy
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_digits, write_digits

import numcnn
from numcnn import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Sigmoid,
    Tanh,
)
from numcnn.cli import main
from numcnn.data.batches import Examples
from numcnn.errors import ConfigError
from numcnn.nn.layer import LAYERS
from numcnn.nn.models import make_layers
from numcnn.training.config import PRESETS, TrainConfig
from numcnn.training.loop import fit
from numcnn.training.standalone import EMITTERS, MOST_LINES, as_python

pytestmark = pytest.mark.once

ABSENT = ("numcnn", "numba", "matplotlib", "PIL", "threadpoolctl", "tqdm")


def every_kind():
    return [
        *(Conv2D(4, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(2)),
        *(Conv2D(5, 3), Tanh(), AveragePool2D(2), Conv2D(6, 3), LeakyReLU(), GlobalAveragePool2D()),
        *(Dense(12), Sigmoid(), Dropout(0.2), Dense(10)),
    ]


NETWORKS = {
    "canonical": lambda: make_layers("canonical"),
    "wide": lambda: make_layers("wide"),
    "best with dropout": lambda: make_layers("best", dropout=0.3),
    "odd": lambda: [
        *(Conv2D(5, (3, 5), stride=(2, 1), padding="same"), LeakyReLU(0.1), AveragePool2D(2)),
        *(Conv2D(7, 2, padding=1, init="glorot_uniform"), Tanh(), MaxPool2D(3, 2)),
        *(Flatten(), Dropout(0.25), Dense(17), Sigmoid(), Dense(10)),
    ],
    "batch norm first": lambda: [BatchNorm(0.8, 1e-3), Conv2D(6, 5, 3, 2), BatchNorm(), Flatten(), Dense(10)],
    "every kind": every_kind,
    "one layer": lambda: [Flatten(), Dense(10)],
    "a pool before the parameters": lambda: [MaxPool2D(2), ReLU(), Dropout(0.1), Flatten(), Dense(10), Tanh()],
    "a pool of 400": lambda: [Conv2D(3, 3), MaxPool2D(20, 3), Flatten(), Dense(10)],
}


def ejected(network):
    """Return what the file of a network defines."""
    names = {"__name__": "mynet", "__file__": "mynet.py"}
    exec(compile(as_python(network), "mynet.py", "exec"), names)
    return names


@pytest.mark.parametrize("name", NETWORKS)
def test_the_losses_weights_and_answers_are_numcnns_to_the_last_bit(name):
    steps = 100 if name == "canonical" else 12
    images, labels = draw_digits(600, 11)
    images, labels = images[:100], labels[:100]
    config = TrainConfig(**PRESETS["fast"] | {"backend": "reference", "fuse": False, "batch_size": 24, "seed": 3})
    config = TrainConfig(**config.to_json() | {"epochs": -(-steps // 5)})
    examples = Examples.all_of(images, labels)
    network = Network(NETWORKS[name](), backend="reference", fuse=False, seed=3, normalisation=examples.normalisation())
    mine = ejected(network)
    losses, original = [], network.backpropagate

    def recorded(batch, criterion):
        loss, logits = original(batch, criterion)
        losses.append(loss)
        return loss, logits

    network.backpropagate = recorded
    fit(network, examples, None, config)
    net = mine["Network"](mine["first_parameters"](3), *mine["mean_and_std"](images, np.arange(100)), 1.0)
    found = list(mine["train"](net, images, labels, epochs=config.epochs, batch_size=24, seed=3))
    assert len(found) >= steps and found == losses
    assert name != "canonical" or losses[-1] < 0.6 * losses[0]
    for array, values in {**network.named_arrays(network.params), **network.named_state()}.items():
        np.testing.assert_array_equal(net.parameters[array], values, err_msg=array)
    some, _ = draw_digits(200, 12)
    np.testing.assert_array_equal(mine["predict"](net, some), network.predict_proba(some))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_is_short_passes_ruff_and_keeps_its_lines_narrow(name, tmp_path):
    text = as_python(Network(NETWORKS[name]()))
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES == 300
    assert not [line for line in lines if len(line) > 120]
    assert not re.findall("@[A-Z]+@", text), "a gap is left"
    (tmp_path / "mynet.py").write_text(text)
    more = ["--line-length", "120", "--select", "E,F,W,I,B,UP,SIM,RUF,NPY,C901"]
    for options in ([], more):
        command = [sys.executable, "-m", "ruff", "check", "--isolated", *options, str(tmp_path / "mynet.py")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_float64_and_other_sizes_work():
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (40, 9, 12), np.uint8), np.arange(40) % 3
    layers = [Conv2D(3, 3), ReLU(), Flatten(), Dense(3)]
    network = Network(layers, (9, 12, 1), dtype="float64", backend="reference", fuse=False, normalisation=(0.5, 0.3))
    mine = ejected(network)
    net = mine["Network"](mine["first_parameters"](0), 0.5, 0.3, 1.0)
    assert net.parameters["conv1.w"].dtype == np.float64
    np.testing.assert_array_equal(mine["predict"](net, images), network.predict_proba(images))
    with pytest.raises(ValueError, match=r"uint8 \(40, 9, 11\); wants uint8 \(N, 9, 12\)"):
        mine["predict"](net, images[:, :, 1:])
    with pytest.raises(ValueError, match="wants uint8"):
        mine["predict"](net, images / 255)
    with pytest.raises(ValueError, match="a label from 0 to 2 for each of 40 pictures"):
        next(mine["train"](net, images, labels + 1))


def test_no_formula_is_written_twice():
    """Every kernel in the file is the text of reference.py, but for its signature and the ends of docstrings."""
    path = Path(numcnn.kernels.reference.__file__)
    reference = path.read_text(encoding="utf-8")
    for name in ("canonical", "every kind"):
        text = as_python(Network(NETWORKS[name]()))
        kernels = {node.name for node in ast.parse(reference).body if isinstance(node, ast.FunctionDef)}
        nodes = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name in kernels]
        assert {"conv2d_forward", "conv2d_backward", "dense_backward", "adam_step"} <= {node.name for node in nodes}
        for node in nodes:
            for statement in node.body[1:]:
                assert ast.get_source_segment(text, statement) in reference, node.name
            assert (ast.get_docstring(node, clean=False) or "?").strip() in reference, node.name
    network = as_python(Network(NETWORKS["canonical"]()))
    backward = [line for line in reference.splitlines() if "dw[ky,kx,c,f]                   = sum over" in line]
    assert backward and backward[0] in network.splitlines(), "the derivation of the convolution's gradient stays"


def test_every_layer_of_numcnn_can_be_ejected():
    own = {kind for kind in LAYERS.values() if kind.__module__.startswith("numcnn.")}
    assert own == set(EMITTERS)
    assert own == {type(layer) for layer in [*every_kind(), Flatten()]}


class Mine(ReLU):
    """A layer that computes something else, perhaps."""


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([Flatten(), Mine(), Dense(10)], (28, 28, 1), r"relu1: Mine can't be ejected: only numcnn's own"),
        ([Flatten(), Dense(10, init=lambda rng, shape: np.ones(shape))], (28, 28, 1), "dense1: its initialiser"),
        ([Flatten(), Dense(10)], (28, 28, 3), r"reads \(28, 28, 3\) can't be ejected: .* grey pictures"),
        ([MaxPool2D(28), Flatten()], (28, 28, 1), "without parameters can't be ejected"),
    ],
)
def test_what_cannot_be_ejected_is_named(layers, shape, words):
    with pytest.raises(ConfigError, match=words):
        as_python(Network(layers, shape, backend="reference"))


def test_a_network_that_is_too_deep_or_frozen_is_refused():
    deep = [Flatten(), *(layer for _ in range(60) for layer in (Dense(5), Tanh())), Dense(10)]
    with pytest.raises(ConfigError, match=r"this network of 122 layers would take \d{3} lines; a file of 300"):
        as_python(Network(deep))
    network = Network([Flatten(), Dropout(0.5), Dense(10)])
    network.layers[1].frozen = True
    with pytest.raises(ConfigError, match="dropout1 is frozen"):
        as_python(network)


def numpy_alone(folder):
    """Make a folder that holds NumPy and nothing else to import."""
    site = Path(np.__file__).parents[1]
    folder.mkdir()
    for source in [site / "numpy", *site.glob("numpy.libs")]:
        try:
            (folder / source.name).symlink_to(source, target_is_directory=True)
        except OSError:  # Windows wants a privilege for links
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return folder


def run_alone(folder, *arguments, cwd):
    """Run a program with arguments where only the standard library and ``folder`` can be imported."""
    code = f"""
import importlib.util, runpy, sys
sys.path = [p for p in sys.path if "site-packages" not in p] + [{str(folder)!r}]
found = [name for name in {ABSENT} if importlib.util.find_spec(name)]
assert not found, found
sys.argv = {list(arguments)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, env=os.environ)


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_DEBUG")), reason="NumPy's wheel is for the usual build")
def test_it_trains_tests_and_predicts_where_there_is_nothing_but_numpy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digits, alone = write_digits(tmp_path / "digits"), numpy_alone(tmp_path / "alone")
    train = ["train", "--preset", "fast", "--backend", "reference", "--no-fuse", "--dataset", str(digits), "--quiet"]
    assert main([*train, "--out", "run", "--threads", "1"]) == 0
    assert main(["eject", "--weights", "run/best.npz", "--out", "mine.py"]) == 0
    assert "mine.py" in capsys.readouterr().out
    done = run_alone(alone, "mine.py", "train", "digits", "again.npz", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    with np.load("run/best.npz") as theirs, np.load("again.npz") as mine:
        assert set(mine.files) == set(theirs.files)
        for name in set(mine.files) - {"meta.json"}:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    right = 100 * numcnn.load("run/best.npz", backend="reference").evaluate(*draw_digits(200, 12)).accuracy
    for weights in (["again.npz"], []):  # its own weights, and those that were ejected
        done = run_alone(alone, "mine.py", "test", "digits", *weights, cwd=tmp_path)
        assert done.stdout == f"{right:.2f}% of 200 test digits read correctly\n", done.stderr
    np.save("some.npy", draw_digits(200, 12)[0][:3])
    done = run_alone(alone, "mine.py", "predict", "some.npy", cwd=tmp_path)
    network = numcnn.load("run/best.npz", backend="reference")
    answers = [f"{i}: {p.argmax()} ({p.max():.1%})" for i, p in enumerate(network.predict_proba(np.load("some.npy")))]
    assert done.stdout.splitlines() == answers, done.stderr
    assert run_alone(alone, "mine.py", "train", "digits", "again.npz", cwd=tmp_path).stderr == (
        "again.npz exists; name another file\n"
    )
    assert "python mine.py train FOLDER" in run_alone(alone, "mine.py", cwd=tmp_path).stderr


def test_the_command_refuses_to_overwrite_and_names_what_it_cannot_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["eject", "--weights", "canonical"]) == 0
    out = capsys.readouterr().out
    assert "wrote mynet.py: " in out and "weights: mynet.npz" in out and max(map(len, out.splitlines())) <= 80
    before = Path("mynet.py").read_bytes(), Path("mynet.npz").read_bytes()
    assert main(["eject"]) == 2
    assert capsys.readouterr().err == "numcnn eject: mynet.py exists; name another file with --out\n"
    Path("mynet.py").rename("kept.py")
    assert main(["eject"]) == 2
    assert capsys.readouterr().err == "numcnn eject: mynet.npz exists; name another file with --out\n"
    assert Path("mynet.npz").read_bytes() == before[1]
    assert main(["eject", "--weights", "mynet.npz"]) == 0  # beside its own weights
    assert (Path("mynet.py").read_bytes(), Path("mynet.npz").read_bytes()) == before
    for out, words in (("my-net.py", "wants a name that Python can import"), ("net.txt", "wants a .py file")):
        assert main(["eject", "--out", out]) == 2
        assert words in capsys.readouterr().err
    network = Network([Flatten(), Mine(), Dense(10)], backend="reference")
    numcnn.register_layer(Mine)
    try:
        network.save("own.npz")
        assert main(["eject", "--weights", "own.npz", "--out", "own.py"]) == 2
        assert "Mine can't be ejected: only numcnn's own layers can" in capsys.readouterr().err
    finally:
        del LAYERS["Mine"]
    assert not Path("own.py").exists()


def test_ejecting_changes_nothing():
    network = Network(every_kind(), backend="reference")
    before = copy.deepcopy(network)
    assert as_python(network) == as_python(before)
    np.testing.assert_array_equal(network.params, before.params)
