"""The training loop, and what has to be remembered to go on with it later.  ``fit`` reads top to bottom."""

import math
import time

import numpy as np

from numcnn.data.batches import Batches, Examples
from numcnn.errors import ConfigError, DataError, DivergedError
from numcnn.nn.losses import SoftmaxCrossEntropy, checked_labels
from numcnn.nn.pixels import readable
from numcnn.training.monitor import GradientWatch, Monitor, TrainState
from numcnn.training.optim import AVERAGE, AVERAGE_STATE, SGD, Adam, clip_gradients
from numcnn.training.schedules import make_schedule

# A step is far off when its loss is so many times that of guessing, or of the untrained network where that was worse,
# and its images are read hardly better than by guessing: by no more than this share.
FAR_ABOVE_GUESSING = 10
HARDLY_BETTER = 0.1

# A run is given up when steps far off outnumber the others by so many.  A learning rate that is high but recovers sends
# the loss up for a few dozen steps.
GIVE_UP_AFTER = 100
GIVE_UP_AT_END = 25

# A network has collapsed when its logits for so many pictures differ by no more than rounding.
COLLAPSE_IMAGES = 32
COLLAPSE_SPREAD = 1e-6


def fit(network, train, validation, config, *, monitor=None, state=None, moments=None):
    """Train ``network`` in place as ``config`` (a TrainConfig) says.  Return the TrainState with the epochs' history.

    train, validation: ``Examples`` or pairs (images, labels); validation may be None.  state, moments: what a run that
    was stopped had reached, to go on exactly as if it hadn't been.
    What a step computes, forward and backward, layer by layer, is on the one page of ``numcnn/walkthrough.py``.
    Raises DivergedError when the run can't be saved; there are three signs of that:

    - The loss, or a parameter, is not finite.
    - The loss stays far above that of guessing, ln(classes), while hardly any image is read right: ``_is_far_off`` says
      what that means of one step.  Steps far off must outnumber the others by GIVE_UP_AFTER or, when the run ends, by
      GIVE_UP_AT_END; in a run of few steps by half of them.  Neither what an untrained network costs counts, nor single
      peaks.
    - The network has collapsed: after an epoch it gives the same answer to different pictures, for its ReLUs are dead.
      Its loss is that of guessing, and without a gradient it won't recover.

    Random labels, a tiny learning rate or a few steps make a network that is no better than guessing, too, and none of
    these signs: those runs go on.
    """
    train = _as_examples(train, network, config.outliers)
    validation = _as_examples(validation, network)
    if config.augmentation and (train.images.dtype != np.uint8 or train.images.ndim != 3):
        raise ConfigError(
            f"`augment` changes grey pictures, (N, H, W) uint8; these are {train.images.shape} {train.images.dtype}"
        )
    network.temperature = 1.0  # an earlier one won't hold for other weights
    monitor, state = monitor or Monitor(), state or TrainState()
    criterion = SoftmaxCrossEntropy(network.kernels, config.label_smoothing, config.outliers)
    optimizer = make_optimizer(network, config, moments)
    batches = Batches(train, config.batch_size, config.seed, network.pixel_reader, config.augmentation)
    schedule = make_schedule(config.schedule, config.peak_lr, config.epochs * len(batches), len(batches), config.warmup)
    optimizer.steps = state.epoch * len(batches) + state.batch
    watch = GradientWatch(network) if monitor.watch_gradients else None
    if watch and state.watched:
        watch.sums = dict(state.watched)

    held_out = None
    if validation is not None and len(validation):
        held_out = validation.images[validation.index], validation.labels[validation.index]
    state.interrupted = False
    monitor.on_start(network, state, len(train))
    with network.kernels.computing():
        while state.epoch < config.epochs and not _out_of_patience(state, config):
            _train_epoch(network, batches, criterion, optimizer, schedule, config, state, monitor, watch)
            if state.interrupted:
                state.watched = watch.sums if watch else {}
                monitor.on_interrupt(network, optimizer, state)
                return state
            row = _epoch_row(state, schedule(optimizer.steps - 1))
            finite = np.isfinite(network.params).all() and np.isfinite(network.state).all()
            if not finite:  # by the very last step, which no loss has seen yet
                raise _diverged(network, state, config, row["lr"], "the loss became nan")
            if _has_collapsed(network, train):
                reason = "the network collapsed: it gives the same answer to every picture"
                raise _diverged(network, state, config, row["lr"], reason)
            last = state.epoch + 1 == config.epochs
            if last and state.far_off >= min(GIVE_UP_AT_END, max(1, optimizer.steps // 2)):
                raise _diverged(network, state, config, row["lr"], _far_above(row["train_loss"], network))
            if watch:
                row.update(watch.row(len(batches)))
            state.history.append(row)
            state.epoch += 1
            state.start_epoch()
            with optimizer.averaged():
                if held_out:
                    result = network.evaluate(*held_out)
                    row.update(val_loss=result.loss, val_accuracy=result.accuracy)
                best = _note_best(state, row)
                if best or config.keep == "last":
                    monitor.on_kept(network, state)
            monitor.on_epoch(network, optimizer, state, best)
    optimizer.take_average()
    return state


def _train_epoch(network, batches, criterion, optimizer, schedule, config, state, monitor, watch):
    """Go through the rest of the epoch under way: forward, loss, backward, then a step, for each batch."""
    started = time.perf_counter() - state.seconds
    for batch in batches.epoch(state.epoch, start=state.batch):
        lr = schedule(optimizer.steps)
        loss, logits = network.backpropagate(batch, criterion)
        state.batch += 1
        if not math.isfinite(loss):
            raise _diverged(network, state, config, lr, f"the loss became {loss}")
        if watch:
            watch.before_step()
        if config.clip:
            clip_gradients(network.grads, config.clip)
        optimizer.step(lr)
        if watch:
            watch.after_step()

        correct = int((logits.argmax(axis=1) == batch.labels).sum())
        labelled = int((batch.labels < logits.shape[1]).sum())
        state.seen += len(batch)
        state.labelled += labelled
        state.loss_sum += loss * len(batch)
        state.correct += correct
        if optimizer.steps == 1:
            state.first_loss = loss
        far_off = _is_far_off(loss, correct / max(1, labelled), logits.shape[1], state.first_loss)
        state.far_off = max(0, state.far_off + (1 if far_off else -1))
        if state.far_off >= GIVE_UP_AFTER:
            raise _diverged(network, state, config, lr, _far_above(loss, network))
        state.seconds = time.perf_counter() - started
        monitor.on_batch(state, len(batch), state.loss_sum / state.seen, state.accuracy)
        if monitor.should_stop():
            state.interrupted = True
            return


def optimizer_class(config):
    """Return SGD or Adam: AdamW is Adam with weight decay."""
    return SGD if config.optimizer == "sgd" else Adam


def moments_of(config, network):
    """Return name -> shape of the arrays that ``config``'s optimiser keeps between steps."""
    names = (*optimizer_class(config).MOMENTS, *([AVERAGE] if config.average else []))
    shapes = {name: network.params.shape for name in names}
    if config.average and network.state.size:
        shapes[AVERAGE_STATE] = network.state.shape
    return shapes


def make_optimizer(network, config, moments=None):
    """Return the optimiser that ``config`` names, over the network's flat arrays; ``moments``: those to go on with."""
    arrays = (network.params, network.grads, network.kernels)
    settings = {"decay": network.decay, "weight_decay": config.decay_rate, "average": config.average}
    settings["state"] = network.state
    if config.optimizer == "sgd":
        settings.update(momentum=config.momentum, nesterov=config.nesterov)
    optimizer = optimizer_class(config)(*arrays, **settings)
    for name, values in (moments or {}).items():
        optimizer.moments[name][...] = values
    return optimizer


def _as_examples(examples, network, outliers=False):
    """Return Examples of Examples or a pair (images, labels), checked, images as kernels read them; None stays None."""
    if examples is None:
        return None
    if not isinstance(examples, Examples):
        examples = Examples.all_of(*examples)
    images, labels = network.check_images(examples.images), np.asarray(examples.labels)
    if len(images) == 0 or len(images) != len(labels):
        raise DataError(f"there are {len(images)} images and {len(labels)} labels; wants as many of both, 1 or more")
    checked_labels("fit", labels[examples.index], len(examples), *network.output_shape, outliers)
    return Examples(np.ascontiguousarray(readable(images, network.dtype)), labels, examples.index)


def _out_of_patience(state, config):
    """Say whether validation has not got better for as many epochs as the config waits."""
    return 0 < config.patience <= state.epoch - state.best_epoch


def _epoch_row(state, lr):
    return {
        "epoch": state.epoch + 1,
        "lr": lr,
        "train_loss": state.loss_sum / state.seen,
        "train_accuracy": state.accuracy,
        "val_loss": None,
        "val_accuracy": None,
        "seconds": state.seconds,
        "images_per_second": state.seen / state.seconds,
    }


def _note_best(state, row):
    """Keep the best epoch: highest validation accuracy, then lowest loss; without validation the latest is the best."""
    if row["val_accuracy"] is None:
        state.best_epoch = state.epoch
        return True
    better = (row["val_accuracy"], -row["val_loss"]) > (state.best_accuracy, -state.best_loss)
    if better:
        state.best_accuracy, state.best_loss, state.best_epoch = row["val_accuracy"], row["val_loss"], state.epoch
    return better


def _is_far_off(loss, accuracy, classes, first_loss):
    """Say whether a step's loss and accuracy are those of a network that is much worse than guessing.

    The accuracy counts too: with a large learning rate a linear classifier reads well at any loss, like a perceptron.
    """
    far_above = loss > FAR_ABOVE_GUESSING * max(math.log(classes), first_loss)
    return far_above and accuracy <= 1 / classes + HARDLY_BETTER


def _has_collapsed(network, train):
    """Say whether the network gives the same logits to different training images with different labels."""
    some = train.index[:COLLAPSE_IMAGES]
    images, labels = train.images[some], train.labels[some]
    if (images == images[0]).all() or (labels == labels[0]).all():  # one answer may be right
        return False
    logits = network.logits(images)
    return bool(np.ptp(logits, axis=0).max() <= COLLAPSE_SPREAD * np.abs(logits).max())


def _far_above(loss, network):
    guessing = math.log(network.output_shape[0])
    return f"the loss is {loss:.3g} and doesn't come down; guessing costs {guessing:.2f}"


def _diverged(network, state, config, lr, what):
    """Return the DivergedError that says what happened, what was large, and what to try."""
    arrays = {**network.named_arrays(network.params), **network.named_state()}
    norms = {name: float(np.linalg.norm(values)) for name, values in arrays.items()}
    broken = [name for name, norm in norms.items() if not math.isfinite(norm)]
    where = (
        f"not finite: {', '.join(broken)}"
        if broken
        else f"the largest weights are in {max(norms, key=norms.get)}, norm {max(norms.values()):.3g}"
    )
    advice = ["a smaller `lr`"]
    advice += [] if config.clip else ["gradient clipping (`clip=1`)"]
    advice += [] if config.schedule == "one-cycle" else ["a schedule that warms up (`schedule='one-cycle'`)"]
    return DivergedError(
        f"{what} (epoch {state.epoch + 1}, batch {state.batch}, learning rate {lr:.3g}; {where}); "
        f"try {' or '.join(advice)}"
    )
