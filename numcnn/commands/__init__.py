"""The commands.  Each module has a docstring, ``EXAMPLES``, ``add_arguments(parser)`` and ``run(arguments)``."""

import argparse
import contextlib
import json
import signal
import sys

from numcnn.errors import ConfigError, DataError
from numcnn.files import check_writable

MOST_PROBLEMS = 3  # lines of a file that are told one by one


def print_json(document):
    """Print one JSON object on stdout: with ``--json`` the only thing there."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def say(line):
    """Print a line on stderr, where it disturbs no output."""
    print(line, file=sys.stderr, flush=True)


def announce_compilation():
    """Say why nothing seems to happen, should kernels have to be compiled."""
    from tqdm import tqdm

    tqdm.write("compiling the fast kernels for this machine: once, some seconds", file=sys.stderr)  # above any bar


@contextlib.contextmanager
def terminated_cleanly(command):
    """Let SIGTERM end the process as Ctrl-C does: workers, files and temporary folders are seen to first."""

    def end(number, frame):
        signal.signal(number, signal.SIG_IGN)  # a second one would disturb that
        say(f"numcnn {command}: terminated")
        raise SystemExit(128 + number)

    earlier = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def check_output(option, path, suffix=""):
    """Refuse a file that can't be written, before anything takes time.  Raises ConfigError."""
    if not path.endswith(suffix):
        raise ConfigError(f"{option} is {path}; wants a {suffix} file")
    try:
        check_writable(path)
    except OSError as error:
        raise ConfigError(f"{option} is {path}, which can't be written: {error.strerror}; name another file") from error


def add_data_arguments(parser):
    """Add the options that choose a data set."""
    parser.add_argument(
        "--dataset",
        default="auto",
        metavar="NAME",
        help="mnist, generated, a folder with four IDX files, pad (what the pad's network learns from), pad-0 to pad-4 "
        "(the same, tested on strangers), or auto: mnist if it can be had, else generated digits",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the folder of MNIST's four files (default: $NUMCNN_DATA, else the user's cache, else a download)",
    )


def add_threads_argument(parser):
    """Add ``--threads``."""
    parser.add_argument("--threads", type=int, metavar="N", help="threads to compute with (default: one per processor)")


def warn_if_generated(network):
    """Say on stderr that a network has learnt from generated digits, so that nobody takes it for one of MNIST's."""
    from numcnn.data import title_of

    if network.info.get("dataset") == "generated":
        say(f"note: these weights were trained on {title_of('generated')}")


def add_weights_argument(parser, default="mnist"):
    """Add ``--weights``; ``default`` is only told."""
    parser.add_argument(
        "--weights",
        type=_weights,
        metavar="FILE",
        help="a weights file, by path or by the name of a shipped one, or personal: those that have learnt your hand "
        f"(default: {default})",
    )


def _weights(name):
    """Return what ``network.load`` takes: "personal" becomes the path of the personal weights."""
    if name != "personal":
        return name
    from numcnn.pad.store import personal_weights

    if not personal_weights().exists():
        raise argparse.ArgumentTypeError(
            f"there are no personal weights in {personal_weights().parent}; learn some first: numcnn learn"
        )
    return str(personal_weights())


def read_own(path=None):
    """Return the user's own digits, from a file or where the pad keeps them; say what is wrong with lines of it.

    Raises DataError when there are none.
    """
    from numcnn.pad.store import LINE, OwnSet

    own = OwnSet(path)
    if own.path.parent.is_file():
        raise DataError(f"{own.path.parent} is a file; digits of your own are kept in a folder: name one")
    digits, problems = own.read()
    for problem in problems[:MOST_PROBLEMS]:
        say(f"note: {problem}")
    if len(problems) > MOST_PROBLEMS:
        say(f"note: and {len(problems) - MOST_PROBLEMS} more such lines")
    if problems and not digits:
        raise DataError(f"no line of {own.path} is a digit of your own, as in {LINE}; see numcnn learn --help")
    if not digits:
        raise DataError(f"there are no digits of your own in {own.path}; label some in the pad: numcnn draw")
    return digits
