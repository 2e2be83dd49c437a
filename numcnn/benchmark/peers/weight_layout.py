"""Converts weights between numcnn's layout and that of PyTorch and ONNX.

Theirs is (F,C,KH,KW) and (out,in), with pictures flattened channels first.
"""

from collections.abc import Mapping

import numpy as np

from numcnn.kernels.arrays import Floats

POOLED = (5, 5, 64)  # the shape of an image where it is flattened


def channels_first(params: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the weights as PyTorch and ONNX lay them out, under the same names."""
    converted = {}
    for name, values in params.items():
        if values.ndim == 4:
            values = values.transpose(3, 2, 0, 1)
        elif name == "dense1.w":
            values = values.reshape(*POOLED, -1).transpose(3, 2, 0, 1).reshape(values.shape[1], -1)
        elif values.ndim == 2:
            values = values.T
        converted[name] = np.ascontiguousarray(values)
    return converted


def channels_last(params: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the weights, or their gradients, as numcnn lays them out: the inverse of ``channels_first``."""
    H, W, C = POOLED
    converted = {}
    for name, values in params.items():
        if values.ndim == 4:
            values = values.transpose(2, 3, 1, 0)
        elif name == "dense1.w":
            values = values.reshape(-1, C, H, W).transpose(2, 3, 1, 0).reshape(-1, len(values))
        elif values.ndim == 2:
            values = values.T
        converted[name] = np.ascontiguousarray(values)
    return converted
