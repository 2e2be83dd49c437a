"""Train a network, and keep weights, log and run card in a folder of their own.

Without options: the canonical two-convolution network on MNIST, which is
downloaded the first time. Where MNIST can't be had, it trains on generated
digits and says so everywhere. The test set is read once, at the end, with the
weights that did best on validation. Ctrl-C finishes the batch under way and
saves; --resume goes on from there. In the epochs' lines a * marks the best so
far on validation.
"""

EXAMPLES = """examples:
  numcnn train                            the whole job: about two minutes
  numcnn train --preset fast              99% on MNIST in some seconds
  numcnn train --limit 6000 --epochs 3    a quick try
  numcnn train --seeds 5                  how much of the result is luck
  numcnn train --no-test --dropout 0.3    try a setting, judged by validation
  numcnn train --dataset fashion/         any data set in MNIST's IDX form
  numcnn train --watch-gradients          gradient and weight norms in log.csv,
                                          and a picture of them
  numcnn train --resume runs/mnist-canonical-1
                                          go on with a run that was stopped

Equal seed, threads and batch size give equal weights, byte for byte, on one
machine. Exit codes: 0 fine, 1 failed, 2 wrong usage or bad input, 130
interrupted.
"""

import argparse
import contextlib
import json
import platform
import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from numcnn.commands import add_data_arguments, add_threads_argument, print_json, say
from numcnn.errors import ConfigError, DataError, DivergedError
from numcnn.training.config import add_config_arguments, config_from_arguments, flag, given_settings

DRY_RUN_STEPS = 2
MOST_WRONG = 100  # pictures in wrong_by_all.png

# What the run card says of the test set, and where ``metrics.Evaluation`` has it.
TESTED = {
    "test_accuracy": "accuracy",
    "test_interval": "interval",
    "test_loss": "loss",
    "test_images": "n",
    "test_calibration_error": "calibration_error",
}


def add_arguments(parser):
    """Add this command's options."""
    add_data_arguments(parser.add_argument_group("data"))
    add_config_arguments(parser.add_argument_group("training"))
    group = parser.add_argument_group("running")
    add_threads_argument(group)
    group.add_argument("--out", metavar="DIR", help="a new folder for the run (default: runs/DATASET-MODEL-NUMBER)")
    group.add_argument("--resume", metavar="DIR", help="go on with the run in this folder, with its settings")
    group.add_argument("--seeds", type=int, metavar="N", help="train N networks, with --seed and the seeds that follow")
    group.add_argument("--ensemble", action="store_true", help="with --seeds: also read the test set with all together")
    group.add_argument("--watch-gradients", action="store_true", help="log each layer's gradient and weight norms")
    group.add_argument("--dry-run", action="store_true", help=f"take {DRY_RUN_STEPS} steps, write nothing")
    group.add_argument("--quiet", action="store_true", help="show no progress, only the result")
    group.add_argument("--json", action="store_true", help="print the run card as JSON on stdout, nothing else there")


def run(arguments):
    """Train as the arguments say.  Return the exit code."""
    if arguments.seeds is not None or arguments.ensemble:
        return _several(arguments)
    card = _train(arguments)
    return card if isinstance(card, int) else _report(arguments, card)


def _train(arguments, readings=None):
    """Train one network.  Return its run card, or the exit code of a run that comes to none.

    readings: the ``_Readings`` to add to what it reads of the test set.
    """
    began = time.perf_counter()
    from numcnn.kernels.thread_team import use_threads
    from numcnn.training import run_folder
    from numcnn.training.loop import fit

    earlier = _earlier_run(arguments) if arguments.resume else None
    if arguments.out:
        run_folder.check_out(arguments.out)  # before anything takes time
    if earlier and earlier.card is not None:
        say(f"the run in {arguments.resume} is finished; this is its result")
        return earlier.card
    config = earlier.config if earlier else config_from_arguments(arguments)
    threads = use_threads(earlier.info["threads"] if earlier and arguments.threads is None else arguments.threads)
    dataset = _load_data(arguments, config, earlier)
    if dataset.train_labels.max(initial=0) >= dataset.classes and not config.outliers:
        raise ConfigError(f"the data set {dataset.name} has pictures of no digit; add --preset pad, or --outliers")
    train_set, val_set = _split(dataset, config)
    network = earlier.network if earlier else _new_network(dataset, train_set, config)
    if not arguments.quiet:
        say(f"data: {dataset.source}")
        images = "1 image" if len(train_set) == 1 else f"{len(train_set):,} images"
        say(f"{dataset.name}: {images} to train on, {len(val_set):,} to validate")
    if arguments.dry_run:
        return _dry_run(arguments, network, train_set, config)

    folder = (
        Path(arguments.resume) if earlier else run_folder.new_folder(arguments.out, f"{dataset.name}-{config.model}")
    )
    info = earlier.info if earlier else _info(dataset, config, threads)
    monitor = run_folder.RunFolder(
        folder,
        config,
        info,
        dataset_argument=earlier.dataset_argument if earlier else _dataset_argument(arguments, dataset),
        watch_gradients=earlier.watch_gradients if earlier else arguments.watch_gradients,
        quiet=arguments.quiet,
        earlier_seconds=time.perf_counter() - began + (earlier.seconds if earlier else 0),
    )
    try:
        with _stop_after_this_batch(monitor):
            state, moments = (earlier.state, earlier.moments) if earlier else (None, None)
            state = fit(network, train_set, val_set, config, monitor=monitor, state=state, moments=moments)
    except BaseException as error:
        if isinstance(error, DivergedError):
            monitor.discard_useless_best()
        with contextlib.suppress(OSError):
            folder.rmdir()  # which works only if the run has written nothing
        raise
    finally:
        monitor.close()
    if state.interrupted:
        say(f"stopped in epoch {state.epoch + 1}; go on with: numcnn train --resume {shlex.quote(str(folder))}")
        return 128 + monitor.stop_signal

    card, test = _finish(monitor, dataset, val_set, state, config, info, threads, arguments.command_line)
    if readings and test:
        readings.add(dataset, test)
    del dataset, train_set, val_set  # what draws the pictures takes as much memory as the images
    monitor.draw(state.history)
    return card


