"""What a network computes for one picture: the feature maps of every stage, and which pixels favoured its answer.

The layers run one by one: fused steps would hide the outputs in between.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Conv2D, Dense, Dropout, MaxPool2D, ReLU
from numcnn.nn.network import Network
from numcnn.nn.pixels import Pictures

MAPS, POOLED, DENSE = "maps", "pooled", "dense"
_KINDS: dict[type[Layer], str] = {Conv2D: MAPS, MaxPool2D: POOLED, Dense: DENSE}


class Stage(NamedTuple):
    """The output of a layer, after its ReLU if one follows.  kind: MAPS, POOLED or DENSE."""

    kind: str
    layer: Layer
    out: Floats  # (OH,OW,F) of feature maps, or (D,)


@dataclass(frozen=True, eq=False)
class Inspection:
    """A network's outputs for one picture, from the first stage to the probabilities."""

    image: AnyArray  # (28,28), as the network read it
    stages: tuple[Stage, ...]  # every convolution, pool and dense layer but the last
    logits: Floats  # (classes,)
    probabilities: Floats  # (classes,)
    temperature: float = 1.0

    @property
    def scores(self) -> Floats:
        """The logits divided by the temperature (classes,): their softmax is ``probabilities``."""
        return self.logits / self.logits.dtype.type(self.temperature)

    @property
    def answer(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def runner_up(self) -> int:
        """The class that comes second."""
        return int(self.logits.argsort(kind="stable")[-2])


def inspect_picture(network: Network, image: Pictures) -> Inspection:
    """Return the ``Inspection`` of one picture, given in any form that ``Network.logits`` takes."""
    (picture,) = network.as_pictures(image)
    walk = [(layer, out[0]) for layer, out in network.activations(picture) if type(layer) is not Dropout]
    kinds = [type(layer) for layer, _ in walk]
    stages: list[Stage] = []
    for i, (layer, out) in enumerate(walk):
        maker = walk[i - 1][0] if kinds[i] is ReLU and i > 0 else layer
        if type(maker) in _KINDS and i + 1 < len(walk) and kinds[i + 1] is not ReLU:
            stages.append(Stage(_KINDS[type(maker)], maker, out))
    logits = walk[-1][1]
    return Inspection(picture, tuple(stages), logits, network.probabilities(logits[None])[0], network.temperature)


def saliency(network: Network, image: Pictures, answer: int, other: int) -> Floats:
    """Return how much each pixel, on the scale 0..1, favours one answer over another: (H,W).

    The gradient of logit ``answer`` minus logit ``other`` with respect to the picture, from the layers' own backward.
    Where it is positive, more ink favours ``answer``; where negative, ``other``.
    """
    dlogits = np.zeros(network.output_shape, network.dtype)
    dlogits[answer] += 1
    dlogits[other] -= 1
    return network.input_gradient(image, dlogits).sum(axis=2)
