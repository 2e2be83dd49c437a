"""Measure a network on a test set: accuracy with its 95% interval, loss,
precision, recall and F1 per class, and the confusion matrix.  With
--corruptions also how much of the accuracy is left when the pictures are
spoilt in fifteen ways, in the spirit of MNIST-C; with --pad what the drawing
pad asks of it.
"""

EXAMPLES = """examples:
  numcnn evaluate                                     the shipped weights
  numcnn evaluate --weights runs/mnist-canonical-1/best.npz --out plots/
  numcnn evaluate --dataset fashion/ --weights fashion.npz
  numcnn evaluate --corruptions --out plots/
                                          noise, blur, fog, lines ... : how much
                                          it stands, in figures and a picture
  numcnn evaluate --weights pad --pad     strangers' strokes, scribbles, slips
  numcnn evaluate --own                   on digits that you drew in the pad,
                                          with the weights that the pad uses
"""

import os
from pathlib import Path

from numcnn.commands import add_data_arguments, add_threads_argument, add_weights_argument, print_json, read_own, say
from numcnn.errors import ConfigError

EXAMPLES_EACH = 10  # pictures under each corruption in corruptions.png
MOST_MISTAKES = 100  # in mistakes.png
MOST_HANDED_IN = 2000  # images that are handed in with each slip: preparing them takes milliseconds each


