"""The training loop: a golden run on both back-ends, determinism, resuming, early stopping, NaN."""

import functools
import math
import re
import tracemalloc

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

from numcnn import Conv2D, Dense, DivergedError, Dropout, Flatten, MaxPool2D, Network, ReLU
from numcnn.data.batches import Batches, Examples
from numcnn.errors import ConfigError, DataError, ShapeError
from numcnn.kernels import thread_team
from numcnn.nn.data_parallel import count_shards
from numcnn.nn.models import make_layers
from numcnn.training.config import TrainConfig
from numcnn.training.divergence import is_far_off
from numcnn.training.loop import fit
from numcnn.training.monitor import Monitor, state_from_json, state_to_json
from numcnn.training.optim import make_optimizer


def small(seed=0):
    layers = [Conv2D(6, 5, stride=2), ReLU(), MaxPool2D(2), Flatten(), Dropout(0.1), Dense(10)]
    return Network(layers, seed=seed, normalisation=(0.13, 0.31), backend=BACKEND)


class Watching(Monitor):
    """Ask for the gradient watch."""

    watch_gradients = True


class StopAfter(Watching):
    """Ask to stop after so many steps; keep what a run folder would."""

    def __init__(self, steps):
        self.left, self.saved = steps, None

    def on_batch(self, state, images, loss, accuracy):
        self.left -= 1

    def should_stop(self):
        return self.left == 0

    def on_interrupt(self, network, optimizer, state):
        moments = {name: values.copy() for name, values in optimizer.moments.items()}
        self.saved = network.copy(), state_to_json(state, network), moments


class LossOfEachStep(Monitor):
    def __init__(self):
        self.losses, self._sum = [], 0.0

    def on_batch(self, state, images, loss, accuracy):
        self.losses.append(state.loss_sum / images if state.batch == 1 else (state.loss_sum - self._sum) / images)
        self._sum = state.loss_sum


# Ten losses of the canonical network from equal first weights by PyTorch 2.13 in float64: an independent derivation.
GOLDEN = [5.2794213, 4.0248217, 3.2366939, 2.9544419, 2.8927922, 2.6246237, 2.4957286, 2.0989091, 1.8147623, 1.6788721]


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-4), (np.float64, 1e-7)])
@pytest.mark.parametrize("backend", sorted({"reference", BACKEND}))
@pytest.mark.parametrize("fuse", [True, False])
def test_golden_run(backend, fuse, dtype, rtol):
    rng = np.random.default_rng(42)
    images = (rng.random((32, 28, 28)) * 255).astype(np.uint8)
    labels = np.arange(32) % 10
    settings = {"normalisation": (0.5, 0.3), "dtype": dtype, "backend": backend, "fuse": fuse}
    network = Network(make_layers("canonical"), seed=1, **settings)
    monitor = LossOfEachStep()
    config = TrainConfig(epochs=10, batch_size=32, optimizer="sgd", lr=0.002, schedule="constant")
    fit(network, (images, labels), None, config, monitor=monitor)
    np.testing.assert_allclose(monitor.losses, GOLDEN, rtol=rtol)


def test_float32_stays_by_float64_for_500_steps():
    """Within 1e-4 of the loss.  (Once a ReLU or a window's winner flips in one of them only, they part for good.)"""
    images, labels = draw_digits(600, 11)
    losses = []
    for dtype, backend in ((np.float32, BACKEND), (np.float64, "reference")):
        layers = [Conv2D(16, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)]
        network = Network(layers, (14, 14, 1), seed=1, normalisation=(0.13, 0.31), dtype=dtype, backend=backend)
        monitor = LossOfEachStep()
        config = TrainConfig(epochs=25, batch_size=20, optimizer="adamw", lr=1e-3)
        fit(network, (images[:400, ::2, ::2], labels[:400]), None, config, monitor=monitor)
        losses.append(monitor.losses)
    assert len(losses[0]) == 500 and losses[0][-1] < 0.5 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


