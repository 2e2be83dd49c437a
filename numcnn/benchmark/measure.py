"""The rounds, in which every contestant works for a moment in its turn; their medians, spreads and ratios.

Ratios say how many times as fast numcnn is.  Each is the median over the rounds of the ratio within a round, so that a
moment in which the machine was slow affects both sides alike.
"""

import itertools
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from numcnn.benchmark import BenchmarkError, Say
from numcnn.benchmark.contestants import AUGMENTED, CONTESTANTS, NUMCNN, ONE_THREAD, PEERS, SGEMM, UNFUSED, Contestant
from numcnn.benchmark.machine import DISTURBED, OtherWork
from numcnn.benchmark.numcnn_contestants import loss_and_gradients
from numcnn.benchmark.processes import Workers
from numcnn.benchmark.workload import (
    IMAGES,
    INFERENCE_BATCH,
    TRAINING_BATCH,
    WORKLOAD_FILE,
    Workload,
    step_flops,
)
from numcnn.data import Dataset
from numcnn.errors import DataError
from numcnn.kernels.arrays import AnyArray
from numcnn.nn.losses import SoftmaxCrossEntropy

TOLERANCE = 1e-4  # of an array's largest value; rounding in float32 stays below a tenth of it
PAUSE_SECONDS = 0.05  # between bursts, until threads that spin after their work have gone to sleep
MOST_ROUNDS = 2  # times the rounds asked for, while others disturb them; a quick run takes no more than asked for
SINGLE_CALLS = 2000  # for one image, at least, in all rounds together
SCAN_BATCHES = tuple(2**k for k in range(13))
SCAN_DATA_SETS = (1000, 2000, 5000, 10_000, 20_000, 60_000)
SCAN_ROUNDS, SCAN_SECONDS = 3, 0.1
PICTURES_SEED = 14  # of the pictures that are drawn to be read
SCAN = Contestant("scan", "numcnn", "scan", "numcnn.benchmark.numcnn_contestants:Scan")

Folder: TypeAlias = str | os.PathLike[str]
Figures: TypeAlias = dict[str, dict[str, Any]]  # a contestant's name -> what the report says of it


class MismatchError(BenchmarkError):
    """A contestant whose results are not numcnn's: timing it would compare different work."""


@dataclass(frozen=True)
class Settings:
    """How the contests are run.

    threads: of every contestant; seconds: of a burst; peers: the frameworks' names; seed: of the pictures that are
    drawn to be read.
    """

    threads: int
    rounds: int = 15
    seconds: float = 0.4
    peers: tuple[str, ...] = PEERS
    backend: str = "fast"
    quick: bool = False
    seed: int = PICTURES_SEED


@dataclass
class Contest:
    """The results of one part.  bursts: name -> a result for each round; agreement: name -> largest difference.

    disturbed: the rounds in ``bursts`` during which other processes took much of the machine; left_out: the number of
    such rounds that were dropped.
    """

    bursts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    disturbed: int = 0
    left_out: int = 0


def missing_peers(peers: Iterable[str]) -> dict[str, list[str]]:
    """Return peer -> the packages it needs that are not installed."""
    wanted = {c.peer: c.missing_packages() for c in CONTESTANTS if c.peer in set(peers)}
    return {peer: packages for peer, packages in wanted.items() if peer and packages}


def contestants_for(part: str, settings: Settings) -> list[Contestant]:
    """Return who takes part: numcnn, and the peers that were named and are installed."""
    missing = missing_peers(settings.peers)
    asked = [c for c in CONTESTANTS if c.part == part and (c.peer is None or c.peer in settings.peers)]
    if settings.quick:
        asked = [c for c in asked if c.quick]
    if settings.threads == 1:
        asked = [c for c in asked if c.name != ONE_THREAD]  # which is the same as numcnn then
    return [c for c in asked if c.peer not in missing]


