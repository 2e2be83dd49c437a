"""Measure numcnn beside PyTorch, Keras/TensorFlow, JAX, ONNX Runtime and
OpenVINO, as far as they are installed: training and inference of the same
network on the same batches, in turn, in one run.

Losses, gradients and logits are compared first; what doesn't agree is not
timed. The machine's own peak, NumPy's product of large matrices, is measured
in the same rounds: it says what a step would take at best if every product of
the network were computed.
"""

EXAMPLES = """examples:
  numcnn bench                        some minutes
  numcnn bench --quick                training and inference, under a minute
  numcnn bench --json b.json --plot b.png
  numcnn bench --parts time-to-99 --seeds 10
  pip install torch onnxruntime onnx  gives it somebody to compare with

parts:
  training     images a second, by everybody and by one thread of numcnn
  inference    one image at a time, and batches of 1,000
  kernels      each kernel's arithmetic, bytes and time, plain and fused
  scan         numcnn's cost for an image by batch and data set size
  start-up     process start to the first steps; peak memory
  pad          the drawing pad: from mouse events to new bars, first frame
  time-to-99   whole runs of numcnn and of PyTorch with the same recipe
"""

import importlib.metadata
import tempfile

from numcnn.commands import add_data_arguments, add_threads_argument, check_output, print_json, say, terminated_cleanly
from numcnn.errors import ConfigError

PARTS = ("training", "inference", "kernels", "scan", "start-up", "pad", "time-to-99")
DEFAULT, QUICK = PARTS[:-1], PARTS[:2]
ROUNDS, QUICK_ROUNDS = 15, 4


def add_arguments(parser):
    """Add this command's options."""
    from numcnn.benchmark.contestants import PEERS

    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; training and inference only")
    parser.add_argument(
        "--parts",
        metavar="A,B",
        help=f"what to measure, see below, or all (default: all but {PARTS[-1]})",
    )
    parser.add_argument("--peers", metavar="A,B", help=f"whom to compare with (default: {','.join(PEERS)})")
    parser.add_argument("--no-peers", action="store_true", help="measure numcnn alone")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help=f"of everybody in turn (default: {ROUNDS}, with --quick {QUICK_ROUNDS})"
    )
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="runs for time-to-99 (default: %(default)s)")
    add_data_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument(
        "--backend", default="fast", choices=("fast", "reference"), help="numcnn's kernels (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON; -: to stdout, nothing else there")
    parser.add_argument("--plot", metavar="FILE", help="draw bar charts into this PNG file")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def run(arguments):
    """Measure, print, write.  Return the exit code."""
    from numcnn.benchmark import machine, report
    from numcnn.benchmark.measure import missing_peers

    parts, settings = _parts(arguments), _settings(arguments)
    _check_files(arguments)
    missing = missing_peers(settings.peers)
    if arguments.peers:
        _tell_of_missing(missing, settings.peers)
    dataset = _load_data(arguments, parts)
    document = report.new_document(arguments.command_line, dataset, settings.threads)
    document["missing"] = missing
    if machine.is_busy(document["machine"]):
        say(f"warning: other work is under way (load average {document['machine']['load_average']})")
    others = machine.OtherWork()
    with terminated_cleanly("bench"), tempfile.TemporaryDirectory(prefix="numcnn-bench-") as folder:
        _measure(document, parts, settings, dataset, arguments, folder)
    document["machine"]["other_work"] = others.share()
    _write(document, arguments)
    return 0


def _parts(arguments):
    """Return the parts to measure, in their order."""
    if arguments.parts is None:
        return QUICK if arguments.quick else DEFAULT
    asked = PARTS if arguments.parts == "all" else tuple(filter(None, arguments.parts.split(",")))
    unknown = set(asked) - set(PARTS)
    if unknown or not asked:
        raise ConfigError(f"--parts is {arguments.parts}; wants some of {','.join(PARTS)}, or all")
    return tuple(part for part in PARTS if part in asked)


def _tell_of_missing(missing, asked):
    """Say which of the peers that were named are not installed; raises ConfigError if none of them is."""
    if missing:
        line = f"not installed: {', '.join(missing)}; to install: pip install -e '.[bench]'"
        if set(asked) == set(missing):
            raise ConfigError(line)
        say(line)


