"""A training run seen from outside: its state, the monitor that it calls, the size of its gradients."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from numcnn.nn.network import Network
from numcnn.training.optim import Optimizer

Row: TypeAlias = dict[str, Any]  # an epoch's results: column of the log -> number, or None


@dataclass(repr=False)
class TrainState:
    """How far a run is.  With the parameters and the optimiser's moments it is all that resuming needs."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches finished in the current epoch
    loss_sum: float = 0.0  # over the images of that epoch so far
    correct: int = 0
    seen: int = 0
    labelled: int = 0  # images seen that belong to a class; outliers do not, so they cannot be classified correctly
    seconds: float = 0.0  # spent in that epoch so far
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best_epoch: int = 0
    watched: dict[str, float] = field(default_factory=dict[str, float])  # sums of the gradient watch over that epoch
    interrupted: bool = False
    first_loss: float = 0.0  # of the first step: the loss of the untrained network
    far_off: int = 0  # how many more steps were far off than not (see divergence.py); never below 0
    history: list[Row] = field(default_factory=list[Row])  # one row per finished epoch, as in log.csv

    def __repr__(self) -> str:
        epochs = "1 epoch" if self.epoch == 1 else f"{self.epoch} epochs"
        within = f" and {self.batch} batches" if self.batch else ""
        result = ""
        if self.history and self.history[-1]["val_accuracy"] is None:
            result = f", training {self.history[-1]['train_accuracy']:.1%}"
        elif self.history:
            result = f", best {self.best_epoch}, validation {self.best_accuracy:.1%}"
        return f"<TrainState: {epochs}{within}{result}{', interrupted' if self.interrupted else ''}>"

    def start_epoch(self) -> None:
        """Reset the sums of the previous epoch."""
        self.batch = self.seen = self.labelled = self.correct = 0
        self.loss_sum = self.seconds = 0.0
        self.watched = {}

    def add_step(self, loss: float, correct: int, labelled: int, images: int) -> None:
        """Add a step: its loss, and how many of its labelled images were classified correctly."""
        self.loss_sum += loss * images
        self.correct += correct
        self.labelled += labelled
        self.seen += images

    @property
    def accuracy(self) -> float:
        """The fraction of the epoch's labelled images so far that were classified correctly; 0 if there are none."""
        return self.correct / max(1, self.labelled)

    @property
    def mean_loss(self) -> float:
        """The mean loss of the epoch's images so far."""
        return self.loss_sum / self.seen


def state_to_json(state: TrainState, network: Network) -> dict[str, Any]:
    """Return the state, and that of the network's random numbers, as a dict that JSON stores exactly."""
    document = dataclasses.asdict(state)
    document["best_loss"] = None if state.best_loss == math.inf else state.best_loss
    return {"state": document, "rng": network.rng.bit_generator.state}


def state_from_json(document: dict[str, Any], network: Network) -> TrainState:
    """Return the TrainState in ``document``; restore the state of ``network``'s random numbers."""
    fields = {"labelled": document["state"]["seen"], **document["state"]}  # older runs count all images
    fields["best_loss"] = math.inf if fields["best_loss"] is None else fields["best_loss"]
    network.rng.bit_generator.state = document["rng"]
    return TrainState(**fields)


class Monitor:
    """Receives a run's events and may stop it.  Override the methods you need; these do nothing.

    >>> class StopAt(Monitor):
    ...     def __init__(self, accuracy):
    ...         self.wanted, self.reached = accuracy, 0.0
    ...
    ...     def on_batch(self, state, images, loss, accuracy):
    ...         self.reached = accuracy
    ...
    ...     def should_stop(self):
    ...         return self.reached >= self.wanted
    >>> state = network.fit(images, labels, epochs=50, monitor=StopAt(0.5))
    >>> state.interrupted, state.epoch < 50, 0.5 <= state.accuracy < 1
    (True, True, True)
    """

    # Whether the run measures gradient and weight norms; they become columns of each epoch's row.
    watch_gradients = False

    def on_start(self, network: Network, state: TrainState, images_per_epoch: int) -> None:
        """Called when training starts, or resumes at ``state``."""

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Called after each step with its number of images, and the epoch's mean loss and accuracy so far."""

    def on_kept(self, network: Network, state: TrainState) -> None:
        """Called when the epoch just finished, the last in ``state.history``, is the one to keep, so far."""

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """Called after each epoch, the last in ``state.history``; ``best``: the best so far on validation."""

    def wants_checkpoint(self) -> bool:
        """Return whether to call ``on_checkpoint`` after the step just done."""
        return False

    def on_checkpoint(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Called after a step if ``wants_checkpoint`` returned True, to save what resuming needs."""

    def on_interrupt(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Called when training stops because ``should_stop`` returned True."""

    def on_end(self) -> None:
        """Called when training ends, even with an error."""

    def should_stop(self) -> bool:
        """Return whether to stop after the step just done."""
        return False


class GradientWatch:
    """Average each layer's gradient norm (before clipping), weight norm and update/weight ratio over an epoch.

    A healthy update is about a thousandth of the weights: with far more, training is unstable; with far less, slow.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._places: dict[str, slice] = {}  # layer -> its part of the flat arrays
        for key, place in network.slices.items():
            layer = key.split(".")[0]
            start = self._places[layer].start if layer in self._places else place.start
            self._places[layer] = slice(start, place.stop)
        self._before = np.empty_like(network.params)
        self.sums: dict[str, float] = dict.fromkeys(self.columns, 0.0)

    @property
    def columns(self) -> list[str]:
        """The names of the values: ``conv1.gradient_norm``, ``conv1.weight_norm``, ``conv1.update_ratio`` ..."""
        return [
            f"{layer}.{kind}" for layer in self._places for kind in ("gradient_norm", "weight_norm", "update_ratio")
        ]

    def before_step(self) -> None:
        """Call right after backward, before gradients are clipped and the optimiser steps."""
        self._before[...] = self._network.params
        for layer, place in self._places.items():
            self.sums[f"{layer}.gradient_norm"] += float(np.linalg.norm(self._network.grads[place]))

    def after_step(self) -> None:
        """Call after the optimiser's step."""
        for layer, place in self._places.items():
            weights = self._before[place]
            weight_norm = float(np.linalg.norm(weights))
            np.subtract(self._network.params[place], weights, out=weights)
            update_norm = float(np.linalg.norm(weights))
            self.sums[f"{layer}.weight_norm"] += weight_norm
            self.sums[f"{layer}.update_ratio"] += update_norm / weight_norm if weight_norm else 0.0

    def row(self, steps: int) -> dict[str, float]:
        """Return name -> mean over the ``steps`` since the last call, and start over."""
        means = {name: total / steps for name, total in self.sums.items()}
        self.sums = dict.fromkeys(self.columns, 0.0)
        return means
