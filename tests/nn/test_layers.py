"""Layers: geometry, padding, what they refuse and what they remember."""

import numpy as np
import pytest

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
from numcnn.errors import ConfigError, NumcnnError, ShapeError


def one(layer, shape, dtype=np.float64, backend="reference"):
    return Network([layer], shape, dtype=dtype, backend=backend)


@pytest.mark.parametrize(
    ("layer", "in_shape", "out_shape"),
    [
        (Conv2D(32, 3), (28, 28, 1), (26, 26, 32)),
        (Conv2D(4, 3, padding="same"), (7, 6, 2), (7, 6, 4)),
        (Conv2D(4, (2, 5), stride=(2, 3), padding="same"), (7, 8, 2), (4, 3, 4)),
        (Conv2D(4, 5, padding=2), (9, 9, 1), (9, 9, 4)),
        (Conv2D(4, 3, stride=2), (8, 9, 1), (3, 4, 4)),
        (MaxPool2D(2), (11, 11, 3), (5, 5, 3)),
        (MaxPool2D(3, stride=2), (7, 8, 1), (3, 3, 1)),
        (MaxPool2D((2, 3)), (5, 9, 2), (2, 3, 2)),
        (Flatten(), (5, 5, 64), (1600,)),
        (Dense(7), (12,), (7,)),
        (ReLU(), (3, 4, 5), (3, 4, 5)),
        (Dropout(0.5), (9,), (9,)),
        (AveragePool2D(2), (11, 11, 3), (5, 5, 3)),
        (AveragePool2D((2, 3), stride=2), (7, 8, 1), (3, 3, 1)),
        (GlobalAveragePool2D(), (7, 8, 5), (5,)),
        (BatchNorm(), (3, 4, 5), (3, 4, 5)),
        (BatchNorm(), (9,), (9,)),
        (Tanh(), (3, 4, 5), (3, 4, 5)),
        (Sigmoid(), (9,), (9,)),
        (LeakyReLU(), (3, 4, 5), (3, 4, 5)),
    ],
)
def test_output_shapes(layer, in_shape, out_shape):
    network = one(layer, in_shape)
    assert network.output_shape == out_shape
    assert network.forward(np.zeros((2, *in_shape))).shape == (2, *out_shape)