def _settings(arguments):
    from numcnn.benchmark.contestants import PEERS
    from numcnn.benchmark.measure import Settings
    from numcnn.kernels.thread_team import available_threads

    most = available_threads()
    threads = most if arguments.threads is None else arguments.threads
    if not 1 <= threads <= most:
        raise ConfigError(f"--threads is {threads}; wants 1 to {most} on this machine")
    rounds = (QUICK_ROUNDS if arguments.quick else ROUNDS) if arguments.rounds is None else arguments.rounds
    for name, value in (("rounds", rounds), ("seeds", arguments.seeds)):
        if value < 1:
            raise ConfigError(f"--{name} is {value}; wants 1 or more")
    if arguments.peers is not None and arguments.no_peers:
        raise ConfigError("--peers and --no-peers contradict each other")
    peers = PEERS if arguments.peers is None else tuple(filter(None, arguments.peers.split(",")))
    unknown = sorted(set(peers) - set(PEERS))
    if unknown or not peers:
        raise ConfigError(f"--peers is {arguments.peers}; wants some of {','.join(PEERS)}")
    return Settings(
        threads=threads,
        rounds=rounds,
        seconds=0.12 if arguments.quick else 0.4,
        peers=() if arguments.no_peers else peers,
        backend=arguments.backend,
        quick=arguments.quick,
    )


def _check_files(arguments):
    """Refuse a file that can't be written before anything takes time."""
    if arguments.plot:
        check_output("--plot", arguments.plot, ".png")
    if arguments.json and arguments.json != "-":
        check_output("--json", arguments.json)
    if arguments.markdown and arguments.json == "-":
        raise ConfigError("--markdown and --json - would both go to stdout; name a file for the JSON")


def _load_data(arguments, parts):
    """Return the data set; where only a part of it is needed, digits are drawn no more than that.

    Raises ConfigError for the pad's mixture.
    """
    from numcnn import data
    from numcnn.benchmark.workload import IMAGES
    from numcnn.data.dataset import MIXTURES

    if arguments.dataset in MIXTURES:
        raise ConfigError(
            f"--dataset {arguments.dataset} has pictures of no digit, which the peers know no label for; name another"
        )
    whole = set(parts) - {*QUICK, "kernels", "pad"}
    few = {} if whole else {"generated_train": IMAGES, "generated_test": 10}
    return data.load(arguments.dataset, arguments.data_dir, backend=arguments.backend, report=say, **few)


def _measure(document, parts, settings, dataset, arguments, folder):
    """Measure part by part, and enter the figures in the document."""
    from numcnn.benchmark import measure, report, whole_runs

    for part in parts:
        if part in QUICK:
            task = measure.make_task(dataset)
            report.add_contest(document, part, *getattr(measure, part)(task, settings, folder, say))
        elif part == "kernels":
            from numcnn.benchmark.kernel_table import measure_kernels

            say("kernels: plain and fused layers in turn")
            peak = document.get("training", {}).get("sgemm_gflops_one_thread")
            document["kernels"] = measure_kernels(measure.make_task(dataset), settings, peak)
        elif part == "pad":
            from numcnn.benchmark import pad_latency

            document["pad"] = pad_latency.measure(settings.quick, say)
        elif part == "scan":
            whole = measure.make_task(dataset, most=None)
            document["scan"] = measure.scan(whole, settings, folder, say)
        else:
            same = whole_runs.arguments_for(dataset, arguments, tempfile.mkdtemp(dir=folder))
            if part == "start-up":
                ours, peer = whole_runs.start_up(settings, same, say)
            else:
                ours, peer = whole_runs.time_to_accuracy(settings, same, arguments.seeds, say)
            key = part.replace("-", "_")
            document[key] = ours
            if peer:
                document["peers"].setdefault("pytorch", {})[key] = peer
                document["versions"]["torch"] = importlib.metadata.version("torch")


def _write(document, arguments):
    """Write the files, and print the tables."""
    import json

    from numcnn.benchmark import report
    from numcnn.files import atomic_write

    if arguments.json == "-":
        print_json(document)
    else:
        print(report.to_markdown(document) if arguments.markdown else report.to_text(document))
    if arguments.json and arguments.json != "-":
        with atomic_write(arguments.json) as file:
            file.write((json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
        say(f"wrote {arguments.json}")
    if arguments.plot:
        from numcnn.evaluation import plots

        plots.save(plots.benchmark_plot(document), arguments.plot)
        say(f"wrote {arguments.plot}")
