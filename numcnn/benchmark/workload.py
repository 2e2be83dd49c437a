"""What every contestant is given alike: pictures, labels and first weights."""

from dataclasses import dataclass

import numpy as np

from numcnn.data.batches import Examples
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network

MODEL = "canonical"
CLASSES = 10
LEARNING_RATE = 1e-3
TRAINING_BATCH, INFERENCE_BATCH = 128, 1000

# Different batches that are trained on in turn: more than the fastest caches hold, and too many to learn by heart soon.
TRAINING_BATCHES = 32
IMAGES = TRAINING_BATCH * TRAINING_BATCHES


@dataclass(frozen=True)
class Task:
    """images uint8 (M,28,28), labels int64 (M,), the pixels' mean and standard deviation on the scale 0..1, and
    params: name -> array float32, in numcnn's layout.
    """

    images: np.ndarray
    labels: np.ndarray
    normalisation: tuple
    params: dict

    @classmethod
    def of(cls, images, labels, seed=0):
        """Return the task of training the benchmark's network, fresh from ``seed``, on images and labels."""
        normalisation = Examples.all_of(images, labels).normalisation()
        network = Network(make_layers(MODEL, CLASSES), backend="reference", seed=seed, normalisation=normalisation)
        return cls(images, labels.astype(np.int64), normalisation, network.named_arrays(network.params))

    def network(self, backend, fuse=True):
        """Return numcnn's network with the task's weights."""
        layers = make_layers(MODEL, CLASSES)
        network = Network(layers, backend=backend, seed=None, normalisation=self.normalisation, fuse=fuse)
        for name, values in network.named_arrays(network.params).items():
            values[...] = self.params[name]
        return network

    def pixels(self):
        """Return the images as a framework's user would have them: normalised float32 (M,28,28)."""
        mean, std = self.normalisation
        return (self.images.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)

    def training_batches(self):
        """Return the normalised pixels and the labels as lists of batches, (128,28,28) and (128,)."""
        count = len(self.images) // TRAINING_BATCH
        cut = slice(0, count * TRAINING_BATCH)
        return np.split(self.pixels()[cut], count), np.split(self.labels[cut], count)

    def save(self, path):
        """Write the task to ``path`` (.npz)."""
        params = {f"param {name}": values for name, values in self.params.items()}
        np.savez(path, images=self.images, labels=self.labels, normalisation=np.array(self.normalisation), **params)

    @classmethod
    def load(cls, path):
        """Read a task that ``save`` has written."""
        with np.load(path, allow_pickle=False) as stored:
            params = {name.removeprefix("param "): stored[name] for name in stored if name.startswith("param ")}
            return cls(stored["images"], stored["labels"], tuple(map(float, stored["normalisation"])), params)


def step_flops():
    """Return the floating-point operations of a training step for one image, if every product is computed.

    Forward once; backward twice that, for the gradients of weights and input; the first layer's input needs none.
    """
    network = Network(make_layers(MODEL, CLASSES), backend="reference", seed=None)
    flops = [layer.flops() for layer in network.layers if layer.specs]
    return 3 * sum(flops) - flops[0]
