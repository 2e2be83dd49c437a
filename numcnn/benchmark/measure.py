"""The rounds: every contestant in its turn, for a moment.  What comes of them: medians, spread, ratios by round.

Ratios say how many times as fast numcnn is; each is the median over the rounds of the ratio within a round, so that a
moment in which the machine was slow counts alike for both.
"""

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from numcnn.benchmark import BenchmarkError
from numcnn.benchmark.contestants import AUGMENTED, CONTESTANTS, NUMCNN, ONE_THREAD, PEERS, SGEMM, UNFUSED, Contestant
from numcnn.benchmark.machine import DISTURBED, OtherWork
from numcnn.benchmark.numcnn_contestants import loss_and_gradients
from numcnn.benchmark.processes import Workers
from numcnn.benchmark.worker import TASK_FILE
from numcnn.benchmark.workload import IMAGES, INFERENCE_BATCH, TRAINING_BATCH, Task, step_flops
from numcnn.errors import DataError
from numcnn.nn.losses import SoftmaxCrossEntropy

TOLERANCE = 1e-4  # of an array's largest value; rounding in float32 stays a tenth of it
PAUSE_SECONDS = 0.05  # between bursts, until threads that spin for a while after their work have gone to sleep
MOST_ROUNDS = 2  # times the rounds that are wanted, while others disturb them; a quick run takes no more than wanted
SINGLE_CALLS = 2000  # for one image, in all rounds together, at least
SCAN_BATCHES = tuple(2**k for k in range(13))
SCAN_DATA_SETS = (1000, 2000, 5000, 10_000, 20_000, 60_000)
SCAN_ROUNDS, SCAN_SECONDS = 3, 0.1
SCAN = Contestant("scan", "numcnn", "scan", "numcnn.benchmark.numcnn_contestants:Scan")


class MismatchError(BenchmarkError):
    """A contestant whose results are not numcnn's: timing it would compare different things."""


@dataclass(frozen=True)
class Settings:
    """How the contest is held.  threads: everybody's; seconds: of a burst; peers: the names of those that are asked."""

    threads: int
    rounds: int = 15
    seconds: float = 0.4
    peers: tuple = PEERS
    backend: str = "fast"
    quick: bool = False


@dataclass
class Contest:
    """What came of one part.  bursts: name -> a result for each round; agreement: name -> largest difference.

    disturbed: how many of those rounds had to share the machine with other processes; left_out: how many more such
    rounds there were.
    """

    bursts: dict = field(default_factory=dict)
    agreement: dict = field(default_factory=dict)
    variants: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    failed: dict = field(default_factory=dict)
    disturbed: int = 0
    left_out: int = 0


def missing_peers(peers):
    """Return peer -> the packages it wants that are not installed."""
    wanted = {c.peer: c.missing_packages() for c in CONTESTANTS if c.peer in peers}
    return {peer: packages for peer, packages in wanted.items() if packages}


def contestants_for(part, settings):
    """Return who takes part: numcnn, and the peers that were asked and are installed."""
    missing = missing_peers(settings.peers)
    asked = [c for c in CONTESTANTS if c.part == part and (c.peer is None or c.peer in settings.peers)]
    if settings.quick:
        asked = [c for c in asked if c.quick]
    if settings.threads == 1:
        asked = [c for c in asked if c.name != ONE_THREAD]  # that is what numcnn does already
    return [c for c in asked if c.peer not in missing]


def hold(contestants, task, settings, folder, report, **burst):
    """Let contestants load, check that they agree, and time them in turn.  Return the Contest.

    folder: for the files that workers share.  burst: arguments of each burst.  Raises MismatchError when somebody's
    results are not numcnn's, BenchmarkError when numcnn's own worker fails.
    """
    part = contestants[0].part
    task.save(Path(folder) / TASK_FILE)
    measured = [*contestants, SGEMM] if part == "training" else contestants
    with Workers(measured, folder, settings.threads) as workers:
        report(f"{part}: starting {'; '.join(c.label for c in contestants)}")
        contest = Contest(failed=workers.failed)
        for versions in workers.load(backend=settings.backend).values():
            contest.versions.update(versions)
        contest.agreement = _check_agreement(workers, task, folder)
        report(f"{part}: all results agree; {settings.rounds} round{'s' * (settings.rounds != 1)}")
        for name in workers.names:
            contest.variants[name] = workers.call(name, "settle", seconds=settings.seconds)
        _insist_on_numcnn(workers)
        _go_round(workers, contest, settings, part, burst)
    return contest


def _insist_on_numcnn(workers):
    for name in (NUMCNN, SGEMM.name):
        _insist_on(name, workers)


def _insist_on(name, workers):
    if name in workers.failed:
        raise BenchmarkError(f"the worker of {name} failed: {workers.failed[name]}")