def _several(arguments):
    """Train with one seed after another, each in a folder of its own; report mean and spread.  Return the exit code."""
    from numcnn.evaluation import metrics
    from numcnn.files import atomic_write
    from numcnn.training import run_folder

    count = arguments.seeds
    if count is None or count < 2:
        raise ConfigError(f"--seeds is {count or 'not given'}; wants 2 or more, to tell a spread")
    if arguments.resume or arguments.dry_run:
        raise ConfigError("--seeds trains several networks from the start; leave out --resume and --dry-run")
    config = config_from_arguments(arguments)
    if arguments.ensemble and not config.test:
        raise ConfigError("--ensemble reads the test set, which --no-test leaves unread; leave out one of them")
    folder = run_folder.new_folder(arguments.out, f"{config.model}-seeds")
    cards, readings = [], _Readings()
    for seed in range(config.seed, config.seed + count):
        one = argparse.Namespace(**vars(arguments) | {"seed": seed, "out": str(folder / f"seed-{seed}")})
        card = _train(one, readings)
        if isinstance(card, int):
            return card
        cards.append(card)
        say(f"seed {seed}: {_accuracy(card)}, {card['seconds']:.0f} s")
    told = [key for key in ("test_accuracy", "val_accuracy", "seconds") if cards[0][key] is not None]
    summary = {
        "dataset": cards[0]["dataset"],
        "model": config.model,
        **{key: metrics.spread([card[key] for card in cards], np.inf if key == "seconds" else 1) for key in told},
        "runs": [{key: card[key] for key in ("seed", *told, "weights")} for card in cards],
        "config": config.to_json(),
        "command": arguments.command_line,
    }
    if arguments.ensemble:
        summary["ensemble"] = readings.ensemble()
    if config.test:
        summary["wrong_by_all"] = readings.wrong.tolist()
        if len(readings.wrong):
            readings.draw_wrong(folder / "wrong_by_all.png")
    with atomic_write(folder / "seeds.json") as file:
        file.write((json.dumps(summary, indent=1) + "\n").encode())
    return _report_several(arguments, summary, folder)


class _Readings:
    """What several networks read of one test set, each having read it once; and the images that all of them misread."""

    def __init__(self):
        self.answers = []  # (N,) uint8 of each
        self.probabilities = 0.0  # (N,C), summed up

    def add(self, dataset, test):
        """Add what one more network made of the data set's test images, ``metrics.Evaluation``."""
        self.answers.append(test.probabilities.argmax(axis=1).astype(np.uint8))
        self.probabilities = self.probabilities + test.probabilities
        self.labels = dataset.test_labels
        self.wrong = np.flatnonzero(np.all([answers != self.labels for answers in self.answers], axis=0))
        self.wrong_images = dataset.test_images[self.wrong]  # the others needn't be kept

    def ensemble(self):
        """Judge the mean of all networks' probabilities.  Return an evaluation as a dict."""
        from numcnn.evaluation import metrics

        found = metrics.evaluation(self.labels, self.probabilities / len(self.answers))
        return {"test_accuracy": found.accuracy, "interval": list(found.interval), "networks": len(self.answers)}

    def draw_wrong(self, path):
        """Draw the images that all misread, each with what most took it for."""
        from numcnn.evaluation import plots

        shown, n = self.wrong[:MOST_WRONG], len(self.answers)
        votes = [np.bincount([answers[i] for answers in self.answers]) for i in shown]
        answers = [f"{f'all {n}' if v.max() == n else f'{v.max()} of {n}'} read {v.argmax()}" for v in votes]
        title = f"{len(self.wrong):,} of {len(self.labels):,} test images are misread by all {n} networks"
        title += f"; the first {len(shown)}" if len(shown) < len(self.wrong) else ""
        plots.save(plots.gallery(self.wrong_images[: len(shown)], shown, self.labels[shown], answers, title), path)


