"""The command line: ``numcnn COMMAND ...``.  Each command is a module in ``commands``; only the one named is loaded.

``numcnn`` alone lists the commands and exits with 0, as pip and cargo do.

Exit codes: 0 fine, 1 failed, 2 wrong usage or bad input, 75 one of several processes is lost, 129 terminal closed, 130
interrupted, 143 terminated.
"""

import argparse
import contextlib
import difflib
import errno
import importlib
import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numcnn
from numcnn import console, interrupts
from numcnn.benchmark import BenchmarkError
from numcnn.commands import announce_compilation, shown
from numcnn.errors import ConfigError, DivergedError, NumcnnError, WorkerError, WriteError
from numcnn.kernels import on_compilation

COMMANDS = {
    "train": "train a network on MNIST, generated digits or your own data set",
    "sweep": "train with each of several settings, and say which is best",
    "evaluate": "measure a network: accuracy, confusion matrix, plots",
    "predict": "read the digits in pictures",
    "draw": "open the drawing pad",
    "learn": "learn your handwriting from the digits that you labelled in the pad",
    "calibrate": "set when a network is sure of its answers, measured on strangers",
    "inspect": "show each layer's output and gradient for one picture, sum by sum",
    "eject": "write a network as one Python file that needs NumPy alone",
    "gradcheck": "compare every gradient with numeric differences",
    "bench": "measure speed beside the frameworks that are installed",
    "doctor": "check the installation: versions, cache, data, weights, speed",
}

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, interrupts.EXIT_INTERRUPTED

