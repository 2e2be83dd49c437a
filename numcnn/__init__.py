"""numcnn: handwritten digits read by a convolutional network written from scratch in NumPy and Numba.

    import numcnn
    network = numcnn.load()                    # the shipped weights, trained on MNIST
    network.predict(pictures)                  # (N,28,28) uint8 or float 0..1 -> labels (N,)
    print(numcnn.gradcheck(network))           # backward against numeric differences, array by array

Importing it loads NumPy and nothing heavier: Numba, matplotlib and pygame wait until they are needed.
"""

import importlib

from numcnn.errors import CheckpointError, ConfigError, DataError, DivergedError, NumcnnError, ShapeError
from numcnn.nn.activations import LeakyReLU, Sigmoid, Tanh
from numcnn.nn.batchnorm import BatchNorm
from numcnn.nn.gradient_check import gradcheck
from numcnn.nn.initializers import register_initializer
from numcnn.nn.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ParamSpec,
    ReLU,
    StateSpec,
    register_layer,
)
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network, load
from numcnn.nn.pooling import AveragePool2D, GlobalAveragePool2D

__version__ = "0.1.0"

__all__ = [
    "AveragePool2D",
    "BatchNorm",
    "CheckpointError",
    "ConfigError",
    "Conv2D",
    "DataError",
    "Dense",
    "DivergedError",
    "Dropout",
    "Flatten",
    "GlobalAveragePool2D",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "Network",
    "NumcnnError",
    "ParamSpec",
    "ReLU",
    "ShapeError",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "StateSpec",
    "Tanh",
    "__version__",
    "gradcheck",
    "load",
    "register_initializer",
    "register_layer",
]

# Modules that are public under a short name, loaded when they are first asked for.
_MODULES = {
    "corruptions": "numcnn.imaging.corruptions",
    "data": "numcnn.data",
    "metrics": "numcnn.evaluation.metrics",
    "models": "numcnn.nn.models",
    "plots": "numcnn.evaluation.plots",
    "preprocess": "numcnn.imaging.preprocess",
    "raster": "numcnn.imaging.raster",
}


def __getattr__(name: str):
    """Load a public module on first use: ``from numcnn import plots`` doesn't cost those anything who don't plot."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'numcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