def _go_round(workers, contest, settings, part, burst):
    """Run rounds until enough of them were not disturbed by others; keep those, or all if there are too few."""
    from tqdm import tqdm

    rng = np.random.default_rng(0)
    rounds, clean = [], []
    most = settings.rounds * (1 if settings.quick else MOST_ROUNDS)
    with tqdm(total=settings.rounds, desc=part, unit="round", disable=None, leave=False) as bar:
        while len(clean) < settings.rounds and len(rounds) < most:
            results, others = _one_round(workers, rng, burst)
            _insist_on_numcnn(workers)
            rounds.append(results)
            if others <= DISTURBED:
                clean.append(results)
                bar.update()
    if len(clean) >= settings.rounds / 2:
        kept, contest.left_out = clean, len(rounds) - len(clean)
    else:
        kept, contest.disturbed = rounds, len(rounds) - len(clean)
    contest.bursts = {name: [results[name] for results in kept] for name in workers.names}


def _one_round(workers, rng, burst):
    """Let everybody work for a moment.  Return name -> result, and the most that others disturbed any of them."""
    results, most = {}, 0.0
    for name in map(str, rng.permutation(workers.names)):
        time.sleep(PAUSE_SECONDS)
        others = OtherWork()
        results[name] = workers.call(name, "burst", **({} if name == SGEMM.name else burst))
        if results[name]:
            most = max(most, others.share(results[name]["processor_seconds"]) or 0.0)
    return results, most


def _check_agreement(workers, task, folder):
    """Compare everybody's arrays with numcnn's, and numcnn's with its reference.  Return name -> largest difference."""
    found = {}
    for name, file in workers.together("agree").items():
        if file:
            with np.load(Path(folder) / file, allow_pickle=False) as stored:
                found[name] = dict(stored)
    _insist_on_numcnn(workers)
    ours = {}
    for key, values in found[NUMCNN].items():  # got in several ways: all are held against the first
        ours.setdefault(key.partition(",")[0], values)
    _agreement("numcnn, in another way,", found.pop(NUMCNN), ours)
    everybody = {"numcnn's reference kernels": _reference(task, ours), **found}
    return {name: _agreement(name, arrays, ours) for name, arrays in everybody.items()}


def _reference(task, like):
    """Return what the reference kernels make of the first batch: gradients, or logits if those are in question."""
    network = task.network("reference")
    if "loss" in like:
        rows = np.arange(TRAINING_BATCH)
        return loss_and_gradients(network, SoftmaxCrossEntropy(network.kernels), task.images, rows, task.labels[rows])
    return {
        "batch logits": network.logits(task.images[:INFERENCE_BATCH]),
        "single logits": network.logits(task.images[0]),
    }


def _agreement(name, arrays, ours):
    """Return the largest difference from numcnn's arrays, relative to each one's largest value; refuse a large one."""
    worst = 0.0
    for key, values in arrays.items():
        difference = relative_difference(values, ours[key.partition(",")[0]])
        if not difference <= TOLERANCE:
            raise MismatchError(
                f"{name} and numcnn don't agree: {key} differs by {difference:.2g} of its largest value, the limit is "
                f"{TOLERANCE:g}. Different work is not timed; leave that one out (--peers) or mend it"
            )
        worst = max(worst, difference)
    return worst


def relative_difference(values, ours):
    """Return the largest difference of two arrays, relative to the largest value of ``ours``; NaN if there is any."""
    if values.shape != ours.shape:
        return float("inf")
    ours = ours.astype(np.float64)
    return float(np.abs(values - ours).max() / np.abs(ours).max())


# --------------------------------------------------------------------------------------------- what comes of the rounds


def spread(values):
    """Return the median and the quartiles of some values, rounded to six digits."""
    low, median, high = (float(f"{q:.6g}") for q in np.percentile(values, (25, 50, 75)))
    return {"median": median, "quartiles": [low, high]}


def ratio(values, others):
    """Return median and quartiles of values / others, round by round."""
    return spread(np.asarray(values) / np.asarray(others))


