"""What layers keep beside parameters: saved, resumed, averaged, merged from the threads' shards, and repeatable."""

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

import numcnn
from numcnn import BatchNorm, CheckpointError, Conv2D, Dense, Dropout, Flatten, LeakyReLU, MaxPool2D, Network, ReLU
from numcnn import SoftmaxCrossEntropy as Criterion
from numcnn.data.batches import Batch
from numcnn.kernels import BACKENDS
from numcnn.nn import checkpoint
from numcnn.nn.data_parallel import replica_of
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.monitor import Monitor, state_from_json, state_to_json
from numcnn.training.optim import make_optimizer

# What a run's files record of it, beside its settings.
RECORDED = {
    "model": "own",
    "dataset": "generated",
    "dataset_sha256": "0" * 64,
    "threads": 1,
    "versions": {"numcnn": "0"},
}


def network_of(backend=BACKEND, **settings):
    layers = [Conv2D(16, 5, stride=1), ReLU(), MaxPool2D(2), BatchNorm(), Dropout(0.2), Flatten(), Dense(10)]
    return Network(layers, seed=4, normalisation=(0.13, 0.31), backend=backend, **settings)


def batch_of(network, n):
    images, labels = draw_digits(600, 11)
    return Batch(images, np.arange(n), labels[:n], network.pixel_reader)


@pytest.fixture
def shard_all(monkeypatch):
    """Cut even the smallest batch into shards."""
    monkeypatch.setattr("numcnn.nn.data_parallel.LEAST_FLOPS", 1)


def test_state_lies_in_one_array_that_layers_see_parts_of():
    network = network_of()
    assert {name: values.shape for name, values in network.named_state().items()} == {
        "bn1.mean": (16,), "bn1.var": (16,)
    }  # fmt: skip
    assert network.state.tolist() == [0] * 16 + [1] * 16
    network.layers[3].state["var"][...] = 3
    assert network.state[16:].tolist() == [3] * 16
    assert (
        list(network.slices)[2:4] == ["bn1.gamma", "bn1.beta"] and not network.decay[network.slices["bn1.gamma"]].any()
    )
    assert Network([Dense(3)], (4,)).state.size == 0


@pytest.mark.parametrize("fuse", [True, False])
def test_shares_are_merged_by_their_sizes_in_their_order(fuse, set_threads, shard_all):
    n = 7  # in three shards: of 2, 2 and 3
    whole = network_of(backend="fast", fuse=fuse)
    set_threads(3)
    whole.backpropagate(batch_of(whole, n), Criterion(whole.kernels))
    assert whole._replicas.shards(n, whole.kernels) == (3, range(3))
    want = np.zeros(32)
    for first, last in ((0, 2), (2, 4), (4, 7)):
        part = network_of(backend="reference", fuse=fuse)
        x = batch_of(part, n).fill(np.empty((n, 28, 28, 1), np.float32))[first:last]
        part.forward(x, training=True)
        part.backward(np.zeros((last - first, 10), np.float32))
        want += (last - first) / n * part.state
    np.testing.assert_allclose(whole.state, want, rtol=1e-4, atol=1e-6)
    assert np.abs(whole.state - network_of().state).max() > 0.01


def test_a_frozen_state_stays_the_same_to_the_bit_however_a_batch_is_cut(set_threads, shard_all):
    network = network_of(backend="fast")
    network.state[...] = np.random.default_rng(3).random(network.state.size)
    before = network.state.copy()
    for layer in network.layers:
        layer.frozen = True
    set_threads(3)
    for _ in range(3):
        network.backpropagate(batch_of(network, 7), Criterion(network.kernels))
    np.testing.assert_array_equal(network.state, before)


def test_backpropagate_changes_state_as_forward_and_backward_do(one_thread):
    together, apart = network_of(), network_of()
    batch = batch_of(together, 9)
    together.backpropagate(batch, Criterion(together.kernels))
    criterion = Criterion(apart.kernels)
    logits = apart.forward(batch.fill(np.empty((9, 28, 28, 1), np.float32)), training=True)
    criterion.forward(logits, batch.labels)
    apart.backward(criterion.backward())
    assert together.state.tobytes() == apart.state.tobytes() != network_of().state.tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equal_seeds_threads_and_batch_sizes_give_equal_bytes(threads, set_threads, shard_all):
    set_threads(threads)
    results = set()
    times, steps = (3, 3) if COMPILED else (2, 2)
    for _ in range(times):
        network = network_of(backend="fast")
        for _ in range(steps):
            network.backpropagate(batch_of(network, 9), Criterion(network.kernels))
            network.params -= 0.1 * network.grads
        results.add((network.params.tobytes(), network.state.tobytes()))
    assert len(results) == 1


