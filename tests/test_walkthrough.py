"""The walkthrough computes what ``Network`` computes, learns, and repeats no formula."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_digits

from numcnn import walkthrough
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network
from numcnn.training.optim import SGD

SOURCE = Path(walkthrough.__file__).read_text(encoding="utf-8")


def canonical():
    """Return the canonical network in float64, and its parameters in the walkthrough's order."""
    network = Network(make_layers("canonical"), dtype=np.float64, backend="reference", seed=5)
    rng = np.random.default_rng(6)
    parameters = list(network.named_arrays(network.params).values())
    for bias in parameters[1::2]:
        bias[...] = 0.1 * rng.standard_normal(bias.shape)
    return network, parameters


def relative_error(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


def test_loss_gradients_and_dx_equal_the_networks():
    network, parameters = canonical()
    images, labels = draw_digits(600, 11)
    x = images[:5, ..., None] / 255
    loss, log_probs, gradients, dx = walkthrough.backpropagate(x, labels[:5], parameters)
    criterion = SoftmaxCrossEntropy(network.kernels)
    want = criterion.forward(network.forward(x, training=True), labels[:5])
    want_dx = network.backward(criterion.backward(), need_dx=True)
    assert abs(loss - want) <= 1e-12 * want
    assert relative_error(log_probs, criterion.log_probs) <= 1e-12
    assert relative_error(dx, want_dx) <= 1e-12 and dx.shape == x.shape
    named = network.named_arrays(network.grads)
    for (name, gradient), got in zip(named.items(), gradients, strict=True):
        assert got.shape == gradient.shape and relative_error(got, gradient) <= 1e-12, name


def test_a_step_equals_plain_sgd():
    network, parameters = canonical()
    images, labels = draw_digits(600, 11)
    own = [parameter.astype(np.float32) for parameter in parameters]
    x = images[:6, ..., None] / np.float32(255)
    _, _, gradients, _ = walkthrough.backpropagate(x, labels[:6], own)
    network.grads[...] = np.concatenate([gradient.ravel() for gradient in gradients])
    steps = list(walkthrough.epoch(images[:6], labels[:6], own, np.random.default_rng(0), 0.3, batch_size=6))
    assert len(steps) == 1
    optimizer = SGD(network.params, network.grads, network.kernels, decay=network.decay, momentum=0.0)
    optimizer.step(0.3)
    for parameter, want in zip(own, parameters, strict=True):
        np.testing.assert_allclose(parameter, want, atol=1e-6)


def test_first_parameters_have_the_shapes_and_spread_of_the_networks():
    _, parameters = canonical()
    drawn = walkthrough.first_parameters(np.random.default_rng(0))
    assert [parameter.shape for parameter in drawn] == [parameter.shape for parameter in parameters]
    for got, want in zip(drawn[::2], parameters[::2], strict=True):
        assert np.std(got) == pytest.approx(np.std(want), rel=0.15)
    assert not any(bias.any() for bias in drawn[1::2])


def test_an_epoch_learns():
    images, labels = draw_digits(600, 11)
    parameters = walkthrough.first_parameters(np.random.default_rng(0))
    steps = np.array(list(walkthrough.epoch(images[:400], labels[:400], parameters, np.random.default_rng(0))))
    assert steps.shape == (50, 2)
    first, last = steps[:10, 0].mean(), steps[-10:, 0].mean()
    assert last < 0.75 * first
    x = walkthrough.batch_of(images, np.arange(400, 600))  # held out
    _, log_probs, _, _ = walkthrough.backpropagate(x, labels[400:], parameters)
    assert (log_probs.argmax(axis=1) == labels[400:]).mean() > 0.4  # chance is 0.1


def test_it_fits_on_a_page_and_mirrors_forward_in_backward():
    assert len(SOURCE.splitlines()) <= 120
    tree = ast.parse(inspect.getsource(walkthrough.backpropagate))
    calls = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    forward = [name.removesuffix("_forward") for name in calls if name.endswith("_forward")]
    backward = [name.removesuffix("_backward") for name in calls if name.endswith("_backward")]
    assert len(forward) == 10 and backward == forward[::-1]


def test_it_repeats_no_formula():
    tree = ast.parse(SOURCE)
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    whole_pass = functions["backpropagate"]
    assert not any(isinstance(node, ast.BinOp | ast.AugAssign) for node in ast.walk(whole_pass))
    used = {
        node.attr for function in functions.values() for node in ast.walk(function) if isinstance(node, ast.Attribute)
    }
    plumbing = {
        "empty",
        "empty_like",
        "dtype",
        "uint8",
        "float32",
        "astype",
        "reshape",
        "shape",
        "permutation",
        "split",
    }
    assert used <= plumbing | {"mean", "argmax"}  # for the losses and the predictions


@pytest.mark.once
def test_it_runs_and_ends_with_a_gradient_that_a_brighter_pixel_confirms():
    command = [sys.executable, "-m", "numcnn.walkthrough"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines if line.startswith("step")]
    assert len(losses) == 10 and losses[-1] < 0.4 * losses[0]
    words = lines[-1].removesuffix(".").replace(";", "").split()
    assert float(words[-1]) == pytest.approx(0.01 * float(words[4]), rel=0.2)
