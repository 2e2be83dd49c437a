"""Set when a network is sure of its answers, and record how often sure answers
are wrong, both measured on the digits of thirty people it has never seen.

Five networks of the same recipe stand in for it: each was trained without the
people of one fold (numcnn train --preset everyone --dataset everyone-0, and so
on to everyone-4) and reads their digits.
"""

EXAMPLES = """examples:
  numcnn calibrate --weights runs/everyone/best.npz --out everyone.npz \\
      --folds runs/fold-*/best.npz
"""

import argparse
from dataclasses import dataclass

import numpy as np

from numcnn import data
from numcnn.commands import Document, add_threads_argument, add_weights_argument, check_output, print_json, say
from numcnn.data import handwriting, mixture, pendigits
from numcnn.errors import ConfigError
from numcnn.evaluation import metrics, plots
from numcnn.evaluation.calibration import (
    Risk,
    Threshold,
    certainty,
    exact_percent,
    refusal_threshold,
    risks,
    threshold_for,
)
from numcnn.kernels.arrays import Bytes, Floats
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.checkpoint import DEFAULT_WEIGHTS
from numcnn.nn.network import Network, load

ALLOWED = (0.001, 0.002, 0.005, 0.01)  # shares of wrong answers, in the report
LEAST_COVERAGE = 0.8  # `--at-most` tests thresholds from the one on that answers this share of the digits
MAY_DIFFER = ("seed",)  # settings in which the folds' networks may differ from the one they stand in for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument("--folds", nargs="+", required=True, metavar="FILE", help="the weights of the five folds")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of MNIST's four files (default: as for train)")
    parser.add_argument("--pens", metavar="FILE", help="UCI's pen digits (default: as for train)")
    parser.add_argument("--backend", default="fast", choices=("fast", "reference"), help="the kernels (default: fast)")
    add_threads_argument(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="write the network with its threshold here (.npz)")
    parser.add_argument("--gallery", metavar="FILE", help="draw the strangers' digits that are misread here (.png)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the weights file.  Return the exit code."""
    check_output("--out", arguments.out, ".npz")
    if arguments.gallery:
        check_output("--gallery", arguments.gallery, ".png")
    use_threads(arguments.threads)
    network = load(arguments.weights, backend=arguments.backend)
    folds = _checked_folds(arguments, network)
    scans = data.load("mnist", arguments.data_dir, report=say)
    people = pendigits.load(arguments.pens, report=say)
    last = slice(-mixture.SHIPPED.validation, None)  # what the mixture keeps for validation
    on_mnist = network.evaluate(scans.train_images[last], scans.train_labels[last])
    read = _read(folds, people, arguments.backend)
    strangers = metrics.evaluation(read.labels, read.probabilities)
    threshold = Threshold(refusal_threshold(certainty(read.probabilities)))
    rows = _risks(read, strangers, threshold)
    network.info |= {
        "refuse_below": threshold.certainty,
        "certainty_temperature": threshold.temperature,
        "risks": [list(row) for row in rows],
    }
    network.save(arguments.out)
    report: Document = {
        "weights": arguments.out,
        "people": len(np.unique(read.people)),
        "digits": strangers.n,
        "accuracy": strangers.accuracy,
        "calibration_error": strangers.calibration_error,
        "refuse_below": threshold.certainty,
        "refused": {
            name: result.answered(threshold).to_json()["refused"]
            for name, result in (("strangers", strangers), ("MNIST", on_mnist))
        },
        "at_most": [_at_most(share, threshold, rows, strangers, on_mnist) for share in ALLOWED],
    }
    if arguments.gallery:
        gallery = plots.mistakes_gallery(read.images, read.labels, read.probabilities, "digits of strangers", most=120)
        plots.save(gallery, arguments.gallery)
        say(f"wrote {arguments.gallery}")
    if arguments.json:
        print_json(report)
    else:
        print(_to_text(report))
    return 0


def _checked_folds(arguments: argparse.Namespace, network: Network) -> dict[str, Network]:
    """Return the folds' networks by data set, if they can stand in for ``network``.  Raises ConfigError."""
    if network.info.get("dataset") != mixture.MIXTURES[0] or "personal" in network.info:
        raise ConfigError(
            f"--weights {arguments.weights or DEFAULT_WEIGHTS} was not trained by numcnn train --preset everyone: the "
            "folds can't stand in for it"
        )
    folds: dict[str, Network] = {}
    paths: dict[str, str] = {}
    wanted = _settings(network)
    for path in arguments.folds:
        fold = load(path, backend=arguments.backend)
        name = str(fold.info.get("dataset", "unknown data"))
        if name not in mixture.MIXTURES[1:]:
            raise ConfigError(f"{path} was trained on {name}; wants a fold: {', '.join(mixture.MIXTURES[1:])}")
        if name in folds:
            raise ConfigError(f"{path}: the fold {name} was already given by {paths[name]}; give each once")
        differing = [key for key, value in _settings(fold).items() if wanted.get(key) != value]
        if differing:
            raise ConfigError(
                f"{path} was trained with another {', '.join(differing)} than the network it is to stand in for"
            )
        folds[name], paths[name] = fold, path
    missing = [name for name in mixture.MIXTURES[1:] if name not in folds]
    if missing:
        raise ConfigError(f"--folds lacks {', '.join(missing)}; wants all {mixture.FOLDS}")
    return folds


def _settings(network: Network) -> Document:
    """Return the settings that a network was trained with, without those that may differ between folds."""
    config = network.info.get("config", {})
    return {key: value for key, value in config.items() if key not in MAY_DIFFER}


@dataclass(frozen=True)
class Read:
    """What the folds read: images (N,28,28), labels (N,), who wrote them (N,), probabilities (N,C)."""

    images: Bytes
    labels: Bytes
    people: Bytes
    probabilities: Floats


def _read(folds: dict[str, Network], people: pendigits.PenDigits, backend: str) -> Read:
    """Let each fold's network read the digits of its strangers."""
    parts: list[tuple[Bytes, Bytes, Bytes, Floats]] = []
    for name, network in folds.items():
        strangers = people.of(mixture.writers_of(name)[0])
        images, labels = handwriting.render_plain(strangers, backend)
        parts.append((images, labels, strangers.writers, network.predict_proba(images)))
    images, labels, writers, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Read(images, labels, writers, probabilities)


def _risks(read: Read, strangers: metrics.Evaluation, threshold: Threshold) -> list[Risk]:
    """Return how many sure answers are wrong at each probability, for probabilities that answer most digits."""
    sure = threshold.sure(read.probabilities)
    found = risks(read.probabilities[sure].max(axis=1), strangers.right[sure], read.people[sure])
    return [row._replace(n=strangers.n) for row in found if row.answered >= LEAST_COVERAGE * strangers.n]


def _at_most(
    share: float, usual: Threshold, rows: list[Risk], strangers: metrics.Evaluation, on_mnist: metrics.Evaluation
) -> Document:
    """Return what ``--at-most share`` answers: of the strangers' digits, and of MNIST's validation images."""
    row = threshold_for(rows, share)
    if row is None:
        return {"share": share, "probability": None}
    threshold = usual._replace(probability=row.threshold)
    found: Document = {"share": share, "probability": row.threshold, "bound": row.bound}
    for name, result in (("strangers", strangers), ("MNIST", on_mnist)):
        answered = result.answered(threshold)
        found[name] = {"answered": answered.given / answered.n, "wrong": 1 - answered.right / max(1, answered.given)}
    return found


def _to_text(report: Document) -> str:
    not_sure = report["refused"]
    lines = [
        f"{report['digits']:,} digits of {report['people']} strangers: {report['accuracy']:.2%} right, "
        f"ECE {report['calibration_error']:.2%}",
        f"sure from a certainty of {exact_percent(report['refuse_below'])} on; not sure of "
        f"{not_sure['strangers']:.2%} of them, {not_sure['MNIST']:.2%} of MNIST's",
        "",
        "at most  probability  strangers                     MNIST",
        "wrong                 answered    wrong    bound    answered    wrong",
    ]
    for row in report["at_most"]:
        if row["probability"] is None:
            lines.append(f"{row['share']:<8.1%}   can't be shown with so few digits and people")
            continue
        strangers, scans = row["strangers"], row["MNIST"]
        lines.append(
            f"{row['share']:<8.1%}  {exact_percent(row['probability']):>10}  {strangers['answered']:>8.2%} "
            f"{strangers['wrong']:>8.2%} {row['bound']:>8.2%}   {scans['answered']:>9.2%} {scans['wrong']:>8.2%}"
        )
    return "\n".join([*lines, f"weights: {report['weights']}"])
