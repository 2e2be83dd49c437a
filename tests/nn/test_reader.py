"""The reader says what the network says, of one picture at a time, and is a snapshot."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

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
from numcnn.errors import ShapeError
from numcnn.nn.models import make_layers


class Leaky(ReLU):
    """Lets a little of what is negative through."""

    def _forward(self, x, training):
        return np.where(x > 0, x, x / 10).astype(x.dtype)


def block(kernel_size=3, padding="valid"):
    return [Conv2D(16, kernel_size, padding=padding), ReLU(), MaxPool2D(2)]


NETWORKS = {
    "canonical": lambda: make_layers("canonical"),
    "same padding, which has no stage": lambda: [*block(5, "same"), Flatten(), Dense(10)],
    "layers that don't fuse": lambda: [Conv2D(6, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)],
    "dropout, and a last ReLU": lambda: [*block(), Dropout(0.5), Flatten(), Dense(32), Dropout(0.2), ReLU(), Dense(3)],
    "dense only": lambda: [Flatten(), Dense(48), ReLU(), Dense(7), ReLU()],
    "a ReLU that no dense layer does": lambda: [ReLU(), Flatten(), Dense(10)],
    "batch norm": lambda: [*block(), BatchNorm(), Flatten(), Dense(10)],
    "average pools": lambda: [*block(), AveragePool2D(2), LeakyReLU(), GlobalAveragePool2D(), Dense(10)],
    "tanh and sigmoid": lambda: [Flatten(), Dense(48), Tanh(), Dense(7), Sigmoid()],
    "a ReLU of another kind": lambda: [Flatten(), Dense(48), Leaky(), Dense(7)],
}


def network_of(name, **settings):
    return Network(NETWORKS[name](), normalisation=(0.13, 0.31), seed=4, **settings)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_says_what_the_network_says(name, fuse):
    network = network_of(name, fuse=fuse, backend="reference")
    reader = network.reader()
    images, _ = draw_digits(600, 11)
    for image in (*images[:4], np.zeros((28, 28), np.uint8), np.full((28, 28), 255, np.uint8), images[0][::-1]):
        want = network.logits(image)[0]
        np.testing.assert_allclose(reader.logits(image), want, rtol=0, atol=1e-5 * np.abs(want).max())
        np.testing.assert_allclose(reader.predict_proba(image), network.predict_proba(image)[0], atol=1e-5)


def test_it_can_be_pickled_and_read_in_another_process():
    reader = network_of("canonical", backend="reference").reader()
    images, _ = draw_digits(600, 11)
    again = pickle.loads(pickle.dumps(reader))
    for image in images[:3]:
        np.testing.assert_array_equal(again.logits(image), reader.logits(image))
    code = "import pickle, sys\nreader, images = pickle.load(sys.stdin.buffer)\n"
    code += "pickle.dump([reader.logits(image) for image in images], sys.stdout.buffer)"
    sent = pickle.dumps((reader, images[:3]))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    for logits, image in zip(pickle.loads(done.stdout), images[:3], strict=True):
        np.testing.assert_allclose(logits, reader.logits(image), rtol=1e-5, atol=1e-6)
    assert copy.copy(reader)._idle is not reader._idle  # no two share buffers


def test_the_canonical_network_goes_by_stages():
    assert len(network_of("canonical").reader()._make_stages().stages) == 5  # pixels, two blocks, two dense layers
    for name in ("layers that don't fuse", "batch norm", "average pools", "tanh and sigmoid"):
        assert network_of(name).reader()._plan is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_not_passed_over(value):
    network = network_of("dense only", backend="reference")
    network.layers[1].params["b"][...] = -1e9  # nothing comes through the ReLU
    network.layers[3].params["w"][5] = value
    image = draw_digits(600, 11)[0][0]
    np.testing.assert_array_equal(network.reader().logits(image), network.logits(image)[0])


def test_pictures_in_colour_are_read_too():
    layers = [Conv2D(16, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(4)]
    network = Network(layers, (8, 8, 3), backend="reference")
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    np.testing.assert_allclose(network.reader().logits(image), network.logits(image)[0], atol=1e-5)
    with pytest.raises(ShapeError, match=r"the picture is \(8, 8\), uint8; wants \(8, 8, 3\), uint8"):
        network.reader().logits(image[..., 0])


def test_what_reads_no_pictures_has_no_reader():
    with pytest.raises(ShapeError, match=r"goes from \(64,\) to \(10,\); reading pictures wants one from"):
        Network([Dense(10)], (64,), backend="reference").reader()


def test_later_changes_of_the_network_do_not_reach_it():
    network = network_of("canonical", backend=BACKEND)
    reader, image = network.reader(), draw_digits(600, 11)[0][0]
    before = reader.logits(image)
    network.params[...] = 0
    np.testing.assert_array_equal(reader.logits(image), before)
    assert not network.logits(image).any()


def test_float64_networks_are_read_in_float64():
    network = network_of("canonical", dtype=np.float64, backend="reference")
    image = draw_digits(600, 11)[0][1]
    np.testing.assert_allclose(network.reader().logits(image), network.logits(image)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((28, 27), np.uint8), r"the picture is \(28, 27\), uint8; wants \(28, 28\), uint8"),
        (np.zeros((28, 28)), r"the picture is \(28, 28\), float64; wants \(28, 28\), uint8"),
        (np.zeros((1, 28, 28), np.uint8), r"the picture is \(1, 28, 28\)"),
    ],
)
def test_another_shape_or_kind_is_refused(image, text):
    with pytest.raises(ShapeError, match=text):
        network_of("dense only").reader().logits(image)


@pytest.mark.skipif(not COMPILED, reason="without compilation everything takes long")
def test_reading_disturbs_no_training_step():
    network = network_of("canonical", backend="fast")
    reader = network.reader()
    x = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    network.forward(x, training=True)
    network.backward(np.ones((4, 10), np.float32))
    want = network.grads.copy()
    network.forward(x, training=True)
    reader.logits(draw_digits(600, 11)[0][0])
    network.backward(np.ones((4, 10), np.float32))
    np.testing.assert_array_equal(network.grads, want)
