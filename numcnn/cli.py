"""The command line: ``numcnn COMMAND ...``.  Each is a module in ``commands``; only the one asked for is loaded.

Exit codes: 0 fine, 1 failed, 2 wrong usage or bad input, 130 interrupted.
"""

import argparse
import importlib
import os
import shlex
import sys

from numcnn.benchmark import BenchmarkError
from numcnn.errors import ConfigError, DivergedError, NumcnnError

COMMANDS = {
    "train": "train a network on MNIST, generated digits or a data set of your own",
    "evaluate": "measure a network: accuracy, confusion matrix, plots",
    "predict": "read the digits in pictures",
    "draw": "open the drawing pad",
    "learn": "learn your own handwriting from the digits that you labelled in the pad",
    "gradcheck": "compare every gradient with numeric differences",
    "bench": "measure speed beside the frameworks that are installed",
}

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(argv=None):
    """Run one command; ``argv`` defaults to the process's arguments.  Return the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] not in COMMANDS:
        _overview().parse_args(argv)  # answers --help and --version, refuses the rest
        _overview().error("name a command")
    name = argv[0]
    command = importlib.import_module(f"numcnn.commands.{name}")
    parser = argparse.ArgumentParser(
        prog=f"numcnn {name}",
        description=command.__doc__,
        epilog=getattr(command, "EXAMPLES", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    arguments.command_line = shlex.join(["numcnn", *argv])
    return _run(name, command, arguments)


def _run(name, command, arguments):
    """Run the command; turn what it raises into one line on stderr and an exit code."""
    try:
        _refuse_empty(arguments)
        code = command.run(arguments) or 0
        sys.stdout.flush()
        return code
    except NumcnnError as error:
        print(f"numcnn {name}: {error}", file=sys.stderr)
        return EXIT_FAILED if isinstance(error, (BenchmarkError, DivergedError)) else EXIT_USAGE
    except KeyboardInterrupt:
        print(f"numcnn {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        advice = f"cannot use {error.filename}: {error.strerror}; check the path" if error.filename else str(error)
        print(f"numcnn {name}: {advice}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        print(f"numcnn {name}: the system refused{place}: {error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED


def _refuse_empty(arguments):
    """Refuse an option without text, such as an unset variable of a shell: it would pass for one not given."""
    for name, value in vars(arguments).items():
        if value == "":
            raise ConfigError(f"--{name.replace('_', '-')} is empty; give it a value or leave it out")


def _overview():
    import numcnn

    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="numcnn",
        usage="numcnn COMMAND ...",
        description="Handwritten digits read by a convolutional network written from scratch.\n\ncommands:\n"
        + "\n".join(lines),
        epilog="numcnn COMMAND --help explains each of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"numcnn {numcnn.__version__}")
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    return parser
