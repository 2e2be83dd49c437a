"""A batch that several threads take through the network in shards: the same loss, logits and gradients."""

import threading

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits
from processes import PATIENCE_SECONDS

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
    Tanh,
)
from numcnn.data.batches import Batch
from numcnn.errors import ShapeError
from numcnn.nn.data_parallel import count_shards
from numcnn.nn.models import make_layers

LAYERS = {
    "canonical": lambda: make_layers("canonical"),
    "layers that don't fuse": lambda: [Conv2D(6, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)],
    "other pools and activations": lambda: [
        Conv2D(16, 5),
        ReLU(),
        MaxPool2D(2),
        Tanh(),
        AveragePool2D(2),
        LeakyReLU(0.1),
        Sigmoid(),
        GlobalAveragePool2D(),
        Dense(10),
    ],
    "dropout": lambda: [
        Conv2D(6, 5),
        ReLU(),
        Dropout(0.3),
        MaxPool2D(2),
        Flatten(),
        Dense(20),
        Dropout(0.5),
        Dense(10),
    ],
}
N = 33 if COMPILED else 3


def network_of(name="canonical", **settings):
    return Network(LAYERS[name](), **{"normalisation": (0.13, 0.31), "seed": 4, "backend": BACKEND, **settings})


def batch_of(network, n=N):
    images, labels = draw_digits(600, 11)
    rows = np.random.default_rng(n).permutation(600)[:n]
    return Batch(images, rows, labels[rows], network.pixel_reader)


def backpropagate(network, batch, smoothing=0.1):
    loss, logits = network.backpropagate(batch, SoftmaxCrossEntropy(network.kernels, smoothing))
    return loss, logits.copy(), network.grads.copy()


def assert_close(got, want, digits=1e-5):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=digits * np.abs(b).max())


@pytest.fixture
def cut_every_batch(monkeypatch):
    """Cut even the smallest batch into shards."""
    monkeypatch.setattr("numcnn.nn.data_parallel.LEAST_FLOPS", 1)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_any_number_of_threads_finds_what_one_finds(name, fuse, set_threads, cut_every_batch):
    if not COMPILED and name == "canonical":
        pytest.skip("without compiling it takes minutes")
    reference = network_of(name, backend="reference", fuse=fuse)
    want = backpropagate(reference, batch_of(reference))
    for threads in (1, 2, 3, 5, 2):
        set_threads(threads)
        network = network_of(name, backend="fast", fuse=fuse)
        assert count_shards(N, network.flops, network.kernels.threads()) == min(threads, N)
        assert_close(backpropagate(network, batch_of(network)), want)


def test_it_is_forward_loss_and_backward_in_one(one_thread):
    network = network_of()
    batch = batch_of(network)
    together = backpropagate(network, batch)
    criterion = SoftmaxCrossEntropy(network.kernels, 0.1)
    logits = network.forward(batch.fill(np.empty((N, 28, 28, 1), np.float32)), training=True)
    loss = criterion.forward(logits, batch.labels)
    network.backward(criterion.backward())
    assert loss == together[0]
    np.testing.assert_array_equal(logits, together[1])
    np.testing.assert_array_equal(network.grads, together[2])


@pytest.mark.parametrize("threads", [2, 3])
def test_a_number_of_threads_repeats_itself_exactly(threads, set_threads, cut_every_batch):
    set_threads(threads)
    results = set()
    for _ in range(4):
        network = network_of("dropout", backend="fast")
        for _ in range(3):
            loss, logits, grads = backpropagate(network, batch_of(network))
            network.params -= 0.1 * grads
        results.add((loss, logits.tobytes(), network.params.tobytes()))
    assert len(results) == 1


def test_batches_of_any_size_follow_each_other(set_threads, cut_every_batch):
    sizes = (5, 33, 1, 2, 33, 7) if COMPILED else (3, 1, 2)
    reference, network = network_of("dropout", backend="reference"), network_of("dropout", backend="fast")
    for i, n in enumerate(sizes):
        set_threads(1 + i % 3)
        assert_close(backpropagate(network, batch_of(network, n)), backpropagate(reference, batch_of(reference, n)))