@pytest.mark.parametrize("backend", ["reference", "fast"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [((7, 6), (3, 3), (1, 1)), ((7, 8), (4, 2), (2, 3))])
def test_same_padding_is_the_valid_convolution_of_the_padded_image(size, kernel, stride, backend):
    x = np.random.default_rng(0).standard_normal((2, *size, 3))
    same = one(Conv2D(4, kernel, stride, "same"), (*size, 3), backend=backend)
    # Keras: total = (ceil(size / stride) - 1) * stride + kernel - size zeros, the odd one after.
    pads = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max(0, (-(-n // s) - 1) * s + k - n)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    valid = one(Conv2D(4, kernel, stride), padded.shape[1:], backend=backend)
    valid.params[...] = same.params
    np.testing.assert_allclose(same.forward(x), valid.forward(padded), rtol=1e-12)


def test_padding_stays_zero_between_batches_of_different_size():
    network = one(Conv2D(2, 3, padding="same"), (5, 5, 1))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 5, 5, 1))
    want = network.forward(x[:1], training=True).copy()
    network.forward(x, training=True)
    network.backward(np.ones((4, 5, 5, 2)), need_dx=True)
    np.testing.assert_array_equal(network.forward(x[:1], training=True), want)


@pytest.mark.parametrize(
    ("layer", "shape", "x", "text"),
    [
        (Conv2D(4, 3), (6, 8, 3), np.zeros((2, 6, 8, 4)), r"conv1: input is shape \(2, 6, 8, 4\), float64; "
         r"wants shape \(N, 6, 8, 3\), float64"),
        (Conv2D(4, 3), (6, 8, 3), np.zeros((6, 8, 3)), r"conv1: input is shape \(6, 8, 3\)"),
        (Conv2D(4, 3), (6, 8, 3), np.zeros((2, 6, 8, 3), np.float32), r"conv1: input is .*, float32; wants .* float64"),
        (Conv2D(4, 3), (6, 8, 3), [[1.0]], r"conv1: input is a list; wants"),
        (MaxPool2D(2), (6, 8, 3), np.zeros((2, 8, 6, 3)), r"pool1: input is shape \(2, 8, 6, 3\)"),
        (Dense(4), (6,), np.zeros((2, 7)), r"dense1: input is shape \(2, 7\), float64; wants shape \(N, 6\)"),
        (ReLU(), (6,), np.zeros((2, 6), int), r"relu1: input is shape \(2, 6\), int64; wants"),
        (Flatten(), (2, 3), np.zeros(()), r"flatten1: input is shape \(\)"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_named_with_what_is_wanted(layer, shape, x, text):
    with pytest.raises(ValueError, match=text):
        one(layer, shape).forward(x)


def test_a_wrong_upstream_gradient_is_named():
    network = one(Dense(4), (6,))
    network.forward(np.zeros((2, 6)), training=True)
    with pytest.raises(ShapeError, match=r"dense1: gradient is shape \(2, 5\), float64; wants shape \(N, 4\), float64"):
        network.backward(np.zeros((2, 5)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Conv2D(0, 3), "Conv2D filters is 0; wants a whole number, 1 or more"),
        (lambda: Conv2D(4, 2.5), "Conv2D kernel_size is 2.5; wants"),
        (lambda: Conv2D(4, (3, 3, 3)), r"Conv2D kernel_size is \(3, 3, 3\); wants"),
        (lambda: Conv2D(4, 3, stride=0), "Conv2D stride is 0; wants"),
        (lambda: Conv2D(4, 3, padding="full"), "Conv2D padding is 'full'; wants 'valid', 'same' or a whole number"),
        (lambda: Conv2D(4, 3, padding=-1), "Conv2D padding is -1; wants"),
        (lambda: Conv2D(4, 3, init="xavier"), "Conv2D init is 'xavier'; wants one of he_normal"),
        (lambda: MaxPool2D(True), "MaxPool2D pool_size is True; wants"),
        (lambda: Dense(-1), "Dense units is -1; wants"),
        (lambda: Dropout(1.0), "Dropout rate is 1.0; wants a number from 0 up to, not including, 1"),
        (lambda: Dropout("half"), "Dropout rate is 'half'"),
        (lambda: AveragePool2D(0), "AveragePool2D pool_size is 0; wants"),
        (lambda: AveragePool2D(2, stride=0), "AveragePool2D stride is 0; wants"),
        (lambda: LeakyReLU(0), r"LeakyReLU slope is 0; wants a number between 0 and 1 \(for 0 there is ReLU\)"),
        (lambda: LeakyReLU(1), "LeakyReLU slope is 1; wants"),
        (lambda: BatchNorm(momentum=1), "BatchNorm momentum is 1; wants a number from 0 up to, not including, 1"),
        (lambda: BatchNorm(eps=0), "BatchNorm eps is 0; wants a number above 0"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("layers", "shape", "text"),
    [
        ([Conv2D(4, 5)], (4, 9, 1), "conv1: a 5x5 window doesn't fit an input of 4x9 pixels"),
        ([MaxPool2D(2), MaxPool2D(8)], (14, 14, 1), "pool2: a 8x8 window doesn't fit an input of 7x7 pixels"),
        ([Dense(4)], (4, 9, 1), r"dense1: input is \(N, 4, 9, 1\); wants \(N, D\): put a Flatten before it"),
        ([AveragePool2D(5)], (4, 9, 1), "avgpool1: a 5x5 window doesn't fit an input of 4x9 pixels"),
        (
            [Flatten(), GlobalAveragePool2D()],
            (4, 9, 1),
            r"globalpool1: input is \(N, 36\); wants images \(N, H, W, C\)",
        ),
        ([Flatten(), Conv2D(4, 3)], (9, 9, 1), r"conv1: input is \(N, 81\); wants images \(N, H, W, C\)"),
    ],
)
def test_layers_that_do_not_fit_are_named(layers, shape, text):
    with pytest.raises(NumcnnError, match=text):
        Network(layers, shape)


def test_backward_needs_a_training_forward():
    network = one(Dense(4), (6,))
    network.forward(np.zeros((2, 6)))
    with pytest.raises(ShapeError, match=r"dense1: backward needs a forward\(x, training=True\) before it"):
        network.backward(np.zeros((2, 4)))


def test_inference_between_forward_and_backward_disturbs_nothing():
    rng = np.random.default_rng(0)
    layers = [Conv2D(3, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(2), LeakyReLU(), Dropout(0.3)]
    layers += [Tanh(), AveragePool2D(1), Sigmoid(), GlobalAveragePool2D(), BatchNorm(), Dense(4)]
    network = Network(layers, (6, 6, 1), dtype=np.float64, backend="reference")
    x, other, dout = rng.standard_normal((3, 6, 6, 1)), rng.standard_normal((5, 6, 6, 1)), rng.standard_normal((3, 4))
    network.forward(x, training=True)
    network.backward(dout)
    want = network.grads.copy()
    network.forward(other)
    network.backward(dout)
    np.testing.assert_array_equal(network.grads, want)


def test_inference_keeps_nothing_for_backward():
    network = Network([Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(4)], (8, 8, 1), backend="reference")
    network.forward(np.zeros((2, 8, 8, 1), np.float32))
    assert all(layer._saved is None for layer in network.layers)
    assert not any("which" in layer._buffers for layer in network.layers)


def test_dropout_keeps_the_mean_and_repeats_by_seed():
    x = np.ones((200, 100))
    first, again, other = (Network([Dropout(0.4)], (100,), dtype=np.float64, seed=s) for s in (1, 1, 2))
    out = first.forward(x, training=True)
    assert set(np.unique(out)) == {0, 1 / 0.6}
    assert abs((out == 0).mean() - 0.4) < 0.015  # 4 standard deviations
    np.testing.assert_array_equal(out, again.forward(x, training=True))
    assert (out != other.forward(x, training=True)).any()
    np.testing.assert_array_equal(first.backward(x, need_dx=True), out)
    np.testing.assert_array_equal(first.forward(x), x)


def test_buffers_are_made_once():
    network = Network([Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(4)], (8, 8, 1), backend="reference")
    x, dout = np.zeros((4, 8, 8, 1), np.float32), np.zeros((4, 4), np.float32)
    out, dx = network.forward(x, training=True), None
    dx = network.backward(dout, need_dx=True)
    small = network.forward(x[:3], training=True)
    assert np.shares_memory(out, small)
    assert np.shares_memory(dx, network.backward(dout[:3], need_dx=True))


def test_layers_describe_themselves():
    conv = Conv2D(4, 3, padding="same")
    assert repr(conv) == "Conv2D(filters=4, kernel_size=(3, 3), stride=(1, 1), padding='same', init='he_normal')"
    for layer in (conv, AveragePool2D(3, 1), LeakyReLU(0.2), BatchNorm(0.8, 1e-3), GlobalAveragePool2D(), Tanh()):
        assert type(layer)(**layer.config()).config() == layer.config()


@pytest.mark.parametrize("backend", ["reference", "fast"])
def test_batch_norm_trains_on_the_batch_and_reads_by_the_running_statistics(backend):
    rng = np.random.default_rng(0)
    x = rng.normal((5, -2), (3, 0.5), (40, 2))
    network = one(BatchNorm(momentum=0.75), (2,), backend=backend)
    out = network.forward(x, training=True)
    np.testing.assert_allclose(out, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5), rtol=1e-9, atol=1e-9)
    assert network.state.tolist() == [0, 0, 1, 1]  # forward alone changes nothing
    network.backward(np.ones_like(x))
    mean, var = 0.25 * x.mean(axis=0), 0.75 + 0.25 * x.var(axis=0, ddof=1)
    np.testing.assert_allclose(network.state, [*mean, *var], rtol=1e-12)
    network.backward(np.ones_like(x))  # of the same forward: once is enough
    np.testing.assert_allclose(network.state, [*mean, *var], rtol=1e-12)
    np.testing.assert_allclose(network.forward(x), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-9)
    assert not network.decay.any()


def test_batch_norm_of_one_value_a_channel_is_its_shift():
    network = one(BatchNorm(), (3,))
    network.layers[0].params["beta"][...] = (1, 2, 3)
    np.testing.assert_array_equal(network.forward(np.array([[7.0, 8, 9]]), training=True), [[1, 2, 3]])
    network.backward(np.ones((1, 3)))
    assert np.isfinite(network.state).all() and np.isfinite(network.grads).all()
