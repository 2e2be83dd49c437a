"""Which layers run together, and that they compute together what they compute apart."""

import numpy as np
import pytest
from conftest import COMPILED, EACH_IN_ITS_LANE

import numcnn
from numcnn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, ReLU, SoftmaxCrossEntropy, gradcheck
from numcnn.errors import ShapeError
from numcnn.kernels import BACKENDS
from numcnn.nn.data_parallel import with_gradients
from numcnn.nn.fusion import ConvReluPool, describe
from numcnn.nn.models import make_layers


class OtherConv(Conv2D):
    """What may do something else than its base, so it is left alone."""


class OtherReLU(ReLU):
    pass


class OtherPool(MaxPool2D):
    pass


def row(conv, relu=ReLU, pool=MaxPool2D, pool_size=2, pool_stride=None):
    return [conv, relu(), pool(pool_size, pool_stride)]


# name: makes the layers, the input's shape, and how they run together (None: they don't)
ROWS = {
    "first layer": (lambda: row(Conv2D(32, 3)), (28, 28, 1), "forward direct, backward masks"),
    "second layer": (lambda: row(Conv2D(64, 3)), (13, 13, 32), "forward winograd, backward lists"),
    "padding same": (lambda: row(Conv2D(16, 3, padding="same")), (6, 7, 16), "forward winograd, backward lists"),
    "padding in numbers": (lambda: row(Conv2D(16, 3, padding=2)), (5, 6, 1), "forward direct, backward masks"),
    "5x5": (lambda: row(Conv2D(16, 5)), (9, 8, 32), "forward direct, backward lists"),
    "5x5 same, one channel": (lambda: row(Conv2D(48, 5, padding="same")), (9, 8, 1), "forward direct, backward masks"),
    "not square": (lambda: row(Conv2D(16, (2, 5))), (9, 8, 16), "forward direct, backward lists"),
    "3 channels": (lambda: row(Conv2D(16, 3)), (9, 8, 3), "forward direct, backward masks"),
    "two windows": (lambda: row(Conv2D(16, 3)), (4, 6, 16), "forward direct, backward lists"),
    "pool by pairs": (lambda: row(Conv2D(16, 3), pool_size=(2, 2), pool_stride=2), (9, 8, 3), "forward direct, "),
    "stride": (lambda: row(Conv2D(16, 3, stride=2)), (13, 13, 16), None),
    "stride across": (lambda: row(Conv2D(16, 3, stride=(1, 2))), (13, 13, 16), None),
    "3x3 pool": (lambda: row(Conv2D(16, 3), pool_size=3), (13, 13, 16), None),
    "2x1 pool": (lambda: row(Conv2D(16, 3), pool_size=(2, 1)), (13, 13, 16), None),
    "overlapping pool": (lambda: row(Conv2D(16, 3), pool_stride=1), (13, 13, 16), None),
    "gaps in the pool": (lambda: row(Conv2D(16, 3), pool_stride=(2, 3)), (13, 13, 16), None),
    "24 filters": (lambda: row(Conv2D(24, 3)), (13, 13, 16), None),
    "8 filters": (lambda: row(Conv2D(8, 3)), (13, 13, 1), None),
    "4 channels": (lambda: row(Conv2D(16, 3)), (13, 13, 4), None),
    "24 channels": (lambda: row(Conv2D(16, 3)), (13, 13, 24), None),
    "5x5, 48 channels": (lambda: row(Conv2D(16, 5)), (13, 13, 48), None),
    "6x6, one channel": (lambda: row(Conv2D(16, 6)), (13, 13, 1), None),
    "a kind of Conv2D": (lambda: row(OtherConv(16, 3)), (13, 13, 16), None),
    "a kind of ReLU": (lambda: row(Conv2D(16, 3), relu=OtherReLU), (13, 13, 16), None),
    "a kind of MaxPool2D": (lambda: row(Conv2D(16, 3), pool=OtherPool), (13, 13, 16), None),
    "pool before ReLU": (lambda: [Conv2D(16, 3), MaxPool2D(2), ReLU()], (13, 13, 16), None),
    "no pool": (lambda: [Conv2D(16, 3), ReLU()], (13, 13, 16), None),
    "no ReLU": (lambda: [Conv2D(16, 3), MaxPool2D(2)], (13, 13, 16), None),
    "something between": (lambda: [Conv2D(16, 3), ReLU(), Dropout(0.5), MaxPool2D(2)], (13, 13, 16), None),
    "nothing": (lambda: [], (13, 13, 16), None),
}


