"""Open the drawing pad: draw digits, and watch the network read them as you draw."""

EXAMPLES = """examples:
  numcnn draw
  numcnn draw --theme dark --size 1280x800
  numcnn draw --strokes four.json                         start with a drawing
  numcnn draw --strokes four.json --screenshot four.png   no window: a picture
  numcnn draw --strokes four.json --screenshot in.png --inside
  numcnn draw --picture photo.jpg                       read a picture of digits
  numcnn draw --strokes four.json --record learns.gif   a network learns to read

A strokes file is a JSON list of strokes, each a list of points [x, y] with y
downwards, in any unit: the drawing is scaled to fit the sheet, with a margin.
Without one the pad restores the last drawing.  H shows all keys.

The pad keeps the drawing, your digits and the weights learned from them in your
data folder: on Linux ~/.local/share/numcnn; NUMCNN_HOME names another.
"""

import argparse
import re
from pathlib import Path

from numcnn.commands import add_weights_argument, check_output, say, terminated_cleanly, warn_if_generated
from numcnn.errors import ConfigError
from numcnn.files import check_writable, named_errors
from numcnn.nn.checkpoint import DEFAULT_WEIGHTS
from numcnn.nn.network import load
from numcnn.pad import store
from numcnn.pad.canvas import read_strokes

SMALLEST, LARGEST = 480, 8192
SIZE = (1100, 700)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument("--strokes", metavar="FILE", help="strokes to start with (JSON)")
    parser.add_argument("--picture", metavar="FILE", help="a picture of digits to read, as if it was dropped")
    parser.add_argument("--size", type=_size, default=SIZE, metavar="WxH", help="window size (default: 1100x700)")
    parser.add_argument(
        "--theme",
        choices=("light", "dark"),
        help="colours (default: those used last; at first, and in screenshots, light)",
    )
    parser.add_argument("--save-dir", metavar="DIR", help="where S saves drawings (default: the current folder)")
    parser.add_argument(
        "--screenshot", metavar="FILE", help="write a PNG of the whole window and exit; needs no display"
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="write an animation, .gif or .png, of a network that learns in the pad and exit; needs no display",
    )
    parser.add_argument("--inside", action="store_true", help="in the screenshot, show the inside of the network")
    parser.add_argument("--saliency", action="store_true", help="in the screenshot, show which ink favours the answer")


def run(arguments: argparse.Namespace) -> int:
    """Open the pad, or write a screenshot or an animation.  Return the exit code."""
    if arguments.record:
        return _record(arguments)
    if arguments.screenshot:
        check_output("--screenshot", arguments.screenshot, ".png")
    elif arguments.inside or arguments.saliency:
        raise ConfigError("--inside and --saliency are for --screenshot FILE; in the window press F and W")
    if arguments.save_dir:
        # Fails now rather than when S is pressed.
        with named_errors(
            f"--save-dir {arguments.save_dir}", "name a folder that exists", action="write to", error_class=ConfigError
        ):
            check_writable(Path(arguments.save_dir) / "drawing.png")
    strokes = read_strokes(arguments.strokes) if arguments.strokes else []
    weights = arguments.weights or DEFAULT_WEIGHTS
    network = load(weights, backend="reference")
    warn_if_generated(network)

    from numcnn.pad import app, background, still  # noqa: PLC0415 - they load pygame: after everything that can fail

    if arguments.screenshot:
        panels = {"inside": arguments.inside, "why": arguments.saliency}
        theme = arguments.theme or "light"
        picture = arguments.picture
        still.screenshot(network, arguments.screenshot, arguments.size, strokes, theme=theme, picture=picture, **panels)
        say(f"wrote {arguments.screenshot}")
    else:
        autosave = None if arguments.strokes else store.Autosave()  # a given drawing doesn't replace the saved one
        save_dir = arguments.save_dir or "."
        tasks = background.BackgroundTasks(
            store.OwnSet(), autosave, save_dir, network, weights, settings=store.Settings()
        )
        network = (None if arguments.weights else tasks.own_network()) or network
        try:
            with terminated_cleanly("draw"):
                app.run(
                    network,
                    arguments.size,
                    strokes,
                    theme=arguments.theme,
                    tasks=tasks,
                    picture=arguments.picture,
                )
        finally:
            for problem in tasks.lost:
                say(f"numcnn draw: {problem}")
        return 1 if tasks.lost else 0
    return 0


def _record(arguments: argparse.Namespace) -> int:
    """Write an animation of a network that learns in the pad.  Return the exit code."""
    for option in ("screenshot", "inside", "saliency", "picture", "weights"):
        if getattr(arguments, option):
            raise ConfigError(f"--record shows a new network that learns to read strokes; leave out --{option}")
    if not arguments.record.lower().endswith((".gif", ".png")):
        raise ConfigError(f"--record is {arguments.record}; wants a .gif or .png file")
    check_output("--record", arguments.record)
    strokes = read_strokes(arguments.strokes) if arguments.strokes else []

    from numcnn.pad import recording  # noqa: PLC0415 - it loads pygame

    with terminated_cleanly("draw"):
        theme = arguments.theme or "light"
        count = recording.record(arguments.record, arguments.size, strokes, theme=theme, report=say)
    say(f"wrote {arguments.record}: {count} frames")
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not SMALLEST <= min(size) <= max(size) <= LARGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be WIDTHxHEIGHT in pixels, {SMALLEST} to {LARGEST}, as 900x600"
        )
    return size
