"""Named architectures, as separate layers; ``fusion.fuse`` joins some of them when they run."""

from collections.abc import Callable

from numcnn.errors import ConfigError
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU


def canonical(classes: int = 10, dropout: float = 0.0) -> list[Layer]:
    """Return the network of every MNIST tutorial: 225,034 parameters for 28x28x1 images.  Shapes are of one image.

    dropout: the probability of dropping a value before the last layer.
    """
    return [
        Conv2D(32, 3),  # 28x28x1  -> 26x26x32
        ReLU(),
        MaxPool2D(2),  # -> 13x13x32
        Conv2D(64, 3),  # -> 11x11x64
        ReLU(),
        MaxPool2D(2),  # -> 5x5x64
        Flatten(),  # -> 1600
        Dense(128),
        ReLU(),
        *_dropout(dropout),
        Dense(classes, init="glorot_uniform"),  # the logits: one score per class
    ]


def best(classes: int = 10, dropout: float = 0.0) -> list[Layer]:
    """Return the same layers, wider, with kernels of 5 x 5: 630,474 parameters.

    dropout: the probability of dropping a value before the last layer.
    """
    return _wider(Conv2D(128, 5), Dense(256), classes, dropout)  # 28x28x1 -> 12x12x32 -> 4x4x128 -> 2048 -> 256


def wide(classes: int = 10, dropout: float = 0.0) -> list[Layer]:
    """Return canonical's layers with more filters, and larger ones in the first convolution: 654,346 parameters.

    dropout: the probability of dropping a value before the last layer.
    """
    return _wider(Conv2D(128, 3), Dense(192), classes, dropout)  # 28x28x1 -> 12x12x32 -> 5x5x128 -> 3200 -> 192


def _wider(second: Conv2D, dense: Dense, classes: int, dropout: float) -> list[Layer]:
    """Return canonical's layers with 32 filters of 5 x 5 first, then this convolution and this dense layer."""
    return [
        *(Conv2D(32, 5), ReLU(), MaxPool2D(2)),
        *(second, ReLU(), MaxPool2D(2)),
        *(Flatten(), dense, ReLU()),
        *_dropout(dropout),
        Dense(classes, init="glorot_uniform"),
    ]


def _dropout(rate: float) -> list[Layer]:
    return [Dropout(rate)] if rate else []


MODELS: dict[str, Callable[[int, float], list[Layer]]] = {"canonical": canonical, "best": best, "wide": wide}


def make_layers(name: str, classes: int = 10, dropout: float = 0.0) -> list[Layer]:
    """Return new layers of the architecture called ``name``; ConfigError when there is none.

    dropout: the probability of dropping a value before the last layer.
    """
    if name not in MODELS:
        raise ConfigError(f"model {name!r} is unknown; choose one of {', '.join(MODELS)}")
    return MODELS[name](classes, dropout)