def test_settings_that_change_later_count_on_every_thread(set_threads, shard_all):
    set_threads(3)
    network = network_of()
    network.backpropagate(batch_of(network, 9), Criterion(network.kernels))  # makes the replicas
    network.layers[3].frozen, network.layers[4].rate = True, 0.0
    state, twin = network.state.copy(), network.copy()
    twin.layers[3].frozen = True
    for one in (network, twin):
        one.backpropagate(batch_of(one, 9), Criterion(one.kernels))
    np.testing.assert_allclose(network.state, state, rtol=1e-6)  # to rounding: it is a weighted mean
    np.testing.assert_array_equal(network.grads, twin.grads)


def test_settings_that_change_later_count_in_inference():
    network = Network([Flatten(), Dense(10), LeakyReLU(0.1)], backend=BACKEND)
    images, _ = draw_digits(600, 11)
    before = network.logits(images[:2])
    network.layers[2].slope = 0.9
    np.testing.assert_array_equal(network.logits(images[:2]), network.copy().logits(images[:2]))
    assert not np.array_equal(network.logits(images[:2]), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_reads_the_merged_state_on_every_thread_and_changes_none(backend, set_threads, shard_all):
    set_threads(3)
    network = network_of(backend=backend)
    network.backpropagate(batch_of(network, 9), Criterion(network.kernels))
    network.state[:16] += 5
    before = network.state.copy()
    images, _ = draw_digits(600, 11)
    together = network.logits(images[:9])
    one_by_one = np.concatenate([network.logits(image) for image in images[:9]])
    np.testing.assert_allclose(together, one_by_one, atol=1e-4)
    np.testing.assert_array_equal(network.state, before)


def test_a_replica_that_only_looks_changes_no_state():
    network = Network([BatchNorm()], (3,), backend="reference")
    before, x = network.state.copy(), np.arange(6, dtype=np.float32).reshape(2, 3)
    out = replica_of(network.layers[0], {}).forward(x, training=True)
    np.testing.assert_array_equal(out, network.forward(x, training=True))
    network.next_state[...] = 7
    replica_of(network.layers[0], {}).forward(x, training=True)
    assert (network.next_state == 7).all() and (network.state == before).all()


def test_a_step_that_fails_leaves_state_as_it_was():
    network = network_of()
    batch = batch_of(network, 9)
    batch.labels = np.full(9, 77)
    before = network.state.copy()
    with pytest.raises(numcnn.ShapeError):
        network.backpropagate(batch, Criterion(network.kernels))
    np.testing.assert_array_equal(network.state, before)


def test_state_is_in_the_weights_file_and_must_be(tmp_path):
    network = network_of(backend="reference", dtype=np.float64)
    network.state[...] = np.arange(32) / 3
    network.save(tmp_path / "net.npz")
    again = numcnn.load(tmp_path / "net.npz")
    assert again.state.tobytes() == network.state.tobytes()
    assert network.copy(dtype=np.float32).state.tolist() == network.state.astype(np.float32).tolist()
    with np.load(tmp_path / "net.npz") as arrays:
        np.testing.assert_array_equal(arrays["bn1.var"], network.state[16:])
    with checkpoint.Checkpoint(tmp_path / "net.npz") as stored:
        meta = stored.meta
    checkpoint.save(tmp_path / "less.npz", network.named_arrays(network.params), meta)
    with pytest.raises(CheckpointError, match=r"array bn1\.mean is missing"):
        numcnn.load(tmp_path / "less.npz")


class StopAfter(Monitor):
    """Ask to stop after so many steps; keep what a run folder would."""

    def __init__(self, steps):
        self.left = steps

    def on_batch(self, state, images, loss, accuracy):
        self.left -= 1

    def should_stop(self):
        return self.left == 0

    def on_interrupt(self, network, optimizer, state):
        moments = {name: values.copy() for name, values in optimizer.moments.items()}
        self.saved = network.copy(), state_to_json(state, network), moments


SETTINGS = {"epochs": 2, "batch_size": 50, "backend": BACKEND, "average": 0.9, "schedule": "constant"}


def digits():
    images, labels = draw_digits(600, 11)
    return (images[:200], labels[:200]), (images[300:400], labels[300:400])


@pytest.mark.skipif(not COMPILED, reason="without compilation everything takes long")
@pytest.mark.parametrize("stop_after", [1, 4, 6])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_stopped_run_goes_on_with_equal_bytes(stop_after, average, set_threads, shard_all):
    set_threads(2)
    train, held_out = digits()
    config = TrainConfig(**{**SETTINGS, "average": average})
    whole = network_of()
    fit(whole, train, held_out, config)
    monitor = StopAfter(stop_after)
    fit(network_of(), train, held_out, config, monitor=monitor)
    network, document, moments = monitor.saved
    optimizer = make_optimizer(network, config, moments)
    fit(network, train, held_out, config, state=state_from_json(document, network), optimizer=optimizer)
    assert network.params.tobytes() == whole.params.tobytes()
    assert network.state.tobytes() == whole.state.tobytes()


class StopFolder(run_folder.RunFolder):
    """A run folder that asks to stop after so many steps."""

    left = -1

    def on_batch(self, state, images, loss, accuracy):
        super().on_batch(state, images, loss, accuracy)
        self.left -= 1

    def should_stop(self):
        return self.left == 0


@pytest.mark.skipif(not COMPILED, reason="without compilation everything takes long")
@pytest.mark.parametrize("stop_after", [2, 6])
def test_a_stopped_run_goes_on_from_its_folder_with_equal_bytes(stop_after, tmp_path):
    train, held_out = digits()
    config = TrainConfig(**SETTINGS)
    info = {**RECORDED, "config": config.to_json()}
    whole = network_of()
    fit(whole, train, held_out, config)
    folder = StopFolder(tmp_path, config, info, dataset_argument="generated", quiet=True)
    folder.left = stop_after
    assert fit(network_of(), train, held_out, config, monitor=folder).interrupted
    earlier = run_folder.load_run(tmp_path)
    optimizer = make_optimizer(earlier.network, earlier.config, earlier.moments)
    fit(earlier.network, train, held_out, earlier.config, state=earlier.state, optimizer=optimizer)
    assert earlier.network.params.tobytes() == whole.params.tobytes()
    assert earlier.network.state.tobytes() == whole.state.tobytes()


@pytest.mark.skipif(not COMPILED, reason="without compilation everything takes long")
def test_a_run_s_folder_holds_averaged_state_in_best_and_all_that_going_on_needs_in_last(tmp_path):
    train, held_out = digits()
    config = TrainConfig(**SETTINGS)
    info = {**RECORDED, "config": config.to_json()}
    folder = run_folder.RunFolder(tmp_path, config, info, dataset_argument="generated", quiet=True)
    network = network_of()
    run = fit(network, train, held_out, config, monitor=folder)
    earlier = run_folder.load_run(tmp_path)
    assert set(earlier.moments) == {"m", "v", "average", "average state"}
    best = run_folder.load(folder.best)
    if run.best_epoch == 2:
        np.testing.assert_array_equal(best.state, earlier.moments["average state"])
    np.testing.assert_array_equal(network.state, earlier.moments["average state"])  # what a run leaves at its end
    assert np.abs(earlier.network.state - network.state).max() > 1e-4  # from these it would go on
    result = best.evaluate(*held_out)
    assert result.loss == pytest.approx(run.history[run.best_epoch - 1]["val_loss"])


def test_a_state_that_is_no_number_ends_the_run():
    class Broken(BatchNorm):
        def _update(self, name, of_batch):
            self.next_state[name][...] = np.inf

    network = Network([Flatten(), Dense(4), Broken(), Dense(10)], backend="reference")
    with pytest.raises(numcnn.DivergedError, match=r"not finite: bn1\.mean, bn1\.var"):
        fit(network, digits()[0], None, TrainConfig(epochs=1, batch_size=50, backend="reference"))
