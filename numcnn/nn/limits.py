"""What a weights file may ask for: a few bytes can describe a network that takes hours and all memory.

Parameters are bounded by the file's size (``Checkpoint.values``); what else costs memory and time is bounded here, for
one picture.  The shipped network needs 0.3 million values and 19 million operations.
"""

import math
from collections.abc import Sequence

from numcnn.errors import ConfigError
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Conv2D, Pool2D

MAX_LAYERS = 1000  # to load so many takes 0.1 s; the deepest networks in use without shortcuts have some tens
MAX_RANK = 8  # of the input; NumPy's arrays have at most 64 dimensions, layers know three
MAX_VALUES = 1 << 24  # that one picture fills in all layers: 67 MB in float32
MAX_OPERATIONS = 1 << 32  # multiplications and additions for one picture: about 1 s in plain NumPy


def check_size(layers: Sequence[Layer]) -> None:
    """Raise ConfigError for a network, built already, whose layers need too much memory or time for one picture."""
    values = operations = 0
    for layer in layers:
        values += values_of(layer)
        operations += values_of(layer) + layer.flops()
        if values > MAX_VALUES:
            raise ConfigError(f"up to {layer.name} a picture needs {values:.3g} values; {MAX_VALUES:,} are the most")
        if operations > MAX_OPERATIONS:
            raise ConfigError(
                f"up to {layer.name} a picture takes {operations:.3g} operations; {MAX_OPERATIONS:,} are the most"
            )


def values_of(layer: Layer) -> int:
    """Return how many values a layer writes for one picture: its output, padded input, and copies of windows."""
    written = math.prod(layer.out_shape)
    if isinstance(layer, Conv2D):
        OH, OW, _ = layer.out_shape
        written += math.prod(layer.padded_shape) + OH * OW * math.prod(layer.kernel_size) * layer.in_shape[2]
    elif isinstance(layer, Pool2D):
        written *= 1 + math.prod(layer.pool_size)
    return written
