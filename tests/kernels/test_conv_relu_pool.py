"""The kernel for convolution, ReLU and pool: fast against reference, and reference against the three plain kernels."""

import contextlib
import os
import platform
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED
from llvmlite.binding import get_host_cpu_features
from processes import PATIENCE_SECONDS, ROOT, running

from numcnn.kernels import BACKENDS, buffers, get_backend, reference, thread_team
from numcnn.kernels.fast import jit, ops
from numcnn.kernels.fast.simd import LANES, add, load, store
from numcnn.kernels.fused_shapes import DEAD, WINDOWS, backward_way, forward_way

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
DTYPES = list(TOLERANCE)

# name: image (H,W,C), filters, kernel, the algorithms forward and backward.  Sizes differ wherever they can.
CASES = {
    "canonical, first": ((28, 28, 1), 32, (3, 3), "direct", "masks"),
    "canonical, second": ((13, 13, 32), 64, (3, 3), "winograd", "lists"),
    "5x5, one channel": ((12, 14, 1), 16, (5, 5), "direct", "masks"),
    "5x5, many channels": ((10, 8, 32), 16, (5, 5), "direct", "lists"),
    "3 channels": ((8, 9, 3), 48, (3, 3), "direct", "masks"),
    "5x3": ((10, 9, 16), 64, (5, 3), "direct", "lists"),
    "3x5, one channel": ((9, 11, 1), 128, (3, 5), "direct", "masks"),
    "1x1": ((6, 7, 16), 16, (1, 1), "direct", "lists"),
    "1x1, one channel": ((6, 7, 1), 16, (1, 1), "direct", "masks"),
    "odd sizes": ((9, 13, 16), 48, (3, 3), "winograd", "lists"),
    "128 filters": ((8, 9, 16), 128, (3, 3), "winograd", "lists"),
    "many windows": ((20, 20, 16), 16, (3, 3), "winograd", "lists"),
    "as many windows as Winograd takes at a time": ((4, 12, 16), 16, (3, 3), "winograd", "lists"),
    "one more": ((4, 14, 16), 16, (3, 3), "winograd", "lists"),
    "one fewer": ((6, 7, 16), 16, (3, 3), "direct", "lists"),
    "one window": ((5, 4, 16), 16, (3, 3), "direct", "lists"),
    "as many channels as suit": ((6, 8, 64), 16, (3, 3), "winograd", "lists"),
}

# One of each algorithm, for properties that needn't be tested on every shape.
FEW = ["canonical, first", "5x3", "odd sizes"]

KINDS = ["random", "constant", "ties"]

# Not compiled, the kernels take a thousand times as long.
IMAGES = 3 if COMPILED else 1


def draw(case, kind="random", dtype=np.float32, images=IMAGES, seed=3):
    """Return x, w, b and dout for a case."""
    (H, W, C), F, (KH, KW), *_ = CASES[case]
    PH, PW = (H - KH + 1) // 2, (W - KW + 1) // 2
    rng = np.random.default_rng(seed)
    shapes = (images, H, W, C), (KH, KW, C, F), (F,), (images, PH, PW, F)
    if kind == "ties":  # whole numbers: every sum is exact, whatever its order, and many are equal
        x, w, b, dout = (rng.integers(-1, 2, shape).astype(dtype) for shape in shapes)
    else:
        x, w, b, dout = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    if kind == "constant":
        x[...] = 0.5
    return x, w, b, dout


