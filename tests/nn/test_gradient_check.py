"""gradcheck passes what is right and catches what is broken; the watch measures what it says."""

import dataclasses
import json
import types

import numpy as np
import pytest
from conftest import EACH_IN_ITS_LANE

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
    SoftmaxCrossEntropy,
    StateSpec,
    Tanh,
    gradcheck,
)
from numcnn.errors import ConfigError
from numcnn.kernels import reference
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.layer import Layer
from numcnn.nn.models import make_layers

# Unequal sizes everywhere, so that no swap of axes goes unnoticed.
LAYERS = {
    "conv": (Conv2D(4, 3), (6, 8, 3)),
    "conv, one channel": (Conv2D(4, (2, 3)), (6, 8, 1)),
    "conv, same": (Conv2D(4, 3, padding="same"), (6, 8, 3)),
    "conv, stride and padding": (Conv2D(4, (3, 2), stride=(2, 3), padding=2), (6, 8, 3)),
    "conv, same with stride": (Conv2D(4, 3, stride=2, padding="same"), (6, 9, 3)),
    "pool": (MaxPool2D(2), (6, 8, 3)),
    "pool, odd sizes": (MaxPool2D(2), (7, 9, 3)),
    "pool, overlap": (MaxPool2D(3, stride=(2, 1)), (7, 9, 1)),
    "relu": (ReLU(), (6, 8, 3)),
    "flatten": (Flatten(), (6, 8, 3)),
    "dense": (Dense(5), (7,)),
    "dropout": (Dropout(0.4), (6, 8, 3)),
    "average pool": (AveragePool2D(2), (6, 8, 3)),
    "average pool, odd sizes": (AveragePool2D((2, 3)), (7, 11, 3)),
    "average pool, overlap": (AveragePool2D(3, stride=(2, 1)), (7, 9, 1)),
    "global average pool": (GlobalAveragePool2D(), (6, 8, 3)),
    "leaky relu": (LeakyReLU(0.2), (6, 8, 3)),
    "tanh": (Tanh(), (6, 8, 3)),
    "sigmoid": (Sigmoid(), (6, 8, 3)),
    "batch norm": (BatchNorm(), (6, 8, 3)),
}
PARAMETERS = {
    "conv": ["conv1.w", "conv1.b"],
    "dense": ["dense1.w", "dense1.b"],
    "batch norm": ["bn1.gamma", "bn1.beta"],
}


@pytest.mark.parametrize("backend", EACH_IN_ITS_LANE)
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_passes(name, n, backend):
    layer, shape = LAYERS[name]
    report = gradcheck(layer, input_shape=shape, n=n, samples=None, backend=backend)
    assert report.passed, str(report)
    assert report.tolerance == 1e-7
    assert [row.name for row in report.rows] == ["x", *PARAMETERS.get(name.split(",")[0], [])]
    assert all(len(row.analytic) == np.prod(row.shape) for row in report.rows)  # every single entry


@pytest.mark.parametrize("seed", range(3))
def test_the_whole_canonical_network_passes(seed):
    report = gradcheck(Network(make_layers("canonical"), seed=seed), samples=30, seed=seed)
    assert report.passed, str(report)
    assert len(report.rows) == 9


def test_a_small_network_passes_on_every_entry_with_fast_kernels():
    layers = [
        Conv2D(3, 3, padding="same"),
        ReLU(),
        MaxPool2D(2),
        Dropout(0.2),
        Conv2D(4, 2),
        ReLU(),
        Flatten(),
        Dense(3),
    ]
    report = gradcheck(Network(layers, (7, 6, 2)), samples=None, backend="fast")
    assert report.passed, str(report)


@pytest.mark.parametrize("seed", range(12))
def test_batch_norm_of_two_values_is_no_false_alarm(seed):
    """It nearly forgets how far its two values are apart: gradients are tiny and the function bends sharply."""
    network = Network([Dense(5), BatchNorm(), ReLU(), Dense(3)], (7,), seed=seed)
    report = gradcheck(network, seed=seed, samples=None)
    assert report.passed, str(report)


