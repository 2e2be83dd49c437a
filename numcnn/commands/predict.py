"""Read the digits in pictures: one digit or many, dark on light or light on
dark, in PNG, JPEG, WebP, BMP, GIF, AVIF, and every page of TIFF; HEIC, as
phones make it, with pip install 'numcnn[heic]'.

A folder means all pictures in it and in the folders below, "scans/*.png" all
that match, - one picture on stdin. A digit that the network is not sure of is a
question mark in the text. A picture without digits is no error.
"""

EXAMPLES = """examples:
  numcnn predict seven.png              label, probability, two runners-up
  numcnn predict form.jpg -v            each digit, with its place
  numcnn predict --at-most 0.5% *.png   "not sure" unless that few are wrong
  numcnn predict --json scans/          a list of {path, text, digits: [{label,
                                        probability, probabilities, sure, box:
                                        [x, y, width, height], line}]}
  numcnn predict --csv "scans/*.tif"    path, text, sure, probability, digits;
                                        the second page is scans/a.tif#2
  numcnn predict a.jpg --annotate seen  seen/a.png: the picture with boxes
  numcnn predict a.jpg --explain steps  steps/a/sheet.png: every step
  numcnn predict scans/ --out all.jsonl many pictures, in several processes;
                                        run it again to continue after it was
                                        interrupted, even by kill -9, with the
                                        same weights, --single and --at-most
  numcnn predict /data/scans --out all.jsonl --cluster tcp://host:8786
                                        the same on the workers of a Dask
                                        scheduler, which must see the files
                                        under the same paths
  curl -s URL | numcnn predict -        a picture on stdin

Pictures should hold digits only: letters that look like digits are read as
such. Lines count from 1 in -v, from 0 in JSON and in Python.

A picture that can't be read is reported on stderr, in a line; the others are
still read, and the exit code is 2. Those are read again when --out continues.
A picture that is named twice is read once.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from numcnn.commands import (
    add_at_most_argument,
    add_cluster_argument,
    add_weights_argument,
    say,
    say_above_bar,
    shown,
    warn_if_generated,
)
from numcnn.errors import ConfigError, WorkerError
from numcnn.files import check_length
from numcnn.imaging.picture_paths import copies, find_pictures
from numcnn.nn.answers import threshold_of
from numcnn.nn.checkpoint import find_weights
from numcnn.nn.network import Network, load
from numcnn.recognition.answer_log import AnswerLog, form_of
from numcnn.recognition.bulk import Workers, chunks
from numcnn.recognition.documents import COLUMNS, csv_row, plain
from numcnn.recognition.file_reader import CSV, JSON, TEXT, FileReader, Item, Outcome, Settings, digest_of

if TYPE_CHECKING:
    from numcnn.training import jobs

STDIN = "-"
MANY = 200  # pictures from which on several processes read them, and a summary is printed
VERY_MANY = 5000  # pictures from which on it pays off that each process loads the compiled kernels
MAX_STDIN_BYTES = 1 << 27  # a picture of 64 million pixels is smaller, unless it isn't compressed
WIDEST = 60  # characters to which shorter paths are padded

# Yields each picture's outcome, in order; the network is that of the settings.
Read: TypeAlias = "Callable[[list[Item], Settings, Network], Iterator[Outcome]]"


class Sink(Protocol):
    """Where lines go."""

    def add(self, lines: list[str], /) -> object:
        """Write lines, without their ends."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="picture files, folders, patterns, or - for stdin")
    parser.add_argument("--single", action="store_true", help="each picture is known to hold exactly one digit")
    add_weights_argument(parser)
    add_at_most_argument(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list, and nothing else on stdout")
    form.add_argument("--csv", action="store_true", help="print CSV, a row for each picture")
    form.add_argument("-v", "--verbose", action="store_true", help="print a line for each digit as well")
    form.add_argument(
        "--out", metavar="FILE", help="append the answers to a .jsonl or .csv file; those that it has aren't read again"
    )
    parser.add_argument("--annotate", metavar="DIR", help="save each picture with boxes and labels into this folder")
    parser.add_argument("--explain", metavar="DIR", help="save every step, and all on one sheet, into this folder")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"processes that read (default: one per processor from {MANY} pictures on, else 1)",
    )
    add_cluster_argument(parser, "read")
    parser.add_argument(
        "--backend",
        choices=("reference", "fast"),
        help=f"the kernels (default: reference; fast from {VERY_MANY:,} pictures on)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the pictures.  Return 0, or 2 if some could not be read."""
    if arguments.workers is not None and arguments.workers < 1:
        raise ConfigError(f"--workers is {arguments.workers}; wants 1 or more")
    engine = None if arguments.cluster is None else _cluster_of(arguments)
    settings = _settings(arguments)
    network = load(arguments.weights, backend=settings.backend)
    warn_if_generated(network)
    threshold_of(network.info, arguments.at_most)  # now, so that a bad share fails before any picture
    found = find_pictures(arguments.paths)
    for problem in found.problems:
        say(f"numcnn predict: {shown(plain(problem))}")
    items = [Item(path) for path in found.paths]
    if settings.annotate or settings.explain:
        places = ("stdin" if path == STDIN else place for path, place in zip(found.paths, found.places, strict=True))
        items = [Item(path, copy) for path, copy in zip(found.paths, copies(places), strict=True)]
    if arguments.backend is None and len(items) >= VERY_MANY:
        settings = replace(settings, backend="fast")
        network.backend = settings.backend
    settings = replace(settings, width=min(WIDEST, max((len(plain(path)) for path in found.paths), default=0)))
    read = partial(_read_here, arguments.workers) if engine is None else partial(_read_there, engine)
    if engine and items and not (arguments.out and os.path.exists(arguments.out)):
        with engine():  # before there is an empty file; where one is, nothing may be left to read
            pass
    with _says_how_to_go_on(arguments), _sink(arguments, network) as sink:
        code = _read_all(items, sink, settings, network, read)
    return 2 if found.problems else code


@contextlib.contextmanager
def _says_how_to_go_on(arguments: argparse.Namespace) -> Iterator[None]:
    """If the block is interrupted or its workers are lost, say how it goes on, if it does."""
    try:
        yield
    except KeyboardInterrupt:
        if arguments.out:
            say("the same command goes on")
        raise
    except WorkerError as error:
        if not arguments.out:
            raise
        raise WorkerError(f"{error}; the same command goes on") from error


def _settings(arguments: argparse.Namespace) -> Settings:
    """Return how to read.  Raises ConfigError for folders that can't be."""
    for option in ("annotate", "explain"):
        folder = getattr(arguments, option)
        if folder and Path(folder).exists() and not Path(folder).is_dir():
            raise ConfigError(f"--{option} {folder} is a file; name a folder")
    return Settings(
        weights=arguments.weights,
        backend=arguments.backend or "reference",
        at_most=arguments.at_most,
        single=arguments.single,
        form=form_of(arguments.out) if arguments.out else JSON if arguments.json else CSV if arguments.csv else TEXT,
        verbose=arguments.verbose,
        annotate=arguments.annotate,
        explain=arguments.explain,
    )


def _read_all(items: list[Item], sink: Sink, settings: Settings, network: Network, read: Read) -> int:
    """Read, write and report everything.  Return the exit code."""
    began = time.perf_counter()
    answered: set[str] = getattr(sink, "answered", set())
    left = [item for item in items if item.path not in answered]
    many = len(items) >= MANY or isinstance(sink, AnswerLog)
    pages = failed = blank = 0
    bar = many and (isinstance(sink, AnswerLog) or not sys.stdout.isatty())
    with _progress(len(items), len(items) - len(left), bar) as (report, step):
        for outcome in read(left, settings, network):
            if outcome.lines:
                sink.add(outcome.lines)
            for failure in outcome.failures:
                report(f"numcnn predict: {shown(failure)}")
            pages += len(outcome.lines)
            failed += len(outcome.failures)
            blank += outcome.blank
            step()
    if many:
        say(_summary(len(items) - len(left), pages, failed, blank, time.perf_counter() - began))
    return 2 if failed else 0


def _read_here(workers: int | None, items: list[Item], settings: Settings, network: Network) -> Iterator[Outcome]:
    """Read pictures on this machine, in so many processes."""
    if workers is None:
        workers = _processors() if len(items) >= MANY else 1
    if workers > 1 and all(item.path != STDIN for item in items):
        with Workers(settings, workers) as processes:
            yield from processes.read(items)
        return
    reader = FileReader(settings, network)
    for chunk in chunks(items):
        yield from reader.read((item, _from_stdin()) if item.path == STDIN else item for item in chunk)


def _cluster_of(arguments: argparse.Namespace) -> "jobs.Engine":
    """Return the cluster that reads pictures.  Raises ConfigError for what can't be read there."""
    from numcnn.training import jobs  # noqa: PLC0415  (few need it)

    if arguments.workers is not None:
        raise ConfigError("--workers is for this machine, and --cluster for a Dask scheduler; use one of them")
    if STDIN in arguments.paths:
        raise ConfigError("--cluster reads files by their paths, and - is none; name a file, or leave out --cluster")
    for option in ("annotate", "explain"):
        if getattr(arguments, option):
            raise ConfigError(f"--{option} saves on this machine, and --cluster reads on others; leave out one of them")
    return jobs.cluster(arguments.cluster, say_above_bar)


def _read_there(engine: "jobs.Engine", items: list[Item], settings: Settings, network: Network) -> Iterator[Outcome]:
    """Read pictures on a cluster."""
    from numcnn.commands.bulk_cluster import read_on_cluster  # noqa: PLC0415  (few need it)

    return read_on_cluster(items, settings, digest_of(network), engine)


def _from_stdin() -> bytes:
    """Return what is on standard input.  Raises DataError if it doesn't end."""
    content = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    check_length("standard input", content, MAX_STDIN_BYTES, "name a file instead")
    return content


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _summary(before: int, pages: int, failed: int, blank: int, seconds: float) -> str:
    """Return what became of all pictures: "1,000 read in 2.0 s, 500 answered before, 0 failed, 3 without digits"."""
    earlier = f"{before:,} answered before, " if before else ""
    empty = f", {blank:,} without digits" if blank else ""
    return f"{pages:,} read in {seconds:.1f} s, {earlier}{failed:,} failed{empty}"


@contextlib.contextmanager
def _progress(total: int, done: int, wanted: bool) -> Iterator[tuple[Callable[[str], object], Callable[[], object]]]:
    """Give functions that report a line and that count a picture; show a bar on a terminal if it is wanted."""
    if not wanted or not sys.stderr.isatty():
        yield say, lambda: None
        return
    from tqdm import tqdm  # noqa: PLC0415  (slow to load; few pictures need no bar)

    with tqdm(total=total, initial=done, unit=" pictures", file=sys.stderr, dynamic_ncols=True) as bar:
        yield lambda line: tqdm.write(line, file=sys.stderr), lambda: bar.update()


def _what_answers_depend_on(arguments: argparse.Namespace, network: Network) -> dict[str, str]:
    """Return in words the settings that must not change within a file of answers."""
    return {
        "weights": f"{find_weights(arguments.weights).name}, sha256 {digest_of(network)[:16]}",
        "--single": "yes" if arguments.single else "no",
        "--at-most": "none" if arguments.at_most is None else f"{100 * arguments.at_most:g}%",
    }


@contextlib.contextmanager
def _sink(arguments: argparse.Namespace, network: Network) -> Iterator[Sink]:
    """Open where the answers go."""
    if arguments.out:
        with AnswerLog(arguments.out, _what_answers_depend_on(arguments, network)) as log:
            yield log
        return
    _let_stdout_take_any_name()
    if arguments.json:
        rows = _JsonList()
        yield rows
        rows.end()
        return
    if arguments.csv:
        print(csv_row(COLUMNS))
    yield _Lines()


class _Lines:
    def add(self, lines: Iterable[str]) -> None:
        """Print lines."""
        for line in lines:
            print(line)


class _JsonList:
    """Prints a list, an element a line, as it grows."""

    def __init__(self) -> None:
        self._before = "[\n "

    def add(self, lines: Iterable[str]) -> None:
        """Print elements."""
        for line in lines:
            sys.stdout.write(self._before + line)
            self._before = ",\n "

    def end(self) -> None:
        """Print the list's end."""
        print("[]" if self._before.startswith("[") else "\n]")


def _let_stdout_take_any_name() -> None:
    """Print the names of files as they are, or escaped where the terminal's encoding lacks a character."""
    if sys.stdout and hasattr(sys.stdout, "reconfigure"):
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")  # pyright: ignore