def _accuracy(card, on=""):
    """Say which accuracy a run came to: on the test set or, where that was not read, in validation."""
    if card["test_accuracy"] is not None:
        return f"test accuracy{on} {card['test_accuracy']:.2%}"
    if card["val_accuracy"] is not None:
        return f"validation accuracy{on} {card['val_accuracy']:.2%}"
    return "no images to judge by"


def _report_several(arguments, summary, folder):
    from numcnn.data import title_of

    if arguments.json:
        print_json(summary)
        return 0
    for key, part in (("test_accuracy", "test"), ("val_accuracy", "validation")):
        if key in summary:
            found = summary[key]
            low, high = found["interval"]
            print(f"{part} accuracy on {title_of(summary['dataset'])}, {found['n']} seeds:")
            print(f"mean {found['mean']:.2%}, standard deviation {100 * found['std']:.2f} points,")
            extremes = f"lowest {found['min']:.2%}, highest {found['max']:.2%}"
            print(f"{extremes}; 95% interval of the mean {low:.2%} to {high:.2%}")
    if "ensemble" in summary:
        several = summary["ensemble"]
        low, high = several["interval"]
        print(f"apart from that, all {several['networks']} together (their probabilities averaged):")
        print(f"{several['test_accuracy']:.2%} (95% interval {low:.2%} to {high:.2%})")
    if "wrong_by_all" not in summary:
        print("the test set was not read (--no-test): no gallery of what all misread")
    elif summary["wrong_by_all"]:
        count = len(summary["wrong_by_all"])
        print(f"test images misread by all of them: {count:,}, drawn in wrong_by_all.png")
    else:
        print("no test image was misread by all of them: no wrong_by_all.png")
    print(f"runs and seeds.json: {folder}")
    return 0


def _earlier_run(arguments):
    """Load the run to go on with; its settings can't be changed on the way."""
    from numcnn.training import run_folder

    if arguments.out:
        raise ConfigError("--out can't be combined with --resume: the run goes on in its own folder")
    changed = list(given_settings(arguments))
    changed += [name for name in ("preset", "watch_gradients", "dry_run") if getattr(arguments, name)]
    changed += ["dataset"] if arguments.dataset != "auto" else []
    if changed:
        flags = ", ".join(map(flag, changed))
        raise ConfigError(f"--resume goes on with the run's own settings; leave out {flags}")
    return run_folder.load_run(arguments.resume)


def _load_data(arguments, config, earlier):
    """Load the data set; a resumed run wants the very one it began with."""
    from numcnn import data

    # That generated digits take MNIST's place is said even when --quiet asks for silence.
    falls_back = not earlier and arguments.dataset == "auto"
    dataset = data.load(
        earlier.dataset_argument if earlier else arguments.dataset,
        arguments.data_dir,
        seed=config.seed,
        limit=config.limit,
        backend=config.backend,
        report=say if falls_back or not arguments.quiet else lambda line: None,
    )
    if earlier and dataset.sha256 != earlier.info["dataset_sha256"]:
        raise DataError(
            f"the data set {dataset.name} isn't the one that the run in {arguments.resume} began with "
            f"({earlier.info['dataset']}, SHA-256 {earlier.info['dataset_sha256'][:12]}...); bring that one back"
        )
    return dataset


def _split(dataset, config):
    """Return training and validation examples, cut from the training set."""
    from numcnn.data.batches import Examples

    parts = dataset.split(config.val, config.seed)
    return [Examples(dataset.train_images, dataset.train_labels, index) for index in parts]


def _new_network(dataset, train_set, config):
    """Build the network for the data set's images, normalised by their mean and standard deviation."""
    from numcnn.nn.models import make_layers
    from numcnn.nn.network import Network

    shape = (*dataset.train_images.shape[1:], 1)
    return Network(
        make_layers(config.model, dataset.classes, config.dropout),
        shape,
        backend=config.backend,
        seed=config.seed,
        normalisation=train_set.normalisation(),
        fuse=config.fuse,
    )