def add_arguments(parser):
    """Add this command's options."""
    add_weights_argument(parser, "mnist; with --own what the pad uses: personal if there are such, else pad")
    add_data_arguments(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N test images only")
    parser.add_argument(
        "--backend", default="fast", choices=("fast", "reference"), help="which kernels (default: fast)"
    )
    add_threads_argument(parser)
    parser.add_argument(
        "--own", nargs="?", const=True, metavar="FILE", help="read your own digits, that you labelled in the pad"
    )
    parser.add_argument("--corruptions", action="store_true", help="also read the images spoilt in 15 ways")
    parser.add_argument(
        "--pad",
        action="store_true",
        help="also read strangers' pen strokes, alone and in rows, what is no digit, and images handed in otherwise",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="draw the confusion matrix, per-class figures and the surest mistakes into this folder",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else there")


def run(arguments):
    """Measure, print, draw.  Return the exit code."""
    from numcnn import data
    from numcnn.imaging import corruptions
    from numcnn.kernels.thread_team import use_threads
    from numcnn.nn.checkpoint import find_weights
    from numcnn.nn.network import load

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit is {arguments.limit}; wants 1 or more")
    if arguments.out:
        if Path(arguments.out).is_file():
            raise ConfigError(f"--out {arguments.out} is a file; name a folder")
        os.makedirs(arguments.out, exist_ok=True)  # now, for a bad name should not cost the evaluation
    use_threads(arguments.threads)
    weights = find_weights(arguments.weights or (_weights_of_the_pad() if arguments.own else None))
    network = load(weights, backend=arguments.backend)
    dataset = _own(arguments) if arguments.own else _load(arguments)
    images, labels = dataset.test_images[: arguments.limit], dataset.test_labels[: arguments.limit]
    if arguments.corruptions or arguments.pad:
        _check_are_like_mnist(dataset, "--pad" if arguments.pad else "--corruptions")
    result = network.evaluate(images, labels)
    spoilt = corruptions.measure(network, images, labels) if arguments.corruptions else None
    on_the_pad = _on_the_pad(network, images, labels) if arguments.pad else None
    title = f"{weights.name} on {data.title_of(dataset.name)}"
    if arguments.json:
        more = {"corruptions": spoilt.to_json()} if spoilt else {}
        more |= {"pad": on_the_pad} if on_the_pad else {}
        print_json({**result.to_json(), **more, "dataset": dataset.name, "weights": str(weights)})
    else:
        trained_on = _trained_on(network)
        print(f"{title}\ntrained on {trained_on}; test images: {dataset.source}\n")
        print(result.to_text())
        if spoilt:
            print(f"\n{spoilt.to_text()}")
        if on_the_pad:
            from numcnn.pad import evaluation

            print(f"\n{evaluation.to_text(on_the_pad)}")
    if arguments.out:
        _draw(_figures(network, images, labels, result, spoilt, title), Path(arguments.out))
    return 0


def _weights_of_the_pad():
    from numcnn.pad.store import personal_weights

    return personal_weights() if personal_weights().exists() else "pad"


def _trained_on(network):
    """Say what a network has learnt from; of own digits too, for those it has seen are no test."""
    from numcnn.data import title_of

    title = title_of(network.info.get("dataset", "unknown data"))
    own = network.info.get("personal")
    return f"{title}, then on your own digits ({own['digits']})" if own else title


def _check_are_like_mnist(dataset, option):
    from numcnn.imaging.preprocess import SIDE

    height, width = dataset.test_images.shape[1:]
    if (height, width) != (SIDE, SIDE) or dataset.classes > 10:
        raise ConfigError(
            f"{option} wants ten digits of {SIDE} x {SIDE} pixels; those of {dataset.name} are {height} x {width}, "
            f"of {dataset.classes} classes"
        )


def _on_the_pad(network, images, labels):
    from numcnn.data import pendigits
    from numcnn.pad import evaluation

    writers, who = evaluation.people_for(network)
    few = slice(0, MOST_HANDED_IN)
    return evaluation.measure(network, pendigits.load().of(writers), images[few], labels[few], who=who)


def _figures(network, images, labels, result, spoilt, title):
    """Yield each picture's name and its figure."""
    from numcnn.evaluation import plots
    from numcnn.imaging import corruptions

    yield "confusion.png", plots.confusion_plot(result.confusion, title)
    yield "per_class.png", plots.per_class_plot(result.per_class, title)
    yield "reliability.png", plots.reliability_plot(result.calibration, result.calibration_error, title)
    if spoilt:
        some = {name: corruptions.corrupt(images[:EXAMPLES_EACH], name) for name in corruptions.CORRUPTIONS}
        examples = {name: (pictures, network.predict(pictures)) for name, pictures in some.items()}
        heading = f"{title}: accuracy on spoilt pictures; orange: what these were misread as"
        yield "corruptions.png", plots.corruption_plot(spoilt, examples, labels[:EXAMPLES_EACH], heading)
    if result.accuracy < 1:
        yield "mistakes.png", _mistakes(images, labels, result, title)
    else:
        say("no image was misread: there is no mistakes.png to draw")


def _mistakes(images, labels, result, title):
    """Return the gallery of what was misread, the surest first."""
    from numcnn.evaluation import metrics, plots

    wrong = metrics.mistakes(labels, result.probabilities)
    shown = wrong[:MOST_MISTAKES]
    answers = [f"read {p.argmax()}, {metrics.percent(p.max())}" for p in result.probabilities[shown]]
    which = "" if len(shown) == len(wrong) else f"; the {len(shown)} surest"
    heading = f"{title}: {len(wrong):,} of {result.n:,} misread{which}"
    return plots.gallery(images[shown], shown, labels[shown], answers, heading)


def _draw(figures, folder):
    from numcnn.evaluation import plots

    for name, figure in figures:
        plots.save(figure, folder / name)
        say(f"wrote {folder / name}")


def _load(arguments):
    from numcnn import data

    return data.load(arguments.dataset, arguments.data_dir, test_only=True, backend=arguments.backend, report=say)


def _own(arguments):
    """Return the user's own digits as a data set without a training set."""
    from numcnn.data import Dataset, handwriting
    from numcnn.pad.store import OwnSet
    from numcnn.training.personal import as_people

    if arguments.dataset != "auto" or arguments.data_dir:
        raise ConfigError("--own is a test set by itself; leave out --dataset and --data-dir")
    path = None if arguments.own is True else arguments.own
    images, labels = handwriting.render_plain(as_people(read_own(path)), arguments.backend)
    return Dataset("your own digits", images[:0], labels[:0], images, labels, str(OwnSet(path).path))
