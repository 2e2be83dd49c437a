"""The command line: ``numcnn COMMAND ...``.  Each command is a module in ``commands``; only the one named is loaded.

``numcnn`` alone lists the commands and exits with 0, as pip and cargo do.

Exit codes: 0 fine, 1 failed, 2 wrong usage or bad input, 130 interrupted.
"""

import argparse
import contextlib
import importlib
import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from types import ModuleType

import numcnn
from numcnn.benchmark import BenchmarkError
from numcnn.commands import announce_compilation
from numcnn.errors import ConfigError, DivergedError, NumcnnError
from numcnn.kernels import on_compilation

COMMANDS = {
    "train": "train a network on MNIST, generated digits or your own data set",
    "evaluate": "measure a network: accuracy, confusion matrix, plots",
    "predict": "read the digits in pictures",
    "draw": "open the drawing pad",
    "learn": "learn your handwriting from the digits that you labelled in the pad",
    "calibrate": "set when a network is sure of its answers, measured on strangers",
    "eject": "write a network as one Python file that needs NumPy alone",
    "gradcheck": "compare every gradient with numeric differences",
    "bench": "measure speed beside the frameworks that are installed",
}

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Don't wrap descriptions, and wrap an option's help at spaces only, never within "one-cycle"."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ``argv`` defaults to the process's arguments.  Return the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv:
        _overview().print_help()
        return 0
    if argv[0] not in COMMANDS:
        _overview().parse_args(argv)  # handles --help and --version, rejects the rest
        _overview().error("name a command")
    name = argv[0]
    command = importlib.import_module(f"numcnn.commands.{name}")
    parser = argparse.ArgumentParser(
        prog=f"numcnn {name}",
        description=command.__doc__,
        epilog=getattr(command, "EXAMPLES", None),
        formatter_class=HelpFormatter,
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    arguments.command_line = shlex.join(["numcnn", *argv])
    return _run(name, command, arguments)


def _run(name: str, command: ModuleType, arguments: argparse.Namespace) -> int:
    """Run the command; turn an error into one line on stderr and an exit code."""
    try:
        _refuse_empty(arguments)
        with on_compilation(announce_compilation) if _may_announce(name, arguments) else contextlib.nullcontext():
            code = command.run(arguments) or 0
        sys.stdout.flush()
        return code
    except NumcnnError as error:
        from numcnn.training.config import in_options  # noqa: PLC0415  (slow to load, needed for errors alone)

        print(f"numcnn {name}: {in_options(str(error))}", file=sys.stderr)
        return EXIT_FAILED if isinstance(error, (BenchmarkError, DivergedError)) else EXIT_USAGE
    except KeyboardInterrupt:
        print(f"numcnn {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of the output has exited, as in "| head"
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


def _may_announce(name: str, arguments: argparse.Namespace) -> bool:
    """Return whether to report compiling: not while a window shows, nor with --quiet or --progress."""
    return name != "draw" and not getattr(arguments, "quiet", False) and not getattr(arguments, "progress", False)


def _refuse_empty(arguments: argparse.Namespace) -> None:
    """Refuse an empty option, such as an unset shell variable, which would look like an option not given."""
    for name, value in vars(arguments).items():
        if value == "":
            raise ConfigError(f"--{name.replace('_', '-')} is empty; give it a value or leave it out")


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="numcnn",
        usage="numcnn COMMAND ...",
        description="Handwritten digits read by a convolutional network written from scratch.\n\ncommands:\n"
        + "\n".join(lines),
        epilog="numcnn COMMAND --help explains each of them.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"numcnn {numcnn.__version__}")
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    return parser
