"""Learn your own handwriting, from the digits that you labelled in the pad.

The network goes on training, a few seconds long, on your digits and on what it
could read before, so that it forgets nothing. The new weights go to a file of
their own, which the pad uses from then on; the weights to begin with stay what
they are. With 20 digits or more a quarter is held out at first, to tell what
can be expected of digits that you have yet to draw.
"""

EXAMPLES = """examples:
  numcnn learn                          what the pad does by itself
  numcnn learn --own mine.jsonl --out mine.npz
  numcnn evaluate --own --weights mine.npz
  numcnn learn --simulate               what it is worth: of each of the 5
                                        writers of UCI's pen digits whom the
                                        network reads worst, 20 digits are
                                        labelled and learnt, the others read

A file of own digits has a line of JSON for each:
  {"label": 4, "strokes": [[[x, y], ...], ...], "time": ...}

The pad keeps them in own.jsonl and the new weights in personal.npz, in your
data folder: on Linux ~/.local/share/numcnn; NUMCNN_HOME names another.
"""

import argparse
import time

from numcnn.commands import add_threads_argument, add_weights_argument, check_output, print_json, read_own, say
from numcnn.errors import ConfigError

# What simulated users do unless told otherwise.  The parser's defaults are None, so that one knows what was given.
SIMULATED = {"pens": None, "worst": 5, "writers": None, "digits": 20, "draws": 3, "way": "balanced"}


def add_arguments(parser):
    """Add this command's options."""
    from numcnn.training.simulated_users import WAYS  # here, for it takes a moment to load

    add_weights_argument(parser, "pad")
    parser.add_argument("--own", metavar="FILE", help="your digits (default: those that you labelled in the pad)")
    parser.add_argument("--out", metavar="FILE", help="the new weights (default: where the pad looks for them)")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="MNIST's folder; without MNIST generated digits take its place"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides all that is left to chance (default: 0)"
    )
    parser.add_argument(
        "--backend", default="fast", choices=("fast", "reference"), help="which kernels (default: fast)"
    )
    add_threads_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else there")
    parser.add_argument("--progress", action="store_true", help='say on stderr how much is done: "progress 42" (%%)')
    group = parser.add_argument_group("simulated users")
    group.add_argument("--simulate", action="store_true", help="measure what learning is worth; write no weights")
    group.add_argument("--pens", metavar="PATH", help="UCI's pen digits (default: the cache, else a download)")
    usual = {name: f"(default: {SIMULATED[name]})" for name in ("worst", "digits", "draws")}
    group.add_argument("--worst", type=int, metavar="N", help=f"the N writers read worst {usual['worst']}")
    group.add_argument("--writers", type=_numbers, metavar="N,N", help="these writers instead")
    group.add_argument("--digits", type=int, metavar="N", help=f"how many each labels {usual['digits']}")
    group.add_argument("--draws", type=int, metavar="N", help=f"times that each does so {usual['draws']}")
    group.add_argument(
        "--way",
        choices=WAYS,
        help="which: equally many of each class (the default), or the misread ones of the half that he draws first, up "
        "to a half, and others of it; then the other half tells what it is worth",
    )


def run(arguments):
    """Learn, or measure what learning is worth.  Return the exit code."""
    from numcnn.kernels.thread_team import use_threads
    from numcnn.nn.network import load

    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; wants a whole number, 0 or more")
    _check_belong_together(arguments)
    use_threads(arguments.threads)
    network = load(arguments.weights or "pad", backend=arguments.backend)
    return _simulate(arguments, network) if arguments.simulate else _learn(arguments, network)


def _check_belong_together(arguments):
    """Refuse options that would do nothing, and fill in those that weren't given.  Raises ConfigError."""
    foreign = ("own", "out", "progress") if arguments.simulate else SIMULATED
    given = ", ".join(f"--{name}" for name in foreign if getattr(arguments, name) not in (None, False))
    if given and arguments.simulate:
        raise ConfigError(f"--simulate learns other people's digits and writes no weights; leave out {given}")
    if given:
        raise ConfigError(f"only simulated users heed {given}; add --simulate, or leave out {given}")
    if arguments.worst is not None and arguments.writers is not None:
        raise ConfigError("--writers names the writers, --worst looks for some; leave out one of them")
    for name, value in SIMULATED.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def _learn(arguments, network):
    from numcnn.pad import store
    from numcnn.training import personal

    began = time.perf_counter()
    out = arguments.out or str(store.personal_weights())
    digits = read_own(arguments.own)
    if not arguments.out:
        store.make_home()
    check_output("--out", out, ".npz")
    learner, report = personal.learn(
        network,
        digits,
        seed=arguments.seed,
        data_dir=arguments.data_dir,
        backend=arguments.backend,
        progress=_teller() if arguments.progress else None,
    )
    learner.save(out)
    report |= {"seconds": time.perf_counter() - began, "weights": out}
    if arguments.json:
        print_json(report)
        return 0
    for name, text in (("held_out", "digits held out"), ("own", "all digits, learnt"), ("known", "what it knew")):
        if report[name]:
            print(f"{text:<20} {_change(report[name])}")
    print(f"{'':<20} {report['known']['source']}")
    print(f"learnt {report['digits']} digits in {report['seconds']:.1f} s; weights: {out}")
    return 0


def _teller():
    """Return what says a share, 0..1, on stderr, once for each percent."""
    from numcnn.pad.learner import PROGRESS

    told = -1

    def tell(share):
        nonlocal told
        if int(100 * share) > told:
            told = int(100 * share)
            say(f"{PROGRESS} {told}")

    return tell


def _change(found):
    from numcnn.evaluation.metrics import accuracy_interval

    right = [round(found[when] * found["n"]) for when in ("before", "after")]
    low, high = accuracy_interval(right[1], found["n"])
    return f"{right[0]} -> {right[1]} of {found['n']:,} right (95% interval {low:.0%} to {high:.0%})"


def _simulate(arguments, network):
    """Print what each simulated user's digits are read like, before and after."""
    from numcnn.data import pendigits
    from numcnn.training import personal, simulated_users

    for name in ("worst", "digits", "draws"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name} is {getattr(arguments, name)}; wants 1 or more")
    people = pendigits.load(arguments.pens, report=say)
    writers = arguments.writers
    if writers is None:
        fresh = people.of(simulated_users.strangers(network, people))
        writers = simulated_users.worst(network, fresh, arguments.worst, backend=arguments.backend)
    test = personal.mnist_at_hand(("test_images", "test_labels"), arguments.data_dir)
    before = 1 - personal.accuracy(network, test["test_images"], test["test_labels"]) if test else None
    users = []
    for user in simulated_users.simulate(
        network,
        people,
        writers,
        count=arguments.digits,
        draws=arguments.draws,
        way=arguments.way,
        seed=arguments.seed,
        backend=arguments.backend,
        data_dir=arguments.data_dir,
    ):
        say(f"writer {user.writer:>2}: {user.before:>3} -> {user.after:>3} of {user.n} misread")
        users.append(user)
    report = simulated_users.summary(users, before)
    if arguments.json:
        print_json(report)
    else:
        print(simulated_users.to_text(report))
    return 0


def _numbers(text):
    """Parse "3,14"."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: wants numbers of writers, such as 3,14") from None
