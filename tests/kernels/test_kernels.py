"""Both back-ends keep one contract: each kernel against plain loops, and fast against reference."""

import inspect
import types

import numpy as np
import pytest
from conftest import COMPILED

from numcnn.errors import ConfigError
from numcnn.kernels import BACKENDS, OPS, Kernels, get_backend, name_of, reference
from numcnn.kernels.fast import ops
from numcnn.kernels.fast.updates import LEAST_PARAMETERS

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}

# name: shape of x (N,H,W,C), filters, kernel, stride, pool window, pool stride
CASES = {
    "ordinary": ((3, 9, 8, 4), 5, (3, 3), (1, 1), (2, 2), (2, 2)),
    "odd sizes": ((2, 11, 7, 3), 4, (2, 4), (1, 1), (2, 2), (2, 2)),
    "one channel": ((2, 8, 6, 1), 4, (3, 2), (1, 1), (3, 2), (2, 1)),
    "one image": ((1, 6, 8, 3), 4, (3, 3), (1, 1), (2, 2), (2, 2)),
    "strides": ((2, 10, 9, 2), 3, (3, 2), (2, 3), (3, 3), (1, 2)),
    "one filter, 1x1": ((2, 5, 4, 3), 1, (1, 1), (1, 1), (1, 1), (1, 1)),
    "whole image": ((2, 4, 5, 3), 2, (4, 5), (1, 1), (4, 5), (4, 5)),
    "overlap": ((2, 7, 7, 2), 3, (5, 5), (1, 1), (3, 3), (1, 1)),
    "large enough to share": ((9, 30, 30, 12), 8, (3, 3), (1, 1), (2, 2), (2, 2)),
}


