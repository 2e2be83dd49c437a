"""Keras on TensorFlow: a Keras model and Keras's Adam in one tf.function, with and without XLA."""

import os
from collections.abc import Callable

os.environ["KERAS_BACKEND"] = "tensorflow"  # read when Keras is imported

import keras
import numpy as np
import tensorflow as tf

from numcnn.benchmark.contestants import Call, Training
from numcnn.benchmark.workload import LEARNING_RATE, Workload
from numcnn.kernels.arrays import AnyArray

LAYERS = ("conv1", "conv2", "dense1", "dense2")  # those with parameters, in order


class KerasTraining(Training):
    """A train step as Keras's guides write it.  The weights' layout is numcnn's."""

    def __init__(self, workload: Workload, threads: int) -> None:
        super().__init__()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        layers = keras.layers
        self.model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(10),
            ]
        )
        self.names = [f"{layer}.{kind}" for layer in LAYERS for kind in "wb"]
        self.model.set_weights([workload.params[name] for name in self.names])
        self.optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
        self.optimizer.build(self.model.trainable_variables)
        self.criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        pixels, labels = workload.training_batches()
        self.x, self.labels = [tf.constant(x[..., None]) for x in pixels], [tf.constant(y) for y in labels]
        self._loss: tf.Tensor | None = None
        self.variants = {
            "step": {
                "tf.function": self._caller(tf.function(self._step)),
                "tf.function, jit_compile": self._caller(tf.function(self._step, jit_compile=True)),
            }
        }

    def _loss_and_gradients(self, x: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = self.criterion(labels, self.model(x, training=True))
        return loss, tape.gradient(loss, self.model.trainable_variables)

    def _step(self, x: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._loss_and_gradients(x, labels)
        self.optimizer.apply(gradients)
        return loss

    def _caller(self, step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Call:
        def call(i: int) -> None:
            batch = i % len(self.x)
            self._loss = step(self.x[batch], self.labels[batch])

        return call

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"keras": keras.__version__, "tensorflow": tf.__version__}

    def arrays(self) -> dict[str, AnyArray]:
        """Return the loss of the first batch, and every parameter's gradient, with and without XLA."""
        found = {}
        for way, jit in (("tf.function", False), ("jit_compile", True)):
            both = tf.function(self._loss_and_gradients, jit_compile=jit)
            loss, gradients = both(self.x[0], self.labels[0])
            found[f"loss, {way}"] = np.array(loss)
            found |= {f"d{name}, {way}": g.numpy() for name, g in zip(self.names, gradients, strict=True)}
        return found

    def wait(self) -> float | None:
        """See ``Timed``."""
        return None if self._loss is None else float(self._loss)
