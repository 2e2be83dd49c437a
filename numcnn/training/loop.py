"""The training loop.  ``fit`` reads top to bottom; ``_train_epoch`` is the loop over batches."""

import time
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.data.batches import Batches, Examples
from numcnn.errors import ConfigError, DataError
from numcnn.kernels.arrays import as_array
from numcnn.nn.data_parallel import REPRODUCIBLE_SHARDS
from numcnn.nn.losses import SoftmaxCrossEntropy, checked_labels
from numcnn.nn.network import Network
from numcnn.nn.pixels import readable
from numcnn.training.config import TrainConfig
from numcnn.training.divergence import Watchdog
from numcnn.training.monitor import GradientWatch, Monitor, Row, TrainState
from numcnn.training.optim import Optimizer, clip_gradients, make_optimizer
from numcnn.training.progress import Progress, Together
from numcnn.training.schedules import Schedule, make_schedule

# Images (N,H,W) or (N,*input_shape), and labels (N,).
Pairs: TypeAlias = Examples | tuple[npt.ArrayLike, npt.ArrayLike]


@dataclass
class _Run:
    """Everything that an epoch of training needs."""

    network: Network
    config: TrainConfig
    state: TrainState
    train: Examples
    batches: Batches
    criterion: SoftmaxCrossEntropy
    optimizer: Optimizer
    schedule: Schedule
    watchdog: Watchdog
    watch: GradientWatch | None
    monitor: Monitor


def fit(
    network: Network,
    train: Pairs,
    validation: Pairs | None,
    config: TrainConfig,
    *,
    monitor: Monitor | None = None,
    verbose: bool = False,
    state: TrainState | None = None,
    optimizer: Optimizer | None = None,
) -> TrainState:
    """Train ``network`` in place with the settings in ``config``.  Return the TrainState, with a row for each epoch.

    train, validation: ``Examples`` or pairs (images, labels).  monitor: called during training.
    verbose: show a progress bar in a terminal or a notebook, and a line after each epoch.
    state, optimizer: those of a stopped run, to resume it; the result is that of an uninterrupted run.
    ``numcnn/walkthrough.py`` shows on one page what a step computes, forward and backward, layer by layer.  Here the
    step runs in ``Replicas.backpropagate``, nn/data_parallel.py.
    Raises DivergedError when the run cannot recover: see ``divergence``.
    """
    if not isinstance(monitor, Monitor | None):  # pyright: ignore[reportUnnecessaryIsInstance] (a class is a likely slip)
        raise ConfigError(f"monitor is {monitor!r}; wants an object of a class that is derived from Monitor")
    examples = _as_examples(train, network, config.outliers)
    held_out = None if validation is None else _as_examples(validation, network)
    if config.augmentation and (examples.images.dtype != np.uint8 or examples.images.ndim != 3):
        shape, dtype = examples.images.shape, examples.images.dtype
        raise ConfigError(f"`augment` changes grey pictures, (N, H, W) uint8; these are {shape} {dtype}")
    if config.reproducible:
        check_reproducible(network)
    network.forget_calibration()  # an earlier one doesn't suit other weights
    monitor, state = _with_progress(monitor, config, verbose), state or TrainState()
    optimizer = optimizer or make_optimizer(network, config)
    run = _prepare(network, examples, config, state, optimizer, monitor)

    state.interrupted = False
    network.fix_shards(REPRODUCIBLE_SHARDS if config.reproducible else None)
    try:
        monitor.on_start(network, state, len(examples))
        with network.kernels.computing():
            while state.epoch < config.epochs and not _out_of_patience(state, config):
                _train_epoch(run)
                if state.interrupted:
                    monitor.on_interrupt(network, optimizer, state)
                    return state
                _finish_epoch(run, held_out)
    finally:
        network.fix_shards(None)
        monitor.on_end()
    optimizer.take_average()
    return state


def _prepare(
    network: Network, train: Examples, config: TrainConfig, state: TrainState, optimizer: Optimizer, monitor: Monitor
) -> _Run:
    """Return the run from ``state`` on."""
    batches = Batches(train, config.batch_size, config.seed, network.pixel_reader, config.augmentation)
    steps = config.epochs * len(batches)
    optimizer.steps = state.epoch * len(batches) + state.batch
    watch = GradientWatch(network) if monitor.watch_gradients else None
    if watch and state.watched:
        watch.sums = dict(state.watched)
    return _Run(
        network=network,
        config=config,
        state=state,
        train=train,
        batches=batches,
        criterion=SoftmaxCrossEntropy(network.kernels, config.label_smoothing, config.outliers),
        optimizer=optimizer,
        schedule=make_schedule(config.schedule, config.peak_lr, steps, len(batches), config.warmup),
        watchdog=Watchdog(network, config, state),
        watch=watch,
        monitor=monitor,
    )


