"""Detect a run that cannot recover, and suggest what to try instead.  There are three signs:

- The loss, a parameter or an answer to a validation image is not finite.
- The loss stays far above that of guessing, ln(classes), while hardly any image is classified correctly.  `is_far_off`
  judges single steps.  Training stops when steps that are far off outnumber the others by GIVE_UP_AFTER or, at the end
  of the run, by GIVE_UP_AT_END (in a short run: by half its steps).  The loss of the untrained network does not count,
  nor do single peaks.
- The network has collapsed: after an epoch it gives the same answer to different pictures because its ReLUs are dead.
  The loss is then that of guessing, and without a gradient the network cannot recover.

Random labels, a tiny learning rate or very few steps also leave a network no better than guessing, but show none of
these signs: such runs continue.
"""

import contextlib
import math
from collections.abc import Generator

import numpy as np

from numcnn.data.batches import Examples
from numcnn.errors import DataError, DivergedError
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.monitor import TrainState

# A step is far off when its loss is this many times that of guessing, or of the untrained network if that was worse,
# and its accuracy exceeds that of guessing by no more than this fraction.
FAR_ABOVE_GUESSING = 10
HARDLY_BETTER = 0.1

# By how much the steps far off must outnumber the others.  With a learning rate that is high, but not too high, the
# loss rises for a few dozen steps.
GIVE_UP_AFTER = 100
GIVE_UP_AT_END = 25

# A network has collapsed when its logits for this many pictures differ by no more than rounding.
COLLAPSE_IMAGES = 32
COLLAPSE_SPREAD = 1e-6


class Watchdog:
    """Raises DivergedError when a run shows one of the signs; counts the steps that are far off in its state."""

    def __init__(self, network: Network, config: TrainConfig, state: TrainState) -> None:
        self._network, self._config, self._state = network, config, state
        self._classes: int = network.output_shape[0]

    def check_loss(self, loss: float, lr: float) -> None:
        """Check that a step's loss is finite.  Call this before the parameters change."""
        if not math.isfinite(loss):
            raise self._error(lr, f"the loss became {loss}")

    def check_progress(self, loss: float, accuracy: float, lr: float) -> None:
        """Check that not too many steps, including this one, are far off."""
        state = self._state
        far_off = is_far_off(loss, accuracy, self._classes, state.first_loss)
        state.far_off = max(0, state.far_off + (1 if far_off else -1))
        if state.far_off >= GIVE_UP_AFTER:
            raise self._error(lr, self._far_above(loss))

    def check_epoch(self, train: Examples, lr: float) -> None:
        """Check the network after the epoch's last step, before the state counts the epoch as finished."""
        network, state, config = self._network, self._state, self._config
        if not (np.isfinite(network.params).all() and np.isfinite(network.state).all()):
            raise self._error(lr, "the loss became nan")  # by the very last step, after which no loss was computed
        if _has_collapsed(network, train):
            raise self._error(lr, "the network collapsed: it gives the same answer to every picture")
        limit = min(GIVE_UP_AT_END, max(1, config.epochs * state.batch // 2))
        if state.epoch + 1 == config.epochs and state.far_off >= limit:
            raise self._error(lr, self._far_above(state.mean_loss))

    @contextlib.contextmanager
    def checking_answers(self, lr: float) -> Generator[None, None, None]:
        """Check the answers to validation images, which the block asks for: finite weights may be too large."""
        try:
            yield
        except DataError as error:  # images and labels were checked before
            raise self._error(lr, "the answers to validation images are not finite") from error

    def _far_above(self, loss: float) -> str:
        return f"the loss is {loss:.3g} and doesn't come down; guessing costs {math.log(self._classes):.2f}"

    def _error(self, lr: float, what: str) -> DivergedError:
        """Return the error: what happened, which weights are largest, and what to try."""
        network, state, config = self._network, self._state, self._config
        arrays = {**network.named_arrays(network.params), **network.named_state()}
        norms = {name: float(np.linalg.norm(values)) for name, values in arrays.items()}
        broken = [name for name, norm in norms.items() if not math.isfinite(norm)]
        largest = max(norms, key=lambda name: norms[name])
        where = (
            f"not finite: {', '.join(broken)}"
            if broken
            else f"the largest weights are in {largest}, norm {norms[largest]:.3g}"
        )
        advice = ["a smaller `lr`"]
        advice += [] if config.clip else ["gradient clipping (`clip=1`)"]
        advice += [] if config.schedule == "one-cycle" else ["a schedule that warms up (`schedule='one-cycle'`)"]
        return DivergedError(
            f"{what} (epoch {state.epoch + 1}, batch {state.batch}, learning rate {lr:.3g}; {where}); "
            f"try {' or '.join(advice)}"
        )


def is_far_off(loss: float, accuracy: float, classes: int, first_loss: float) -> bool:
    """Return whether a step's loss and accuracy are much worse than those of guessing.

    The accuracy matters because with a large learning rate a linear classifier, like a perceptron, can be accurate at
    any loss.
    """
    far_above = loss > FAR_ABOVE_GUESSING * max(math.log(classes), first_loss)
    return far_above and accuracy <= 1 / classes + HARDLY_BETTER


def _has_collapsed(network: Network, train: Examples) -> bool:
    """Return whether the network gives the same logits to different training images with different labels."""
    some = train.index[:COLLAPSE_IMAGES]
    images, labels = train.images[some], train.labels[some]
    if (images == images[0]).all() or (labels == labels[0]).all():  # a single answer may be correct
        return False
    logits = network.logits(images)
    return bool(np.ptp(logits, axis=0).max() <= COLLAPSE_SPREAD * np.abs(logits).max())