def run_contest(
    contestants: Sequence[Contestant],
    workload: Workload,
    settings: Settings,
    folder: Folder,
    say: Say,
    **burst: object,
) -> Contest:
    """Let contestants load, check that they agree, and time them in turn.  Return the Contest.

    folder: for the files that workers share.  burst: arguments of each burst.  Raises MismatchError when results differ
    from numcnn's, BenchmarkError when numcnn's own worker fails.
    """
    part = contestants[0].part
    workload.save(Path(folder) / WORKLOAD_FILE)
    measured = [*contestants, SGEMM] if part == "training" else contestants
    with Workers(measured, folder, settings.threads) as workers:
        say(f"{part}: starting {'; '.join(c.label for c in contestants)}")
        contest = Contest(failed=workers.failed)
        for versions in workers.load(backend=settings.backend).values():
            contest.versions.update(versions)
        contest.agreement = _check_agreement(workers, workload, folder)
        say(f"{part}: all results agree; {settings.rounds} round{'s' * (settings.rounds != 1)}")
        for name in workers.names:
            contest.variants[name] = workers.call(name, "settle", seconds=settings.seconds)
        _require_numcnn(workers)
        _run_rounds(workers, contest, settings, part, burst)
    return contest


def _require_numcnn(workers: Workers) -> None:
    for name in (NUMCNN, SGEMM.name):
        _require(name, workers)


def _require(name: str, workers: Workers) -> None:
    if name in workers.failed:
        raise BenchmarkError(f"the worker of {name} failed: {workers.failed[name]}")


def _run_rounds(workers: Workers, contest: Contest, settings: Settings, part: str, burst: dict[str, Any]) -> None:
    """Run rounds until enough of them were undisturbed by other processes; keep those, or all if there are too few."""
    rng = np.random.default_rng(0)
    rounds, clean = [], []
    most = settings.rounds * (1 if settings.quick else MOST_ROUNDS)
    with tqdm(total=settings.rounds, desc=part, unit="round", disable=None, leave=False) as bar:
        while len(clean) < settings.rounds and len(rounds) < most:
            results, disturbance = _one_round(workers, rng, burst)
            _require_numcnn(workers)
            rounds.append(results)
            if disturbance <= DISTURBED:
                clean.append(results)
                bar.update()
    if len(clean) >= settings.rounds / 2:
        kept, contest.left_out = clean, len(rounds) - len(clean)
    else:
        kept, contest.disturbed = rounds, len(rounds) - len(clean)
    contest.bursts = {name: [results[name] for results in kept] for name in workers.names}


def _one_round(
    workers: Workers, rng: np.random.Generator, burst: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], float]:
    """Let all work for a moment.  Return name -> result, and the largest share that other processes took."""
    results, disturbance = {}, 0.0
    for name in map(str, rng.permutation(workers.names)):
        time.sleep(PAUSE_SECONDS)
        others = OtherWork()
        results[name] = workers.call(name, "burst", **({} if name == SGEMM.name else burst))
        if results[name]:
            disturbance = max(disturbance, others.share(results[name]["processor_seconds"]) or 0.0)
    return results, disturbance


def _check_agreement(workers: Workers, workload: Workload, folder: Folder) -> dict[str, float]:
    """Compare all arrays with numcnn's, and numcnn's with its reference's.  Return name -> largest difference."""
    found = {}
    for name, file in workers.together("agree").items():
        if file:
            with np.load(Path(folder) / file, allow_pickle=False) as stored:
                found[name] = dict(stored)
    _require_numcnn(workers)
    expected: dict[str, AnyArray] = {}
    for key, values in found[NUMCNN].items():  # by several variants: all are compared with the first
        expected.setdefault(key.partition(",")[0], values)
    _largest_difference("numcnn, in another way,", found.pop(NUMCNN), expected)
    compared = {"numcnn's reference kernels": _reference(workload, expected), **found}
    return {name: _largest_difference(name, arrays, expected) for name, arrays in compared.items()}