@pytest.mark.parametrize("name", ROWS)
def test_which_rows_run_together(name):
    make, shape, how = ROWS[name]
    network = Network(make(), shape, backend="reference")
    if how is None:
        assert network.steps == network.layers
        assert describe(network.steps) == [] and "runs as" not in network.summary()
    else:
        (step,) = network.steps
        assert type(step) is ConvReluPool and step.layers == tuple(network.layers)
        assert step.name == "conv1+relu1+pool1"
        assert step.how().startswith(f"one kernel: {how}")
        assert step.in_shape == shape and step.out_shape == network.output_shape
        assert step.params is network.layers[0].params and step.grads is network.layers[0].grads


def test_what_stands_around_and_between_stays():
    layers = [ReLU(), *row(Conv2D(16, 3)), *row(Conv2D(16, 3)), Conv2D(16, 1), *row(Conv2D(16, 3, padding=1)), ReLU()]
    network = Network(layers, (23, 20, 3), backend="reference")
    assert [step.name for step in network.steps] == [
        "relu1",
        "conv1+relu2+pool1",
        "conv2+relu3+pool2",
        "conv3",
        "conv4+relu4+pool3",
        "relu5",
    ]
    assert network.steps[0] is layers[0] and network.steps[3] is layers[7] and network.steps[5] is layers[11]
    assert network.layers == layers


def test_the_choice_can_be_printed():
    network = Network(make_layers("canonical"), backend="reference")
    assert network.summary().splitlines()[-5:] == [
        "",
        "runs as:",
        "conv1, relu1, pool1 in one kernel: forward direct, backward masks",
        "conv2, relu2, pool2 in one kernel: forward winograd, backward lists",
        "every other layer by itself",
    ]
    assert len(with_gradients(network._flat, fuse=True).steps) == len(network.layers) - 4  # twice three in one
    assert len(with_gradients(network._flat, fuse=False).steps) == len(network.layers)
    network.fuse = False
    assert network.summary().splitlines()[-1].startswith("total")
    all_fused = Network(row(Conv2D(16, 3)), (13, 13, 16), backend="reference")
    assert all_fused.summary().splitlines()[-1].startswith("conv1, relu1, pool1 in one kernel")


# Networks that fuse, with and without padding, dropout and layers that don't.
NETWORKS = {
    "valid": (
        lambda: [*row(Conv2D(16, 3)), *row(Conv2D(32, 3)), Flatten(), Dense(12), ReLU(), Dense(5)],
        (14, 17, 1),
    ),
    "same, dropout": (
        lambda: [
            *row(Conv2D(16, 3, padding="same")), Dropout(0.2), *row(Conv2D(16, 3, padding="same")),
            Flatten(), Dropout(0.4), Dense(5),
        ],
        (9, 12, 3),
    ),
    "5x5 same": (
        lambda: [*row(Conv2D(16, 5, padding="same")), *row(Conv2D(16, (5, 4), padding="same")), Flatten(), Dense(5)],
        (8, 11, 1),
    ),
    "some don't": (
        lambda: [
            Conv2D(16, 3, stride=2), ReLU(), *row(Conv2D(16, 3, padding=2)), Dropout(0.3),
            *row(Conv2D(16, 3), pool_size=3), Flatten(), Dense(5),
        ],
        (22, 25, 2),
    ),
}  # fmt: skip


def make(name, **settings):
    layers, shape = NETWORKS[name]
    return Network(layers(), shape, seed=4, **{"backend": "reference", "dtype": np.float64, **settings})