def positions(size, window, stride):
    return tuple((n - k) // s + 1 for n, k, s in zip(size, window, stride, strict=True))


def values(kind, shape, dtype):
    rng = np.random.default_rng(3)
    if kind == "constant":
        return np.full(shape, 0.5, dtype)
    if kind == "ties":
        return rng.integers(-1, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def run_ops(kernels, case, kind, dtype):
    """Run every layer kernel of a back-end on one case; return name -> result."""
    shape, F, kernel, stride, pool, pool_stride = CASES[case]
    rng = np.random.default_rng(5)
    N, H, W, C = shape
    x = values(kind, shape, dtype)
    w, b = rng.standard_normal((*kernel, C, F)).astype(dtype), rng.standard_normal(F).astype(dtype)
    out = np.full((N, *positions((H, W), kernel, stride), F), 7, dtype)
    kernels.conv2d_forward(x, w, b, out, stride)
    dout = rng.standard_normal(out.shape).astype(dtype)
    dx, dw, db = np.full_like(x, 7), np.full_like(w, 7), np.full_like(b, 7)
    kernels.conv2d_backward(dout, x, w, dx, dw, db, stride)
    dw_alone = np.full_like(w, 7)
    kernels.conv2d_backward(dout, x, w, None, dw_alone, db, stride)

    relu, drelu = np.full_like(x, 7), np.full_like(x, 7)
    kernels.relu_forward(x, relu)
    kernels.relu_backward(values("random", shape, dtype), relu, drelu)

    leaky, dleaky = np.full_like(x, 7), np.full_like(x, 7)
    kernels.leaky_relu_forward(x, 0.2, leaky)
    kernels.leaky_relu_backward(values("random", shape, dtype), leaky, 0.2, dleaky)
    tanh, dtanh = np.full_like(x, 7), np.full_like(x, 7)
    kernels.tanh_forward(x, tanh)
    kernels.tanh_backward(values("random", shape, dtype), tanh, dtanh)
    sigmoid, dsigmoid = np.full_like(x, 7), np.full_like(x, 7)
    kernels.sigmoid_forward(x, sigmoid)
    kernels.sigmoid_backward(values("random", shape, dtype), sigmoid, dsigmoid)

    pooled = np.full((N, *positions((H, W), pool, pool_stride), C), 7, dtype)
    averaged, daverage = pooled.copy(), np.full_like(x, 7)
    kernels.averagepool2d_forward(x, averaged, pool, pool_stride)
    kernels.averagepool2d_backward(values("random", pooled.shape, dtype), daverage, pool, pool_stride)
    pooled_only, which = pooled.copy(), np.full(pooled.shape, 7, np.uint8)
    kernels.maxpool2d_forward(x, pooled, which, pool, pool_stride)
    kernels.maxpool2d_forward(x, pooled_only, None, pool, pool_stride)
    dpool = np.full_like(x, 7)
    kernels.maxpool2d_backward(values("random", pooled.shape, dtype), which, dpool, pool, pool_stride)

    columns, upstream = x.reshape(-1, C), values("random", (x.size // C, C), dtype)[::-1].copy()
    gamma, beta = values("random", C, dtype), values("random", C, dtype) + 1
    mean, var, dgamma, dbeta = (np.full(C, 7, dtype) for _ in range(4))
    normed, dnormed = np.full_like(columns, 7), np.full_like(columns, 7)
    kernels.batchnorm_statistics(columns, mean, var)
    kernels.batchnorm_forward(columns, mean, var, gamma, beta, 1e-5, normed)
    kernels.batchnorm_backward(upstream, columns, mean, var, gamma, 1e-5, dnormed, dgamma, dbeta)
    dgamma_alone, dbeta_alone = np.full_like(dgamma, 7), np.full_like(dbeta, 7)
    kernels.batchnorm_backward(upstream, columns, mean, var, gamma, 1e-5, None, dgamma_alone, dbeta_alone)

    u, dropped, ddropped = rng.random(shape).astype(dtype), np.full_like(x, 7), np.full_like(x, 7)
    kernels.dropout_forward(x, u, 0.3, dropped)
    kernels.dropout_backward(values("random", shape, dtype), u, 0.3, ddropped)

    flat = x.reshape(N, -1)
    w2, b2 = rng.standard_normal((flat.shape[1], 6)).astype(dtype), rng.standard_normal(6).astype(dtype)
    dense, dflat = np.full((N, 6), 7, dtype), np.full_like(flat, 7)
    dw2, db2 = np.full_like(w2, 7), np.full_like(b2, 7)
    kernels.dense_forward(flat, w2, b2, dense)
    kernels.dense_backward(rng.standard_normal(dense.shape).astype(dtype), flat, w2, dflat, dw2, db2)
    return {
        "conv out": out, "conv dx": dx, "conv dw": dw, "conv db": db, "conv dw alone": dw_alone,
        "relu out": relu, "relu dx": drelu,
        "pool out": pooled, "pool out, no which": pooled_only, "pool which": which, "pool dx": dpool,
        "leaky relu out": leaky, "leaky relu dx": dleaky,
        "tanh out": tanh, "tanh dx": dtanh, "sigmoid out": sigmoid, "sigmoid dx": dsigmoid,
        "average pool out": averaged, "average pool dx": daverage,
        "batch norm mean": mean, "batch norm var": var, "batch norm out": normed,
        "batch norm dx": dnormed, "batch norm dgamma": dgamma, "batch norm dbeta": dbeta,
        "batch norm dgamma alone": dgamma_alone, "batch norm dbeta alone": dbeta_alone,
        "dropout out": dropped, "dropout dx": ddropped,
        "dense out": dense, "dense dx": dflat, "dense dw": dw2, "dense db": db2,
    }  # fmt: skip


def assert_close(got, want, tolerance, what):
    """Compare relative to the array's largest value: where terms cancel, a float's own rounding is all there is."""
    scale = max(np.abs(want).max(initial=0), 1e-30)
    error = np.abs(got.astype(np.float64) - want).max(initial=0) / scale
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["random", "constant", "ties"])
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.compiled] * case.startswith("large")) for case in CASES]
)
def test_fast_agrees_with_reference(case, kind, dtype):
    want = run_ops(reference, case, kind, dtype)
    got = run_ops(ops, case, kind, dtype)
    np.testing.assert_array_equal(got.pop("pool which"), want.pop("pool which"))
    for name, array in want.items():
        assert got[name].dtype == dtype
        assert_close(got[name], array, TOLERANCE[dtype], name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution_is_the_sum_it_says(backend):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 6, 7, 3)), rng.standard_normal((3, 2, 3, 4)), rng.standard_normal(4)
    out = np.empty((2, 2, 6, 4))
    get_backend(backend).conv2d_forward(x, w, b, out, (2, 1))
    for n, oy, ox, f in np.ndindex(out.shape):
        want = b[f] + (x[n, 2 * oy : 2 * oy + 3, ox : ox + 2] * w[..., f]).sum()
        assert out[n, oy, ox, f] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_pool_takes_the_first_of_equals_and_sends_the_gradient_there(backend):
    kernels = get_backend(backend)
    x = np.array([[1, 5, 0, 0], [5, 2, 0, 0], [3, 3, -1, -2], [3, 3, -4, -1]], np.float64).reshape(1, 4, 4, 1)
    out, which, dx = np.empty((1, 2, 2, 1)), np.empty((1, 2, 2, 1), np.uint8), np.empty_like(x)
    kernels.maxpool2d_forward(x, out, which, (2, 2), (2, 2))
    assert out.ravel().tolist() == [5, 0, 3, -1]
    assert which.ravel().tolist() == [1, 0, 0, 0]
    kernels.maxpool2d_backward(np.array([10.0, 20, 30, 40]).reshape(out.shape), which, dx, (2, 2), (2, 2))
    want = [[0, 10, 20, 0], [0, 0, 0, 0], [30, 0, 40, 0], [0, 0, 0, 0]]
    assert dx[0, :, :, 0].tolist() == want