@pytest.mark.parametrize("seed", [0, 1])
def test_biases_before_batch_norm_whose_gradient_is_zero_are_no_false_alarm(seed):
    layers = [
        Conv2D(8, 3),
        BatchNorm(),
        ReLU(),
        MaxPool2D(2),
        Conv2D(8, 3),
        BatchNorm(),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
    ]
    network = Network([*layers, Dense(16), BatchNorm(), ReLU(), Dense(10)], (20, 20, 1), seed=seed)
    report = gradcheck(network, samples=20, seed=seed)
    assert report.passed, str(report)


@pytest.mark.parametrize("backend", EACH_IN_ITS_LANE)
def test_batch_norm_of_flat_inputs_passes(backend):
    report = gradcheck(BatchNorm(), input_shape=(7,), n=6, samples=None, backend=backend)
    assert report.passed, str(report)


@pytest.mark.parametrize("backend", EACH_IN_ITS_LANE)
def test_a_network_of_every_other_layer_passes(backend):
    layers = [Conv2D(3, 3, padding="same"), Tanh(), BatchNorm(), AveragePool2D(2), Conv2D(16, 3), ReLU(), MaxPool2D(2)]
    layers += [BatchNorm(), LeakyReLU(0.3), GlobalAveragePool2D(), Sigmoid(), Dense(3)]
    network = Network(layers, (13, 14, 2), seed=3)
    network.state[...] += 1
    before = network.state.copy()
    report = gradcheck(network, n=3, samples=40, backend=backend)
    assert report.passed, str(report)
    np.testing.assert_array_equal(network.state, before)


class Centred(Dense):
    """Subtracts a running mean, also in training: its output depends on its state."""

    def _build(self, in_shape):
        shape, specs = super()._build(in_shape)
        return shape, [*specs, StateSpec("mean", shape, 0.25)]

    def _forward(self, x, training):
        out = np.square(super()._forward(x, training) - self.state["mean"])
        if training:
            self.next_state["mean"] += 1
            self._root = super()._forward(x, training) - self.state["mean"]
        return out

    def _backward(self, dout, need_dx):
        return super()._backward(2 * self._root * dout, need_dx)


def test_state_is_held_still_while_differences_are_taken():
    network = Network([Centred(3)], (4,), backend="reference")
    network.state[...] = (1, 2, 3)
    for subject in (network, network.layers[0]):
        report = gradcheck(subject, n=3, samples=None)
        assert report.passed, str(report)
    assert network.state.tolist() == [1, 2, 3]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_passes(smoothing):
    report = gradcheck(SoftmaxCrossEntropy(reference, smoothing), n=5, samples=None)
    assert report.passed, str(report)


def broken(name, function):
    """Return the reference kernels with one of them replaced."""
    return types.SimpleNamespace(**{**vars(reference), name: function})


def swap_height_and_width(dout, x, w, dx, dw, db, stride):
    reference.conv2d_backward(dout, x, w, dx, dw, db, stride)
    dw[...] = dw.transpose(1, 0, 2, 3).copy()


def forget_the_flip(dout, x, w, dx, dw, db, stride):
    reference.conv2d_backward(dout, x, w[::-1, ::-1], dx, dw, db, stride)


def drop_the_bias(dout, x, w, dx, dw, db, stride):
    reference.conv2d_backward(dout, x, w, dx, dw, db, stride)
    db[...] = 0


def give_ties_to_the_last(dout, which, dx, window, stride):
    reference.maxpool2d_backward(dout, window[0] * window[1] - 1 - which, dx, window, stride)


def let_negatives_through(dout, out, dx):
    dx[...] = dout


