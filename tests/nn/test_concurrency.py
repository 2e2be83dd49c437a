"""Any number of threads may read with one network or reader at a time, also while one trains it."""

import threading

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

from numcnn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, ReLU
from numcnn.kernels import thread_team
from numcnn.nn.data_parallel import MOST_IDLE
from numcnn.nn.inspection import inspect_picture, saliency
from numcnn.nn.models import make_layers

THREADS, CALLS = 8, 300
SIZES = (1, 7, 128, 129, 1000)  # around what inference takes at a time, and where "auto" changes over
SMALL_SIZES = (1, 2, 7)

needs_compiled = pytest.mark.skipif(not COMPILED, reason="without compiling it takes minutes")


def small(backend):
    """A network that is quick on every back-end, with layers that fuse and layers that don't."""
    layers = [Conv2D(16, 3), ReLU(), MaxPool2D(2), Conv2D(4, 3, stride=3, padding="same"), ReLU(), Dropout(0.4),
              Flatten(), Dense(16), ReLU(), Dense(10)]  # fmt: skip
    return Network(layers, backend=backend, seed=5, normalisation=(0.13, 0.31))


def pictures(n):
    return np.resize(draw_digits(600, 11)[0], (n, 28, 28))


def in_threads(*works):
    """Do each of ``works`` in a thread of its own, all at once.  Return the results; raise what one raised."""
    together, results = threading.Barrier(len(works), timeout=60), [None] * len(works)

    def run(i):
        try:
            together.wait()
            results[i] = works[i](), None
        except BaseException as error:  # the test's to raise
            results[i] = None, error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _, error in results:
        if error is not None:
            raise error
    return [result for result, _ in results]


def wrong_answers(call, sizes, seed, calls):
    """Return a job that makes so many calls of mixed sizes, some with one picture, and counts the wrong answers."""
    images = pictures(max(sizes))
    want = {n: np.array(call(images[:n])) for n in sizes}
    # Large batches are rare: most calls are short, so that they meet in all ways.
    weights = 1 / np.array(sizes)
    chosen = np.random.default_rng(seed).choice(sizes, calls, p=weights / weights.sum())
    chosen[: len(sizes)] = sizes

    def work():
        answers = [(n, call(images[:n])) for n in chosen]  # kept to the end: they are the caller's own
        return sum(not np.array_equal(answer, want[n]) for n, answer in answers)

    return work


@pytest.mark.parametrize("backend", ["fast", "reference", "auto"])
def test_batches_and_single_pictures_from_many_threads(backend, set_threads):
    if not COMPILED and backend != "reference":
        pytest.skip("without compiling it takes minutes")
    set_threads(2)
    network = small(backend)
    sizes = SIZES if COMPILED else SMALL_SIZES
    works = [wrong_answers(network.logits, sizes, i, CALLS) for i in range(THREADS)]
    assert in_threads(*works) == [0] * THREADS
    assert 1 <= len(network._readers._idle) <= MOST_IDLE


@needs_compiled
def test_every_way_to_ask_a_network_at_once(set_threads):
    set_threads(2)
    network = Network(make_layers("canonical"), backend="fast", seed=1, normalisation=(0.13, 0.31))
    labels = np.arange(1000) % 10

    def forward(images):
        return network.forward((images[..., None] / np.float32(255)).astype(np.float32))

    def evaluate(images):
        result = network.evaluate(images, labels[: len(images)])
        return np.array([result.loss, *result.confusion.flat])

    def inside(images):
        inspection = inspect_picture(network, images[0])
        return np.concatenate([*(stage.out.reshape(-1) for stage in inspection.stages), inspection.probabilities])

    def slopes(images):
        return saliency(network, images[0], 3, 5)

    calls = (network.logits, network.predict, network.predict_proba, evaluate, forward, inside, slopes)
    works = [wrong_answers(call, (1, 7, 128, 300), i, 40) for i, call in enumerate(calls)]
    assert in_threads(*works) == [0] * len(calls)


@needs_compiled
@pytest.mark.parametrize("layers", ["with stages", "without stages"])
def test_one_reader_in_many_threads(layers):
    network = small("fast") if layers == "without stages" else Network(make_layers("canonical"), seed=1)
    reader = network.reader()
    assert (reader._plan is None) == (layers == "without stages")
    images = pictures(THREADS)

    works = [wrong_answers(lambda some, i=i: reader.logits(images[i]), (1,), i, CALLS) for i in range(THREADS)]
    assert in_threads(*works) == [0] * THREADS
    assert len({reader.logits(image).tobytes() for image in images}) == THREADS
    assert len(reader._idle) <= MOST_IDLE


def test_a_readers_answer_is_the_callers_own():
    reader = Network(make_layers("canonical"), seed=1).reader()
    images = pictures(2)
    first = reader.logits(images[0])
    before = first.copy()
    assert (reader.logits(images[1]) != before).any()
    np.testing.assert_array_equal(first, before)


def test_the_result_of_forward_is_the_callers_own_unless_it_trains():
    network = small(BACKEND)
    x = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    first = network.forward(x)
    before = first.copy()
    assert (network.forward(1 - x) != before).any()
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", [BACKEND, "reference", "auto"] if COMPILED else ["reference"])
def test_reading_while_another_thread_trains(backend, threads, set_threads):
    set_threads(threads)
    images, labels = draw_digits(600, 11)
    settings = {"epochs": 2, "batch_size": 50, "validation": (images[:50], labels[:50])}

    def trained(network):
        network.fit(images, labels, **settings)
        return network.params.tobytes(), network.rng.random()

    want = trained(small(backend))
    network = small(backend)
    twin = network.copy()
    twins = {n: twin.logits(images[:n]) for n in (1, 7, 130)}
    done = threading.Event()

    def train():
        try:
            return trained(network)
        finally:
            done.set()

    def read():
        """Read with the network that trains, which answers as it happens to be, and with its copy."""
        calls, right = 0, True
        while not done.is_set() or calls == 0:
            for n, answer in twins.items():
                network.predict(images[:n])
                saliency(network, images[0], 1, 2)
                right &= np.array_equal(twin.logits(images[:n]), answer)
            calls += 1
        return right

    got, *right = in_threads(train, read, read)
    assert got == want and right == [True, True]


def test_replicas_come_back_after_an_error():
    network = small("reference")
    good = np.zeros((1, 28, 28, 1), np.float32)
    network.forward(good)
    (reader,) = network._readers._idle
    for _ in range(3):
        with pytest.raises(ValueError, match="conv1"):
            network.forward(good.astype(np.float64))
    assert list(network._readers._idle) == [reader]


def test_many_threads_that_come_first_find_one_team(monkeypatch):
    monkeypatch.setattr(thread_team, "_team", None)
    before = threading.active_count()
    teams = in_threads(*[thread_team.the_team] * THREADS)
    assert len(set(map(id, teams))) == 1
    assert threading.active_count() <= before + teams[0].threads - 1
    teams[0].dismiss()
