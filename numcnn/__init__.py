"""numcnn: handwritten digits read by a convolutional network written from scratch in NumPy and Numba.

    import numcnn
    network = numcnn.load()                    # the shipped network
    numcnn.read("page.jpg").text               # the digits of any picture, line by line
    network.predict("seven.png")               # a picture file, a PIL image, an RGB array; (N,28,28) -> labels (N,)
    print(numcnn.gradcheck(network))           # backward against numeric differences, array by array
    print(numcnn.trace(network, "seven.png"))  # every output and gradient for one picture

Importing it loads NumPy and nothing heavier: Numba, matplotlib and pygame load when they are needed.
"""

from numcnn import interrupts

if interrupts.is_command():
    interrupts.leave_on_interrupt()  # before all that takes long to load

import importlib
from typing import TYPE_CHECKING, Any

from numcnn.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    NumcnnError,
    ShapeError,
    WorkerError,
    WriteError,
)
from numcnn.nn.activations import LeakyReLU, Sigmoid, Tanh
from numcnn.nn.batchnorm import BatchNorm
from numcnn.nn.gradient_check import gradcheck
from numcnn.nn.initializers import register_initializer
from numcnn.nn.layer import Layer, ParamSpec, StateSpec, register_layer
from numcnn.nn.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network, load
from numcnn.nn.pooling import AveragePool2D, GlobalAveragePool2D

if TYPE_CHECKING:
    from numcnn.nn.trace import Trace, trace
    from numcnn.recognition.page import Page, read

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
    "Page",
    "ParamSpec",
    "ReLU",
    "ShapeError",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "StateSpec",
    "Tanh",
    "Trace",
    "WorkerError",
    "WriteError",
    "__version__",
    "gradcheck",
    "load",
    "read",
    "register_initializer",
    "register_layer",
    "trace",
]

# Modules that are public under a short name, loaded on first use.
_MODULES = {
    "corruptions": "numcnn.imaging.corruptions",
    "data": "numcnn.data",
    "metrics": "numcnn.evaluation.metrics",
    "models": "numcnn.nn.models",
    "plots": "numcnn.evaluation.plots",
    "preprocess": "numcnn.imaging.preprocess",
    "raster": "numcnn.imaging.raster",
}
_MEMBERS = {
    "Page": "numcnn.recognition.page",
    "Trace": "numcnn.nn.trace",
    "read": "numcnn.recognition.page",
    "trace": "numcnn.nn.trace",
}


def __getattr__(name: str) -> Any:
    """Load a public module on first use: so importing numcnn costs nothing for what isn't used."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _MEMBERS:
        return getattr(importlib.import_module(_MEMBERS[name]), name)
    raise AttributeError(f"module 'numcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_MEMBERS})