@pytest.mark.parametrize("backend", BACKENDS)
def test_overlapping_windows_add_up_their_gradients(backend):
    kernels = get_backend(backend)
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1, 0] = 1  # wins all four windows
    out, which, dx = np.empty((1, 2, 2, 1)), np.empty((1, 2, 2, 1), np.uint8), np.empty_like(x)
    kernels.maxpool2d_forward(x, out, which, (2, 2), (1, 1))
    kernels.maxpool2d_backward(np.array([1.0, 2, 3, 4]).reshape(out.shape), which, dx, (2, 2), (1, 1))
    assert dx[0, 1, 1, 0] == 10
    assert dx.sum() == 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_average_pool_takes_the_mean_and_spreads_the_gradient(backend):
    kernels = get_backend(backend)
    x = np.arange(18.0).reshape(1, 3, 6, 1)  # the last row fills no window
    out, dx = np.empty((1, 1, 2, 1)), np.full_like(x, 7)
    kernels.averagepool2d_forward(x, out, (2, 3), (2, 3))
    assert out.ravel().tolist() == [4, 7]
    kernels.averagepool2d_backward(np.array([6.0, 12]).reshape(out.shape), dx, (2, 3), (2, 3))
    assert dx[0, :, :, 0].tolist() == [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [0] * 6]
    out, dx = np.empty((1, 2, 5, 1)), np.full_like(x, 7)
    kernels.averagepool2d_backward(np.full(out.shape, 4.0), dx, (2, 2), (1, 1))  # windows overlap
    assert dx[0, :, :, 0].tolist() == [[1, 2, 2, 2, 2, 1], [2, 4, 4, 4, 4, 2], [1, 2, 2, 2, 2, 1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_activations_have_the_values_they_should_at_both_ends(backend, dtype):
    kernels = get_backend(backend)
    x = np.array([-np.inf, -800, -30, -1, 0, 1, 30, 800, np.inf], dtype)
    out, one = np.empty_like(x), np.ones_like(x)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        kernels.sigmoid_forward(x, out)
        wide = 1 / (1 + np.exp(-x[2:7].astype(np.longdouble)))  # also tiny ones keep their digits
        np.testing.assert_allclose(out[2:7], wide.astype(dtype), rtol=10 * np.finfo(dtype).eps)
        assert out[0] == 0 and out[1] == np.exp(dtype(-800)) and out[7] == out[8] == 1
        kernels.sigmoid_backward(one, out, out)
        assert out[4] == 0.25 and out[0] == out[8] == 0
        kernels.tanh_forward(x, out)
        np.testing.assert_allclose(out, np.tanh(x.astype(np.longdouble)).astype(dtype), rtol=10 * np.finfo(dtype).eps)
        kernels.tanh_backward(one, out, out)
        assert out[4] == 1 and out[0] == out[8] == 0
        kernels.leaky_relu_forward(x, 0.25, out)
        assert out.tolist() == [-np.inf, -200, -7.5, -0.25, 0, 1, 30, 800, np.inf]
        kernels.leaky_relu_backward(one, out, 0.25, out)
        assert out.tolist() == [0.25] * 5 + [1] * 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_norm_gives_mean_0_and_variance_1_then_scales_and_shifts(backend):
    kernels = get_backend(backend)
    x = np.random.default_rng(0).normal(40, 3, (70_001, 2)).astype(np.float32)  # float32 sums would be off by 1e-4
    mean, var, out = np.empty(2, np.float32), np.empty(2, np.float32), np.empty_like(x)
    kernels.batchnorm_statistics(x, mean, var)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(var, x.var(axis=0, dtype=np.float64), rtol=1e-6)
    gamma, beta = np.array([2, 1], np.float32), np.array([0, -3], np.float32)
    kernels.batchnorm_forward(x, mean, var, gamma, beta, 1e-5, out)
    np.testing.assert_allclose(out.mean(axis=0, dtype=np.float64), beta, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=0, dtype=np.float64), gamma, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_comes_through_every_kernel(backend):
    kernels = get_backend(backend)
    x = np.ones((2, 4, 4, 2), np.float32)
    x[1, 2, 3, 1] = np.nan
    out = np.empty_like(x)
    kernels.relu_forward(x, out)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))

    pooled, which = np.empty((2, 2, 2, 2), np.float32), np.empty((2, 2, 2, 2), np.uint8)
    kernels.maxpool2d_forward(x, pooled, which, (2, 2), (2, 2))
    assert np.argwhere(np.isnan(pooled)).tolist() == [[1, 1, 1, 1]]
    assert which[1, 1, 1, 1] == 1  # the NaN wins its window
    both = np.full((1, 2, 2, 1), np.nan, np.float32)
    both[0, 0, 0, 0] = 3
    kernels.maxpool2d_forward(both, pooled[:1, :1, :1, :1], which[:1, :1, :1, :1], (2, 2), (2, 2))
    assert which[0, 0, 0, 0] == 1  # the first NaN, though a number came before and NaNs after

    w, b = np.ones((3, 3, 2, 2), np.float32), np.zeros(2, np.float32)
    conv = np.empty((2, 2, 2, 2), np.float32)
    kernels.conv2d_forward(x, w, b, conv, (1, 1))
    assert np.isnan(conv[1, 0, 1]).all() and np.isnan(conv[1, 1, 1]).all() and not np.isnan(conv[0]).any()
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    dout = np.ones_like(conv)
    dout[0, 0, 0, 0] = np.nan
    kernels.conv2d_backward(dout, x, w, dx, dw, db, (1, 1))
    assert np.isnan(dx[0, :3, :3]).all() and not np.isnan(dx[1]).any()
    assert np.isnan(dw[..., 0]).all() and np.isnan(db[0]) and not np.isnan(db[1])

    dpool = np.empty_like(x)
    kernels.maxpool2d_backward(dout, which * 0, dpool, (2, 2), (2, 2))
    assert np.isnan(dpool[0, 0, 0, 0])
    kernels.relu_backward(x, np.ones_like(x), out)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    for forward, backward in (
        (kernels.tanh_forward, kernels.tanh_backward),
        (kernels.sigmoid_forward, kernels.sigmoid_backward),
        (
            lambda x, out: kernels.leaky_relu_forward(x, 0.1, out),
            lambda dout, out, dx: kernels.leaky_relu_backward(dout, out, 0.1, dx),
        ),
    ):
        forward(x, out)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
        backward(x, np.full_like(x, 0.5), out)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    kernels.averagepool2d_forward(x, pooled, (2, 2), (2, 2))
    assert np.argwhere(np.isnan(pooled)).tolist() == [[1, 1, 1, 1]]
    dpool = np.empty_like(x)
    kernels.averagepool2d_backward(pooled, dpool, (2, 2), (2, 2))
    assert np.isnan(dpool[1, 2:, 2:, 1]).all() and np.isnan(dpool).sum() == 4
    columns, statistics = x.reshape(-1, 2), np.ones((4, 2), np.float32)
    kernels.batchnorm_statistics(columns, *statistics[:2])
    assert np.isnan(statistics[:2]).tolist() == [[False, True]] * 2  # the whole channel, and it alone
    ones = np.ones(2, np.float32)
    kernels.batchnorm_forward(columns, ones, ones, ones, ones, 1e-5, out.reshape(-1, 2))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    kernels.batchnorm_backward(columns, columns * 0 + 1, ones, ones, ones, 1e-5, out.reshape(-1, 2), *statistics[2:])
    assert np.isnan(out[..., 1]).all() and not np.isnan(out[..., 0]).any()
    assert np.isnan(statistics[2:]).tolist() == [[False, True]] * 2

    kernels.dropout_forward(x, np.zeros_like(x), 0.5, out)  # a NaN isn't dropped either
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    dense = np.empty((2, 3), np.float32)
    kernels.dense_forward(x.reshape(2, -1), np.ones((32, 3), np.float32), np.zeros(3, np.float32), dense)
    assert np.isnan(dense[1]).all() and not np.isnan(dense[0]).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_gather_images(dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 5, 4)).astype(dtype)
    index = np.array([3, 3, 19, 0])
    results = []
    for kernels in (reference, ops):
        out = np.empty((4, 5, 4, 1), np.float32)
        kernels.gather_images(images, index, 0.5, -1.0, out)
        results.append(out)
    np.testing.assert_array_equal(results[0][..., 0], images[index] * np.float32(0.5) - 1)
    assert_close(results[1], results[0], 1e-6, "gather")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [7, 2 * LEAST_PARAMETERS + 3 if COMPILED else 20_000])  # so many are shared