class Allocations(Monitor):
    """Trace what is allocated from one step to another."""

    def __init__(self, first, last):
        self.step, self.first, self.last = 0, first, last

    def on_batch(self, state, images, loss, accuracy):
        self.step += 1
        if self.step == self.first:
            tracemalloc.start()
            self.before, _ = tracemalloc.get_traced_memory()
        elif self.step == self.last:
            after, peak = tracemalloc.get_traced_memory()
            self.kept, self.most = after - self.before, peak - self.before


@pytest.mark.skipif(not COMPILED, reason="plain NumPy makes arrays for what lies between")
@pytest.mark.parametrize(
    ("optimizer", "recipe"), [("adamw", {}), ("sgd", {}), ("adamw", {"augment": 1.0, "average": 0.9})]
)
def test_a_hundred_steps_allocate_no_array(optimizer, recipe):
    images, labels = draw_digits(600, 11)
    network = Network(make_layers("canonical"), seed=1, normalisation=(0.13, 0.31))
    monitor = Allocations(15, 115)  # by then every thread has had a shard and made its scratch memory
    config = TrainConfig(epochs=1, batch_size=128, clip=1.0, optimizer=optimizer, **recipe)
    try:
        fit(network, (np.tile(images, (25, 1, 1)), np.tile(labels, 25)), None, config, monitor=monitor)
    finally:
        tracemalloc.stop()
    # What is left is Python's own: numbers, tuples, views.  The smallest array that NumPy would make in passing, a bias
    # added by way of a buffer, has 32 KB.
    assert monitor.kept < 12_000 and monitor.most < 28_000


def test_thirty_two_images_are_learned_by_heart():
    images, labels = draw_digits(600, 11)
    network = Network(make_layers("canonical"), seed=1, normalisation=(0.13, 0.31), backend=BACKEND)
    network.fit(images[:32], labels[:32], epochs=30, batch_size=32, lr=2e-3)
    assert (network.predict(images[:32]) == labels[:32]).all()


def test_generated_digits_are_learned():
    images, labels = draw_digits(600, 11)
    test_images, test_labels = draw_digits(200, 12)
    network = small()
    state = network.fit(images, labels, epochs=12, batch_size=32, lr=5e-3)
    assert network.evaluate(test_images, test_labels).accuracy > 0.6  # guessing: 0.1
    assert state.history[-1]["train_loss"] < state.history[0]["train_loss"] / 2


@pytest.mark.parametrize("others", [{}, {"optimizer": "sgd", "nesterov": True}, {"clip": 0.1, "schedule": "cosine"}])
def test_equal_seeds_give_equal_bytes_and_other_seeds_others(others):
    images, labels = draw_digits(600, 11)
    results = []
    for seed in (3, 3, 4):
        network = small(seed=seed)
        network.fit(images[:200], labels[:200], epochs=2, batch_size=48, seed=seed, **others)
        results.append(network.params.tobytes())
    assert results[0] == results[1] != results[2]


RECIPES = {"adamw": {"optimizer": "adamw"}, "sgd": {"optimizer": "sgd"}, "average": {"augment": 0.5, "average": 0.9}}


@functools.cache
def resumable(name):
    """Return data and settings of a run, and the network and the state that it ends with if nothing stops it."""
    images, labels = draw_digits(600, 11)
    data = Examples.all_of(images[:230], labels[:230])  # five batches an epoch, the last one short
    settings = data, (images[300:350], labels[300:350]), TrainConfig(epochs=3, batch_size=48, **RECIPES[name])
    network = small()
    return settings, network, fit(network, *settings, monitor=Watching())


@pytest.mark.parametrize("stop_after", [1, 4, 5, 7, 15])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(stop_after, recipe):
    settings, whole, want = resumable(recipe)
    monitor = StopAfter(stop_after)
    stopped = fit(small(), *settings, monitor=monitor)
    assert stopped.interrupted
    network, document, moments = monitor.saved
    optimizer = make_optimizer(network, settings[2], moments)
    going_on = state_from_json(document, network)
    state = fit(network, *settings, state=going_on, optimizer=optimizer, monitor=Watching())
    assert network.params.tobytes() == whole.params.tobytes()
    timeless = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in state.history]
    assert timeless == [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in want.history
    ]
    assert "conv1.gradient_norm" in timeless[0]
    assert (state.best_epoch, state.best_accuracy) == (want.best_epoch, want.best_accuracy)