def batch(network, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *network.input_shape)).astype(network.dtype), rng.integers(0, 5, n)


def train(network, n=3, seed=0, between=lambda: None):
    """Return copies of logits, parameters' gradients and the input's; ``between`` is called before backward."""
    x, labels = batch(network, n, seed)
    logits = network.forward(x, training=True)
    criterion = SoftmaxCrossEntropy(network.kernels)
    criterion.forward(logits, labels)
    logits, dlogits = logits.copy(), criterion.backward()
    between()
    dx = network.backward(dlogits, need_dx=True).copy()
    return logits, network.grads.copy(), dx


def assert_same(results, others, tolerance):
    for name, got, want in zip(("logits", "grads", "dx"), results, others, strict=True):
        error = np.abs(got - want).max() / np.abs(want).max()
        assert error <= tolerance, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_together_or_apart_results_are_the_same(name, backend):
    apart = make(name, fuse=False)
    together = make(name, backend=backend)
    assert sum(type(step) is ConvReluPool for step in together.steps) == (1 if name == "some don't" else 2)
    for seed in (0, 1):  # dropout's second draw as well
        want = train(apart, seed=seed)
        assert_same(train(together, seed=seed), want, 1e-10)
        assert all(np.abs(array).max() > 1e-3 for array in want)
    x, _ = batch(apart, 4, seed=2)
    want = apart.forward(x).copy()
    np.testing.assert_allclose(together.forward(x), want, atol=1e-10 * np.abs(want).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_float32_to_its_own_rounding(backend):
    """Logits alone: of two candidates that differ in the last digit either may win, which moves a gradient."""
    apart, together = (make("valid", dtype=np.float32, backend=backend, fuse=fuse) for fuse in (False, True))
    x, _ = batch(apart, 4)
    want = apart.forward(x).copy()
    np.testing.assert_allclose(together.forward(x), want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_switching_back_and_forth(backend):
    network = make("valid", backend=backend)
    params = network.params
    want = train(network)
    for fuse in (False, True, True, False, True):
        network.fuse = fuse
        assert network.fuse is fuse and network.params is params
        assert any(type(step) is ConvReluPool for step in network.steps) == fuse
        assert_same(train(network), want, 1e-10)
        network.grads[...] = 0


@pytest.mark.parametrize("fuse", [True, False])
def test_after_switching_backward_asks_for_a_new_forward(fuse):
    network = make("valid", fuse=fuse)
    train(network)
    network.fuse = not fuse
    train(network, seed=1)
    network.fuse = fuse
    # What the steps of before still hold of the first batch would give a gradient of neither.
    with pytest.raises(ShapeError, match=r": backward needs a forward\(x, training=True\) before it"):
        network.backward(np.ones((3, 5)))


def test_a_wrong_input_is_named_with_the_whole_step():
    network = make("valid")
    with pytest.raises(ShapeError, match=r"conv1\+relu1\+pool1: input is shape \(2, 14, 16, 1\), float64; wants shape"):
        network.forward(np.zeros((2, 14, 16, 1)))
    with pytest.raises(NotImplementedError, match="a fused step consists of layers that are built already"):
        network.steps[0].build((14, 17, 1), np.float64)


@pytest.mark.parametrize("fuse", [True, False])
def test_a_copy_runs_as_its_original_does(fuse):
    network = make("same, dropout", fuse=fuse)
    twin = network.copy()
    assert twin.fuse is fuse and [s.name for s in twin.steps] == [s.name for s in network.steps]
    for one, other in zip(train(network), train(twin), strict=True):
        np.testing.assert_array_equal(one, other)
    twin.params[...] = 0
    assert all(step.params["w"].any() for step in network.steps if step.specs)


def test_files_say_nothing_of_it(tmp_path):
    files = {}
    for fuse in (True, False):
        network = make("valid", fuse=fuse, normalisation=(0.1, 0.3))
        network.save(tmp_path / f"{fuse}.npz")
        files[fuse] = (tmp_path / f"{fuse}.npz").read_bytes()
    assert files[True] == files[False]
    again = numcnn.load(tmp_path / "False.npz", backend="reference")
    assert again.fuse and [type(step) for step in again.steps].count(ConvReluPool) == 2
    assert_same(train(again), train(make("valid")), 1e-12)


@pytest.mark.parametrize("backend", EACH_IN_ITS_LANE)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradcheck_passes(name, backend):
    report = gradcheck(make(name), samples=40, backend=backend)
    assert report.passed, str(report)


SMALL_BLOCKS = {
    "2 channels": (lambda: Conv2D(16, 3), (6, 7, 2)),
    "5x5 same": (lambda: Conv2D(16, 5, padding="same"), (4, 5, 1)),
    "1x2": (lambda: Conv2D(16, (1, 2)), (5, 6, 16)),
    "1x1": (lambda: Conv2D(16, 1), (4, 5, 16)),
}


@pytest.mark.parametrize("backend", EACH_IN_ITS_LANE)
@pytest.mark.parametrize("name", SMALL_BLOCKS)
def test_gradcheck_passes_on_every_entry_of_a_small_block(name, backend):
    conv, shape = SMALL_BLOCKS[name]
    network = Network([*row(conv()), Flatten(), Dense(2)], shape, seed=2)
    assert type(network.steps[0]) is ConvReluPool
    report = gradcheck(network, samples=None, backend=backend)
    assert report.passed, str(report)
    assert all(len(row.analytic) + row.kinks == np.prod(row.shape) for row in report.rows)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("backend", [*BACKENDS, "auto"] if COMPILED else BACKENDS)
def test_inference_between_forward_and_backward_disturbs_nothing(backend, fuse):
    want = train(make("same, dropout", backend=backend, fuse=fuse))
    network = make("same, dropout", backend=backend, fuse=fuse)

    def infer():
        for n, seed in ((1, 5), (3, 6), (7, 7)):
            x, _ = batch(network, n, seed)
            network.forward(x)
        network.logits(np.zeros((2, *network.input_shape)))  # with "auto" on other kernels than those in training

    got = train(network, between=infer)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


def buffers(network):
    """Return the buffers of training's steps and of the one replica that reads: (whose, step, purpose) -> array."""
    (reader,) = network._readers._idle or [None]
    return {
        (whose, step.name, purpose): array
        for whose, steps in (("training", network.steps), ("reading", reader.steps if reader else ()))
        for step in steps
        for purpose, array in step._buffers.items()
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_buffers_are_made_once(backend):
    network = make("same, dropout", backend=backend)
    train(network, n=4)
    network.forward(batch(network, 5)[0])
    before = buffers(network)
    fused = {(whose, purpose) for whose, name, purpose in before if "+" in name}
    assert fused >= {("training", purpose) for purpose in ("out", "which", "padded x", "padded dx", "dx")}
    assert fused >= {("reading", purpose) for purpose in ("inference out", "inference padded x")}
    for n in (4, 1, 3, 4):
        train(network, n=n, seed=n)
        network.forward(batch(network, n + 1)[0])
    after = buffers(network)
    assert after.keys() == before.keys() and all(after[key] is before[key] for key in before)


def test_a_border_stays_zero():
    network = make("same, dropout")
    for seed in range(3):
        train(network, seed=seed)
        network.forward(batch(network, 3, seed)[0])
    for whose, purpose in (("training", "padded x"), ("reading", "inference padded x")):
        padded = buffers(network)[whose, "conv1+relu1+pool1", purpose].copy()
        assert padded[:, 1:-1, 1:-1].all()
        padded[:, 1:-1, 1:-1] = 0
        assert not padded.any()


def test_together_they_take_a_fraction_of_the_memory():
    size = {}
    for fuse in (True, False):
        network = Network(make_layers("canonical"), backend="reference", fuse=fuse)
        network.forward(np.zeros((2, 28, 28, 1), np.float32), training=True)
        network.backward(np.zeros((2, 10), np.float32))
        size[fuse] = sum(array.nbytes for array in buffers(network).values())
    assert size[True] < 0.3 * size[False]