def _dry_run(arguments, network, train_set, config):
    """Take a few steps to see that all is well; write nothing."""
    from numcnn.data.batches import Examples
    from numcnn.training.loop import fit

    few = Examples(train_set.images, train_set.labels, train_set.index[: DRY_RUN_STEPS * config.batch_size])
    loss = fit(network, few, None, replace(config, epochs=1, schedule="constant", lr=1e-6)).history[-1]["train_loss"]
    if arguments.json:
        print_json({"dry_run": True, "loss": loss, "parameters": network.params.size})
    else:
        print(f"{network.summary()}\ndry run: all is well, loss {loss:.4f}; nothing was written")
    return 0


def _dataset_argument(arguments, dataset):
    """Return what --dataset must be to get the same data again, from any folder."""
    from numcnn.data.dataset import KEYWORDS

    if arguments.dataset in KEYWORDS:
        return dataset.name
    return str(Path(arguments.dataset).resolve())


def _info(dataset, config, threads):
    """Return what the weights file says of how it was made.  No times: equal runs write equal bytes."""
    from numcnn.training.run_folder import versions

    return {
        "model": config.model,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "config": config.to_json(),
        "threads": threads,
        "versions": versions(),
    }


def _finish(monitor, dataset, val_set, state, config, info, threads, command_line):
    """Calibrate the kept weights on validation, read the test set once with them; write the run card.

    Return the card and the test set's ``metrics.Evaluation``, which is None with --no-test.
    """
    from numcnn.evaluation.calibration import refusal_threshold
    from numcnn.nn.network import load
    from numcnn.training.memory import peak_memory_mb
    from numcnn.training.run_folder import versions

    network = load(monitor.best, backend=config.backend)
    network.fuse = config.fuse
    if len(val_set):
        probabilities = network.calibrate(val_set.images[val_set.index], val_set.labels[val_set.index])
        if config.outliers:
            monitor.info["refuse_below"] = refusal_threshold(probabilities.max(axis=1))
    test = network.evaluate(dataset.test_images, dataset.test_labels) if config.test else None
    tested = {key: getattr(test, name) if test else None for key, name in TESTED.items()}
    result = {**network.info["result"], **{key: tested[key] for key in ("test_accuracy", "test_loss")}}
    monitor.save_best(network, result)
    trained_seconds = sum(row["seconds"] for row in state.history)
    card = {
        **tested,
        "temperature": network.temperature,
        "val_accuracy": result["val_accuracy"],
        "val_loss": result["val_loss"],
        "best_epoch": result["epoch"],
        "epochs": state.epoch,
        "images_per_second": sum(r["seconds"] * r["images_per_second"] for r in state.history) / trained_seconds,
        "seconds": time.perf_counter() - monitor.began,
        "peak_memory_mb": peak_memory_mb(),
        "dataset": dataset.name,
        "dataset_source": dataset.source,
        "dataset_sha256": info["dataset_sha256"],
        "weights": str(monitor.best),
        "model": config.model,
        "parameters": network.params.size,
        "seed": config.seed,
        "threads": threads,
        "config": config.to_json(),
        "command": command_line,
        "versions": versions(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    monitor.write_card(card)
    return card, test


def _report(arguments, card):
    """Print the run card, or what people want to know of it.  Return the exit code."""
    from numcnn.data import title_of

    if arguments.json:
        print_json(card)
        return 0
    accuracy = _accuracy(card, f" on {title_of(card['dataset'])}:")
    if card["test_interval"] is None:
        more = "(the test set was not read)"
    else:
        low, high = card["test_interval"]
        more = f"(95% interval {low:.2%} to {high:.2%})"
    print(accuracy, more, sep=" " if len(accuracy) + len(more) < 80 else "\n")
    memory = "" if card["peak_memory_mb"] is None else f", {card['peak_memory_mb']:.0f} MB at most"
    # Where nothing was held out, no epoch is known to be the best.
    which = "last" if card["val_accuracy"] is None or card["config"].get("keep") == "last" else "best"
    epoch = f"{which} epoch {card['best_epoch']}"
    print(f"{epoch}; {card['seconds']:.0f} s, {card['images_per_second']:,.0f} img/s{memory}")
    print(f"weights: {card['weights']}")
    if card["dataset"] == "generated":
        print("To train on MNIST: numcnn train --data-dir DIR, with its four files in DIR.")
    return 0


@contextlib.contextmanager
def _stop_after_this_batch(monitor):
    """Let the first Ctrl-C (or SIGTERM) end the run after the batch under way; the second one ends it at once."""

    def request(number, frame):
        monitor.stop_signal = number
        for name in earlier:
            signal.signal(name, signal.default_int_handler)
        monitor.say("stopping after this batch; once more to stop at once")

    earlier = {name: signal.signal(name, request) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in earlier.items():
            signal.signal(name, handler)
