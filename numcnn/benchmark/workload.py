"""The work that every contestant gets: the same pictures, labels and initial weights."""

import os
from dataclasses import dataclass
from typing import Self

import numpy as np

from numcnn.data.batches import Examples
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network

MODEL = "canonical"
CLASSES = 10
WORKLOAD_FILE = "workload.npz"  # in the folder that the workers share
LEARNING_RATE = 1e-3
TRAINING_BATCH, INFERENCE_BATCH = 128, 1000

# Different batches to train on in turn: more than the fastest caches hold, and too many to be memorised soon.
TRAINING_BATCHES = 32
IMAGES = TRAINING_BATCH * TRAINING_BATCHES


@dataclass(frozen=True)
class Workload:
    """images (M,28,28), labels int64 (M,), the pixels' mean and standard deviation on the scale 0..1, and params.

    params: name -> float32 array, in numcnn's layout.
    """

    images: Bytes
    labels: Ints
    normalisation: tuple[float, float]
    params: dict[str, Floats]

    @classmethod
    def of(cls, images: Bytes, labels: Ints, seed: int = 0) -> Self:
        """Return the workload on these images and labels, with the initial weights of ``seed``."""
        normalisation = Examples.all_of(images, labels).normalisation()
        network = Network(make_layers(MODEL, CLASSES), backend="reference", seed=seed, normalisation=normalisation)
        return cls(images, labels.astype(np.int64), normalisation, network.named_arrays(network.params))

    def network(self, backend: str, fuse: bool = True) -> Network:
        """Return numcnn's network with the workload's weights."""
        layers = make_layers(MODEL, CLASSES)
        network = Network(layers, backend=backend, seed=None, normalisation=self.normalisation, fuse=fuse)
        for name, values in network.named_arrays(network.params).items():
            values[...] = self.params[name]
        return network

    def pixels(self) -> Floats:
        """Return the images as users of a framework would have them: normalised float32 (M,28,28)."""
        mean, std = self.normalisation
        return (self.images.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)

    def training_batches(self) -> tuple[list[Floats], list[Ints]]:
        """Return the normalised pixels and the labels as lists of batches, (128,28,28) and (128,)."""
        count = len(self.images) // TRAINING_BATCH
        cut = slice(0, count * TRAINING_BATCH)
        return np.split(self.pixels()[cut], count), np.split(self.labels[cut], count)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the workload to ``path`` (.npz)."""
        arrays: dict[str, AnyArray] = {f"param {name}": values for name, values in self.params.items()}
        arrays |= {"images": self.images, "labels": self.labels, "normalisation": np.array(self.normalisation)}
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]  (none is called allow_pickle)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a workload that ``save`` has written."""
        with np.load(path, allow_pickle=False) as stored:
            params = {name.removeprefix("param "): stored[name] for name in stored if name.startswith("param ")}
            mean, std = map(float, stored["normalisation"])
            return cls(stored["images"], stored["labels"], (mean, std), params)


def step_flops() -> int:
    """Return the floating-point operations of a training step for one image, if every product is computed.

    Backward takes twice as many as forward, for the gradients of weights and input, except in the first layer, whose
    input needs no gradient.
    """
    network = Network(make_layers(MODEL, CLASSES), backend="reference", seed=None)
    flops = [layer.flops() for layer in network.layers if layer.specs]
    return 3 * sum(flops) - flops[0]
