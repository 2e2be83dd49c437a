"""Measure a network on a test set: accuracy with its 95% interval, loss,
precision, recall and F1 per class, and the confusion matrix.  --corruptions
adds the accuracy under fifteen corruptions in the spirit of MNIST-C; --pad
adds what the drawing pad depends on. --pages reads synthetic pictures of
people's handwriting under many conditions instead. A folder of pictures is
read as numcnn predict --single does: those in folders 0 to 9, or with names
that all begin or all end with their digit, as 3_0001.png or img_3.png.
--out draws all that into a folder, and writes it as one page, report.html.
--compare reads the same pictures with two networks and says whether the
difference between them is real.
"""

EXAMPLES = """examples:
  numcnn evaluate                                     the shipped weights
  numcnn evaluate --weights runs/mnist-canonical-1/best.npz --out plots/
  numcnn evaluate --dataset fashion/ --weights fashion.npz
  numcnn evaluate --corruptions --out plots/
                                          accuracy under noise, blur, fog ...,
                                          as a table and a picture
  numcnn evaluate --pad                   other people's strokes, non-digits,
                                          misused input
  numcnn evaluate meter/                  labelled pictures: meter/3/a.png or
                                          meter/3_0001.png or meter/img_3.png
  numcnn evaluate --pages 100 --out plots/
                                          pictures of handwriting: shadows,
                                          ruled paper, forms, whole pages ...
  numcnn evaluate --pages 150 --kind digit --condition clean
  numcnn evaluate --pages 100 --kind row --condition "ruled,framed cells"
                                          some of them; a wrong name lists all
  numcnn evaluate --rescaled 300          the test images as pictures: sizes,
                                          dark on light, pale, on colours
  numcnn evaluate --compare everyone runs/mine/best.npz
                                          which is better, or is it chance?
  numcnn evaluate --own                   on digits that you drew in the pad,
                                          with the weights that the pad uses
"""

import argparse
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn import data
from numcnn.commands import (
    add_at_most_argument,
    add_compare_argument,
    add_data_arguments,
    add_threads_argument,
    add_weights_argument,
    print_json,
    read_own,
    say,
)
from numcnn.data import Dataset, hands, pages, pendigits
from numcnn.errors import ConfigError, DataError
from numcnn.evaluation import html_report, metrics, plots
from numcnn.evaluation.calibration import Threshold
from numcnn.evaluation.comparison import compare
from numcnn.files import atomic_write
from numcnn.imaging import corruptions
from numcnn.imaging.preprocess import SIDE
from numcnn.kernels.arrays import Bools, Bytes, Ints
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.answers import threshold_of
from numcnn.nn.checkpoint import DEFAULT_WEIGHTS, find_weights
from numcnn.nn.layers import Conv2D
from numcnn.nn.network import Network, load
from numcnn.pad import evaluation as pad_evaluation
from numcnn.pad.store import OwnSet, personal_weights
from numcnn.recognition import page_evaluation
from numcnn.recognition.labelled import labelled_pictures, read_labelled
from numcnn.recognition.page import read
from numcnn.training.personal import as_people, pictures_of

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure

EXAMPLES_EACH = 10  # pictures under each corruption in corruptions.png
DEFAULT_RESCALED = 300  # test images that --rescaled reads as pictures: a minute or two
ALONE = ("weights", "pages", "rescaled", "pad", "corruptions", "at_most", "out")  # what --compare can't go with
MOST_MISUSED = 2000  # images that are misused in each way: preparing one takes milliseconds


