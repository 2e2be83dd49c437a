"""The contract between layers and kernels, and the choice of a back-end.

A *kernel* is a pure function: it reads the arrays it is given, fills the ``out`` arrays it is given, keeps nothing.
``protocol.Kernels`` lists them with their shapes.  Two modules implement it:

* ``reference`` (with ``reference_augment``): plain NumPy in the shortest correct form.  It is the specification.
* ``fast.ops``: Numba.  Tests hold every kernel of it against ``reference``.

The contract
    Layout    images ``(N, H, W, C)``; convolution weights ``(KH, KW, C, F)``; dense weights ``(D_in, D_out)``.
              All arrays are C-contiguous, of one floating dtype, float32 or float64.
    Padding   is the layer's business: a convolution kernel gets an input that is padded already.
    Names     the gradient of ``name`` is ``dname``.  Backward kernels overwrite the gradients they fill.
    Ties      in a max-pool window go to the first position, counted row by row.
    NaN       in an input comes out as NaN and is never swallowed; the first NaN of a window wins it.
              A gradient counts only where it passes: a NaN at a window that ReLU cut off goes nowhere when fused.
"""

import functools
import logging
import threading

from numcnn.errors import ConfigError
from numcnn.kernels import reference
from numcnn.kernels.compilation import on_compilation
from numcnn.kernels.protocol import OPS, Kernels

__all__ = ["BACKENDS", "OPS", "Kernels", "get_backend", "has_fast", "name_of", "on_compilation"]

BACKENDS = ("reference", "fast")


def name_of(kernels: Kernels) -> str:
    """Return a back-end's name: "reference", "fast", or the last part of the module's or type's name."""
    name: str = getattr(kernels, "__name__", type(kernels).__name__)
    return "fast" if name == "numcnn.kernels.fast.ops" else name.rpartition(".")[2]


def get_backend(backend: str | Kernels) -> Kernels:
    """Return the kernels called "reference" or "fast"; an object that offers all of ``OPS`` is returned as it is.

    "fast" loads Numba, the first time only: reference-only programs don't wait for it.  Where its kernels can't be
    built it is "reference".  Raises ConfigError.
    """
    if not isinstance(backend, str):
        missing = [op for op in OPS if not hasattr(backend, op)]
        if missing:
            raise ConfigError(f"backend {backend!r} lacks {', '.join(missing)}")
        return backend
    if backend == "reference":
        return reference
    if backend == "fast":
        return _fast_or_reference()
    raise ConfigError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")


def has_fast() -> bool:
    """Return whether the fast kernels can be built here, and are now loaded."""
    return get_backend("fast") is not reference


_choosing = threading.Lock()


def _fast_or_reference() -> Kernels:
    """Return the fast kernels, or say that they can't be built: they use parts of Numba and LLVM that may change."""
    with _choosing:
        return _chosen()


@functools.cache
def _chosen() -> Kernels:
    try:
        from numcnn.kernels.fast import jit, ops, simd, spin_wait  # noqa: PLC0415  (loads Numba)
    except (ConfigError, MemoryError):
        raise
    except Exception as error:  # no Numba, another version of it, or one whose LLVM can't be loaded (OSError)
        return _without_fast(error)
    try:
        simd.check()
        if jit.COMPILED:
            spin_wait.prepare()
    except (ConfigError, MemoryError, OSError):
        raise
    except Exception as error:  # whatever another version of Numba raises
        return _without_fast(error)
    return ops


def _without_fast(error: Exception) -> Kernels:
    """Say why there are no fast kernels; return the plain ones."""
    reason = str(error).strip().partition("\n")[0]
    logging.getLogger("numcnn").warning(
        "the fast kernels can't be built with this Numba (%s: %s); the plain ones answer, more slowly",
        type(error).__name__,
        reason,
    )
    return reference
