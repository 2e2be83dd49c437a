"""Memory for arrays: aligned to cache lines, and reused from step to step."""

import math
import threading

import numpy as np
import numpy.typing as npt

from numcnn.kernels.arrays import AnyArray

# Bytes of a cache line and of the widest vector register.  A load that crosses two lines takes twice as long: on
# NumPy's own arrays, which begin anywhere, the convolutions took half as long again.
LINE = 64

_thread = threading.local()


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Return ``np.zeros(shape, dtype)``, aligned to a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def scratch(purpose: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Return uninitialised memory for ``purpose``, one block a thread and dtype; a larger shape allocates it anew.

    A block lives as long as its thread, so it should be small: a few images' numbers, or a byte a value of a batch.
    """
    dtype = np.dtype(dtype)
    arrays: dict[tuple[str, np.dtype], AnyArray] = _thread.__dict__.setdefault("arrays", {})
    size = math.prod(shape)
    memory = arrays.get((purpose, dtype))
    if memory is None or memory.size < size:
        memory = arrays[purpose, dtype] = zeros((size,), dtype)
    return memory[:size].reshape(shape)


def flat(*arrays: AnyArray) -> list[AnyArray]:
    """Return each array as a view of one dimension; all must be C-contiguous."""
    return [array.reshape(-1) for array in arrays]
