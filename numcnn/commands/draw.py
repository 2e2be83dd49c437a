"""Open the drawing pad: draw a digit, and see the answer while you draw."""

EXAMPLES = """examples:
  numcnn draw
  numcnn draw --strokes four.json                         begin with a drawing
  numcnn draw --strokes four.json --screenshot four.png   no window: a picture

A strokes file is a JSON list of strokes, each a list of points [x, y] with y
downwards, in any unit: the drawing is scaled to fill the sheet.
"""

import argparse
import re

from numcnn.commands import add_weights_argument, check_output, say, warn_if_generated

SMALLEST, LARGEST = 480, 8192


def add_arguments(parser):
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument("--strokes", metavar="FILE", help="strokes to begin with (JSON)")
    parser.add_argument("--screenshot", metavar="FILE", help="write a PNG of the pad and exit; needs no display")
    parser.add_argument(
        "--size", type=_size, default=(1100, 700), metavar="WxH", help="of the window (default: 1100x700)"
    )
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="colours (default: %(default)s)")
    parser.add_argument("--inside", action="store_true", help="show the network's inside on the screenshot")
    parser.add_argument("--saliency", action="store_true", help="show on the screenshot what ink spoke for the answer")


def run(arguments):
    """Open the pad, or write its picture."""
    from numcnn.network import load
    from numcnn.pad.canvas import read_strokes

    if arguments.screenshot:
        check_output("--screenshot", arguments.screenshot, ".png")
    strokes = read_strokes(arguments.strokes) if arguments.strokes else []
    network = load(arguments.weights, backend="reference")
    warn_if_generated(network)

    from numcnn.pad import app  # after what can fail: it loads pygame

    if arguments.screenshot:
        panels = {"inside": arguments.inside, "why": arguments.saliency, "theme": arguments.theme}
        app.screenshot(network, arguments.screenshot, arguments.size, strokes, **panels)
        say(f"wrote {arguments.screenshot}")
    else:
        app.run(network, arguments.size, strokes)


def _size(text):
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = tuple(map(int, match.groups())) if match else (0, 0)
    if not SMALLEST <= min(size) <= max(size) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: wants WIDTHxHEIGHT in pixels, {SMALLEST} to {LARGEST}, as 900x600")
    return size
