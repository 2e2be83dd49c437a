"""Things that are no digit, prepared as digits are: a network that has seen some can say that it isn't sure."""

import numpy as np

from numcnn import raster
from numcnn.data import strokes


def generate(n, seed, *, held_out=False, backend="fast"):
    """Draw n things that are no digit -> images (n,28,28) uint8."""
    rng = np.random.default_rng([seed, 2 + held_out])
    drawn = []
    for _ in range(n):
        points = rng.normal(0, 1, (1, int(rng.integers(8, 15)), 2))
        drawn.append([strokes.curve(points, np.ones(points.shape[:2]))[0]])
    return raster.mnist_images(drawn, rng.uniform(1.4, 3.5, n), backend)
