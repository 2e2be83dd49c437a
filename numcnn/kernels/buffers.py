"""Where arrays lie: on borders of the cache's lines, and made once rather than for every step."""

import math
import threading

import numpy as np

# Bytes of a cache line and of the widest vector register: a load that crosses the border between two lines takes twice
# as long (the convolutions took half as long again on NumPy's own, which begin anywhere).
LINE = 64

_thread = threading.local()


def zeros(shape, dtype):
    """Return ``np.zeros(shape, dtype)`` that begins on a line's border."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def scratch(purpose, shape, dtype):
    """Return memory for ``purpose``, with anything in it: this thread's own, made again only when it is too small.

    It is kept as long as the thread lives, so it should hold a few images' numbers, not a batch's.
    """
    dtype = np.dtype(dtype)
    arrays = _thread.__dict__.setdefault("arrays", {})
    size = math.prod(shape)
    memory = arrays.get((purpose, dtype))
    if memory is None or memory.size < size:
        memory = arrays[purpose, dtype] = zeros((size,), dtype)
    return memory[:size].reshape(shape)
