"""Read the digit in each picture: any size, dark on light or light on dark.

A picture is first made into what MNIST's makers would have made of it: 28x28
pixels, the digit in a 20x20 box, centred by its barycentre.
"""

EXAMPLES = """examples:
  numcnn predict seven.png              label, probability, two runners-up
  numcnn predict --json *.png           a list of {path, label, probabilities}

A picture that can't be read is named on stderr; the others are still read, and
the exit code is 2.
"""

from numcnn.commands import add_weights_argument, print_json, say, warn_if_generated
from numcnn.errors import DataError

RUNNERS_UP = 2


def add_arguments(parser):
    """Add this command's options."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files: PNG, JPEG, BMP, GIF, TIFF, WebP ...")
    add_weights_argument(parser)
    parser.add_argument(
        "--backend",
        default="reference",
        choices=("reference", "fast"),
        help="which kernels (default: %(default)s; fast pays off from some hundred pictures on)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list on stdout, nothing else there")


def run(arguments):
    """Read the pictures.  Return 0, or 2 if some could not be read."""
    from numcnn.nn.network import load
    from numcnn.recognition.reading import predict_file

    network = load(arguments.weights, backend=arguments.backend)
    warn_if_generated(network)
    results, failed = [], False
    for path in arguments.images:
        try:
            results.append(predict_file(network, path))
        except DataError as error:
            failed = True
            say(f"numcnn predict: {error}")
    if arguments.json:
        print_json(results)
    else:
        width = max((len(result["path"]) for result in results), default=0)
        for result in results:
            print(f"{result['path']:<{width}}  {_answer(result['probabilities'])}")
    return 2 if failed else 0


def _answer(probabilities):
    """Return the label with its probability, then those that come next."""
    from numcnn.evaluation.metrics import percent

    order = sorted(range(len(probabilities)), key=lambda label: -probabilities[label])
    first, *others = (f"{label} ({percent(probabilities[label])})" for label in order[: 1 + RUNNERS_UP])
    return f"{first}   then {', '.join(others)}"
