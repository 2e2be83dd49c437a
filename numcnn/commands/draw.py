"""Open the drawing pad: draw digits, and see while you draw how they are read."""

EXAMPLES = """examples:
  numcnn draw
  numcnn draw --theme dark --size 1280x800
  numcnn draw --strokes four.json                         begin with a drawing
  numcnn draw --strokes four.json --screenshot four.png   no window: a picture
  numcnn draw --strokes four.json --screenshot in.png --inside

A strokes file is a JSON list of strokes, each a list of points [x, y] with y
downwards, in any unit: the drawing is scaled to fit the sheet, with room around
it.  Without one the pad brings the last drawing back.  H shows all keys.

The pad keeps the drawing, your digits and what it has learnt of them in your
data folder: on Linux ~/.local/share/numcnn; NUMCNN_HOME names another.
"""

import argparse
import re
from pathlib import Path

from numcnn.commands import add_weights_argument, check_output, say, terminated_cleanly, warn_if_generated
from numcnn.errors import ConfigError
from numcnn.files import check_writable

SMALLEST, LARGEST = 480, 8192
SIZE = (1100, 700)


def add_arguments(parser):
    """Add this command's options."""
    add_weights_argument(parser, "pad")
    parser.add_argument("--strokes", metavar="FILE", help="strokes to begin with (JSON)")
    parser.add_argument("--size", type=_size, default=SIZE, metavar="WxH", help="of the window (default: 1100x700)")
    parser.add_argument(
        "--theme", choices=("light", "dark"), help="(default: as you left it; at first, and on a screenshot, light)"
    )
    parser.add_argument("--save-dir", metavar="DIR", help="where S saves drawings (default: the current folder)")
    parser.add_argument("--screenshot", metavar="FILE", help="write a PNG of the pad and exit; needs no display")
    parser.add_argument("--inside", action="store_true", help="on the screenshot, show the network's inside")
    parser.add_argument("--saliency", action="store_true", help="on the screenshot, show what spoke for the answer")


def run(arguments):
    """Open the pad, or write its picture.  Return the exit code."""
    from numcnn.nn.network import load
    from numcnn.pad.canvas import read_strokes

    if arguments.screenshot:
        check_output("--screenshot", arguments.screenshot, ".png")
    elif arguments.inside or arguments.saliency:
        raise ConfigError("--inside and --saliency are for --screenshot FILE; in the window press F and W")
    if arguments.save_dir:
        _check_save_dir(arguments.save_dir)
    strokes = read_strokes(arguments.strokes) if arguments.strokes else []
    weights = arguments.weights or "pad"
    network = load(weights, backend="reference")
    warn_if_generated(network)

    from numcnn.pad import app  # after what can fail: it loads pygame

    if arguments.screenshot:
        panels = {"inside": arguments.inside, "why": arguments.saliency}
        theme = arguments.theme or "light"
        app.screenshot(network, arguments.screenshot, arguments.size, strokes, theme=theme, **panels)
        say(f"wrote {arguments.screenshot}")
    else:
        keeper = _keeper(network, weights, arguments)
        network = (None if arguments.weights else keeper.own_network()) or network
        try:
            with terminated_cleanly("draw"):
                app.run(network, arguments.size, strokes, theme=arguments.theme, keeper=keeper)
        finally:
            for problem in keeper.lost:
                say(f"numcnn draw: {problem}")
        return 1 if keeper.lost else 0
    return 0


def _check_save_dir(folder):
    """Refuse a folder where S could save nothing: better now than when something is drawn.  Raises ConfigError."""
    try:
        check_writable(Path(folder) / "drawing.png")
    except OSError as error:
        raise ConfigError(
            f"--save-dir is {folder}, where nothing can be written: {error.strerror}; name a folder that exists"
        ) from error


def _keeper(network, weights, arguments):
    """Return what takes care of the pad's files."""
    from numcnn.pad import store
    from numcnn.pad.background import Keeper

    autosave = None if arguments.strokes else store.Autosave()
    return Keeper(store.OwnSet(), autosave, arguments.save_dir or ".", network, weights, store.Settings())


def _size(text):
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = tuple(map(int, match.groups())) if match else (0, 0)
    if not SMALLEST <= min(size) <= max(size) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: wants WIDTHxHEIGHT in pixels, {SMALLEST} to {LARGEST}, as 900x600")
    return size
