"""What inspection shows is what the network computes, and saliency is the gradient it says it is."""

import numpy as np
import pytest
from own_layers import MyBatchNorm
from restless_layer import Restless

from numcnn import BatchNorm, ConfigError, Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, ReLU
from numcnn.data.generated import digit_strokes
from numcnn.imaging.raster import mnist_image
from numcnn.nn.inspection import DENSE, MAPS, POOLED, inspect_picture, saliency
from numcnn.nn.models import make_layers

FIVE = mnist_image(digit_strokes(5, np.random.default_rng(3)))


@pytest.mark.parametrize("model", ["canonical", "best"])
@pytest.mark.parametrize("fuse", [True, False])
def test_every_stage_is_shown_and_the_answer_is_the_network_s(model, fuse):
    network = Network(make_layers(model, dropout=0.3), backend="reference", normalisation=(0.13, 0.31), fuse=fuse)
    network.temperature = 0.5
    inspection = inspect_picture(network, FIVE)
    np.testing.assert_allclose(inspection.probabilities, network.predict_proba(FIVE)[0], atol=1e-6)
    np.testing.assert_allclose(inspection.logits, network.logits(FIVE)[0], atol=1e-4)
    assert inspection.answer == network.predict(FIVE)[0] == inspection.logits.argmax()
    assert (
        inspection.runner_up
        == np.delete(np.arange(10), inspection.answer)[np.delete(inspection.logits, inspection.answer).argmax()]
    )
    assert [stage.kind for stage in inspection.stages] == [MAPS, POOLED, MAPS, POOLED, DENSE]
    assert [stage.layer.name for stage in inspection.stages] == ["conv1", "pool1", "conv2", "pool2", "dense1"]
    assert all(stage.out.shape == stage.layer.out_shape and stage.out.min() >= 0 for stage in inspection.stages)


def test_a_map_is_what_its_filter_finds():
    network = Network([Conv2D(2, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)], backend="reference", seed=4)
    maps, pooled = (stage.out for stage in inspect_picture(network, FIVE).stages)
    w, b = network.layers[0].params["w"], network.layers[0].params["b"]
    place = np.sum(FIVE[10:13, 12:15, None, None] / 255 * w, axis=(0, 1, 2)) + b
    np.testing.assert_allclose(maps[10, 12], np.maximum(place, 0), rtol=1e-5)
    np.testing.assert_array_equal(pooled[5, 6], maps[10:12, 12:14].max(axis=(0, 1)))


def test_what_was_shown_stays_when_the_next_picture_is_read():
    network = Network(make_layers("canonical"), backend="reference")
    inspection = inspect_picture(network, FIVE)
    before = [stage.out.copy() for stage in inspection.stages], inspection.logits.copy()
    inspect_picture(network, FIVE[::-1].copy())
    for stage, out in zip(inspection.stages, before[0], strict=True):
        np.testing.assert_array_equal(stage.out, out)
    np.testing.assert_array_equal(inspection.logits, before[1])


@pytest.mark.parametrize("fuse", [True, False])
def test_saliency_is_the_slope_of_the_difference_of_two_logits(fuse):
    layers = [Conv2D(3, 3, padding="same"), ReLU(), MaxPool2D(2), Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(),
              Dense(12), ReLU(), Dropout(0.5), Dense(10)]  # fmt: skip
    network = Network(layers, dtype=np.float64, backend="reference", seed=1, normalisation=(0.13, 0.31), fuse=fuse)
    image = np.clip(FIVE / 255 + np.random.default_rng(0).uniform(0.01, 0.05, (28, 28)), 0, 0.99)
    slopes = saliency(network, image, 5, 3)
    assert slopes.shape == (28, 28)
    step, checked = 1e-6, 0
    for row, column in ((14, 14), (3, 20), (9, 11), (20, 15), (12, 8)):
        nudge = np.zeros((28, 28))
        nudge[row, column] = step
        (more,), (less,) = network.logits(image + nudge), network.logits(image - nudge)
        numeric = ((more[5] - more[3]) - (less[5] - less[3])) / (2 * step)
        assert slopes[row, column] == pytest.approx(numeric, rel=1e-5, abs=1e-8)
        checked += abs(numeric) > 1e-3
    assert checked >= 3
    np.testing.assert_allclose(saliency(network, image, 3, 5), -slopes)
    assert not network.grads.any()  # a training step under way keeps its gradients


