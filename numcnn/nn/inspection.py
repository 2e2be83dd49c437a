"""What a network computes inside for one picture: the maps of every stage, and which pixels spoke for its answer.

The layers run one by one, as they are written: steps that are fused would hide what lies between them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numcnn.nn.layers import Conv2D, Dense, Dropout, MaxPool2D, ReLU

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
    walk = [(layer, out[0]) for layer, out in network.activations(image) if type(layer) is not Dropout]
    kinds = [type(layer) for layer, _ in walk]
    stages = []
    for i, (layer, out) in enumerate(walk):
        maker = walk[i - 1][0] if kinds[i] is ReLU and i > 0 else layer
        if type(maker) in _KINDS and i + 1 < len(walk) and kinds[i + 1] is not ReLU:
            stages.append(Stage(_KINDS[type(maker)], maker, out))
    logits = walk[-1][1]
    return Insight(np.asarray(image), tuple(stages), logits, network.probabilities(logits[None])[0])


def saliency(network, image, answer, other):
    """Return how much each pixel, counted 0..1, pushes one answer ahead of another: (H,W), positive where for it.

    The gradient of logit ``answer`` minus logit ``other`` by the picture, from the layers' own backward pass.  Where
    it is positive more ink speaks for ``answer``, where negative for ``other``.
    """
    dlogits = np.zeros(network.output_shape, network.dtype)
    dlogits[answer] += 1
    dlogits[other] -= 1
    return network.input_gradient(image, dlogits).sum(axis=2)