OPTIONS_ALIKE = 0.75  # from 0 to 1, how alike an unknown option and the one that may have been meant must be
UNRECOGNIZED = "unrecognized arguments: "  # how argparse begins what it says
FOLDERS = ("NUMCNN_HOME", "NUMCNN_DATA", "NUMCNN_PENDIGITS")  # environment variables that name one
BAD_PATH = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Don't wrap descriptions, and wrap an option's help at spaces only, never within "one-cycle"."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class Parser(argparse.ArgumentParser):
    """Refuses in one line, which names ``--help``, instead of printing all options first."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and exit with 2."""
        message = message.removeprefix("argument ") + self._advice(message)
        self.exit(EXIT_USAGE, f"{self.prog}: {shown(message)}; see {self.prog} --help\n")

    def _advice(self, message: str) -> str:
        """Return what to do about an option that isn't there, or a name that has no place without one; else ""."""
        start, given = message[: len(UNRECOGNIZED)], message[len(UNRECOGNIZED) :]
        words = given.split()
        if start != UNRECOGNIZED or not words:
            return ""
        shown_in_help = [one for one in self._actions if one.help != argparse.SUPPRESS]
        if unknown := [word.partition("=")[0] for word in words if word.startswith("-")]:
            options = [text for one in shown_in_help for text in one.option_strings]
            similar = difflib.get_close_matches(unknown[0], options, 1, OPTIONS_ALIKE)
            return f"; did you mean {similar[0]}?" if similar else ""
        named = [one for one in shown_in_help if isinstance(one.metavar, str)]
        places = [one for one in named if not one.option_strings]
        options = [one for one in named if one.option_strings]
        if places:
            several = f"name each {places[0].metavar} next to the others, with no option between"
            return "; " + (several if places[0].nargs == "+" else f"it takes one {places[0].metavar}")
        name = given if os.path.exists(given) else words[0]
        wanted = ("FOLDER", "DIR") if os.path.isdir(name) else ("FILE",) if os.path.isfile(name) else ()
        options = [one for one in options if one.metavar in wanted] or options[:1]
        examples = ", ".join(f"{one.option_strings[0]} {one.metavar}" for one in options)
        return f"; options have names, such as {examples}" if examples else ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse ``--option=--``, of which argparse makes an empty list whatever the option's type."""
        for arg in args or ():
            if arg.startswith("--") and arg.endswith("=--"):
                self.error(f"{arg.removesuffix('=--')}: wants a value, not --")
        return super().parse_known_args(args, namespace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ``argv`` defaults to the process's arguments.  Return the exit code."""
    missing = console.open_missing_streams()
    with console.unfailing_stderr():
        if "stdout" in missing:
            print("numcnn: standard output is closed, so results are not shown", file=sys.stderr)
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    _print_any_name()
    if not argv:
        _overview().print_help()
        return 0
    name = argv[0]
    if name not in COMMANDS:
        if name.startswith("-"):
            _overview().parse_args(argv)  # handles --help and --version, rejects the rest
        similar = difflib.get_close_matches(name, COMMANDS, 1)
        advice = f"; did you mean {similar[0]}?" if similar else ""
        _overview().error(f"there is no command {name!r}{advice}")
    command = importlib.import_module(f"numcnn.commands.{name}")
    parser = Parser(
        prog=f"numcnn {name}",
        description=command.__doc__,
        epilog=getattr(command, "EXAMPLES", None),
        formatter_class=HelpFormatter,
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    arguments.command_line = shlex.join(["numcnn", *argv])
    return _run(name, command, arguments)


def _print_any_name() -> None:
    """Let stdout and stderr print any name in any encoding."""
    streams: tuple[Any, Any] = sys.stdout, sys.stderr
    for stream in streams:
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _run(name: str, command: ModuleType, arguments: argparse.Namespace) -> int:
    """Run the command; turn an error into one line on stderr and an exit code."""
    try:
        interrupts.interrupt_as_usual()
        _refuse_empty(arguments)
        _refuse_unknown_home(arguments)
        with on_compilation(announce_compilation) if _may_announce(name, arguments) else contextlib.nullcontext():
            code = command.run(arguments) or 0
        if code == 0:
            interrupts.raise_if_lost()
        sys.stdout.flush()
        return code
    except NumcnnError as error:
        from numcnn.training.config import in_options  # noqa: PLC0415  (slow to load, needed for errors alone)

        print(f"numcnn {name}: {shown(in_options(str(error)))}", file=sys.stderr)
        return (
            EXIT_FAILED if isinstance(error, (BenchmarkError, DivergedError, WorkerError, WriteError)) else EXIT_USAGE
        )
    except KeyboardInterrupt:
        print(f"numcnn {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of the output has exited, as in "| head"
        console.drop_unwritten(sys.stdout)
        return EXIT_FAILED
    except OSError as error:
        console.drop_unwritten(sys.stdout)
        if error.errno is None:  # raised by Python code, which says what it refuses
            print(f"numcnn {name}: {shown(str(error))}", file=sys.stderr)
            return EXIT_USAGE
        bad_path = error.errno in BAD_PATH
        place = f" {shown(str(error.filename))}" if error.filename else ""
        refused = f"cannot use{place}" if bad_path and place else f"the system refused{place}"
        advice = "; check the path" if bad_path and place else ""
        print(f"numcnn {name}: {refused}: {error.strerror or error}{advice}", file=sys.stderr)
        return EXIT_USAGE if bad_path else EXIT_FAILED
    except MemoryError as error:
        print(f"numcnn {name}: there is not enough memory ({error})", file=sys.stderr)
        return EXIT_FAILED


def _may_announce(name: str, arguments: argparse.Namespace) -> bool:
    """Return whether to report compiling: not while a window shows, nor with --quiet or --progress."""
    return name != "draw" and not getattr(arguments, "quiet", False) and not getattr(arguments, "progress", False)


def _refuse_empty(arguments: argparse.Namespace) -> None:
    """Refuse an empty option, such as an unset shell variable, which would look like an option not given."""
    for name, value in vars(arguments).items():
        if value == "":
            raise ConfigError(f"--{name.replace('_', '-')} is empty; give it a value or leave it out")


def _refuse_unknown_home(arguments: argparse.Namespace) -> None:
    """Refuse ~name of a user that there isn't."""
    options = {f"--{name.replace('_', '-')}": value for name, value in vars(arguments).items()}
    for name, value in {**options, **{name: os.environ.get(name) for name in FOLDERS}}.items():
        if isinstance(value, str) and value.startswith("~"):
            try:
                Path(value).expanduser()
            except RuntimeError as error:
                raise ConfigError(f"{name} is {value}, but {Path(value).parts[0]} is nobody's folder here") from error


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    parser = Parser(
        prog="numcnn",
        usage="numcnn COMMAND ...",
        description="Handwritten digits read by a convolutional network written from scratch.\n\ncommands:\n"
        + "\n".join(lines),
        epilog="numcnn COMMAND --help explains each of them.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"numcnn {numcnn.__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    return parser