def forget_that_x_moves_the_variance(dout, x, mean, var, gamma, eps, dx, dgamma, dbeta):
    reference.batchnorm_backward(dout, x, mean, var, gamma, eps, dx, dgamma, dbeta)
    dx[...] = gamma / np.sqrt(var + eps) * (dout - dbeta / len(x))


def take_the_input_for_the_output(dout, out, dx):
    dx[...] = dout * (1 - np.arctanh(out) ** 2)


def slightly_too_large(dout, x, w, dx, dw, db):
    reference.dense_backward(dout, x, w, dx, dw, db)
    dw *= 1 + 1e-6


@pytest.mark.parametrize(
    ("layer", "shape", "kernel", "function", "wrong"),
    [
        (Conv2D(4, 3), (6, 8, 3), "conv2d_backward", swap_height_and_width, ["conv1.w"]),
        (Conv2D(4, 3), (6, 8, 3), "conv2d_backward", forget_the_flip, ["x"]),
        (Conv2D(4, 3), (6, 8, 3), "conv2d_backward", drop_the_bias, ["conv1.b"]),
        (MaxPool2D(2), (6, 8, 3), "maxpool2d_backward", give_ties_to_the_last, ["x"]),
        (ReLU(), (6, 8, 3), "relu_backward", let_negatives_through, ["x"]),
        (Dense(4), (6,), "dense_backward", slightly_too_large, ["dense1.w"]),
        (Tanh(), (6,), "tanh_backward", take_the_input_for_the_output, ["x"]),
        (BatchNorm(), (6, 8, 3), "batchnorm_backward", forget_that_x_moves_the_variance, ["x"]),
    ],
)
def test_a_broken_backward_is_caught_and_named(layer, shape, kernel, function, wrong):
    report = gradcheck(layer, input_shape=shape, samples=None, backend=broken(kernel, function))
    assert not report.passed
    assert [row.name for row in report.rows if not row.passed] == wrong
    assert "WRONG" in str(report)
    worst = next(row for row in report.rows if row.name == wrong[0])
    assert worst.max_error > 1e-7
    at = np.ravel_multi_index(worst.worst_index, worst.shape)
    assert worst.worst_analytic == worst.analytic[at] and worst.worst_numeric == worst.numeric[at]


def drop_the_fused_bias(dout, which, x, w, dx, dw, db):
    reference.conv_relu_pool_backward(dout, which, x, w, dx, dw, db)
    db[...] = 0


@pytest.mark.parametrize(
    ("fuse", "function", "wrong"),
    [(False, "conv2d_backward", drop_the_bias), (True, "conv_relu_pool_backward", drop_the_fused_bias)],
)
def test_a_broken_backward_is_caught_in_the_whole_network(fuse, function, wrong):
    network = Network(make_layers("canonical"), fuse=fuse)
    report = gradcheck(network, samples=20, backend=broken(function, wrong))
    assert [row.name for row in report.rows if not row.passed] == ["conv1.b", "conv2.b"]


def test_a_broken_layer_class_is_caught():
    class Forgetful(Dense):
        def _backward(self, dout, need_dx):
            return 2 * super()._backward(dout, need_dx)

    report = gradcheck(Forgetful(4), input_shape=(6,))
    assert [row.name for row in report.rows if not row.passed] == ["x"]


def test_a_gradient_that_is_nan_is_wrong():
    def nan(dout, out, dx):
        dx[...] = np.nan

    report = gradcheck(ReLU(), input_shape=(5,), backend=broken("relu_backward", nan))
    assert not report.passed
    assert np.isnan(report.rows[0].max_error)


def test_an_entry_on_a_kink_is_left_out_and_counted():
    x = np.array([[1.0, 0.0, -1.0]])  # ReLU has no derivative at 0
    row = gradcheck(ReLU(), x).rows[0]
    assert row.kinks == 1 and row.passed and len(row.analytic) == 2
    assert "2 (-1)" in str(gradcheck(ReLU(), x))
    nothing_left = gradcheck(ReLU(), np.zeros((1, 3)))
    assert not nothing_left.passed  # nothing compared is no pass
    assert "nothing could be checked" in str(nothing_left) and "WRONG" not in str(nothing_left)
    assert nothing_left.to_json()["max_error"] is None


