"""numcnn: handwritten digits read by a convolutional network written from scratch in NumPy and Numba.

    import numcnn
    network = numcnn.load()                    # the shipped weights, trained on MNIST
    network.predict(pictures)                  # (N,28,28) uint8 or float 0..1 -> labels (N,)
    print(numcnn.gradcheck(network))           # backward against numeric differences, array by array

Importing it loads NumPy and nothing heavier: Numba, matplotlib and pygame wait until they are needed.
"""

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