def slopes_of(network, image, places, answer=5, other=3):
    """Return how much answer gains on other for each pixel, by differences of what ``logits`` returns."""
    step, slopes = 1e-6, []
    for place in places:
        nudge = np.zeros((28, 28))
        nudge[place] = step
        (more,), (less,) = network.logits(image + nudge), network.logits(image - nudge)
        slopes.append(((more[answer] - more[other]) - (less[answer] - less[other])) / (2 * step))
    return np.array(slopes)


@pytest.mark.parametrize("norm", [BatchNorm, MyBatchNorm])
def test_saliency_takes_running_statistics_as_the_answer_does(norm):
    layers = [Conv2D(3, 3), norm(), ReLU(), Flatten(), Dense(8), norm(), Dropout(0.5), Dense(10)]
    network = Network(layers, dtype=np.float64, backend="reference", seed=1, normalisation=(0.13, 0.31))
    rng = np.random.default_rng(0)
    network.state[...] = rng.uniform(0.5, 2, network.state.shape)
    for values in network.named_arrays(network.params).values():
        values += rng.uniform(-0.1, 0.1, values.shape)
    before = network.state.copy(), network.next_state.copy()
    image = np.clip(FIVE / 255 + rng.uniform(0.01, 0.05, (28, 28)), 0, 0.99)
    places = [(14, 14), (3, 20), (9, 11), (20, 15), (12, 8)]
    numeric = slopes_of(network, image, places)
    assert (np.abs(numeric) > 1e-4).sum() >= 3
    np.testing.assert_allclose([saliency(network, image, 5, 3)[place] for place in places], numeric, rtol=1e-5)
    np.testing.assert_array_equal((network.state, network.next_state), before)
    assert not network.grads.any() and not any(layer.frozen for layer in network.layers)


def test_frozen_batch_norm_has_the_gradients_of_an_affine_map():
    x, dout = np.random.default_rng(0).random((2, 6, 3))
    network = Network([BatchNorm()], (3,), dtype=np.float64, backend="reference")
    network.state[...] = np.random.default_rng(1).uniform(0.5, 2, 6)
    network.layers[0].frozen = True
    out = network.forward(x, training=True)
    np.testing.assert_array_equal(out, network.forward(x))
    dx = network.backward(dout, need_dx=True)
    std = np.sqrt(network.state[3:] + 1e-5)
    np.testing.assert_allclose(dx, dout / std)
    np.testing.assert_allclose(network.layers[0].grads["gamma"], (dout * out).sum(axis=0))
    np.testing.assert_allclose(network.layers[0].grads["beta"], dout.sum(axis=0))


def test_a_layer_that_ignores_frozen_is_named():
    network = Network([Restless(), Flatten(), Dense(10)], backend="reference")
    with pytest.raises(
        ConfigError, match=r"restless1: Restless\._forward changed its state 'count' though self\.frozen"
    ):
        saliency(network, FIVE, 5, 3)


def test_a_picture_file_may_be_looked_into(tmp_path):
    from PIL import Image

    network = Network(make_layers("canonical"), backend="reference")
    Image.fromarray(255 - FIVE).resize((140, 140)).save(tmp_path / "five.png")
    inspection = inspect_picture(network, tmp_path / "five.png")
    assert inspection.image.shape == (28, 28) and inspection.image.dtype == np.uint8
    np.testing.assert_allclose(inspection.logits, network.logits(tmp_path / "five.png")[0], atol=1e-4)
