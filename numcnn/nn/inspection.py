"""What a network computes inside for one picture: the maps of every stage, and which pixels spoke for its answer.

The layers run one by one, as they are written: steps that are fused would hide what lies between them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numcnn.nn.layers import Conv2D, Dense, Dropout, MaxPool2D, ReLU
from numcnn.nn.losses import softmax

MAPS, POOLED, DENSE = "maps", "pooled", "dense"
_KINDS = {Conv2D: MAPS, MaxPool2D: POOLED, Dense: DENSE}


class Stage(NamedTuple):
    """What comes out of a layer, and of the ReLU behind it if there is one.  kind: MAPS, POOLED or DENSE."""

    kind: str
    layer: object
    out: np.ndarray  # (OH,OW,F) of feature maps, or (D,)


@dataclass(frozen=True, eq=False)
class Insight:
    """What a network makes of a picture, from front to back."""

    image: np.ndarray  # (28,28) uint8
    stages: tuple  # of Stage: every convolution, pool and dense layer but the last
    logits: np.ndarray  # (classes,)
    probabilities: np.ndarray  # (classes,)

    @property
    def answer(self):
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def runner_up(self):
        """The class that comes second."""
        return int(self.logits.argsort(kind="stable")[-2])


def look(network, image):
    """Return the ``Insight`` into how a network reads a picture: see ``Network.logits`` for what that may be."""
    layers = _active(network)
    x, stages = _input(network, image), []
    for i, layer in enumerate(layers):
        x = layer.forward(x)
        maker = layers[i - 1] if type(layer) is ReLU and i > 0 else layer
        following = layers[i + 1 : i + 2]
        if type(maker) in _KINDS and following and type(following[0]) is not ReLU:
            stages.append(Stage(_KINDS[type(maker)], maker, x[0].copy()))
    logits = x.copy()
    probabilities = softmax(logits / network.dtype.type(network.temperature))
    return Insight(np.asarray(image), tuple(stages), logits[0], probabilities[0])


def saliency(network, image, answer, other):
    """Return how much each pixel, counted 0..1, pushes one answer ahead of another: (H,W), positive where for it.

    The gradient of logit ``answer`` minus logit ``other`` by the picture, from the layers' own backward pass.  Where
    it is positive more ink speaks for ``answer``, where negative for ``other``.  Overwrites the network's ``grads``.
    """
    layers = _active(network)
    x = _input(network, image)
    for layer in layers:
        x = layer.forward(x, training=True)
    gradient = np.zeros_like(x)
    gradient[0, answer] += 1
    gradient[0, other] -= 1
    for layer in reversed(layers):
        gradient = layer.backward(gradient)
    return gradient[0].sum(axis=2) / network.normalisation[1]


def _active(network):
    """Return the layers that do something when a picture is read: all but dropout."""
    return [layer for layer in network.layers if type(layer) is not Dropout]


def _input(network, image):
    """Return a picture as the first layer wants it, (1,H,W,C)."""
    images = network.check_images(image)
    network.use_kernels_for(len(images))
    return network.gather(images, np.arange(1), np.empty((1, *network.input_shape), network.dtype))