@dataclass(frozen=True)
class Findings:
    """A network, its test images (N,28,28) with labels (N,), and what was measured on them."""

    network: Network
    images: Bytes
    labels: Ints
    title: str
    result: metrics.Evaluation
    answered: metrics.Answered
    robustness: metrics.Robustness | None
    pad: dict[str, Any] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("pictures", nargs="?", metavar="FOLDER", help="a folder of labelled pictures to test with")
    add_weights_argument(parser, "everyone; with --own those that the pad uses: personal if they exist")
    add_compare_argument(parser)
    add_data_arguments(parser)
    add_at_most_argument(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N test images only")
    parser.add_argument("--backend", default="fast", choices=("fast", "reference"), help="the kernels (default: fast)")
    add_threads_argument(parser)
    parser.add_argument(
        "--own", nargs="?", const=True, metavar="FILE", help="read your own digits, which you labelled in the pad"
    )
    parser.add_argument("--corruptions", action="store_true", help="also read the images under 15 corruptions")
    parser.add_argument(
        "--pad",
        action="store_true",
        help="also read other people's pen strokes, alone and in rows, non-digits, and misused images",
    )
    parser.add_argument(
        "--pages",
        nargs="?",
        type=int,
        const=page_evaluation.DEFAULT_COUNT,
        metavar="N",
        help="read synthetic pictures of people's handwriting instead: digits, rows, pages, forms and sheets without "
        f"digits, N of each kind and condition, of whole pages a quarter as many (default: "
        f"{page_evaluation.DEFAULT_COUNT})",
    )
    parser.add_argument(
        "--kind",
        metavar="A,B",
        help=f"of --pages these kinds only, and exactly N of each condition: {', '.join(page_evaluation.TITLES)}",
    )
    parser.add_argument(
        "--condition",
        metavar="A,B",
        help="of --pages these conditions only, such as clean or 'framed cells', and exactly N of each; without digits "
        "these are what is there instead, such as letters",
    )
    parser.add_argument(
        "--rescaled",
        nargs="?",
        type=int,
        const=DEFAULT_RESCALED,
        metavar="N",
        help="read N of the test images, spread over all, as pictures instead: at five sizes, dark on light, pale, on "
        f"coloured and textured ground (default: {DEFAULT_RESCALED})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="which pictures --pages and --rescaled draw (default: 0)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write report.html, one page with all figures, and draw the confusion matrix, per-class figures and the "
        "most confident mistakes into this folder; with --pages and --rescaled the misread pictures",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, draw.  Return the exit code."""
    _check(arguments)
    use_threads(arguments.threads)
    if arguments.compare:
        return _compare(arguments)
    weights = find_weights(arguments.weights or (_weights_of_the_pad() if arguments.own else None))
    network = load(weights, backend=arguments.backend)
    threshold = threshold_of(network.info, arguments.at_most)  # now: a bad share fails before the evaluation
    if not arguments.pages and (arguments.kind is not None or arguments.condition is not None):
        raise ConfigError("--kind and --condition choose among the pictures of --pages; add --pages N")
    if arguments.pages or arguments.rescaled:
        _check_alone(arguments)
        return (_read_pages if arguments.pages else _read_rescaled)(network, weights, arguments)
    dataset, problems = _test_set(arguments, network)
    title = f"{weights.name} on {data.title_of(dataset.name)}"
    found = _measure(network, dataset, title, arguments, threshold)
    if arguments.json:
        more = {"corruptions": found.robustness.to_json()} if found.robustness else {}
        more |= {"pad": found.pad} if found.pad else {}
        more |= {"answered": found.answered.to_json()}
        print_json({**found.result.to_json(), **more, "dataset": dataset.name, "weights": str(weights)})
    else:
        print(f"{found.title}\ntrained on {_trained_on(network)}; test images: {dataset.source}\n")
        print(found.result.to_text())
        if found.answered.to_text():
            print(f"\n{found.answered.to_text()}")
        if found.robustness:
            print(f"\n{found.robustness.to_text()}")
        if found.pad:
            print(f"\n{pad_evaluation.to_text(found.pad)}")
    if arguments.out:
        _draw(found, Path(arguments.out))
        _report(found, weights, dataset, Path(arguments.out))
    return 2 if problems else 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for options that make no sense; make the folder --out."""
    for name in ("limit", "pages", "rescaled"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise ConfigError(f"--{name} is {value}; wants 1 or more")
    for name in ALONE if arguments.compare else ():
        if getattr(arguments, name):
            option = name.replace("_", "-")
            raise ConfigError(f"--compare reads the same pictures with two networks; leave out --{option}")
    if arguments.out:
        if Path(arguments.out).is_file():
            raise ConfigError(f"--out {arguments.out} is a file; name a folder")
        os.makedirs(arguments.out, exist_ok=True)  # now, so that a bad name fails before the evaluation


def _test_set(arguments: argparse.Namespace, network: Network) -> tuple[Dataset, list[str]]:
    """Return what to test with, and a message for each file that can't be read, reported."""
    if arguments.pictures:
        return _pictures(arguments, network)
    return _own(arguments) if arguments.own else _load(arguments), []


def _compare(arguments: argparse.Namespace) -> int:
    """Read the same pictures with two networks, and say whether their difference is real.  Return the exit code."""
    files = [find_weights(name) for name in arguments.compare]
    right: list[Bools] = []
    failed: list[list[str]] = []
    for path in files:
        network = load(path, backend=arguments.backend)
        dataset, problems = _test_set(arguments, network)
        images, labels = dataset.test_images[: arguments.limit], dataset.test_labels[: arguments.limit]
        right.append(network.evaluate(images, labels).right)
        failed.append(problems)
    if failed[0] != failed[1]:
        raise DataError("one of the networks can't read all of these pictures, so there is no comparison; remove them")
    found = compare(*right)
    if arguments.json:
        print_json({**found.to_json(), "dataset": dataset.name, "weights": list(map(str, files))})
    else:
        print(f"A: {files[0]}\nB: {files[1]}\non {data.title_of(dataset.name)}: {dataset.source}\n")
        print(found.to_text())
    return 2 if failed[0] else 0


def _read_pages(network: Network, weights: Path, arguments: argparse.Namespace) -> int:
    """Read synthetic pages, print what was right.  Return the exit code."""
    chosen = _chosen(arguments)
    writers, who = pad_evaluation.people_for(network)
    hand = hands.People(pendigits.load().of(writers))
    read_any = partial(read, network=network, at_most=arguments.at_most)
    if arguments.out:
        examples = [pages.make("row", name, hand) for name in pages.CONDITIONS]
        titles = [f"{sheet.condition}\n{sheet.text}" for sheet in examples]
        _save_pages([sheet.picture for sheet in examples], titles, "examples", arguments.out)
    found: dict[str, Any] = {"weights": str(weights), "hands": f"pen strokes of {len(writers)} {who}", "tables": {}}
    found["seed"] = arguments.seed
    if not arguments.json:
        print(f"{weights.name} on synthetic pictures, {found['hands']}\n{page_evaluation.LEGEND}")
    read_one, count, seed = partial(read_any, single=True), arguments.pages, arguments.seed
    for title, rows in page_evaluation.measure(read_any, read_one, hand, count, chosen=chosen, seed=seed):
        found["tables"][title] = [row.to_json() for row in rows]
        if not arguments.json:
            print(f"\n{page_evaluation.to_text(title, rows)}", flush=True)
        misread = [(one.picture, f"{row.name}\n{one}") for row in rows for one in row.misread]
        if arguments.out and misread:
            pictures, titles = zip(*misread, strict=True)
            _save_pages(pictures, titles, f"misread {title}", arguments.out)
    if arguments.json:
        print_json(found)
    return 0


def _chosen(arguments: argparse.Namespace) -> dict[str, list[str]] | None:
    """Return what of --pages to measure, by --kind and --condition; None: all.  Raises ConfigError."""
    if arguments.kind is None and arguments.condition is None:
        return None
    kinds, conditions = (
        [name.strip() for name in (option or "").split(",") if name.strip()]
        for option in (arguments.kind, arguments.condition)
    )
    return page_evaluation.choose(kinds, conditions)


def _save_pages(pictures: Sequence[Bytes], titles: Sequence[str], title: str, folder: str) -> None:
    path = Path(folder) / f"pages_{title}.png".replace(",", "").replace(" ", "_")
    plots.save(plots.picture_sheet(pictures, titles, title=title), path)
    say(f"wrote {path}")


def _read_rescaled(network: Network, weights: Path, arguments: argparse.Namespace) -> int:
    """Read a data set's test images as pictures of many kinds, print what that costs.  Return the exit code."""
    dataset = _load(arguments)
    _check_are_like_mnist(dataset, "--rescaled")
    images, labels = dataset.test_images[: arguments.limit], dataset.test_labels[: arguments.limit]
    chosen = np.linspace(0, len(images) - 1, min(arguments.rescaled, len(images))).round().astype(int)
    images, labels = images[chosen], labels[chosen]
    read_any = partial(read, network=network, at_most=arguments.at_most)
    found = page_evaluation.measure_handed_in(
        read_any, partial(read_any, single=True), network.predict(images), images, labels, seed=arguments.seed
    )
    if arguments.json:
        print_json({**found.to_json(), "seed": arguments.seed, "dataset": dataset.name, "weights": str(weights)})
    else:
        print(f"{weights.name} on {data.title_of(dataset.name)}\n{found.to_text()}")
    misread = [(one.picture, f"{name}\n{one}") for name, some in found.misread.items() for one in some]
    if arguments.out and misread:
        pictures, titles = zip(*misread, strict=True)
        _save_pages(pictures, titles, "misread rescaled", arguments.out)
    return 0


def _check_alone(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for options that don't go with --pages or --rescaled."""
    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; wants 0 or more")
    option = "--pages" if arguments.pages else "--rescaled"
    others = [f"--{name}" for name in ("rescaled", "own", "pad", "corruptions") if getattr(arguments, name)]
    others = [other for other in others if other != option] + ["FOLDER"] * bool(arguments.pictures)
    if others:
        raise ConfigError(f"{option} is a measurement by itself; leave out {' and '.join(others)}")


def _measure(
    network: Network, dataset: Dataset, title: str, arguments: argparse.Namespace, threshold: Threshold
) -> Findings:
    images, labels = dataset.test_images[: arguments.limit], dataset.test_labels[: arguments.limit]
    if arguments.corruptions or arguments.pad:
        _check_are_like_mnist(dataset, "--pad" if arguments.pad else "--corruptions")
    result = network.evaluate(images, labels)
    return Findings(
        network=network,
        images=images,
        labels=labels,
        title=title,
        result=result,
        answered=result.answered(threshold),
        robustness=_robustness(network, images, labels) if arguments.corruptions else None,
        pad=_measure_for_the_pad(network, images, labels, threshold) if arguments.pad else None,
    )


def _robustness(network: Network, images: Bytes, labels: Ints) -> metrics.Robustness:
    right = corruptions.read_correctly(network, images, labels)
    return metrics.robustness(right.pop("identity"), right)


def _measure_for_the_pad(network: Network, images: Bytes, labels: Ints, threshold: Threshold) -> dict[str, Any]:
    writers, who = pad_evaluation.people_for(network)
    few = slice(0, MOST_MISUSED)
    return pad_evaluation.measure(
        network, pendigits.load().of(writers), (images[few], labels[few]), who=who, threshold=threshold
    )


def _weights_of_the_pad() -> str | Path:
    return personal_weights() if personal_weights().exists() else DEFAULT_WEIGHTS


def _trained_on(network: Network) -> str:
    """Describe what a network was trained on, including the user's own digits, which are then no test for it."""
    title = data.title_of(network.info.get("dataset", "unknown data"))
    own = network.info.get("personal")
    return f"{title}, then on your own digits ({own['digits']})" if own else title


def _check_are_like_mnist(dataset: Dataset, option: str) -> None:
    height, width = dataset.test_images.shape[1:]
    if (height, width) != (SIDE, SIDE) or dataset.classes > 10:
        raise ConfigError(
            f"{option} wants ten digits of {SIDE} x {SIDE} pixels; those of {dataset.name} are {height} x {width}, "
            f"of {dataset.classes} classes"
        )


def _draw(found: Findings, folder: Path) -> None:
    for name, figure in _figures(found):
        plots.save(figure, folder / name)
        say(f"wrote {folder / name}")


def _report(found: Findings, weights: Path, dataset: Dataset, folder: Path) -> None:
    """Write report.html."""
    network = found.network
    filters = next((layer.params["w"] for layer in network.layers if isinstance(layer, Conv2D)), None)
    shown = html_report.Findings(
        title=found.title,
        facts={
            "weights": str(weights),
            "trained on": _trained_on(network),
            "test images": dataset.source,
            "network": repr(network)[1:-1],
        },
        images=found.images,
        labels=found.labels,
        result=found.result,
        answered=found.answered,
        robustness=found.robustness,
        curves=_log_of(weights),
        filters=filters,
    )
    with atomic_write(folder / "report.html") as file:
        file.write(html_report.page(shown).encode())
    say(f"wrote {folder / 'report.html'}")


def _log_of(weights: Path) -> list[Mapping[str, str]]:
    """Return the rows of the log beside a weights file of a run's folder; none for any other."""
    log = weights.parent / "log.csv"
    if not log.is_file() or not (weights.parent / "run.json").is_file():
        return []
    with log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _figures(found: Findings) -> "Iterator[tuple[str, Figure]]":
    """Yield each picture's file name and its figure."""
    result, title = found.result, found.title
    yield "confusion.png", plots.confusion_plot(result.confusion, title)
    yield "per_class.png", plots.per_class_plot(result.per_class, title)
    yield "reliability.png", plots.reliability_plot(result.calibration, result.calibration_error, title)
    yield "coverage_risk.png", plots.coverage_risk_plot(result.risks, found.answered, title)
    if found.robustness:
        few = slice(0, EXAMPLES_EACH)
        corrupted = {name: corruptions.corrupt(found.images[few], name) for name in corruptions.CORRUPTIONS}
        examples = {name: (pictures, found.network.predict(pictures)) for name, pictures in corrupted.items()}
        heading = f"{title}: accuracy under corruptions; orange: what these were misread as"
        yield "corruptions.png", plots.corruption_plot(found.robustness, examples, found.labels[few], heading)
    if result.accuracy < 1:
        yield "mistakes.png", plots.mistakes_gallery(found.images, found.labels, result.probabilities, title)
    else:
        say("no image was misread, so mistakes.png is not drawn")


def _load(arguments: argparse.Namespace) -> Dataset:
    return data.load(arguments.dataset, arguments.data_dir, test_only=True, backend=arguments.backend, report=say)


def _own(arguments: argparse.Namespace) -> Dataset:
    """Return the user's own digits as a data set without a training set."""
    if arguments.dataset != "auto" or arguments.data_dir:
        raise ConfigError("--own is a test set by itself; leave out --dataset and --data-dir")
    path = None if arguments.own is True else arguments.own
    images, labels = pictures_of(as_people(read_own(path)), arguments.backend)
    return Dataset("your own digits", images[:0], labels[:0], images, labels, str(OwnSet(path).path))


def _pictures(arguments: argparse.Namespace, network: Network) -> tuple[Dataset, list[str]]:
    """Return a folder of labelled pictures as a data set without a training set, and what can't be read, reported."""
    if arguments.own or arguments.dataset != "auto" or arguments.data_dir:
        raise ConfigError("a folder of pictures is a test set by itself; leave out --own, --dataset and --data-dir")
    pictures = labelled_pictures(arguments.pictures)[: arguments.limit]
    images, labels, problems = read_labelled(pictures, network)
    for problem in problems:
        say(f"numcnn evaluate: {problem}")
    if problems:
        say(f"numcnn evaluate: {len(problems):,} of {len(pictures):,} can't be read; they are left out below")
    name = os.path.basename(os.path.abspath(arguments.pictures))
    return Dataset(name, images[:0], labels[:0], images, labels, str(arguments.pictures)), problems
