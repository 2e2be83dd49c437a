"""Measure numcnn beside those of PyTorch, Keras/TensorFlow, JAX, ONNX Runtime
and OpenVINO that are installed: training and inference of the same network on
the same batches, in turn, in one run.

Losses, gradients and logits are compared first; nothing is timed unless they
agree. The machine's peak, the speed of NumPy's product of large matrices, is
measured in the same rounds: it bounds the speed of a step that computes every
product of the network.
"""

EXAMPLES = """examples:
  numcnn bench                        some minutes
  numcnn bench --quick                training and inference, under a minute
  numcnn bench --json b.json --plot b.png
  numcnn bench --parts time-to-99 --seeds 10
  numcnn bench --parts ocr
  pip install torch onnxruntime onnx  installs two peers to compare with

parts:
  training     images a second, of all and of one thread of numcnn
  inference    one image at a time, and batches of 1,000
  kernels      each kernel's arithmetic, bytes and time, plain and fused
  scan         numcnn's cost for an image by batch and data set size
  start-up     process start to the first steps; peak memory
  pad          the drawing pad: from mouse events to new bars, first frame
  live         training that is watched in the pad, beside numcnn train
  time-to-99   whole runs of numcnn and of PyTorch with the same recipe
  ocr          pictures of handwritten digits, beside Tesseract and PP-OCR
  photo        a page of 12 million pixels: seconds, and peak memory
"""

import argparse
import importlib.metadata
import json
import tempfile
from dataclasses import dataclass
from typing import Any

from numcnn import data
from numcnn.benchmark import (
    kernel_table,
    large_photo,
    live_training,
    machine,
    measure,
    ocr,
    pad_latency,
    report,
    whole_runs,
)
from numcnn.benchmark.contestants import OCR_PEERS, PEERS
from numcnn.benchmark.measure import PICTURES_SEED, Settings, make_workload, missing_peers
from numcnn.benchmark.workload import IMAGES
from numcnn.commands import add_data_arguments, add_threads_argument, check_output, print_json, say, terminated_cleanly
from numcnn.data import hands, pendigits
from numcnn.data.dataset import MIXTURES
from numcnn.errors import ConfigError
from numcnn.evaluation import plots
from numcnn.files import atomic_write
from numcnn.kernels import has_fast
from numcnn.kernels.thread_team import checked_threads
from numcnn.nn.network import load
from numcnn.pad.evaluation import people_for

PARTS = ("training", "inference", "kernels", "scan", "start-up", "pad", "live", "time-to-99", "ocr", "photo")
DEFAULT, QUICK, DRAWN = PARTS[:-4], PARTS[:2], PARTS[-2:]
ROUNDS, QUICK_ROUNDS = 15, 4
SEEDS = 10