def test_a_run_that_an_older_version_stopped_goes_on():
    images, labels = draw_digits(600, 11)
    data, config = (images[:230], labels[:230]), TrainConfig(epochs=1, batch_size=48)
    monitor = StopAfter(3)
    fit(small(), data, None, config, monitor=monitor)
    network, document, moments = monitor.saved
    now = state_from_json(document, network)
    del document["state"]["labelled"]  # which older versions don't count
    old = state_from_json(document, network)
    assert old == now and old.labelled == 3 * 48
    optimizer = make_optimizer(network, config, moments)
    assert 0 < fit(network, data, None, config, state=old, optimizer=optimizer).history[0]["train_accuracy"] < 1


def test_outliers_are_not_misread():
    images, labels = draw_digits(600, 11)
    none, of_none = np.zeros((60, 28, 28), np.uint8), np.full(60, 10)
    network = Network([Flatten(), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)
    first = network.params.copy()
    right = np.mean(network.predict(images[:60]) == labels[:60])
    assert right > 0

    def accuracy(images, labels):
        network.params[...] = first
        state = network.fit(images, labels, epochs=1, batch_size=120, outliers=True)  # one step, from the first weights
        return state.history[0]["train_accuracy"]

    assert accuracy(images[:60], labels[:60]) == pytest.approx(right)
    assert accuracy(np.concatenate([images[:60], none]), np.append(labels[:60], of_none)) == pytest.approx(right)
    assert accuracy(none, of_none) == 0  # and no division by zero


class Kept(Monitor):
    """Note which epochs are kept, and which are the best."""

    def __init__(self):
        self.epochs, self.best = [], []

    def on_kept(self, network, state):
        self.epochs.append(state.epoch)

    def on_epoch(self, network, optimizer, state, best):
        self.best += [state.epoch] if best else []


class Best(Monitor):
    """Keep the parameters of the best epoch, and those that the next one begins with."""

    def on_kept(self, network, state):
        self.best = network.params.copy()

    def on_epoch(self, network, optimizer, state, best):
        self.latest, self.average = network.params.copy(), optimizer.moments["average"].copy()


def test_the_average_is_what_is_validated_kept_and_left_at_the_end():
    images, labels = draw_digits(600, 11)
    network, monitor, held_out = small(), Best(), (images[300:400], labels[300:400])
    config = TrainConfig(epochs=1, batch_size=50, average=0.8, schedule="constant")
    state = fit(network, (images[:200], labels[:200]), held_out, config, monitor=monitor)
    np.testing.assert_array_equal(monitor.best, monitor.average)
    np.testing.assert_array_equal(network.params, monitor.average)
    assert np.abs(monitor.latest - monitor.average).max() > 1e-4
    assert state.history[0]["val_loss"] == pytest.approx(network.evaluate(*held_out).loss)


def test_early_stopping_waits_so_many_epochs_for_a_better_validation():
    images, labels = draw_digits(600, 11)
    # The rate falls to nothing at once, so that validation cannot go on getting better.
    config = TrainConfig(epochs=40, batch_size=50, patience=2, optimizer="sgd", lr=1e-12, schedule="constant")
    state = fit(small(), (images[:50], labels[:50]), (images[:50], labels[:50]), config)
    assert state.best_epoch == 1 and state.epoch == 3


def test_without_validation_the_latest_is_the_best_and_nothing_stops_early():
    images, labels = draw_digits(600, 11)
    state = fit(small(), (images[:50], labels[:50]), None, TrainConfig(epochs=3, patience=1, val=None))
    assert state.epoch == state.best_epoch == 3
    assert state.history[-1]["val_accuracy"] is None


def test_a_loss_that_is_not_finite_stops_with_an_explanation():
    images, labels = draw_digits(600, 11)
    config = TrainConfig(epochs=3, batch_size=50, optimizer="sgd", lr=1e6, schedule="constant")
    text = r"the loss became (nan|inf) \(epoch \d+, batch \d+, learning rate 1e\+06; "
    for backend in {"reference", BACKEND}:
        network = small()
        network.backend = backend
        with pytest.raises(DivergedError, match=text) as caught:
            fit(network, (images, labels), None, config)
        assert "try a smaller `lr`" in str(caught.value)


def test_a_network_that_collapsed_is_not_kept():
    images, labels = draw_digits(600, 11)
    network, monitor = small(), Kept()
    network.layers[0].params["b"][...] = -1e3  # no ReLU lets anything through
    config = TrainConfig(epochs=2, batch_size=50)
    text = r"the network collapsed: it gives the same answer to every picture \(epoch 1, batch 12, .*clip=1"
    with pytest.raises(DivergedError, match=text):
        fit(network, (images, labels), (images, labels), config, monitor=monitor)
    assert monitor.epochs == []


def linear():
    """Return a network without a ReLU that could die."""
    return Network([Flatten(), Dense(20), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)


def test_answers_to_validation_images_that_are_not_finite_stop_the_run():
    """The weights are finite, and too large for all but the blank pictures that it learns from."""
    images, labels = draw_digits(600, 11)
    network, monitor = Network([Flatten(), Dense(10)], normalisation=(0.0, 1.0), backend=BACKEND), Kept()
    network.layers[1].params["w"][...] = 3e38
    config = TrainConfig(epochs=2, batch_size=50, optimizer="sgd", lr=1e-3, schedule="constant")
    text = r"validation images are not finite \(epoch 1, batch 12, learning rate 0.001; .*try a smaller `lr`"
    with pytest.raises(DivergedError, match=text):
        fit(network, (np.zeros_like(images), labels), (images, labels), config, monitor=monitor)
    assert monitor.epochs == []


@pytest.mark.parametrize(("epochs", "stops"), [(14, range(9, 14)), (4, [4])])
def test_a_loss_that_stays_far_above_guessing_stops_the_run(epochs, stops):
    images, labels = draw_digits(600, 11)
    labels = np.random.default_rng(0).permutation(labels)
    settings = {"optimizer": "sgd", "lr": 1e3, "clip": 1.0, "schedule": "constant"}  # far off, and always finite
    text = r"the loss is \S+ and doesn't come down; guessing costs 2.30 \(epoch (\d+)"
    with pytest.raises(DivergedError, match=text) as caught:
        fit(linear(), (images, labels), None, TrainConfig(epochs=epochs, batch_size=50, **settings))
    assert int(re.search(text, str(caught.value))[1]) in stops


def linear_classifier():
    return Network([Flatten(), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)


def test_what_counts_as_far_off():
    assert not is_far_off(22, 0.1, 10, 0.5) and is_far_off(24, 0.1, 10, 0.5)  # ten times ln 10
    assert not is_far_off(350, 0.1, 10, 40)  # an untrained network that badly initialised
    assert not is_far_off(1e6, 0.6, 10, 4)  # a perceptron
    assert is_far_off(1e6, 0.55, 2, 4) and not is_far_off(1e6, 0.7, 2, 4)


ODD_RUNS = {
    "a high rate that recovers": ({"optimizer": "adamw", "lr": 0.03, "epochs": 3}, {}),
    "a rate that changes nothing": ({"optimizer": "sgd", "lr": 1e-12, "epochs": 3}, {}),
    "one image at a time": ({"optimizer": "sgd", "lr": 1e-3, "batch_size": 1, "epochs": 1}, {"count": 150}),
    "random labels": ({"epochs": 3}, {"random": True}),
    "label smoothing": ({"epochs": 2, "label_smoothing": 0.9}, {}),
    "one step": (
        {"optimizer": "sgd", "lr": 4.0, "batch_size": 600, "epochs": 1, "schedule": "constant"},
        {"of": linear},
    ),
    "one image": ({"epochs": 3}, {"count": 1}),
    "one class": ({"epochs": 3, "optimizer": "sgd", "lr": 1.0}, {"label": 3}),
    "nothing but blank pictures": ({"epochs": 2}, {"blank": True}),
    "only outliers": ({"epochs": 2, "outliers": True}, {"label": 10}),
    "a perceptron": ({"optimizer": "sgd", "lr": 1e4, "epochs": 14}, {"of": linear_classifier}),
    "a bad first guess": ({"optimizer": "sgd", "lr": 1e-12, "epochs": 14}, {"scale": 100}),
}


@pytest.mark.parametrize("name", ODD_RUNS)
def test_odd_but_honest_runs_go_on(name):
    settings, data = ODD_RUNS[name]
    images, labels = draw_digits(600, 11)
    count = data.get("count", 600)
    images, labels = images[:count], labels[:count]
    if data.get("random"):
        labels = np.random.default_rng(0).permutation(labels)
    if data.get("blank"):
        images = np.zeros_like(images)
    if "label" in data:
        labels = np.full_like(labels, data["label"])
    network = data.get("of", small)()
    network.params *= data.get("scale", 1)
    config = TrainConfig(**{"batch_size": 50, **settings})
    assert fit(network, (images, labels), None, config).epoch == config.epochs


def test_clipping_bounds_each_step():
    images, labels = draw_digits(600, 11)
    network = small()
    before = network.params.copy()
    config = TrainConfig(epochs=1, batch_size=600, optimizer="sgd", lr=1.0, schedule="constant", clip=0.01)
    fit(network, (images, labels), None, config)
    assert math.sqrt(((network.params - before) ** 2).sum()) <= 0.01 * 1.001


def test_batches_cover_each_epoch_once_in_an_order_of_its_own():
    images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    examples = Examples(images, np.arange(50) % 10, np.arange(0, 50, 2))
    batches = Batches(examples, 8, 1, small().pixel_reader)
    assert len(batches) == 4 and len(examples) == 25
    network = small()
    orders = []
    for epoch in (0, 1):
        seen = []
        for batch in batches.epoch(epoch):
            x, labels = batch.fill(np.empty((len(batch), 28, 28, 1), np.float32)), batch.labels
            numbers = np.round((x[:, 0, 0, 0] * network.normalisation[1] + network.normalisation[0]) * 255).astype(int)
            np.testing.assert_array_equal(numbers % 10, labels)
            seen += numbers.tolist()
        assert sorted(seen) == list(range(0, 50, 2))
        orders.append(seen)
    assert orders[0] != orders[1]
    (later,) = batches.epoch(0, start=3)
    assert len(later) == len(later.labels) == 1


def test_parts_of_a_batch_are_those_of_the_whole():
    images, labels = draw_digits(30, 11)
    network = small()
    (batch,) = Batches(Examples.all_of(images, labels), 30, 1, network.pixel_reader).epoch(0)
    whole = batch.fill(np.empty((30, 28, 28, 1), np.float32))
    part = batch.fill(np.empty((9, 28, 28, 1), np.float32), 4, 13)
    np.testing.assert_array_equal(part, whole[4:13])


def test_normalisation_is_that_of_the_pixels_that_count():
    images = np.random.default_rng(0).integers(0, 256, (9000, 3, 4)).astype(np.uint8)
    index = np.arange(0, 9000, 3)
    mean, std = Examples(images, np.zeros(9000), index).normalisation()
    assert mean == pytest.approx((images[index] / 255).mean(), rel=1e-12)
    assert std == pytest.approx((images[index] / 255).std(), rel=1e-12)
    assert Examples.all_of(images[:1] * 0, np.zeros(1)).normalisation() == (0, 1)


def test_patience_that_has_run_out_stays_so_when_the_run_goes_on():
    images, labels = draw_digits(600, 11)
    data = images[:50], labels[:50]
    config = TrainConfig(epochs=40, batch_size=50, patience=2, optimizer="sgd", lr=1e-12, schedule="constant")
    network = small()
    state = fit(network, data, data, config)
    params = network.params.copy()
    assert fit(network, data, data, config, state=state).epoch == 3
    np.testing.assert_array_equal(network.params, params)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((5, 56, 56), np.uint8), r"pictures are \(5, 56, 56\); wants \(28, 28\)"),
        (np.full((5, 28, 28), 256), "pictures are int64 and go from 256 to 256; wants 0 to 255"),
        (np.zeros((5, 28, 28), complex), "pictures are complex128; wants integers from 0 to 255, floats"),
        (np.full((5, 28, 28), 200.0), "pictures are float64 and go from 200.0 to 200.0; wants 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(images, text):
    labels = np.zeros(5, int)
    with pytest.raises(ShapeError, match=text):
        small().fit(images, labels)
    good = np.zeros((5, 28, 28), np.uint8)
    with pytest.raises(ShapeError, match=text):
        small().fit(good, labels, validation=(images, labels))
    with pytest.raises(ConfigError, match="fit takes no val: the network, the images"):
        small().fit(good, labels, val=2)
    with pytest.raises(ConfigError, match="fit has no setting epoch; it has epochs, batch_size, optimizer, lr"):
        small().fit(good, labels, epoch=2)


@pytest.mark.skipif(not COMPILED, reason="as slow as it is")
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_bytes_when_the_work_is_shared(threads):
    images, labels = draw_digits(600, 11)
    try:
        thread_team.set_threads(threads)
        results = set()
        for _ in range(2):
            network = Network(make_layers("canonical"), normalisation=(0.13, 0.31))
            assert count_shards(128, network.flops, network.kernels.threads()) == threads
            network.fit(images[:384], labels[:384], epochs=2, batch_size=128)
            results.add(network.params.tobytes())
        assert len(results) == 1
    finally:
        thread_team.set_threads(thread_team.available_threads())


def test_unequal_numbers_of_images_and_labels_are_refused():
    images = np.zeros((5, 28, 28), np.uint8)
    for labels, count in ((np.zeros(4, int), 4), (3, 1)):
        with pytest.raises(DataError, match=f"there are 5 images and {count} labels; wants as many of both, 1 or more"):
            small().fit(images, labels)


def test_a_single_picture_is_a_training_set():
    network = small()
    network.fit(np.zeros((28, 28), np.uint8), [3], epochs=1)
    assert network.predict(np.zeros((28, 28), np.uint8)).shape == (1,)


def test_a_validation_set_that_is_no_pair_is_refused():
    images, labels = np.zeros((5, 28, 28), np.uint8), np.zeros(5, int)
    for wrong in (images, (images, labels, labels)):
        with pytest.raises(DataError, match=r"validation is a (ndarray|tuple); wants a pair \(images, labels\)"):
            small().fit(images, labels, validation=wrong)


@pytest.mark.parametrize("with_validation", [True, False])
def test_weights_that_the_last_step_breaks_are_noticed(with_validation):
    images, labels = draw_digits(600, 11)
    data = images[:50], labels[:50]
    config = TrainConfig(epochs=1, batch_size=50, optimizer="sgd", lr=1e300, schedule="constant")
    network = small().copy(dtype=np.float64, backend=BACKEND)
    network.params *= 1e10
    with pytest.raises(DivergedError, match=r"the loss became nan \(epoch 1, batch \d.*not finite: conv1.w"):
        fit(network, data, data if with_validation else None, config)


def test_the_last_epoch_is_kept_where_that_is_wanted():
    images, labels = draw_digits(600, 11)

    # The rate falls to nothing at once, so no later epoch is better than the first.
    settings = {"epochs": 3, "batch_size": 50, "optimizer": "sgd", "lr": 1e-12, "schedule": "constant"}
    for keep, epochs in (("best", [1]), ("last", [1, 2, 3])):
        monitor = Kept()
        config = TrainConfig(**settings, keep=keep)
        state = fit(small(), (images[:50], labels[:50]), (images[:50], labels[:50]), config, monitor=monitor)
        assert monitor.epochs == epochs and monitor.best == [1] and state.best_epoch == 1


@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_label_out_of_range_is_refused_before_the_first_step(where):
    images, labels = draw_digits(200, 12)
    wrong = labels.copy()
    wrong[-1] = 77
    network = Network([Flatten(), Dense(10)], seed=1, backend=BACKEND)
    before = network.params.copy()
    train, held_out = (wrong, labels) if where == "training" else (labels, wrong)
    with pytest.raises(ShapeError, match=r"labels .* from 0 to 77; wants"):
        network.fit(images, train, validation=(images, held_out), epochs=1)
    np.testing.assert_array_equal(network.params, before)