def _train_epoch(run: _Run) -> None:
    """Train on the rest of the current epoch, batch by batch: forward, loss, backward, step."""
    network, optimizer, state = run.network, run.optimizer, run.state
    started = time.perf_counter() - state.seconds
    for batch in run.batches.epoch(state.epoch, start=state.batch):
        lr = run.schedule(optimizer.steps)
        # Forward, loss, backward, on all threads: fills network.grads.
        loss, logits = network.backpropagate(batch, run.criterion)
        state.batch += 1
        run.watchdog.check_loss(loss, lr)
        if run.watch:
            run.watch.before_step()
        if run.config.clip:
            clip_gradients(network.grads, run.config.clip)
        optimizer.step(lr)  # changes network.params by network.grads
        if run.watch:
            run.watch.after_step()

        correct = int((logits.argmax(axis=1) == batch.labels).sum())
        labelled = int((batch.labels < logits.shape[1]).sum())  # label C means no class
        state.add_step(loss, correct, labelled, len(batch))
        if optimizer.steps == 1:
            state.first_loss = loss
        run.watchdog.check_progress(loss, correct / max(1, labelled), lr)
        state.seconds = time.perf_counter() - started
        state.watched = run.watch.sums if run.watch else {}
        run.monitor.on_batch(state, len(batch), state.mean_loss, state.accuracy)
        if run.monitor.should_stop():
            state.interrupted = True
            return
        if run.monitor.wants_checkpoint():
            run.monitor.on_checkpoint(network, optimizer, state)


def _finish_epoch(run: _Run, held_out: Examples | None) -> None:
    """Check the network, validate it, add the epoch to the history and call the monitor."""
    network, optimizer, state, monitor = run.network, run.optimizer, run.state, run.monitor
    row = _epoch_row(state, run.schedule(optimizer.steps - 1))
    run.watchdog.check_epoch(run.train, row["lr"])
    if run.watch:
        row.update(run.watch.row(len(run.batches)))
    with optimizer.averaged():
        if held_out:
            with run.watchdog.checking_answers(row["lr"]):
                result = network.evaluate(held_out.images[held_out.index], held_out.labels[held_out.index])
            row.update(val_loss=result.loss, val_accuracy=result.accuracy)
        state.history.append(row)
        state.epoch += 1
        state.start_epoch()
        best = _note_best(state, row)
        if best or run.config.keep == "last":
            monitor.on_kept(network, state)
    monitor.on_epoch(network, optimizer, state, best)


def _with_progress(monitor: Monitor | None, config: TrainConfig, verbose: bool) -> Monitor:
    """Return the monitor, together with a progress bar if ``verbose``."""
    if not verbose:
        return monitor or Monitor()
    return Together(monitor, Progress(config)) if monitor else Progress(config)


def check_reproducible(network: Network) -> None:
    """Raise ConfigError unless training and validation run on kernels that compute the same bytes everywhere."""
    if network.backend != "fast":
        raise ConfigError("`reproducible` wants the compiled kernels for training and validation; use backend='fast'")
    if not getattr(network.kernels, "FUSED", False):
        raise ConfigError(
            "`reproducible` wants compiled kernels and a processor with fused multiply-add (FMA, since 2013); without "
            "them sums are rounded otherwise"
        )


def _as_examples(examples: Pairs, network: Network, outliers: bool = False) -> Examples:
    """Return checked Examples, with images in a form that kernels read.  Raises DataError, ShapeError."""
    if not isinstance(examples, Examples):
        if not isinstance(examples, (tuple, list)) or len(examples) != 2:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(f"validation is a {type(examples).__name__}; wants a pair (images, labels)")
        examples = Examples.all_of(network.check_images(examples[0]), as_array("fit: labels", examples[1]))
    images, labels = network.check_images(examples.images), np.atleast_1d(examples.labels)
    if len(images) == 0 or len(images) != len(labels):
        raise DataError(f"there are {len(images)} images and {len(labels)} labels; wants as many of both, 1 or more")
    checked_labels("fit", labels[examples.index], len(examples), network.output_shape[0], outliers)
    return Examples(np.ascontiguousarray(readable(images, network.dtype)), labels, examples.index)


def _out_of_patience(state: TrainState, config: TrainConfig) -> bool:
    """Return whether validation has not improved for ``config.patience`` epochs."""
    return 0 < config.patience <= state.epoch - state.best_epoch


def _epoch_row(state: TrainState, lr: float) -> Row:
    return {
        "epoch": state.epoch + 1,
        "lr": lr,
        "train_loss": state.mean_loss,
        "train_accuracy": state.accuracy,
        "val_loss": None,
        "val_accuracy": None,
        "seconds": state.seconds,
        "images_per_second": state.seen / state.seconds,
    }


def _note_best(state: TrainState, row: Row) -> bool:
    """Return whether the epoch is the best: highest validation accuracy, then lowest loss; without any, the latest."""
    if row["val_accuracy"] is None:
        state.best_epoch = state.epoch
        return True
    better = (row["val_accuracy"], -row["val_loss"]) > (state.best_accuracy, -state.best_loss)
    if better:
        state.best_accuracy, state.best_loss, state.best_epoch = row["val_accuracy"], row["val_loss"], state.epoch
    return better