def test_little_work_is_left_to_one_thread(set_threads):
    set_threads(8)
    network = network_of(backend="fast")
    shards = [count_shards(n, network.flops, network.kernels.threads()) for n in (0, 1, 2, 64, 128, 10_000)]
    assert shards[:3] == [1, 1, 1] and shards[-2:] == [8, 8]
    assert 1 < shards[3] <= 8
    network.backend = "reference"
    assert count_shards(10_000, network.flops, network.kernels.threads()) == 1


@pytest.mark.skipif(not COMPILED, reason="without compiling it takes minutes")
def test_fusing_and_back_ends_may_change_between_steps(set_threads, cut_every_batch):
    set_threads(3)
    network = network_of(backend="fast")
    want = backpropagate(network, batch_of(network))
    for backend, fuse in (("fast", False), ("reference", False), ("fast", False), ("reference", True), ("fast", True)):
        network.backend = backend
        network.fuse = fuse
        assert_close(backpropagate(network, batch_of(network)), want)


def test_an_error_in_a_shard_reaches_the_caller(set_threads, cut_every_batch):
    set_threads(3)
    network = network_of("layers that don't fuse", backend="fast")
    batch = batch_of(network)
    batch.labels[-1] = 77
    with pytest.raises(ShapeError, match=r"loss: labels are .* wants shape .*, integers from 0 to 9"):
        backpropagate(network, batch)
    batch.labels[-1] = 7
    backpropagate(network, batch)


def test_networks_may_train_in_several_threads_at_once(set_threads, cut_every_batch):
    set_threads(2)
    names = ["layers that don't fuse", "dropout", "dropout"]
    want, found, together = [], {}, threading.Barrier(len(names), timeout=PATIENCE_SECONDS)

    def train(number):
        network = network_of(names[number], backend="fast", seed=number)
        for _ in range(20 if COMPILED else 1):
            network.params -= 0.1 * backpropagate(network, batch_of(network, 9 if COMPILED else 2))[2]
        return network.params.tobytes()

    def work(number):
        together.wait()
        found[number] = train(number)

    want = [train(number) for number in range(len(names))]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found.get(number) for number in range(len(names))] == want


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_pictures_are_read_in_their_order(threads, set_threads, cut_every_batch):
    set_threads(threads)
    images, _ = draw_digits(600, 11)
    images = images if COMPILED else images[:5]
    network = network_of("layers that don't fuse", backend="fast")
    want = network_of("layers that don't fuse", backend="reference").logits(images)
    for n in (len(images), 1, 4, 0):
        got = network.logits(images[:n])
        np.testing.assert_allclose(got, want[:n], atol=1e-4)


class RanksInThreads:
    """Ranks that are threads of one process: each takes the same steps with a network of its own."""

    def __init__(self, rank, size, shared, together):
        self.rank, self.size, self.shared, self.together = rank, size, shared, together

    def exchange(self, mine):
        """Return what all ranks have given, in their order."""
        self.shared[self.rank] = mine
        self.together.wait()
        every = list(self.shared)
        self.together.wait()
        return every

    def add_up(self, own, count, total):
        shards = [array for arrays in self.exchange([array.copy() for array in own]) for array in arrays]
        assert len(shards) == count
        total[...] = sum(shards[1:], shards[0])

    def gather(self, array, bounds):
        parts = self.exchange(array[bounds[self.rank] : bounds[self.rank + 1]].copy())
        array[...] = np.concatenate(parts)


def test_ranks_take_the_steps_of_one_process_with_as_many_shards(set_threads, cut_every_batch):
    set_threads(2)  # and two ranks: four shards
    network = Network([Conv2D(3, 5, stride=2), BatchNorm(), Dropout(0.3), Flatten(), Dense(10)], seed=4, backend="fast")
    alone, ranks, shared, found = network.copy(), [network, network.copy()], [None] * 2, {}
    alone.fix_shards(4)
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    for rank, one in enumerate(ranks):
        one.train_together(RanksInThreads(rank, 2, shared, together))

    def steps(one):
        found[one] = []
        for n in (7, 1):  # of one image, one rank has no part
            loss, logits, grads = backpropagate(one, batch_of(one, n))
            found[one] += [loss, logits.tobytes(), grads.tobytes(), one.state.tobytes()]

    threads = [threading.Thread(target=steps, args=(one,)) for one in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps(alone)
    assert found[ranks[0]] == found[ranks[1]] == found[alone]
