"""Named architectures, always written as the plain layers."""

from numcnn.errors import ConfigError
from numcnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU


def canonical(classes=10):
    """Return the network of every MNIST tutorial: 225,034 parameters for 28x28x1 images.  Shapes are one image's."""
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
        Dense(classes, init="glorot_uniform"),  # the logits: one score per class
    ]


MODELS = {"canonical": canonical}


def make_layers(name, classes=10):
    """Return new layers of the architecture called ``name``, for so many classes; ConfigError when there is none."""
    if name not in MODELS:
        raise ConfigError(f"model {name!r} is unknown; choose one of {', '.join(MODELS)}")
    return MODELS[name](classes)
