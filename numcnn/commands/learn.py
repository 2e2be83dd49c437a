"""Learn your own handwriting, from the digits that you labelled in the pad, or
how digits look to your scanner, camera or meter, from a folder of pictures.

The network trains for a few more seconds on your digits, mixed with pictures
like those it learned from before, so that it does not forget. The new weights
go to a separate file, which the pad uses from then on; the old weights don't
change. With 20 digits or more, a quarter is held out first, to estimate the
accuracy on digits that you have yet to draw.
"""

EXAMPLES = """examples:
  numcnn learn                          the same as T in the pad
  numcnn learn --own mine.jsonl --out mine.npz
  numcnn evaluate --own --weights mine.npz
  numcnn learn --pictures meter/ --out meter.npz
                                        labelled pictures of single digits, in
                                        folders 0 to 9 or with names that all
                                        begin or all end with the digit, as
                                        3_0001.png or img_3.png; 10 of each do
  numcnn predict --weights meter.npz today.jpg
  numcnn learn --simulate               measure the gain: for each of the 5
                                        writers of UCI's pen digits whom the
                                        network reads worst, learn 20 digits,
                                        then read the others

A file of own digits has one line of JSON per digit:
  {"label": 4, "strokes": [[[x, y], ...], ...], "time": ...}

The pad keeps them in own.jsonl and the new weights in personal.npz, in your
data folder: on Linux ~/.local/share/numcnn; NUMCNN_HOME names another. With
--pictures but without --out, the new weights replace those in personal.npz,
which are kept as personal-before.npz. A digit that you labelled in a picture
in the pad has "image", 28x28 bytes in base64, in place of "strokes".
"""

import argparse
import time
from typing import Any

from numcnn.commands import (
    Document,
    add_threads_argument,
    add_weights_argument,
    check_output,
    print_json,
    read_own,
    say,
)
from numcnn.data import pendigits
from numcnn.errors import ConfigError
from numcnn.evaluation.metrics import accuracy_interval
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.network import Network, load
from numcnn.pad import store
from numcnn.pad.learner import PROGRESS
from numcnn.recognition.labelled import labelled_pictures, read_labelled
from numcnn.training import personal, simulated_users