def test_optimiser_kernels_agree(dtype, size):
    results = []
    for kernels in (reference, ops):
        rng = np.random.default_rng(1)
        params, grads, m = (rng.standard_normal(size).astype(dtype) for _ in range(3))
        v, decay = rng.random(size).astype(dtype), (rng.random(size) < 0.5).astype(dtype)
        p_sgd, p_adam, velocity = params.copy(), params.copy(), m.copy()
        for nesterov in (False, True):
            kernels.sgd_step(p_sgd, grads, velocity, decay, 0.1, 0.9, nesterov, 0.01)
        for step in (1, 2):
            kernels.adam_step(p_adam, grads, m, v, decay, step, 0.1, 0.9, 0.999, 1e-8, 0.01)
        results.append((p_sgd, velocity, p_adam, m, v))
    for got, want in zip(results[1], results[0], strict=True):
        assert_close(got, want, TOLERANCE[dtype], "optimiser")


def arguments_of(function):
    """Return (name, type, default) of each argument; a method's ``self`` is left out."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.annotation, p.default) for p in parameters if p.name != "self"]


@pytest.mark.parametrize("kernels", [reference, ops], ids=name_of)
@pytest.mark.parametrize("op", OPS)
def test_both_backends_have_the_signatures_of_the_protocol(op, kernels):
    want = arguments_of(getattr(Kernels, op))
    assert arguments_of(getattr(kernels, op)) == want
    assert all(kind is not inspect.Parameter.empty for _, kind, _ in want)


def test_the_protocol_lists_every_kernel_and_says_what_it_does():
    def public(module):
        return {name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"}

    own = {name for name in public(reference) if getattr(reference, name).__module__ == reference.__name__}
    assert own | {"augment_images"} == set(OPS)
    assert all(inspect.getdoc(getattr(Kernels, op)) for op in OPS)


def test_names_of_backends():
    assert [name_of(get_backend(name)) for name in BACKENDS] == list(BACKENDS)
    assert name_of(types.ModuleType("somewhere.own_kernels")) == "own_kernels"
    assert name_of(types.SimpleNamespace()) == "SimpleNamespace"


def test_backend_is_chosen_by_name_or_given_as_a_module():
    assert get_backend("fast") is ops
    module = types.SimpleNamespace(**{op: None for op in OPS})
    assert get_backend(module) is module
    del module.add
    with pytest.raises(ConfigError, match=r"backend namespace\(.*\) lacks add"):
        get_backend(module)
    with pytest.raises(ConfigError, match="backend 'gpu' is unknown; choose one of reference, fast"):
        get_backend("gpu")