@dataclass(frozen=True)
class Run:
    """One run of the benchmark.  document: the report, which every part adds to; folder: for temporary files."""

    document: report.Document
    settings: Settings
    dataset: data.Dataset
    arguments: argparse.Namespace
    folder: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; training and inference only")
    parser.add_argument(
        "--parts",
        metavar="A,B",
        help=f"what to measure, see below, or all (default: all but {', '.join(PARTS[-4:])})",
    )
    parser.add_argument("--peers", metavar="A,B", help=f"what to compare with (default: {', '.join(PEERS)})")
    parser.add_argument("--no-peers", action="store_true", help="measure numcnn alone")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help=f"rounds; each measures all in turn (default: {ROUNDS}, with --quick {QUICK_ROUNDS})",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help=f"runs for time-to-99 (default: {SEEDS})")
    parser.add_argument(
        "--seed", type=int, metavar="N", help=f"which pictures {' and '.join(DRAWN)} draw (default: {PICTURES_SEED})"
    )
    add_data_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument(
        "--backend", default="fast", choices=("fast", "reference"), help="numcnn's kernels (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="all figures, into a .json file; -: to stdout, without tables")
    parser.add_argument("--plot", metavar="FILE", help="draw bar charts into this PNG file")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write.  Return the exit code."""
    parts, settings = _parts(arguments), _settings(arguments)
    if arguments.seeds is not None and "time-to-99" not in parts:
        raise ConfigError("--seeds is for time-to-99 only; add --parts time-to-99, or leave out --seeds")
    if arguments.seed is not None and not set(parts) & set(DRAWN):
        raise ConfigError(f"--seed is for {' and '.join(DRAWN)} only; add --parts ocr, or leave out --seed")
    _check_files(arguments)
    if arguments.backend == "fast" and not has_fast():
        raise ConfigError("the fast kernels can't be built here, so nothing would be measured; see numcnn doctor")
    missing = missing_peers(_concerned(parts, settings.peers))
    if arguments.peers:
        _name_missing(missing, settings.peers)
    dataset = _load_data(arguments, parts)
    document = report.new_document(arguments.command_line, dataset, settings.threads)
    document["missing"] = missing
    if machine.is_busy(document["machine"]):
        say(f"warning: other processes are busy (load average {document['machine']['load_average']})")
    others = machine.OtherWork()
    with terminated_cleanly("bench"), tempfile.TemporaryDirectory(prefix="numcnn-bench-") as folder:
        for part in parts:
            _measure(Run(document, settings, dataset, arguments, folder), part)
    document["machine"]["other_work"] = others.share()
    _write(document, arguments)
    return 0


def _parts(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the parts to measure, in their order."""
    if arguments.parts is None:
        return QUICK if arguments.quick else DEFAULT
    asked = PARTS if arguments.parts == "all" else tuple(filter(None, arguments.parts.split(",")))
    unknown = set(asked) - set(PARTS)
    if unknown or not asked:
        raise ConfigError(f"--parts is {arguments.parts}; wants some of {','.join(PARTS)}, or all")
    return tuple(part for part in PARTS if part in asked)


def _concerned(parts: tuple[str, ...], peers: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the peers that these parts compare with: frameworks, OCR engines, or both."""
    engines, frameworks = "ocr" in parts, bool(set(parts) - set(DRAWN))
    return tuple(peer for peer in peers if (engines if peer in OCR_PEERS else frameworks))


def _name_missing(missing: dict[str, list[str]], asked: tuple[str, ...]) -> None:
    """Say which of the peers that were named are not installed; raises ConfigError if none of them is."""
    if missing:
        line = f"not installed: {', '.join(missing)}; to install: pip install -e '.[bench]'"
        if set(asked) == set(missing):
            raise ConfigError(line)
        say(line)


def _settings(arguments: argparse.Namespace) -> Settings:
    threads = checked_threads(arguments.threads)
    rounds = (QUICK_ROUNDS if arguments.quick else ROUNDS) if arguments.rounds is None else arguments.rounds
    for name, value in (("rounds", rounds), ("seeds", arguments.seeds)):
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}; wants 1 or more")
    if arguments.seed is not None and arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; wants 0 or more")
    return Settings(
        threads=threads,
        rounds=rounds,
        seconds=0.12 if arguments.quick else 0.4,
        peers=_peers(arguments),
        backend=arguments.backend,
        quick=arguments.quick,
        seed=PICTURES_SEED if arguments.seed is None else arguments.seed,
    )


def _peers(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the frameworks to compare with, installed or not."""
    if arguments.peers is not None and arguments.no_peers:
        raise ConfigError("--peers and --no-peers contradict each other")
    peers = PEERS if arguments.peers is None else tuple(filter(None, arguments.peers.split(",")))
    if set(peers) - set(PEERS) or not peers:
        raise ConfigError(f"--peers is {arguments.peers}; wants some of {','.join(PEERS)}")
    return () if arguments.no_peers else peers


def _check_files(arguments: argparse.Namespace) -> None:
    """Refuse a file that can't be written before anything takes time."""
    if arguments.plot:
        check_output("--plot", arguments.plot, ".png")
    if arguments.json and arguments.json != "-":
        check_output("--json", arguments.json, ".json")
    if arguments.markdown and arguments.json == "-":
        raise ConfigError("--markdown and --json - would both go to stdout; name a file for the JSON")


def _load_data(arguments: argparse.Namespace, parts: tuple[str, ...]) -> data.Dataset:
    """Return the data set, with no more generated digits than the parts need.

    Raises ConfigError for the mixture.
    """
    if arguments.dataset in MIXTURES:
        raise ConfigError(
            f"--dataset {arguments.dataset} contains non-digits, which the peers have no label for; name another"
        )
    whole = set(parts) - {*QUICK, "kernels", "pad", *DRAWN}
    few: dict[str, Any] = {} if whole else {"generated_train": IMAGES, "generated_test": 10}
    return data.load(arguments.dataset, arguments.data_dir, backend=arguments.backend, report=say, **few)


def _measure(run: Run, part: str) -> None:
    """Measure a part, and enter its figures in the document."""
    document, settings = run.document, run.settings
    if part in QUICK:
        contest = measure.training if part == "training" else measure.inference
        report.add_contest(document, part, *contest(make_workload(run.dataset), settings, run.folder, say))
    elif part == "kernels":
        say("kernels: plain and fused layers in turn")
        peak = document.get("training", {}).get("sgemm_gflops_one_thread")
        document["kernels"] = kernel_table.measure_kernels(make_workload(run.dataset), settings, peak)
    elif part == "pad":
        document["pad"] = pad_latency.measure(settings.quick, say)
    elif part in DRAWN:
        _measure_reading(run, part)
    elif part == "scan":
        document["scan"] = measure.scan(make_workload(run.dataset, most=None), settings, run.folder, say)
    else:
        _measure_whole_runs(run, part)


def _measure_reading(run: Run, part: str) -> None:
    """Measure how pictures are read that are drawn for it."""
    writers, who = people_for(load())
    say(f"{part}: drawing pages in the hands of {who}")
    hand = hands.People(pendigits.load(report=say).of(writers))
    found = (ocr if part == "ocr" else large_photo).measure(hand, run.settings, run.folder, say)
    run.document["versions"].update(found.pop("versions", {}))
    run.document["failed"].update({f"{part}: {name}": reason for name, reason in found.pop("failed", {}).items()})
    run.document[part] = {"hands": who, **found}


def _measure_whole_runs(run: Run, part: str) -> None:
    document, settings = run.document, run.settings
    scratch = tempfile.mkdtemp(dir=run.folder)
    same = whole_runs.dataset_arguments(run.dataset, run.arguments.dataset, run.arguments.data_dir, scratch)
    if part == "start-up":
        own, peer = whole_runs.start_up(settings, same, say)
    elif part == "live":
        own, peer = live_training.measure(settings.quick, same, say), None
    else:
        own, peer = whole_runs.time_to_accuracy(settings, same, run.arguments.seeds or SEEDS, say)
    key = part.replace("-", "_")
    document[key] = own
    if peer:
        document["peers"].setdefault("pytorch", {})[key] = peer
        document["versions"]["torch"] = importlib.metadata.version("torch")


def _write(document: report.Document, arguments: argparse.Namespace) -> None:
    """Write the files, and print the tables."""
    if arguments.json == "-":
        print_json(document)
    else:
        print(report.to_markdown(document) if arguments.markdown else report.to_text(document))
    if arguments.json and arguments.json != "-":
        with atomic_write(arguments.json) as file:
            file.write((json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
        say(f"wrote {arguments.json}")
    if arguments.plot:
        plots.save(plots.benchmark_plot(document), arguments.plot)
        say(f"wrote {arguments.plot}")
