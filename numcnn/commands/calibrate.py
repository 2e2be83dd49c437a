"""Set when a network is sure of its answers, and record how often sure answers
are wrong, both measured on the digits of people it has never seen.

Networks of the same recipe stand in for it: each was trained without the people
of one fold (numcnn train --preset everyone --dataset everyone-0, and so on) and
reads their digits.
"""

EXAMPLES = """examples:
  numcnn calibrate --weights runs/a/best.npz --out everyone.npz \\
      --folds runs/fold-*/best.npz
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numcnn import data
from numcnn.commands import Document, add_weights_argument, check_output, print_json, say
from numcnn.data import handwriting, mixture, pendigits
from numcnn.errors import ConfigError
from numcnn.evaluation import metrics, plots
from numcnn.evaluation.calibration import REFUSED, Risk, refusal_threshold, risks, threshold_for
from numcnn.kernels.arrays import Bools, Bytes, Floats
from numcnn.nn.answers import STRANGERS
from numcnn.nn.network import Network, load

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure

MOST_MISTAKES = 120  # in the gallery
SHARES = (0.001, 0.002, 0.005, 0.01)  # of wrong answers, in the report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument("--folds", nargs="+", required=True, metavar="FILE", help="the weights of the folds' networks")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of MNIST's four files (default: as for train)")
    parser.add_argument("--out", required=True, metavar="FILE", help="write the network with its threshold here (.npz)")
    parser.add_argument("--gallery", metavar="FILE", help="draw the strangers' digits that are misread here (.png)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the weights file.  Return the exit code."""
    check_output("--out", arguments.out, ".npz")
    if arguments.gallery:
        check_output("--gallery", arguments.gallery, ".png")
    network = load(arguments.weights, backend="fast")
    read = _strangers(arguments.folds)
    confidence, right = read.probabilities.max(axis=1), read.probabilities.argmax(axis=1) == read.labels
    threshold = refusal_threshold(confidence, REFUSED)
    held_out = _answers_on_mnist(network, arguments.data_dir)
    tables = {STRANGERS: risks(confidence, right), "MNIST": risks(*held_out)}
    network.info |= {
        "refuse_below": threshold,
        "reliability": {name: [*map(list, rows)] for name, rows in tables.items()},
    }
    network.save(arguments.out)
    report: Document = {
        "weights": arguments.out,
        "people": read.people,
        "digits": len(right),
        "accuracy": float(right.mean()),
        "refuse_below": threshold,
        "refused": {
            STRANGERS: float((confidence < threshold).mean()),
            "MNIST": float((held_out[0] < threshold).mean()),
        },
        "at_most": [_at_most(share, tables, held_out) for share in SHARES],
    }
    if arguments.gallery:
        plots.save(_gallery(read), arguments.gallery)
        say(f"wrote {arguments.gallery}")
    if arguments.json:
        print_json(report)
    else:
        print(_to_text(report))
    return 0


@dataclass(frozen=True)
class Read:
    """What the folds' networks read: images (N,28,28), labels (N,), probabilities (N,C), and of how many people."""

    images: Bytes
    labels: Bytes
    probabilities: Floats
    people: int


def _strangers(paths: list[str]) -> Read:
    """Let each fold's network read the digits of its strangers.  Raises ConfigError for networks that are no folds."""
    people, seen = pendigits.load(report=say), set[int]()
    parts: list[tuple[Bytes, Bytes, Floats]] = []
    for path in paths:
        network = load(path, backend="fast")
        name = network.info.get("dataset")
        if name not in mixture.MIXTURES[1:]:
            raise ConfigError(f"{path} was trained on {name}; wants a fold: {', '.join(mixture.MIXTURES[1:])}")
        writers, _ = mixture.writers_of(name)
        if seen & set(writers):
            raise ConfigError(f"{path} is of the fold {name}, which an earlier file is of too; name each fold once")
        seen |= set(writers)
        images, labels = handwriting.render_plain(people.of(writers))
        parts.append((images, labels, network.predict_proba(images)))
    images, labels, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Read(images, labels, probabilities, len(seen))


def _gallery(read: Read) -> "Figure":
    """Return a gallery of the misread digits, the most confident mistakes first."""
    wrong = metrics.mistakes(read.labels, read.probabilities)
    shown = wrong[:MOST_MISTAKES]
    answers = [f"read {p.argmax()}, {metrics.percent(p.max())}" for p in read.probabilities[shown]]
    title = f"{len(wrong)} of {len(read.labels):,} digits of strangers are misread"
    return plots.gallery(read.images[shown], shown, read.labels[shown], answers, title)


def _answers_on_mnist(network: Network, folder: str | Path | None) -> tuple[Floats, Bools]:
    """Read the images of MNIST that the mixture keeps for validation."""
    scans = data.load("mnist", folder, report=say)
    last = slice(-mixture.SHIPPED.validation, None)
    probabilities = network.predict_proba(scans.train_images[last])
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == scans.train_labels[last]


def _at_most(share: float, tables: dict[str, list[Risk]], on_mnist: tuple[Floats, Bools]) -> Document:
    """Return what ``--at-most share`` answers: of the strangers' digits, and of MNIST's."""
    row = threshold_for(tables[STRANGERS], share)
    if row is None:
        return {"share": share, "threshold": None}
    confidence, right = on_mnist
    sure = confidence >= row.threshold
    return {
        "share": share,
        "threshold": row.threshold,
        STRANGERS: {"answered": row.answered / row.n, "wrong": row.wrong / row.answered, "bound": row.bound},
        "MNIST": {"answered": float(sure.mean()), "wrong": float((sure & ~right).sum() / max(1, sure.sum()))},
    }


def _to_text(report: Document) -> str:
    refused = report["refused"]
    lines = [
        f"{report['digits']:,} digits of {report['people']} strangers: {report['accuracy']:.2%} right",
        f"sure from a probability of {report['refuse_below']:.1%} on",
        f"not sure of {refused[STRANGERS]:.2%} of the strangers' digits, {refused['MNIST']:.2%} of MNIST's",
        "",
        "wrong answers            threshold   strangers             MNIST",
        "allowed                              answered    wrong     answered    wrong",
    ]
    for row in report["at_most"]:
        if row["threshold"] is None:
            lines.append(f"{row['share']:<22.1%}   can't be shown with so few digits")
            continue
        columns = [f"{row[name]['answered']:>8.2%} {row[name]['wrong']:>8.2%}" for name in (STRANGERS, "MNIST")]
        lines.append(f"{row['share']:<22.1%}   {row['threshold']:>8.1%}   {columns[0]}     {columns[1]}")
    return "\n".join([*lines, f"weights: {report['weights']}"])