def two_convolutions():
    """Return a network whose only bias of conv2 moves so many ReLUs at once that each step crosses a kink."""
    return Network([Conv2D(1, 3), ReLU(), Conv2D(1, 3), ReLU(), Flatten(), Dense(10)], backend="reference")


def test_what_could_not_be_checked_is_neither_right_nor_wrong(tmp_path):
    report = gradcheck(two_convolutions())
    row = next(row for row in report.rows if row.name == "conv2.b")
    assert (row.passed, row.kinks, len(row.analytic), row.verdict) == (None, 1, 0, "not checked")
    assert report.passed and report.unchecked == ["conv2.b"] and report.max_error < 1e-7
    text = str(report)
    assert "inf" not in text and "nan" not in text and "WRONG" not in text
    assert "every gradient that could be checked agrees" in text and "\nnot checked: conv2.b; try another seed" in text
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["passed"] is True and document["unchecked"] == ["conv2.b"]
    assert [array["passed"] for array in document["arrays"]].count(None) == 1
    texts = [text.get_text() for text in report.plot(tmp_path / "report.png").axes[0].texts]
    assert texts.count("not checked") == 1 and not any("wrong" in text for text in texts)


def test_a_wrong_array_is_wrong_though_another_could_not_be_checked():
    report = gradcheck(two_convolutions(), backend=broken("dense_backward", slightly_too_large))
    assert not report.passed and report.unchecked == ["conv2.b"]
    assert [row.name for row in report.rows if row.passed is False] == ["dense1.w"]
    assert "backward is WRONG where marked" in str(report)


class Noise(Layer):
    """Add noise that is new in each forward, which no difference sees through (of one seed: two may agree by luck)."""

    def __init__(self):
        super().__init__()
        self.noise = np.random.default_rng(0)

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        return x + 1e-3 * self.noise.standard_normal(x.shape)

    def _backward(self, dout, need_dx):
        return 3 * dout  # wrong


def test_what_differences_disagree_about_is_not_checked():
    report = gradcheck(Noise(), input_shape=(7,))
    row = report.rows[0]
    assert not report.passed and row.verdict == "not checked" and (row.kinks, len(row.analytic)) == (14, 0)


class Centre(Layer):
    """Subtract the batch's mean, as a batch normalisation does: a bias before it changes nothing."""

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        self._saved = True
        return x - x.mean(axis=0)

    def _backward(self, dout, need_dx):
        return dout - dout.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_gradient_that_is_truly_zero_passes_with_rounding_in_it(seed):
    network = Network([Dense(6), Centre(), Dense(3)], (8,), backend="reference", seed=seed)
    report = gradcheck(network, n=7, samples=None, seed=seed)
    assert report.passed, str(report)
    bias = next(row for row in report.rows if row.name == "dense1.b")
    assert 0 < np.abs(bias.numeric).max() < 1e-11  # rounding, which a relative error would magnify


def test_a_gradient_that_should_be_zero_but_is_small_is_wrong():
    def leak(dout, x, w, dx, dw, db):
        reference.dense_backward(dout, x, w, dx, dw, db)
        db += 1e-9

    network = Network([Dense(6), Centre(), Dense(3)], (8,), backend="reference")
    report = gradcheck(network, n=7, samples=None, backend=broken("dense_backward", leak))
    assert "dense1.b" in [row.name for row in report.rows if row.passed is False]


