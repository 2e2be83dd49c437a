"""The contract between layers and kernels, and the choice of a back-end.

A *kernel* is a pure function: it reads the arrays it is given, fills the ``out`` arrays it is given, keeps nothing.
Two modules offer the same kernels under the same names and signatures:

* ``reference`` (with ``reference_augment``): plain NumPy in the shortest correct form.  It is the specification.
* ``fast``: Numba and BLAS.  Tests hold every kernel of it against ``reference``.

The contract
    Layout    images ``(N, H, W, C)``; convolution weights ``(KH, KW, C, F)``; dense weights ``(D_in, D_out)``.
              All arrays are C-contiguous, of one floating dtype, float32 or float64.
    Padding   is the layer's business: a convolution kernel sees an input that is padded already.
    Names     the gradient of ``name`` is ``dname``.  Backward kernels overwrite what they fill.
    Ties      in a max-pool window go to the first position, counted row by row.
    NaN       in an input comes out as NaN and is never swallowed; the first NaN of a window wins it.
              Of a gradient only what passes counts: a NaN at a window that ReLU cut off goes nowhere when fused.
"""

import contextlib
import importlib

from numcnn.errors import ConfigError

MODULES = {"reference": "numcnn.kernels.reference", "fast": "numcnn.kernels.fast.ops"}
BACKENDS = tuple(MODULES)

# What a back-end offers.  ``computing()`` is the context that a forward or backward pass runs in, ``share`` has a piece
# of work done by as many ``threads`` as there are; the rest are kernels.
OPS = (
    "computing",
    "threads",
    "share",
    "conv2d_forward",
    "conv2d_backward",
    "relu_forward",
    "relu_backward",
    "leaky_relu_forward",
    "leaky_relu_backward",
    "tanh_forward",
    "tanh_backward",
    "sigmoid_forward",
    "sigmoid_backward",
    "maxpool2d_forward",
    "maxpool2d_backward",
    "averagepool2d_forward",
    "averagepool2d_backward",
    "batchnorm_statistics",
    "batchnorm_forward",
    "batchnorm_backward",
    "conv_relu_pool_forward",
    "conv_relu_pool_backward",
    "dense_forward",
    "dense_backward",
    "dropout_forward",
    "dropout_backward",
    "softmax_cross_entropy_forward",
    "softmax_cross_entropy_backward",
    "gather_images",
    "augment_images",
    "add",
    "average_step",
    "sgd_step",
    "adam_step",
)


_on_compilation = []  # what to call when the first kernel has to be compiled


@contextlib.contextmanager
def on_compilation(callback):
    """Call ``callback()`` once, when the first kernel that isn't in the cache is compiled.  Doesn't load Numba."""
    _on_compilation.append(callback)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # it has been called
            _on_compilation.remove(callback)


def compilation_begins():
    """Call what waits for the first compilation.  On whichever thread compiles."""
    with contextlib.suppress(IndexError):
        while True:
            _on_compilation.pop()()


def name_of(module):
    """Return the name of a module of kernels: "reference", "fast", or that of another one."""
    name = getattr(module, "__name__", type(module).__name__)
    return next((backend for backend, path in MODULES.items() if path == name), name.rpartition(".")[2])


def get_backend(backend):
    """Return the module of kernels called ``"reference"`` or ``"fast"``; a module of kernels is passed through.

    ``fast`` loads Numba the first time, so nothing that works with ``reference`` alone waits for it.
    """
    if not isinstance(backend, str):
        missing = [op for op in OPS if not hasattr(backend, op)]
        if missing:
            raise ConfigError(f"backend {backend!r} lacks {', '.join(missing)}")
        return backend
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return importlib.import_module(MODULES[backend])
