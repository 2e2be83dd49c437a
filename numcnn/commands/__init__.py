"""The commands.  Each module has a docstring, ``EXAMPLES``, ``add_arguments(parser)`` and ``run(arguments)``."""

import argparse
import contextlib
import json
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from numcnn.errors import ConfigError, DataError
from numcnn.files import check_writable
from numcnn.nn.network import Network

if TYPE_CHECKING:
    from numcnn.pad.store import OwnDigit

Document: TypeAlias = dict[str, Any]  # a report, as JSON stores it

LIKELY_PERCENT = 0.1  # a share from here on, written without %, is probably meant in per cent
LONGEST_PATH = 200  # characters; a message shows the ends of a longer one
MOST_PROBLEMS = 3  # bad lines of a file that are reported one by one


def print_json(document: object) -> None:
    """Print one JSON object on stdout; with ``--json`` it is the only output there."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def say(line: str) -> None:
    """Print a line on stderr, so that stdout holds results only."""
    print(line, file=sys.stderr, flush=True)


def say_in_handler(say: Callable[[str], None], line: str) -> None:
    """Say a line from a signal handler: where the signal has interrupted another line, beside the stream.

    A buffered stream that is entered twice raises RuntimeError.
    """
    try:
        say(line)
    except RuntimeError:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode())


def shown(text: str) -> str:
    """Return a message in one line, without the middle of very long words."""
    line = " ".join(text.splitlines())
    return re.sub(rf"\S{{{LONGEST_PATH},}}", lambda word: f"{word[0][:80]}...{word[0][-80:]}", line)


def say_above_bar(line: str) -> None:
    """Print a line on stderr, above any progress bar."""
    from tqdm import tqdm  # noqa: PLC0415  (slow to load; most commands show no bar)

    tqdm.write(line, file=sys.stderr)


def announce_compilation() -> None:
    """Explain the wait when kernels have to be compiled."""
    say_above_bar("compiling the fast kernels for this machine: once, up to a minute")


@contextlib.contextmanager
def terminated_cleanly(command: str) -> Iterator[None]:
    """Let SIGTERM or a closed terminal end the process as Ctrl-C does: workers stopped, temporary folders removed."""

    def end(number: int, frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)  # a second one would interrupt the cleanup
        say_in_handler(say, f"numcnn {command}: terminated")
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it on purpose
        numbers.append(signal.SIGHUP)
    earlier = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def check_output(option: str, path: str, suffix: str = "") -> None:
    """Raise ConfigError if the file can't be written, before anything takes time."""
    if not path.endswith(suffix):
        raise ConfigError(f"{option} is {path}; wants a {suffix} file")
    try:
        check_writable(path)
    except OSError as error:
        raise ConfigError(f"{option} is {path}, which can't be written: {error.strerror}; name another file") from error


def add_data_arguments(parser: "argparse._ActionsContainer") -> None:
    """Add the options that choose a data set."""
    parser.add_argument(
        "--dataset",
        default="auto",
        metavar="NAME",
        help="mnist, generated, a folder with four IDX files, everyone (what the shipped network learns from), "
        "everyone-0 to everyone-4 (the same, tested on strangers), or auto: mnist if available, else generated digits",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the folder of MNIST's four files (default: $NUMCNN_DATA, else the user's cache, else a download)",
    )


def add_threads_argument(
    parser: "argparse._ActionsContainer", text: str = "threads to compute with (default: one per processor)"
) -> None:
    """Add ``--threads``."""
    parser.add_argument("--threads", type=int, metavar="N", help=text)


def add_cluster_argument(parser: "argparse._ActionsContainer", what: str) -> None:
    """Add ``--cluster``.  what: "train" or "read"."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help=f"{what} on the workers of a Dask scheduler, such as tcp://host:8786 (pip install 'numcnn[cluster]')",
    )


def add_at_most_argument(parser: "argparse._ActionsContainer") -> None:
    """Add ``--at-most``."""
    parser.add_argument(
        "--at-most",
        type=_share,
        metavar="SHARE",
        help="be sure only where at most this share of the answers is wrong, such as 0.5%%; measured on pen strokes of "
        "30 people that were not trained on (default: the threshold in the weights file)",
    )


def _share(text: str) -> float:
    """Return a share, 0..1, written as 0.5% or 0.005; 0.5 without % is taken for a slip."""
    number = text.removesuffix("%")
    try:
        share = float(number) / (100 if number != text else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share of wrong answers; wants one such as 0.5% or 0.005")
    if number == text and share >= LIKELY_PERCENT:
        raise argparse.ArgumentTypeError(f"{text} would be {share:.0%} wrong answers; write {number}% if you mean that")
    return share


def warn_if_generated(network: Network) -> None:
    """Say on stderr if a network was trained on generated digits, so that nobody mistakes it for one of MNIST's."""
    from numcnn.data import title_of  # noqa: PLC0415  (slow to load; predict rarely needs it)

    if network.info.get("dataset") == "generated":
        say(f"note: these weights were trained on {title_of('generated')}")


def add_weights_argument(parser: "argparse._ActionsContainer", default: str = "everyone") -> None:
    """Add ``--weights``; ``default`` only goes into the help."""
    parser.add_argument(
        "--weights",
        type=_weights,
        metavar="FILE",
        help="a weights file, by path or by the name of a shipped one, or personal: those trained on your handwriting "
        f"(default: {default})",
    )


def add_compare_argument(parser: "argparse._ActionsContainer") -> None:
    """Add ``--compare``."""
    parser.add_argument(
        "--compare",
        type=_weights,
        nargs=2,
        metavar=("A", "B"),
        help="read the same pictures with two weights files, and say whether the difference is real (McNemar's test)",
    )


def _weights(name: str) -> str:
    """Return the name or path for ``network.load``; "personal" becomes the path of the personal weights."""
    if name != "personal":
        return name
    from numcnn.pad.store import personal_weights  # noqa: PLC0415  (few need the pad)

    if not personal_weights().exists():
        raise argparse.ArgumentTypeError(
            f"there are no personal weights in {personal_weights().parent}; learn some first: numcnn learn"
        )
    return str(personal_weights())


def read_own(path: str | Path | None = None) -> "list[OwnDigit]":
    """Return the user's own digits from a file, by default the pad's; report bad lines on stderr.

    Raises DataError when there are none.
    """
    from numcnn.pad.store import LINE, OwnSet  # noqa: PLC0415  (few commands need the pad)

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
