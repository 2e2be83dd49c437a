"""Compare every gradient of a whole network, and of the loss, with numeric
differences in float64.

Prints a table: per array the largest relative error, where it is, and both
values there. Exit code 0 if all entries checked agree, 1 if one does not or
none could be checked.
"""

EXAMPLES = """examples:
  numcnn gradcheck                        the canonical network, untrained
  numcnn gradcheck --weights best.npz     a trained one
  numcnn gradcheck --out gradcheck.png    also draw it
"""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator

from numcnn import kernels
from numcnn.commands import check_output, print_json, say
from numcnn.nn.gradient_check import GradientReport, gradcheck
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.models import MODELS, make_layers
from numcnn.nn.network import Network, load

BAR = "checking {desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} entries, {remaining} left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--model", default="canonical", choices=MODELS, help="architecture (default: %(default)s)")
    subject.add_argument("--weights", metavar="FILE", help="check the network in this weights file")
    parser.add_argument("--samples", type=int, default=50, metavar="N", help="entries per array (default: %(default)s)")
    parser.add_argument(
        "--backend", default="reference", choices=("reference", "fast"), help="the kernels (default: %(default)s)"
    )
    parser.add_argument(
        "--no-fuse", dest="fuse", action="store_false", help="run every layer by itself, without fused kernels"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of input, gradient and choice of entries"
    )
    parser.add_argument("--out", metavar="FILE", help="draw the report into this PNG file")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Check the gradients.  Return 0 if they are right, else 1."""
    if arguments.out:
        check_output("--out", arguments.out, ".png")
    if arguments.weights:
        network = load(arguments.weights, backend="reference")
    else:
        network = Network(make_layers(arguments.model), backend="reference", seed=arguments.seed)
    network.fuse = arguments.fuse
    options = {"samples": arguments.samples, "backend": arguments.backend, "seed": arguments.seed}
    if not (arguments.json or sys.stderr.isatty()):  # where no bar is shown
        say(f"checking gradients, {arguments.samples} entries an array; this can take half a minute")
    with _bar(quiet=arguments.json) as progress:
        whole = gradcheck(network, **options, progress=progress)
    loss = gradcheck(SoftmaxCrossEntropy(kernels.get_backend(arguments.backend), 0.1), **options)
    rows = [*whole.rows, *(dataclasses.replace(row, name=f"loss.{row.name}") for row in loss.rows)]
    report = GradientReport(whole.title, rows, whole.tolerance)
    if arguments.out:
        report.plot(arguments.out)
        say(f"wrote {arguments.out}")
    if arguments.json:
        print_json(report.to_json())
    else:
        print(report)
    return 0 if report.passed else 1


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback for ``gradcheck`` that shows a bar after a second, on a terminal only."""
    from tqdm import tqdm  # noqa: PLC0415  (slow to load)

    # disable=None: no bar where stderr isn't a terminal.
    with tqdm(unit=" entries", disable=quiet or None, leave=False, delay=1, bar_format=BAR) as bar:

        def progress(name: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(name, refresh=False)
            bar.update(done - bar.n)

        yield progress
