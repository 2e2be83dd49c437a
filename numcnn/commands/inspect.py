"""Show a network's inside for one picture of a digit: every layer's output, and
the gradient of the loss on its way back to the pixels.

Prints a table: each array's norm and share of zeros. --out draws a sheet of
each layer: filters, activations, gradients, histograms; picture.png shows the
saliency. --html makes one page to click through, for any browser: each pixel of
each map with the sum that it is. --explain prints one such sum.
"""

EXAMPLES = """examples:
  numcnn inspect seven.png                      the table
  numcnn inspect seven.png --label 1 --out seven/
                                                seven/overview.png, conv1.png
                                                ... loss.png
  numcnn inspect seven.png --html lens.html     to click through
  numcnn inspect seven.png --explain "conv2.dw[1,2,3,4]"
  numcnn inspect seven.png --explain "pool1.dx[10,11,3]"
  numcnn inspect --docs                         the picture in nn/README.md

The gradient of an array called name is dname. Indices count from 0: a map's are
[row,column,map], a filter's [row,column,channel,filter]. The loss is that of
training, for --label; without it for what the network reads, where a sure
network has next to no gradient: name another digit to see what it would change.

The page holds all it needs and asks no network; it takes about 2 MB. Of dense
layers with more than 300,000 weights it leaves out those that are multiplied by
zeros only. Sheets and pages are never overwritten.
"""

import argparse
import re
from pathlib import Path

import numcnn
from numcnn.commands import add_weights_argument, check_output, print_json, say, warn_if_generated
from numcnn.errors import ConfigError
from numcnn.evaluation import plots
from numcnn.nn.network import load
from numcnn.nn.trace import Trace, trace
from numcnn.recognition.page import read
from numcnn.training.run_folder import check_out

WEIGHTS = "canonical"  # the one to learn from: small enough to look at each weight
SURE = 0.99  # from this probability of the label on, gradients are so small that a note explains it
PICTURES = Path(numcnn.__file__).parents[1] / ".github" / "pictures"  # of a checkout: those of the READMEs
DOCS_PICTURE, DOCS_LABEL, DOCS_LAYER, DOCS_OUT = "seven.png", 1, "pool1", "lens.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("picture", nargs="?", metavar="PICTURE", help="a picture file of one digit")
    parser.add_argument(
        "--label", type=int, metavar="N", help="the digit that it should be (default: the one that the network reads)"
    )
    add_weights_argument(parser, WEIGHTS)
    parser.add_argument(
        "--training", action="store_true", help="with dropout and the picture's own statistics, as in a training step"
    )
    parser.add_argument("--out", metavar="DIR", help="draw the sheets into this folder, which must be new or empty")
    parser.add_argument("--html", metavar="FILE", help="write a page to click through; must not exist")
    parser.add_argument("--explain", metavar="ENTRY", help="print the sum that an entry is, as in conv2.dw[1,2,3,4]")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")
    parser.add_argument("--docs", action="store_true", help="draw the README's picture again, in a checkout")


def run(arguments: argparse.Namespace) -> int:
    """Trace, print, draw.  Return the exit code."""
    if arguments.docs:
        draw_docs()
        return 0
    if not arguments.picture:
        raise ConfigError("name a picture of a digit, as in numcnn inspect seven.png")
    entry = _entry(arguments.explain) if arguments.explain else None
    folder = check_out(arguments.out) if arguments.out else None  # now, so that a bad name fails before any work
    if arguments.html:
        check_output("--html", arguments.html, ".html")
        if Path(arguments.html).exists():
            raise ConfigError(f"--html {arguments.html} exists; name another file, or remove it")
    network = load(arguments.weights or WEIGHTS, backend="reference")
    warn_if_generated(network)
    found = trace(network, arguments.picture, arguments.label, training=arguments.training)
    # By the shipped network: the one that is inspected may know nothing of pages.
    if sum(digit.sure for digit in read(arguments.picture)) > 1:
        say("note: the picture seems to hold several digits, taken for one here; numcnn predict reads each")
    _report(found, entry, arguments.json)
    if arguments.label is None and found.probabilities[found.label] > SURE and not arguments.json:
        say(f"note: the network is sure of its {found.label}, so the gradients are small; see --label")
    if folder:
        _draw(found, folder)
    if arguments.html:
        found.save_html(arguments.html)
        say(f"wrote {arguments.html}")
    return 0


def _report(found: Trace, entry: tuple[str, str, tuple[int, ...]] | None, as_json: bool) -> None:
    explained = found.explain(*entry) if entry else None
    if as_json:
        print_json(found.to_json() | ({"explained": explained.to_json()} if explained else {}))
    else:
        print(explained or found)


def _entry(text: str) -> tuple[str, str, tuple[int, ...]]:
    """Return layer, array and index of "conv2.dw[1,2,3,4]"."""
    parts = re.fullmatch(r"(\w+)\.(\w+)(?:\[([\d, ]*)\])?", text.strip())
    if not parts:
        raise ConfigError(f"--explain {text!r} names no entry; wants layer.array[index], as in conv2.dw[1,2,3,4]")
    layer, array, index = parts.groups(default="")
    return layer, array, tuple(int(number) for number in index.replace(",", " ").split())


def _draw(found: Trace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plots.save(found.plot(), folder / "overview.png")
    for stop in found.stops:
        plots.save(found.plot(stop.name), folder / f"{stop.name}.png")
    say(f"wrote {len(found.stops) + 1} sheets into {folder}: overview.png, {found.stops[0].name}.png ...")


def draw_docs(folder: Path = PICTURES) -> None:
    """Draw the picture of nn/README.md into ``folder``.  Raises ConfigError where there is no checkout."""
    if not (PICTURES / DOCS_PICTURE).exists():
        raise ConfigError("--docs draws the README's picture, and this is no checkout: there is no .github/pictures")
    found = trace(load(WEIGHTS, backend="reference"), PICTURES / DOCS_PICTURE, DOCS_LABEL)
    plots.save(found.plot(DOCS_LAYER), folder / DOCS_OUT)
    say(f"wrote {folder / DOCS_OUT}")
