"""Measure a network on a test set: accuracy with its 95% interval, loss,
precision, recall and F1 per class, and the confusion matrix.
"""

EXAMPLES = """examples:
  numcnn evaluate                                     the shipped weights
  numcnn evaluate --weights runs/mnist-canonical-1/best.npz --out plots/
  numcnn evaluate --dataset fashion/ --weights fashion.npz
"""

import os
from pathlib import Path

from numcnn.commands import add_data_arguments, add_threads_argument, add_weights_argument, print_json, say
from numcnn.errors import ConfigError


def add_arguments(parser):
    """Add this command's options."""
    add_weights_argument(parser)
    add_data_arguments(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N test images only")
    parser.add_argument(
        "--backend", default="fast", choices=("fast", "reference"), help="which kernels (default: fast)"
    )
    add_threads_argument(parser)
    parser.add_argument("--out", metavar="DIR", help="draw the confusion matrix and per-class figures into this folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else there")


def run(arguments):
    """Measure, print, draw.  Return the exit code."""
    from numcnn import data
    from numcnn.checkpoint import find_weights
    from numcnn.network import load
    from numcnn.threads import use_threads

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit is {arguments.limit}; wants 1 or more")
    if arguments.out:
        if Path(arguments.out).is_file():
            raise ConfigError(f"--out {arguments.out} is a file; name a folder")
        os.makedirs(arguments.out, exist_ok=True)  # now, for a bad name should not cost the evaluation
    use_threads(arguments.threads)
    weights = find_weights(arguments.weights)
    network = load(weights, backend=arguments.backend)
    dataset = data.load(arguments.dataset, arguments.data_dir, test_only=True, backend=arguments.backend, report=say)
    images, labels = dataset.test_images[: arguments.limit], dataset.test_labels[: arguments.limit]
    result = network.evaluate(images, labels)
    title = f"{weights.name} on {data.title_of(dataset.name)}"
    if arguments.json:
        print_json({**result.to_json(), "dataset": dataset.name, "weights": str(weights)})
    else:
        trained_on = data.title_of(network.info.get("dataset", "unknown data"))
        print(f"{title}\ntrained on {trained_on}; test images: {dataset.source}\n")
        print(result.to_text())
    if arguments.out:
        _draw(result, title, Path(arguments.out))
    return 0


def _draw(result, title, folder):
    from numcnn import plots

    for name, figure in (
        ("confusion.png", plots.confusion_plot(result.confusion, title)),
        ("per_class.png", plots.per_class_plot(result.per_class, title)),
        ("reliability.png", plots.reliability_plot(result.calibration, result.calibration_error, title)),
    ):
        plots.save(figure, folder / name)
        say(f"wrote {folder / name}")