def forward(kernels, x, w, b):
    """Return out and which."""
    N, H, W, _ = x.shape
    KH, KW, _, F = w.shape
    out = np.full((N, (H - KH + 1) // 2, (W - KW + 1) // 2, F), 7, x.dtype)
    which = np.full(out.shape, 7, np.uint8)
    with kernels.computing():
        kernels.conv_relu_pool_forward(x, w, b, out, which)
        alone = np.full(out.shape, 7, x.dtype)
        kernels.conv_relu_pool_forward(x, w, b, alone, None)
    np.testing.assert_array_equal(alone, out, err_msg="without the winners")
    return out, which


def backward(kernels, dout, which, x, w, need_dx=True):
    """Return dx, dw, db."""
    dx, dw, db = np.full_like(x, 7) if need_dx else None, np.full_like(w, 7), np.full_like(w, 7, shape=w.shape[3])
    with kernels.computing():
        kernels.conv_relu_pool_backward(dout, which, x, w, dx, dw, db)
    return dx, dw, db


def step(kernels, x, w, b, dout):
    """Return out, which, dx, dw, db of a forward and a backward."""
    out, which = forward(kernels, x, w, b)
    return out, which, *backward(kernels, dout, which, x, w)


def as_bytes(arrays):
    return [array.tobytes() for array in arrays]


def assert_close(got, want, dtype, what, factor=1):
    """Compare relative to the array's largest value: where terms cancel, a float's own rounding is all there is."""
    assert got.dtype == dtype
    scale = max(np.abs(want).max(initial=0), 1e-30)
    error = np.abs(got.astype(np.float64) - want).max(initial=0) / scale
    assert error <= factor * TOLERANCE[dtype], f"{what}: relative error {error:.1e}"


def candidates(x, w, b):
    """Return the four values (4,N,PH,PW,F) of each window, computed in float64."""
    x, w, b = (array.astype(np.float64) for array in (x, w, b))
    (N, H, W, _), (KH, KW, _, F) = x.shape, w.shape
    convolved = np.empty((N, H - KH + 1, W - KW + 1, F))
    reference.conv2d_forward(x, w, b, convolved, (1, 1))
    PH, PW = convolved.shape[1] // 2, convolved.shape[2] // 2
    return np.stack([convolved[:, ky : 2 * PH : 2, kx : 2 * PW : 2] for ky in (0, 1) for kx in (0, 1)])


def assert_winners_are_right(which, four, dtype):
    """Each winner is the largest, up to rounding.

    A window's four sums are rounded differently, above all by Winograd's algorithm, which shares sums between them and
    takes differences.  So of two that differ in their last digits either may win, and one near zero may be DEAD or not;
    the stored value is right up to rounding all the same, and the gradient goes to an equally good position.
    """
    assert which.max() <= DEAD
    best = np.maximum(four.max(axis=0), 0)
    chosen = np.take_along_axis(np.concatenate([four, np.zeros_like(four[:1])]), which[None].astype(int), axis=0)[0]
    assert (best - chosen).max() <= TOLERANCE[dtype] * np.abs(four).max()
    dead_for_nothing = (which == DEAD) & (best > TOLERANCE[dtype] * np.abs(four).max())
    assert not dead_for_nothing.any()


@pytest.mark.parametrize("case", CASES)
def test_each_case_uses_the_algorithm_it_stands_for(case):
    (H, W, C), F, (KH, KW), way_forward, way_back = CASES[case]
    w_shape, windows = (KH, KW, C, F), ((H - KH + 1) // 2) * ((W - KW + 1) // 2)
    assert (forward_way(w_shape, windows), backward_way(w_shape)) == (way_forward, way_back)


def test_the_cases_are_the_limits_they_are_named_after():
    windows = {name: (H - KH + 1) // 2 * ((W - KW + 1) // 2) for name, ((H, W, _), _, (KH, KW), *_) in CASES.items()}
    assert windows["as many windows as Winograd takes at a time"] == WINDOWS
    assert windows["one more"] == WINDOWS + 1 and windows["one window"] == 1
    assert backward_way((3, 3, 80, 16)) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_fast_agrees_with_reference(case, kind, dtype):
    x, w, b, dout = draw(case, kind, dtype)
    before = as_bytes((x, w, b, dout))
    want, want_which = forward(reference, x, w, b)
    out, which = forward(ops, x, w, b)
    assert_close(out, want, dtype, "out")
    assert_winners_are_right(which, candidates(x, w, b), dtype)
    assert ((out == 0) == (which == DEAD)).all()
    if kind == "ties":
        np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(which, want_which)
    if kind == "constant":  # four equal sums, rounded alike
        assert set(which.ravel()) <= {0, DEAD}

    # Backward with one and the same ``which``, so that a near-tie above makes no difference.
    gradients = backward(ops, dout, want_which, x, w)
    for name, got, right in zip(
        ("dx", "dw", "db"), gradients, backward(reference, dout, want_which, x, w), strict=True
    ):
        assert_close(got, right, dtype, name)
    dx, *alone = backward(ops, dout, want_which, x, w, need_dx=False)
    assert dx is None and as_bytes(alone) == as_bytes(gradients[1:])
    assert as_bytes((x, w, b, dout)) == before


@pytest.mark.compiled
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_when_all_is_dead_nothing_passes(case, backend):
    kernels = get_backend(backend)
    x, w, b, dout = draw(case)
    for bias, image in ((-1e6, x), (0, np.zeros_like(x)), (-0.0, np.zeros_like(x))):
        out, which, dx, dw, db = step(kernels, image, w, np.full_like(b, bias), dout)
        assert (which == DEAD).all()
        for array in (out, dx, dw, db):
            assert not array.any()
        assert not np.signbit(out).any()


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", [name for name, (*_, way, _) in CASES.items() if way == "winograd"])
def test_winograd_sees_ties_that_are_exact(case, kind, dtype):
    """Between equal lines, or equal columns, of any numbers, and everywhere between whole ones."""
    x, w, b, _ = draw(case, kind, dtype)
    _, which = forward(ops, np.broadcast_to(x[:, :1], x.shape).copy(), w, b)
    assert not np.isin(which, (2, 3)).any() and (which == 0).any()
    _, which = forward(ops, np.broadcast_to(x[:, :, :1], x.shape).copy(), w, b)
    assert not np.isin(which, (1, 3)).any() and (which == 0).any()


# NaN and infinity


def images_with(value, case):
    """Return x with ``value`` in another pixel of each image, up to all pixels, and which windows read it.

    The second result is (N,PH,PW,1), True for windows whose four outputs depend on the pixel.
    """
    (H, W, C), _, (KH, KW), *_ = CASES[case]
    places = np.random.default_rng(6).permutation(np.argwhere(np.ones((H, W), bool)))[: 200 if COMPILED else 6]
    x, *_ = draw(case, images=len(places))
    numbers = np.arange(len(places))
    x[numbers, places[:, 0], places[:, 1], numbers % C] = value
    y, x_ = places.T[:, :, None, None]
    py, px = np.ogrid[: (H - KH + 1) // 2, : (W - KW + 1) // 2]
    reads = (2 * py <= y) & (y < 2 * py + KH + 1) & (2 * px <= x_) & (x_ < 2 * px + KW + 1)
    return x, reads[..., None]


@pytest.mark.compiled
@pytest.mark.parametrize("case", FEW)
def test_a_pixel_that_is_nan_comes_out_of_every_window_that_reads_it(case):
    _, w, b, _ = draw(case)
    x, reads = images_with(np.nan, case)
    for kernels in (reference, ops):
        out, which = forward(kernels, x, w, b)
        np.testing.assert_array_equal(np.isnan(out), np.broadcast_to(reads, out.shape))
        # Of the window's four outputs the first that reads the pixel is the first NaN, and wins.
        first = candidates(x, w, b).argmax(axis=0)
        np.testing.assert_array_equal(which[np.isnan(out)], first[np.isnan(out)])
    untouched = ~np.broadcast_to(reads, out.shape)
    np.testing.assert_array_equal(out[untouched], forward(ops, np.nan_to_num(x, nan=1.5), w, b)[0][untouched])


@pytest.mark.compiled
@pytest.mark.parametrize("case", FEW)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_never_becomes_a_number(case, value):
    """Winograd's algorithm may turn it into NaN, because it subtracts pixels."""
    _, w, b, _ = draw(case)
    x, reads = images_with(value, case)
    want, out = forward(reference, x, w, b)[0], forward(ops, x, w, b)[0]
    assert np.isinf(want).any() and (~np.isfinite(want) <= reads).all()
    assert not np.isfinite(out[~np.isfinite(want)]).any()
    untouched = ~np.broadcast_to(reads, out.shape)
    assert_close(out[untouched], want[untouched], np.float32, "windows that don't read it")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FEW)
def test_a_weight_or_bias_that_is_nan_spoils_its_own_filter(case, backend):
    kernels = get_backend(backend)
    for spoil in ("weight", "bias"):
        x, w, b, _ = draw(case)
        clean, _ = forward(kernels, x, w, b)
        (w[1, 1, 0] if spoil == "weight" else b)[5] = np.nan
        out, which = forward(kernels, x, w, b)
        assert np.isnan(out[..., 5]).all() and (which[..., 5] == 0).all()
        others = np.arange(len(b)) != 5
        np.testing.assert_array_equal(out[..., others], clean[..., others])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FEW)
def test_a_gradient_that_is_nan_comes_out_of_backward(case, backend):
    kernels = get_backend(backend)
    x, w, b, dout = draw(case, images=2)
    _, which = forward(reference, x, w, b)
    n, py, px, f = np.argwhere(which < DEAD)[-1]
    dout[n, py, px, f] = np.nan
    dx, dw, db = backward(kernels, dout, which, x, w)
    np.testing.assert_array_equal(np.isnan(db), np.arange(len(b)) == f)
    np.testing.assert_array_equal(np.isnan(dw), np.broadcast_to(np.arange(len(b)) == f, w.shape))
    y, column = 2 * py + which[n, py, px, f] // 2, 2 * px + which[n, py, px, f] % 2
    want = np.zeros(x.shape, bool)
    want[n, y : y + w.shape[0], column : column + w.shape[1]] = True
    np.testing.assert_array_equal(np.isnan(dx), want)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FEW)
def test_a_pixel_or_weight_that_was_nan_comes_out_of_backward(case, backend):
    """Not everywhere: what a loser would have added is zero, and the fast kernel doesn't multiply it with the NaN."""
    kernels = get_backend(backend)
    x, w, b, dout = draw(case)
    x[0, 3, 3, 0] = np.nan
    dx, dw, db = backward(kernels, dout, forward(kernels, x, w, b)[1], x, w)
    assert np.isnan(dw).any(axis=(0, 1, 2)).all()
    assert np.isfinite(dx).all() and np.isfinite(db).all()
    x, w, b, dout = draw(case)
    w[1, 1, 0, 5] = np.nan
    dx, dw, db = backward(kernels, dout, forward(kernels, x, w, b)[1], x, w)
    assert np.isnan(dx).any(axis=(1, 2, 3)).all()
    assert np.isfinite(dw).all() and np.isfinite(db).all()


# Memory


def embedded(array, fill):
    """Return an unaligned copy of ``array`` inside a larger array of ``fill``, and that larger array."""
    around = np.full(array.size + 259, fill, array.dtype)
    inside = around[129 : 129 + array.size].reshape(array.shape)
    inside[...] = array
    return inside, around


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", FEW)
def test_nothing_is_read_or_written_beside_the_arrays_however_aligned(case, dtype):
    x, w, b, dout = draw(case, dtype=dtype)
    want = step(ops, x, w, b, dout)
    x, w, b, dout = (embedded(array, np.nan)[0] for array in (x, w, b, dout))
    results, around = zip(*(embedded(np.zeros_like(array), 77) for array in want), strict=True)
    out, which, dx, dw, db = results
    with ops.computing():
        ops.conv_relu_pool_forward(x, w, b, out, which)
        ops.conv_relu_pool_backward(dout, which, x, w, dx, dw, db)
    assert as_bytes(results) == as_bytes(want)
    for array, result in zip(around, results, strict=True):
        assert (array[:129] == 77).all() and (array[129 + result.size :] == 77).all()


def spoil_scratch_memory():
    """Fill this thread's scratch memory with ones: NaN as floats, -1 as whole numbers."""
    for array in vars(buffers._thread)["arrays"].values():
        array.view(np.uint8)[...] = 255


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_scratch_memory_held_before_makes_no_difference(dtype):
    cases = {case: draw(case, dtype=dtype) for case in (CASES if COMPILED else FEW)}
    want = {case: as_bytes(step(ops, *arrays)) for case, arrays in cases.items()}
    for case, arrays in reversed(cases.items()):  # each after another shape than before
        assert as_bytes(step(ops, *arrays)) == want[case]
    for case, arrays in cases.items():
        spoil_scratch_memory()
        out, which = forward(ops, *arrays[:3])
        spoil_scratch_memory()  # nothing is kept there from forward to backward
        assert as_bytes((out, which, *backward(ops, arrays[3], which, *arrays[:2]))) == want[case]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FEW)
def test_no_images_have_no_gradient(case, backend):
    out, which, dx, dw, db = step(get_backend(backend), *draw(case, images=0))
    assert out.shape[0] == which.shape[0] == dx.shape[0] == 0
    assert not dw.any() and not db.any()


# Threads


@pytest.mark.compiled
def test_two_callers_at_once_do_not_disturb_each_other():
    arrays = [draw(case, images=IMAGES + 2, seed=i) for i, case in enumerate(("odd sizes", "many windows"))]
    want = [as_bytes(step(ops, *some)) for some in arrays]
    together, wrong = threading.Barrier(2, timeout=PATIENCE_SECONDS), []

    def work(i):
        together.wait()
        for _ in range(100 if COMPILED else 2):
            if as_bytes(step(ops, *arrays[i])) != want[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# The reference


def three_plain_kernels(x, w, b, dout):
    """Return out, dx, dw, db by convolution, ReLU and pool one after the other, of all the convolution's outputs."""
    (N, H, W, _), (KH, KW, _, F) = x.shape, w.shape
    convolved = np.empty((N, H - KH + 1, W - KW + 1, F), x.dtype)
    relu, drelu, dconvolved = (np.empty_like(convolved) for _ in range(3))
    out, which = np.empty_like(dout), np.empty(dout.shape, np.uint8)
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    reference.conv2d_forward(x, w, b, convolved, (1, 1))
    reference.relu_forward(convolved, relu)
    reference.maxpool2d_forward(relu, out, which, (2, 2), (2, 2))
    reference.maxpool2d_backward(dout, which, drelu, (2, 2), (2, 2))
    reference.relu_backward(drelu, relu, dconvolved)
    reference.conv2d_backward(dconvolved, x, w, dx, dw, db, (1, 1))
    return out, dx, dw, db


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_the_reference_equals_the_three_plain_kernels(case, kind):
    x, w, b, dout = draw(case, kind, np.float64, images=3)
    out, _, dx, dw, db = step(reference, x, w, b, dout)
    for got, want in zip((out, dx, dw, db), three_plain_kernels(x, w, b, dout), strict=True):
        if kind == "ties":  # whole numbers: exact in any order
            np.testing.assert_array_equal(got, want)
        else:
            assert np.abs(got - want).max() <= 1e-12 * np.abs(want).max()
    dx, *alone = backward(reference, dout, forward(reference, x, w, b)[1], x, w, need_dx=False)
    assert dx is None and as_bytes(alone) == as_bytes((dw, db))


def test_what_the_reference_stores_for_each_window():
    x = np.array([[1, 5, 0, 0], [5, 2, 0, 0], [-3, 3, -1, -2], [3, 3, -4, -1]], np.float64).reshape(1, 4, 4, 1)
    out, which = forward(reference, x, np.ones((1, 1, 1, 1)), np.zeros(1))
    assert out.ravel().tolist() == [5, 0, 3, 0]
    assert which.ravel().tolist() == [1, DEAD, 1, DEAD]
    dout = np.array([10.0, 20, 30, 40]).reshape(out.shape)
    dx, dw, db = backward(reference, dout, which, x, np.full((1, 1, 1, 1), 2.0))
    assert dx[0, :, :, 0].tolist() == [[0, 20, 0, 0], [0, 0, 0, 0], [0, 60, 0, 0], [0, 0, 0, 0]]
    assert dw.item() == 5 * 10 + 3 * 30 and db.item() == 40


# Other machines


def registers_in_use():
    """Return which vector registers (xmm of 128 bits, ymm of 256, zmm of 512) compiled code uses on this machine."""

    @jit.kernel
    def double(x, out):
        row = load(x, 0, 2)
        store(out, 0, add(row, row))

    double(np.ones(2 * LANES, np.float32), np.empty(2 * LANES, np.float32))
    (assembly,) = double.inspect_asm().values()
    return {kind for kind in ("xmm", "ymm", "zmm") if kind in assembly}


def canonical_blocks_agree():
    """Compare the canonical network's blocks with the reference; print what machine this seems to be.

    To be run in a process of its own, because Numba chooses the machine to compile for when it is imported.
    """
    for case in ("canonical, first", "canonical, second"):
        x, w, b, dout = draw(case, images=6)
        (out, which), (want, _) = forward(ops, x, w, b), forward(reference, x, w, b)
        assert_close(out, want, np.float32, "out")
        assert_winners_are_right(which, candidates(x, w, b), np.float32)
        gradients, right = backward(ops, dout, which, x, w), backward(reference, dout, which, x, w)
        for name, got, want in zip(("dx", "dw", "db"), gradients, right, strict=True):
            assert_close(got, want, np.float32, name)
    print(LANES, thread_team.the_team().threads, *sorted(registers_in_use()))


def elsewhere(**environment):
    """Start ``canonical_blocks_agree`` in a process with these environment variables."""
    path = os.pathsep.join([*map(str, Path(__file__).parents[:2]), str(ROOT)])
    return running(
        "-c", "import test_conv_relu_pool; test_conv_relu_pool.canonical_blocks_agree()", PYTHONPATH=path, **environment
    )


def found_by(process):
    """Return what the process prints: lanes, threads, registers."""
    text, errors = process.communicate()
    assert process.returncode == 0, errors
    lanes, threads, *registers = text.split()
    return int(lanes), int(threads), set(registers)


# name: features of some kinds of x86-64, and the registers that they have
MACHINES = {
    "haswell": ("+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt", {"xmm", "ymm"}),  # what most computers have
    "x86-64": ("+sse2", {"xmm"}),  # what every one has
}


@pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are kinds of x86-64")
def test_machines_with_narrower_registers(tmp_path):
    names = [name for name in MACHINES if name != "haswell" or get_host_cpu_features().get("avx2")]
    with contextlib.ExitStack() as stack:  # side by side, as each compiles anew
        processes = [
            stack.enter_context(
                elsewhere(
                    NUMBA_CPU_NAME=name,
                    NUMBA_CPU_FEATURES=MACHINES[name][0],
                    NUMBA_CACHE_DIR=str(tmp_path / name),
                )
            )
            for name in names
        ]
        for name, process in zip(names, processes, strict=True):
            lanes, _, used = found_by(process)
            assert lanes == 8 and used | {"xmm"} == MACHINES[name][1]


@pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is compiled")
def test_one_thread_by_the_environment():
    with elsewhere(NUMBA_NUM_THREADS="1") as process:
        _, threads, _ = found_by(process)
    assert threads == 1
