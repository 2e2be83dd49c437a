"""numcnn: handwritten digits read by a convolutional network written from scratch in NumPy and Numba.

    import numcnn
    network = numcnn.load()                    # the shipped weights, trained on MNIST
    network.predict(pictures)                  # (N,28,28) uint8 or float 0..1 -> labels (N,)
    print(numcnn.gradcheck(network))           # backward against numeric differences, array by array

Importing it loads NumPy and nothing heavier: Numba, matplotlib and pygame wait until they are needed.
"""

from numcnn.errors import CheckpointError, ConfigError, DataError, DivergedError, NumcnnError, ShapeError
from numcnn.nn.gradient_check import gradcheck
from numcnn.nn.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network, load

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Conv2D",
    "DataError",
    "Dense",
    "DivergedError",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPool2D",
    "Network",
    "NumcnnError",
    "ReLU",
    "ShapeError",
    "SoftmaxCrossEntropy",
    "__version__",
    "gradcheck",
    "load",
]