def training(task, settings, folder, report):
    """Hold the training contest.  Return (the Contest, name -> figures)."""
    contest = hold(contestants_for("training", settings), task, settings, folder, report)
    speed = {
        name: [TRAINING_BATCH / burst["step_seconds"] for burst in bursts]
        for name, bursts in contest.bursts.items()
        if name != SGEMM.name
    }
    sgemm = contest.bursts[SGEMM.name]
    flops = step_flops()
    roofline = np.array([1e9 * burst["gflops"] / flops for burst in sgemm])
    figures = {}
    for name, values in speed.items():
        images = spread(values)
        figures[name] = {
            "images_per_second": images["median"],
            "images_per_second_quartiles": images["quartiles"],
            "roofline_ratio": ratio(values, roofline)["median"],
        }
        if name != NUMCNN:
            figures[name] |= _ratio_keys("ratio", ratio(speed[NUMCNN], values))
    ours = figures[NUMCNN]
    ways = ((ONE_THREAD, "one_thread", "scaling"), (UNFUSED, "unfused", "fusion_ratio"))
    for name, key, ratio_key in (*ways, (AUGMENTED, "augmented", "augmentation_ratio")):
        if name in figures:
            ours[f"{key}_images_per_second"] = figures[name]["images_per_second"]
            ours |= _ratio_keys(ratio_key, ratio(speed[NUMCNN], speed[name]))
    ours |= {
        "batch_size": TRAINING_BATCH,
        "roofline_images_per_second": spread(roofline)["median"],
        "flops_per_image": flops,
        "sgemm_gflops": spread([burst["gflops"] for burst in sgemm])["median"],
        "sgemm_gflops_one_thread": spread([burst["gflops_one_thread"] for burst in sgemm])["median"],
    }
    return contest, figures


def inference(task, settings, folder, report):
    """Hold the inference contest.  Return (the Contest, name -> figures)."""
    calls = max(200, -(-SINGLE_CALLS // settings.rounds))
    contest = hold(contestants_for("inference", settings), task, settings, folder, report, single_calls=calls)
    batches = {
        name: [INFERENCE_BATCH / burst["batch_seconds"] for burst in bursts] for name, bursts in contest.bursts.items()
    }
    singles = {name: [burst["single_us"] for burst in bursts] for name, bursts in contest.bursts.items()}
    medians = {name: np.array([np.median(times) for times in bursts]) for name, bursts in singles.items()}
    figures = {}
    for name, values in batches.items():
        images = spread(values)
        p50, p95 = np.percentile(np.concatenate(singles[name]), (50, 95))
        figures[name] = {
            "single_us_p50": round(float(p50), 2),
            "single_us_p95": round(float(p95), 2),
            "single_us_quartiles": spread(medians[name])["quartiles"],
            "batch_images_per_second": images["median"],
            "batch_images_per_second_quartiles": images["quartiles"],
        }
        if name != NUMCNN:
            figures[name] |= _ratio_keys("single_ratio", ratio(medians[name], medians[NUMCNN]))
            figures[name] |= _ratio_keys("batch_ratio", ratio(batches[NUMCNN], values))
    figures[NUMCNN] |= {"batch_size": INFERENCE_BATCH, "single_calls": sum(map(len, singles[NUMCNN]))}
    return contest, figures


def _ratio_keys(name, values):
    return {name: values["median"], f"{name}_quartiles": values["quartiles"]}


def scan(task, settings, folder, report):
    """Measure what an image costs numcnn, by batch size and by the size of the data set.  Return rows for both."""
    from tqdm import tqdm

    task.save(Path(folder) / TASK_FILE)
    sizes = [size for size in SCAN_DATA_SETS if size <= len(task.images)]
    batches = [size for size in SCAN_BATCHES if size <= len(task.images)]
    points = [*itertools.product(("training", "inference"), batches), *itertools.product(("epoch",), sizes)]
    report(f"scan: batches of {batches[0]} to {batches[-1]:,}, data sets of {sizes[0]:,} to {sizes[-1]:,} images")
    found = {point: [] for point in points}
    with Workers([SCAN], folder, settings.threads) as workers:
        workers.load(backend=settings.backend)
        rng = np.random.default_rng(0)
        order = [points[k] for _ in range(SCAN_ROUNDS) for k in rng.permutation(len(points))]
        for what, size in tqdm(order, desc="scan", disable=None, leave=False):
            _insist_on(SCAN.name, workers)
            result = workers.call(SCAN.name, "burst", what=what, size=size, seconds=SCAN_SECONDS)
            found[what, size].append(result and result["us"])
        _insist_on(SCAN.name, workers)
    cost = {point: spread(values)["median"] for point, values in found.items()}
    return {
        "batch_sizes": [
            {"batch_size": n, "training_us": cost["training", n], "inference_us": cost["inference", n]} for n in batches
        ],
        "data_sets": [{"images": n, "epoch_us": cost["epoch", n]} for n in sizes],
    }


def make_task(dataset, most=IMAGES):
    """Return the task on the first training images of a data set, as many as it has, up to ``most`` (None: all)."""
    images, labels = dataset.train_images[:most], dataset.train_labels[:most]
    if len(images) < INFERENCE_BATCH:
        raise DataError(
            f"{dataset.source}: {len(images)} training images; the benchmark wants {INFERENCE_BATCH:,} or more"
        )
    return Task.of(images, labels)
