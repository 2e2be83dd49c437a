"""Numbers at their edges: no pictures and one, pictures of one value, the smallest numbers, one class, huge rates."""

import numpy as np
import pytest
from conftest import BACKEND, COMPILED

from numcnn import Conv2D, DataError, Dense, DivergedError, Flatten, MaxPool2D, Network, ReLU
from numcnn.kernels import BACKENDS

X, Y = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8), np.arange(40) % 10


TRAINED = BACKENDS if COMPILED else ["reference"]


def small(backend=BACKEND, **settings):
    layers = [Conv2D(6, 5, stride=2), ReLU(), MaxPool2D(2), Flatten(), Dense(10)]
    return Network(layers, backend=backend, seed=1, **settings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_pictures_have_no_answers_and_cannot_be_learned_or_measured(backend):
    network, none = small(backend), X[:0]
    assert network.logits(none).shape == network.predict_proba(none).shape == (0, 10)
    assert network.predict(none).shape == (0,) and network.read(none) == []
    before = network.sha256()
    with pytest.raises(DataError, match="there are 0 images and 0 labels; wants as many of both, 1 or more"):
        network.fit(none, Y[:0])
    with pytest.raises(DataError, match="there are 0 images and 0 labels"):
        network.fit(X, Y, validation=(none, Y[:0]))
    with pytest.raises(DataError, match="there are no images to evaluate on; wants 1 or more"):
        network.evaluate(none, Y[:0])
    assert network.sha256() == before


@pytest.mark.parametrize("backend", TRAINED)
def test_one_picture_is_answered_as_among_others_measured_and_learned(backend):
    network = small(backend)
    np.testing.assert_allclose(network.logits(X[3]), network.logits(X)[3:4], rtol=1e-4, atol=1e-5)
    found = network.evaluate(X[3], network.predict(X[3]))
    assert found.accuracy == 1 and np.isfinite(found.loss)
    network.fit(X[3], Y[3], validation=(X[3], Y[3:4]), epochs=60, lr=0.01)
    assert network.predict(X[3]) == Y[3]


@pytest.mark.parametrize("backend", TRAINED)
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_one_shade_are_answered_and_learned(backend, value):
    network, pictures = small(backend), np.full((40, 28, 28), value, np.uint8)
    state = network.fit(pictures, Y, epochs=40, lr=0.01)
    assert state.history[-1]["train_loss"] == pytest.approx(np.log(10), abs=0.05)  # nothing tells the classes apart
    assert np.isfinite(network.logits(pictures)).all()
    assert network.evaluate(pictures, Y).accuracy == 0.1


@pytest.mark.parametrize("backend", TRAINED)
def test_batches_of_one_class_are_learned(backend):
    network = small(backend)
    state = network.fit(X, np.full(40, 7), validation=(X, np.full(40, 7)), epochs=20, batch_size=8, lr=0.01)
    assert state.history[-1]["train_loss"] < 0.01 and set(network.predict(X)) == {7}
    found = network.evaluate(X, np.full(40, 7))
    assert found.accuracy == 1 and found.confusion.sum() == 40


@pytest.mark.parametrize("backend", TRAINED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_smallest_numbers_are_as_good_as_zero(backend, dtype):
    """Pictures and weights below what a number holds with all its digits: no NaN, no infinity, no warning."""
    network, smallest = small(backend, dtype=dtype), np.finfo(dtype).smallest_subnormal
    pictures = np.full((40, 28, 28), 3 * smallest, dtype)
    np.testing.assert_allclose(network.logits(pictures), network.logits(0 * pictures), atol=1e-30)
    state = network.fit(pictures, Y, epochs=2)
    assert np.isfinite(network.params).all() and np.isfinite(state.history[-1]["train_loss"])
    network.params[...] = smallest
    np.testing.assert_allclose(network.predict_proba(X), 0.1)
    with pytest.raises(DivergedError, match="the network collapsed: it gives the same answer to every picture"):
        network.fit(X, Y, epochs=2)  # all filters are alike, and stay so
    assert np.isfinite(network.params).all()


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_learning_rate_of_a_million_stops_with_advice(optimizer, schedule):
    with pytest.raises(DivergedError, match=r"learning rate .*try"):
        small().fit(X, Y, epochs=20, batch_size=8, lr=1e6, optimizer=optimizer, schedule=schedule)
