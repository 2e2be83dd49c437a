"""Arrays are aligned to cache lines; scratch memory belongs to one thread and is allocated once."""

import threading

import numpy as np
import pytest
from processes import PATIENCE_SECONDS

from numcnn import Network
from numcnn.kernels import buffers
from numcnn.kernels.buffers import LINE, scratch, zeros
from numcnn.nn.models import make_layers

DTYPES = [np.float32, np.float64, np.uint8, np.int32]
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4, 5), (0,), (4, 0, 3), (), (1000, 33)]


@pytest.fixture(autouse=True)
def no_memory_yet():
    """Run without this thread's scratch memory, then restore it."""
    kept = vars(buffers._thread).pop("arrays", None)
    yield
    vars(buffers._thread).pop("arrays", None)
    if kept is not None:
        buffers._thread.arrays = kept


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_zeros_are_aligned_to_a_line(shape, dtype):
    arrays = [zeros(shape, dtype) for _ in range(9)]  # one alone may be aligned by chance
    for array in arrays:
        assert array.shape == shape and array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable
        assert not array.any()
        assert array.size == 0 or address(array) % LINE == 0
        array[...] = 1
    assert all(array.all() for array in arrays)
    assert not any(np.shares_memory(array, arrays[0]) for array in arrays[1:])


def test_zeros_takes_a_dtype_by_any_name():
    for name in ("float32", np.float32, np.dtype("float32")):
        assert zeros((3,), name).dtype == np.float32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (3, 7), (2, 3, 4)])
def test_scratch_is_aligned_and_as_large_as_asked(shape, dtype):
    array = scratch("test", shape, dtype)
    assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
    assert address(array) % LINE == 0


def test_scratch_is_used_again_until_it_is_too_small():
    large = scratch("test", (4, 6), np.float32)
    large[...] = 7
    for shape in ((4, 6), (24,), (2, 3, 4), (5,), (1, 1), (24,)):
        again = scratch("test", shape, np.float32)
        assert again.shape == shape and address(again) == address(large)
        assert (again == 7).all()  # uninitialised
    larger = scratch("test", (25,), np.float32)
    assert address(larger) % LINE == 0 and not np.shares_memory(larger, large)
    assert np.shares_memory(scratch("test", (24,), np.float32), larger)  # the small one isn't kept beside it
    assert (large == 7).all()  # an array still in use stays valid


def test_every_purpose_and_dtype_has_its_own():
    arrays = [scratch(purpose, (8,), dtype) for purpose in ("one", "two") for dtype in DTYPES]
    for i, array in enumerate(arrays):
        array[...] = i
    assert [int(array[0]) for array in arrays] == list(range(len(arrays)))
    assert all((array == i).all() for i, array in enumerate(arrays))


def test_every_thread_has_its_own_and_finds_it_again():
    together, found = threading.Barrier(3, timeout=PATIENCE_SECONDS), {}

    def work(number):
        mine = scratch("test", (100,), np.int32)
        mine[...] = number
        together.wait()
        again = scratch("test", (100,), np.int32)
        found[number] = mine, address(again) == address(mine), again.copy()
        together.wait()

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    work(3)
    for thread in threads:
        thread.join()
    assert sorted(found) == [1, 2, 3]
    for number, (_, same, values) in found.items():
        assert same and (values == number).all()
    arrays = [mine for mine, _, _ in found.values()]
    assert len({address(array) for array in arrays}) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_networks_arrays_are_aligned_to_lines(dtype):
    network = Network(make_layers("canonical"), dtype=dtype, backend="reference")
    network.forward(np.zeros((1, 28, 28, 1), dtype), training=True)
    network.backward(np.zeros((1, 10), dtype))
    buffers = [array for step in network.steps for array in step._buffers.values()]
    assert len(buffers) > 5
    for array in (network.params, network.grads, network.decay, *buffers):
        assert address(array) % LINE == 0