class Swish(Layer):
    """x * sigmoid(x); ``at`` says where it changes what it was given in place."""

    def __init__(self, at=None):
        super().__init__()
        self.at = at

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        s = 1 / (1 + np.exp(-x))
        self._saved = x, s, s * (1 + x * (1 - s))
        return np.multiply(x, s, out=x if self.at == "input" else None)

    def _backward(self, dout, need_dx):
        x, s, slope = self._saved
        if self.at == "saved input":
            x *= s
        return np.multiply(dout, slope, out=dout if self.at == "dout" else None)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("input", "_forward changed its input x in place"),
        ("saved input", "_backward changed forward's input x in place"),
        ("dout", "_backward changed its dout in place"),
    ],
)
def test_a_layer_that_changes_what_it_was_given_is_named(at, text):
    x = np.random.default_rng(0).standard_normal((2, 6))
    for subject in (Network([Tanh(), Swish(at), Tanh()], (6,), backend="reference"), Swish(at)):
        given = x.copy()
        with pytest.raises(ConfigError, match=rf"swish1: Swish\.{text}; other layers need it as it was: compute a new"):
            gradcheck(subject, given)
        np.testing.assert_array_equal(given, x)
    report = gradcheck(Network([Tanh(), Swish(), Tanh()], (6,), backend="reference"), x)
    assert report.passed, str(report)


def test_it_holds_one_blas_thread():
    inside = []
    gradcheck(Dense(5), input_shape=(7,), samples=1, progress=lambda *_: inside.append(one_blas_thread._inside))
    assert inside and min(inside) > one_blas_thread._inside


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [[1e300, 1.0], [np.inf, 1.0], [np.nan, 1.0]])
def test_what_is_not_finite_is_wrong_without_a_warning(x):
    report = gradcheck(Tanh(), np.array([x]))
    assert not report.passed and not report.rows[0].max_error <= 1e-7


def test_progress_counts_up_to_all_entries():
    calls = []
    gradcheck(Dense(5), input_shape=(7,), samples=10, progress=lambda *call: calls.append(call))
    assert [done for _, done, _ in calls[:-1]] == list(range(1, 26))
    assert calls[-1] == ("dense1.b", 25, 25) and {total for *_, total in calls} == {25}
    assert list(dict.fromkeys(name for name, *_ in calls)) == ["x", "dense1.w", "dense1.b"]


def test_a_notebook_shows_a_table_with_its_text_escaped():
    report = gradcheck(Dense(2), input_shape=(3,))
    rows = [dataclasses.replace(report.rows[0], name="<b>&"), *report.rows[1:]]
    text = dataclasses.replace(report, title="a < b", rows=rows)._repr_html_()
    assert text.count("<tr>") == 4 and text.count("<td>") == 3 * 8 and "<caption>a &lt; b</caption>" in text
    assert "<td>&lt;b&gt;&amp;</td>" in text and "<b>" not in text and "every gradient agrees" in text


def test_the_subject_is_left_as_it_was():
    network = Network(make_layers("canonical"), backend="reference")
    params = network.params.copy()
    gradcheck(network, samples=2)
    np.testing.assert_array_equal(network.params, params)
    assert network.dtype == np.float32 and not network.grads.any()


def test_it_checks_the_layer_with_its_own_parameters():
    network = Network([Dense(3)], (4,), seed=5)
    x = np.arange(8.0).reshape(2, 4) / 8
    row = gradcheck(network.layers[0], x).rows[0]
    rng = np.random.default_rng(0)  # the upstream gradient is the first thing drawn when x is given
    want = rng.standard_normal((2, 3)) @ network.layers[0].params["w"].T.astype(float)
    np.testing.assert_allclose(row.analytic, want.ravel(), rtol=1e-12)


def test_what_it_refuses():
    with pytest.raises(ConfigError, match="gradcheck got a int; wants a Layer, a Network or a SoftmaxCrossEntropy"):
        gradcheck(3)
    with pytest.raises(ConfigError, match=r"gradcheck of ReLU\(\) needs input_shape"):
        gradcheck(ReLU())


def test_the_report_prints_within_80_columns_and_draws(tmp_path):
    report = gradcheck(Network(make_layers("canonical")), samples=3)
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:11]] == [row.name for row in report.rows]
    report.plot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"
