"""Read the digit in each picture: any size, dark on light or light on dark.

A picture is first prepared as MNIST's were: 28x28 pixels, the digit in a 20x20
box, centred by its centre of mass.
"""

EXAMPLES = """examples:
  numcnn predict seven.png              label, probability, two runners-up
  numcnn predict --at-most 0.5% *.png   "not sure" unless that few are wrong
  numcnn predict --json *.png           a list of {path, label, probability,
                                        sure, probabilities}

A picture that can't be read is reported on stderr; the others are still read,
and the exit code is 2.
"""

import argparse

from numcnn.commands import Document, add_at_most_argument, add_weights_argument, print_json, say, warn_if_generated
from numcnn.errors import DataError
from numcnn.evaluation.metrics import percent
from numcnn.nn.answers import least_probability
from numcnn.nn.network import load
from numcnn.recognition.reading import predict_file

RUNNERS_UP = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files: PNG, JPEG, BMP, GIF, TIFF, WebP ...")
    add_weights_argument(parser)
    add_at_most_argument(parser)
    parser.add_argument(
        "--backend",
        default="reference",
        choices=("reference", "fast"),
        help="the kernels (default: %(default)s; fast pays off from a few hundred pictures on)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Read the pictures.  Return 0, or 2 if some could not be read."""
    network = load(arguments.weights, backend=arguments.backend)
    warn_if_generated(network)
    least_probability(network.info, arguments.at_most)  # now, so that a bad share fails before any picture
    results: list[Document] = []
    failed = False
    for path in arguments.images:
        try:
            results.append(predict_file(network, path, arguments.at_most))
        except DataError as error:
            failed = True
            say(f"numcnn predict: {error}")
    if arguments.json:
        print_json(results)
    else:
        width = max((len(result["path"]) for result in results), default=0)
        for result in results:
            print(f"{result['path']:<{width}}  {_answer(result)}")
    return 2 if failed else 0


def _answer(result: Document) -> str:
    """Return the label with its probability, or that the network isn't sure, then the runners-up."""
    probabilities: list[float] = result["probabilities"]
    order = sorted(range(len(probabilities)), key=lambda label: -probabilities[label])
    first, *others = (f"{label} ({percent(probabilities[label])})" for label in order[: 1 + RUNNERS_UP])
    if not result["sure"]:
        return f"not sure (maybe a {result['label']}: {percent(result['probability'])})   then {', '.join(others)}"
    return f"{first}   then {', '.join(others)}"