# The defaults for simulated users.  The parser's are None, which shows whether an option was given.
SIMULATED: dict[str, Any] = {"pens": None, "worst": 5, "writers": None, "digits": 20, "draws": 3, "way": "balanced"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument("--own", metavar="FILE", help="your digits (default: those that you labelled in the pad)")
    parser.add_argument("--pictures", metavar="FOLDER", help="labelled pictures of single digits instead")
    parser.add_argument("--out", metavar="FILE", help="file for the new weights (default: the pad's)")
    parser.add_argument("--data-dir", metavar="DIR", help="MNIST's folder; without MNIST, generated digits replace it")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random (default: 0)")
    parser.add_argument("--backend", default="fast", choices=("fast", "reference"), help="the kernels (default: fast)")
    add_threads_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")
    parser.add_argument("--progress", action="store_true", help='print the progress on stderr: "progress 42" (%%)')
    group = parser.add_argument_group("simulated users")
    group.add_argument("--simulate", action="store_true", help="measure the gain from learning; write no weights")
    group.add_argument("--pens", metavar="PATH", help="UCI's pen digits (default: the cache, else a download)")
    usual = {name: f"(default: {SIMULATED[name]})" for name in ("worst", "digits", "draws")}
    group.add_argument("--worst", type=int, metavar="N", help=f"the N writers with most errors {usual['worst']}")
    group.add_argument("--writers", type=_numbers, metavar="N,N", help="these writers instead")
    group.add_argument("--digits", type=int, metavar="N", help=f"digits that each labels {usual['digits']}")
    group.add_argument("--draws", type=int, metavar="N", help=f"repetitions for each writer {usual['draws']}")
    group.add_argument(
        "--way",
        choices=simulated_users.WAYS,
        help="how to choose the digits to label: balanced (the default), equally many of each class; or corrections, "
        "from the half drawn first: misread ones for up to half of the labels, then others; the other half is the test",
    )


def run(arguments: argparse.Namespace) -> int:
    """Learn, or measure the gain from learning.  Return the exit code."""
    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; wants a whole number, 0 or more")
    _check_belong_together(arguments)
    use_threads(arguments.threads)
    network = load(arguments.weights, backend=arguments.backend)
    return _simulate(arguments, network) if arguments.simulate else _learn(arguments, network)


def _check_belong_together(arguments: argparse.Namespace) -> None:
    """Refuse options that would do nothing, and set the defaults of those not given.  Raises ConfigError."""
    foreign = ("own", "pictures", "out", "progress") if arguments.simulate else SIMULATED
    given = ", ".join(
        f"--{name}" for name in foreign if (value := getattr(arguments, name)) is not None and value is not False
    )
    if given and arguments.simulate:
        raise ConfigError(f"--simulate learns other people's digits and writes no weights; leave out {given}")
    if given:
        raise ConfigError(f"only simulated users take {given}; add --simulate, or leave out {given}")
    if arguments.worst is not None and arguments.writers is not None:
        raise ConfigError("--writers names the writers, --worst looks for some; leave out one of them")
    if arguments.own and arguments.pictures:
        raise ConfigError("--own and --pictures are learned one at a time; leave out one of them")
    for name, value in SIMULATED.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def _learn(arguments: argparse.Namespace, network: Network) -> int:
    """Learn the user's digits, save the weights, print the report.  Return the exit code."""
    began = time.perf_counter()
    out = arguments.out or str(store.personal_weights())
    digits = _crops(arguments.pictures, network) if arguments.pictures else read_own(arguments.own)
    if not arguments.out:
        store.make_home()
    check_output("--out", out, ".npz")
    learner, report = personal.learn(
        network,
        digits,
        seed=arguments.seed,
        data_dir=arguments.data_dir,
        backend=arguments.backend,
        progress=_ProgressLines() if arguments.progress else None,
    )
    if arguments.pictures and not arguments.out and (kept := store.back_up()):
        say(f"note: these weights replace your earlier ones in {out}, which are kept as {kept}")
    learner.save(out)
    report |= {"seconds": time.perf_counter() - began, "weights": out}
    if arguments.json:
        print_json(report)
        return 0
    for name, text in (("held_out", "digits held out"), ("own", "all digits, learned"), ("known", "what it knew")):
        if report[name]:
            print(f"{text:<20} {_change(report[name])}")
    print(f"{'':<20} {report['known']['source']}")
    print(f"learned {report['digits']} digits in {report['seconds']:.1f} s; weights: {out}")
    return 0


def _crops(folder: str, network: Network) -> personal.Crops:
    """Return a folder of labelled pictures as the network sees them; report what can't be read."""
    images, labels, problems = read_labelled(labelled_pictures(folder), network)
    for problem in problems:
        say(f"note: {problem}; left out")
    return personal.Crops(images, labels)


class _ProgressLines:
    """Print a fraction, 0..1, on stderr, once for each percent."""

    def __init__(self) -> None:
        self._printed = -1

    def __call__(self, fraction: float) -> None:
        if int(100 * fraction) > self._printed:
            self._printed = int(100 * fraction)
            say(f"{PROGRESS} {self._printed}")


def _change(found: Document) -> str:
    right = [round(found[when] * found["n"]) for when in ("before", "after")]
    low, high = accuracy_interval(right[1], found["n"])
    return f"{right[0]} -> {right[1]} of {found['n']:,} right (95% interval {low:.0%} to {high:.0%})"


def _simulate(arguments: argparse.Namespace, network: Network) -> int:
    """Print each simulated user's errors before and after learning.  Return the exit code."""
    for name in ("worst", "digits", "draws"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name} is {getattr(arguments, name)}; wants 1 or more")
    people = pendigits.load(arguments.pens, report=say)
    writers = arguments.writers
    if writers is None:
        unknown = people.of(simulated_users.strangers(network, people))
        writers = simulated_users.worst(network, unknown, arguments.worst, backend=arguments.backend)
    test = personal.local_mnist(("test_images", "test_labels"), arguments.data_dir)
    before = 1 - personal.accuracy(network, test["test_images"], test["test_labels"]) if test else None
    study = simulated_users.Study(
        count=arguments.digits,
        draws=arguments.draws,
        way=arguments.way,
        seed=arguments.seed,
        backend=arguments.backend,
        data_dir=arguments.data_dir,
    )
    users: list[simulated_users.User] = []
    for user in simulated_users.simulate(network, people, writers, study):
        say(f"writer {user.writer:>2}: {user.before:>3} -> {user.after:>3} of {user.n} misread")
        users.append(user)
    report = simulated_users.summary(users, before)
    if arguments.json:
        print_json(report)
    else:
        print(simulated_users.to_text(report))
    return 0


def _numbers(text: str) -> list[int]:
    """Parse "3,14"."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: wants numbers of writers, such as 3,14") from None