def _reference(workload: Workload, like: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """Return the reference kernels' results for the first batch: loss and gradients, or logits, as ``like`` has."""
    network = workload.network("reference")
    if "loss" in like:
        rows = np.arange(TRAINING_BATCH)
        criterion = SoftmaxCrossEntropy(network.kernels)
        return loss_and_gradients(network, criterion, workload.images, rows, workload.labels[rows])
    return {
        "batch logits": network.logits(workload.images[:INFERENCE_BATCH]),
        "single logits": network.logits(workload.images[0]),
    }


def _largest_difference(name: str, arrays: dict[str, AnyArray], expected: dict[str, AnyArray]) -> float:
    """Return the largest relative difference from numcnn's arrays.  Raises MismatchError above the tolerance."""
    worst = 0.0
    for key, values in arrays.items():
        difference = relative_difference(values, expected[key.partition(",")[0]])
        if not difference <= TOLERANCE:
            raise MismatchError(
                f"{name} and numcnn don't agree: {key} differs by {difference:.2g} of its largest value, the limit is "
                f"{TOLERANCE:g}. Different work is not timed; leave that one out (--peers) or fix it"
            )
        worst = max(worst, difference)
    return worst


def relative_difference(values: AnyArray, expected: AnyArray) -> float:
    """Return the largest difference of two arrays, relative to the largest of ``expected``; NaN if there is any."""
    if values.shape != expected.shape:
        return float("inf")
    expected = expected.astype(np.float64)
    return float(np.abs(values - expected).max() / np.abs(expected).max())


# ------------------------------------------------------------------------------------------------ figures of the rounds


def quartiles(values: npt.ArrayLike) -> dict[str, Any]:
    """Return the median and the quartiles of some values, rounded to six digits."""
    low, median, high = (float(f"{q:.6g}") for q in np.percentile(np.asarray(values, np.float64), (25, 50, 75)))
    return {"median": median, "quartiles": [low, high]}


def ratio(values: npt.ArrayLike, others: npt.ArrayLike) -> dict[str, Any]:
    """Return median and quartiles of values / others, round by round."""
    return quartiles(np.asarray(values) / np.asarray(others))


def training(workload: Workload, settings: Settings, folder: Folder, say: Say) -> tuple[Contest, Figures]:
    """Run the training contest.  Return (the Contest, name -> figures)."""
    contest = run_contest(contestants_for("training", settings), workload, settings, folder, say)
    speed = {
        name: [TRAINING_BATCH / burst["step_seconds"] for burst in bursts]
        for name, bursts in contest.bursts.items()
        if name != SGEMM.name
    }
    sgemm = contest.bursts[SGEMM.name]
    flops = step_flops()
    roofline = np.array([1e9 * burst["gflops"] / flops for burst in sgemm])
    figures: Figures = {}
    for name, values in speed.items():
        images = quartiles(values)
        figures[name] = {
            "images_per_second": images["median"],
            "images_per_second_quartiles": images["quartiles"],
            "roofline_ratio": ratio(values, roofline)["median"],
        }
        if name != NUMCNN:
            figures[name] |= _ratio_keys("ratio", ratio(speed[NUMCNN], values))
    own = figures[NUMCNN]
    ways = ((ONE_THREAD, "one_thread", "scaling"), (UNFUSED, "unfused", "fusion_ratio"))
    for name, key, ratio_key in (*ways, (AUGMENTED, "augmented", "augmentation_ratio")):
        if name in figures:
            own[f"{key}_images_per_second"] = figures[name]["images_per_second"]
            own |= _ratio_keys(ratio_key, ratio(speed[NUMCNN], speed[name]))
    own |= {
        "batch_size": TRAINING_BATCH,
        "roofline_images_per_second": quartiles(roofline)["median"],
        "flops_per_image": flops,
        "sgemm_gflops": quartiles([burst["gflops"] for burst in sgemm])["median"],
        "sgemm_gflops_one_thread": quartiles([burst["gflops_one_thread"] for burst in sgemm])["median"],
    }
    return contest, figures


def inference(workload: Workload, settings: Settings, folder: Folder, say: Say) -> tuple[Contest, Figures]:
    """Run the inference contest.  Return (the Contest, name -> figures)."""
    calls = max(200, -(-SINGLE_CALLS // settings.rounds))
    contestants = contestants_for("inference", settings)
    contest = run_contest(contestants, workload, settings, folder, say, single_calls=calls)
    batches = {
        name: [INFERENCE_BATCH / burst["batch_seconds"] for burst in bursts] for name, bursts in contest.bursts.items()
    }
    singles = {name: [burst["single_us"] for burst in bursts] for name, bursts in contest.bursts.items()}
    medians = {name: np.array([np.median(times) for times in bursts]) for name, bursts in singles.items()}
    figures: Figures = {}
    for name, values in batches.items():
        images = quartiles(values)
        p50, p95 = np.percentile(np.concatenate(singles[name]), (50, 95))
        figures[name] = {
            "single_us_p50": round(float(p50), 2),
            "single_us_p95": round(float(p95), 2),
            "single_us_quartiles": quartiles(medians[name])["quartiles"],
            "batch_images_per_second": images["median"],
            "batch_images_per_second_quartiles": images["quartiles"],
        }
        if name != NUMCNN:
            figures[name] |= _ratio_keys("single_ratio", ratio(medians[name], medians[NUMCNN]))
            figures[name] |= _ratio_keys("batch_ratio", ratio(batches[NUMCNN], values))
    figures[NUMCNN] |= {"batch_size": INFERENCE_BATCH, "single_calls": sum(map(len, singles[NUMCNN]))}
    return contest, figures


def _ratio_keys(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: values["median"], f"{name}_quartiles": values["quartiles"]}


def scan(workload: Workload, settings: Settings, folder: Folder, say: Say) -> dict[str, list[dict[str, float]]]:
    """Measure numcnn's cost for an image, by batch size and by the size of the data set.  Return rows for both."""
    workload.save(Path(folder) / WORKLOAD_FILE)
    sizes = [size for size in SCAN_DATA_SETS if size <= len(workload.images)]
    batches = [size for size in SCAN_BATCHES if size <= len(workload.images)]
    points = [*itertools.product(("training", "inference"), batches), *itertools.product(("epoch",), sizes)]
    say(f"scan: batches of {batches[0]} to {batches[-1]:,}, data sets of {sizes[0]:,} to {sizes[-1]:,} images")
    found: dict[tuple[str, int], list[float]] = {point: [] for point in points}
    with Workers([SCAN], folder, settings.threads) as workers:
        workers.load(backend=settings.backend)
        rng = np.random.default_rng(0)
        order = [points[k] for _ in range(SCAN_ROUNDS) for k in rng.permutation(len(points))]
        for what, size in tqdm(order, desc="scan", disable=None, leave=False):
            _require(SCAN.name, workers)
            result = workers.call(SCAN.name, "burst", what=what, size=size, seconds=SCAN_SECONDS)
            found[what, size].append(result and result["us"])
        _require(SCAN.name, workers)
    cost = {point: quartiles(values)["median"] for point, values in found.items()}
    return {
        "batch_sizes": [
            {"batch_size": n, "training_us": cost["training", n], "inference_us": cost["inference", n]} for n in batches
        ],
        "data_sets": [{"images": n, "epoch_us": cost["epoch", n]} for n in sizes],
    }


def make_workload(dataset: Dataset, most: int | None = IMAGES) -> Workload:
    """Return the workload on the first training images of a data set, up to ``most`` (None: all).

    Raises DataError if there are too few for an inference batch.
    """
    images, labels = dataset.train_images[:most], dataset.train_labels[:most]
    if len(images) < INFERENCE_BATCH:
        raise DataError(
            f"{dataset.source}: {len(images)} training images; the benchmark wants {INFERENCE_BATCH:,} or more"
        )
    return Workload.of(images, labels)
