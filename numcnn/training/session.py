"""A whole training run: build a new one or load a stopped one, train it, write its run card."""

import contextlib
import hashlib
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

from numcnn import data
from numcnn.data import mnist
from numcnn.data.batches import Examples
from numcnn.data.dataset import KEYWORDS, MIXTURES, Dataset
from numcnn.data.download import to_stderr
from numcnn.errors import CheckpointError, ConfigError, DataError, DivergedError
from numcnn.evaluation.calibration import CERTAINTY, certainty, refusal_threshold
from numcnn.evaluation.metrics import Evaluation
from numcnn.files import as_path
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.checkpoint import find_weights
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network, load
from numcnn.training.config import TrainConfig
from numcnn.training.loop import check_reproducible, fit
from numcnn.training.monitor import Monitor, TrainState
from numcnn.training.optim import Optimizer, make_optimizer
from numcnn.training.ranks import Follower, MpiRanks, RankMonitor
from numcnn.training.run_folder import Run, RunFolder, check_space, claim, new_folder, stamp_of, versions
from numcnn.training.run_record import Document

DRY_RUN_STEPS = 2

# The run card's figures of the test set, and their names in ``metrics.Evaluation``.
TESTED = {
    "test_accuracy": "accuracy",
    "test_interval": "interval",
    "test_loss": "loss",
    "test_images": "n",
    "test_calibration_error": "calibration_error",
}


@dataclass(frozen=True)
class Options:
    """How a run is carried out.  Only ``threads`` can change the weights, in their last digits, if not reproducible.

    data_dir: MNIST's folder.  threads: None for one per processor or, in a resumed run, as many as before.
    quiet: no progress; report: prints a line.  command: the command line, for the run card.
    began: the start of the run's time, by ``time.perf_counter``.
    ranks: the processes that train together; ``threads`` are those of each.
    """

    data_dir: str | Path | None = None
    threads: int | None = None
    quiet: bool = False
    report: Callable[[str], object] = to_stderr
    command: str = ""
    began: float = field(default_factory=time.perf_counter)
    ranks: MpiRanks | None = None

    def named_data_dir(self) -> str | None:
        """Return ``data_dir`` as it can be found from any folder; None if none was named."""
        return str(as_path(self.data_dir).absolute()) if self.data_dir else None

    def use_threads(self, before: int | None = None) -> int:
        """Set how many threads compute.  Return the number, of all processes together.  before: of a resumed run."""
        if self.ranks is None:
            return use_threads(before if self.threads is None else self.threads)
        usual = max(1, before // self.ranks.size) if before else self.ranks.threads
        return use_threads(usual if self.threads is None else self.threads) * self.ranks.size


@dataclass
class Session:
    """A run with its data, ready to train: ``open_folder``, ``train``, ``finish``, ``draw``, in this order."""

    run: Run
    dataset: Dataset
    train_set: Examples
    validation_set: Examples
    threads: int
    options: Options
    files: RunFolder | None = None

    def dry_run(self) -> float:
        """Take a few steps and write nothing.  Return the mean loss."""
        config = replace(self.run.config, epochs=1, schedule="constant", lr=1e-6)
        index = self.train_set.index[: DRY_RUN_STEPS * config.batch_size]
        return fit(self.run.network, replace(self.train_set, index=index), None, config).history[-1]["train_loss"]

    def open_folder(self, out: str | Path | None = None) -> RunFolder:
        """Make a folder for a new run: ``out``, or the first free one in runs/.  Return the monitor that writes there.

        No other run can use the folder until this one is drawn, is stopped or fails.
        Raises ConfigError, also if the folder's disk is too full.
        """
        run, options = self.run, self.options
        if run.folder is None:
            run.folder = new_folder(out, f"{self.dataset.name}-{run.config.model}")
            run.lock = claim(run.folder, empty=True)
        check_space(run.folder, run.network, run.config)
        self.files = RunFolder(
            run.folder,
            run.config,
            run.info,
            dataset_argument=run.dataset_argument,
            data_dir=run.data_dir,
            watch_gradients=run.watch_gradients,
            quiet=options.quiet,
            earlier_seconds=time.perf_counter() - options.began + run.seconds,
        )
        self.files.lock, self.files.kept = run.lock, run.kept
        return self.files

    def train(self) -> TrainState:
        """Train to the end, or until the run folder's monitor stops.  Raises DivergedError, WriteError."""
        run, files = self.run, self.files or self.open_folder()
        try:
            state, optimizer = self._fit(files)
            if not state.interrupted:
                files.save_to_the_end(run.network, optimizer, state)
        except BaseException as error:
            with contextlib.suppress(OSError):
                if isinstance(error, DivergedError):
                    files.discard_useless(run.state)
                files.folder.rmdir()  # works only if the run has written nothing
            self.release()
            raise
        if state.interrupted:
            self.release()
        return state

    def follow(self, follower: Follower) -> TrainState:
        """Train as ``train`` does, on another rank than 0, which writes and shows nothing."""
        return self._fit(follower)[0]

    def _fit(self, monitor: Monitor) -> tuple[TrainState, Optimizer]:
        run, ranks = self.run, self.options.ranks
        optimizer = make_optimizer(run.network, run.config, run.moments, trained="began_with" in run.info)
        with ranks.together(run.network) if ranks else contextlib.nullcontext():
            state = fit(
                run.network,
                self.train_set,
                self.validation_set,
                run.config,
                monitor=RankMonitor(ranks, monitor) if ranks else monitor,
                state=run.state,
                optimizer=optimizer,
            )
        return state, optimizer

    def release(self) -> None:
        """Let other runs use the folder."""
        for holder in (self.run, self.files):
            if holder and holder.lock:
                holder.lock.release()

    def best_network(self) -> Network:
        """Return the network in best.npz."""
        assert self.run.folder is not None
        network = load(self.run.folder / "best.npz", backend=self.run.config.backend)
        network.fuse = self.run.config.fuse
        return network

    def read_test_set(self, network: Network) -> Evaluation | None:
        """Evaluate a network on the test set; None with ``test=False``."""
        if not self.run.config.test:
            return None
        return network.evaluate(self.dataset.test_images, self.dataset.test_labels)

    def finish(self) -> tuple[Document, Evaluation | None]:
        """Calibrate the kept weights on validation images, read the test set once with them, write the run card.

        Return the card and the evaluation on the test set, None with ``test=False``.
        """
        run, dataset, files = self.run, self.dataset, self.files or self.open_folder()
        config, held_out, history = run.config, self.validation_set, run.state.history
        network = self.best_network()
        if len(held_out):
            probabilities = network.calibrate(held_out.images[held_out.index], held_out.labels[held_out.index])
            if config.outliers:
                files.info["refuse_below"] = refusal_threshold(certainty(probabilities))
                files.info["certainty_temperature"] = CERTAINTY
        test = self.read_test_set(network)
        tested = {key: getattr(test, name) if test else None for key, name in TESTED.items()}
        result = {**network.info["result"], **{key: tested[key] for key in ("test_accuracy", "test_loss")}}
        files.save_best(network, result)
        trained_seconds = sum(row["seconds"] for row in history)
        card = {
            **tested,
            "temperature": network.temperature,
            "val_accuracy": result["val_accuracy"],
            "val_loss": result["val_loss"],
            "best_epoch": result["epoch"],
            "epochs": run.state.epoch,
            "images_per_second": sum(row["seconds"] * row["images_per_second"] for row in history) / trained_seconds,
            "seconds": time.perf_counter() - files.began,
            "peak_memory_mb": peak_memory_mb(),
            "dataset": dataset.name,
            "dataset_source": dataset.source,
            "dataset_sha256": run.info["dataset_sha256"],
            "weights": str(files.best),
            "weights_sha256": network.sha256(),
            "model": config.model,
            "parameters": network.params.size,
            "seed": config.seed,
            "threads": self.threads,
            "config": config.to_json(),
            "command": self.options.command,
            "versions": versions(),
            **{key: run.info[key] for key in ("earlier",) if key in run.info},
            "system": f"{platform.system()} {platform.machine()}",
        }
        files.write_card(card)
        return card, test

    def draw(self) -> None:
        """Draw the curves.  This ends the session: it frees the data and lets others use the folder."""
        files = self.files or self.open_folder()
        del self.dataset, self.train_set, self.validation_set  # matplotlib takes as much memory as the images
        files.draw(self.run.state.history)
        self.release()


def new_session(
    config: TrainConfig,
    dataset: str | Path,
    options: Options,
    *,
    watch_gradients: bool = False,
    weights: str | Path | None = None,
) -> Session:
    """Load the data set and build a network for it.

    weights: a file whose parameters and normalisation the network begins with; None: random parameters.
    Raises ConfigError, DataError, CheckpointError.
    """
    threads = options.use_threads()
    # Even a quiet run reports that generated digits replace MNIST.
    found = _load_data(dataset, config, options, report=dataset == "auto" or not options.quiet)
    if found.train_labels.max(initial=0) >= found.classes and not config.outliers:
        raise ConfigError(f"the data set {found.name} contains non-digits; add `preset='everyone'`, or `outliers=True`")
    train, held_out = _split(found, config)
    network, info = _new_network(found, train, config), _info(found, config, threads)
    if config.reproducible:
        check_reproducible(network)  # as ``fit`` does, but before there is a folder
    if weights is not None:
        info["began_with"] = _begin_with(network, weights, found)
        if len(held_out) and found.validation_rows is None:
            options.report(
                "warning: unless the same images were held out from it, the network has learned from some of those "
                "that now validate: accuracy and temperature may be too good"
            )
    run = Run(
        network=network,
        config=config,
        info=info,
        dataset_argument=found.name if str(dataset) in KEYWORDS else str(Path(dataset).resolve()),
        data_dir=options.named_data_dir(),
        watch_gradients=watch_gradients,
    )
    return Session(run, found, train, held_out, threads, options)


def draw_again(run: Run) -> None:
    """Draw the curves of a finished run that was killed before it had drawn them all.  Raises ConfigError."""
    assert run.folder is not None
    lock = claim(run.folder)
    files = RunFolder(
        run.folder,
        run.config,
        run.info,
        dataset_argument=run.dataset_argument,
        watch_gradients=run.watch_gradients,
    )
    files.draw_missing(run.state.history)
    lock.release()


def resumed_session(run: Run, options: Options) -> Session:
    """Load the data of a stopped run, which ``run_folder.load_run`` returns.

    Without ``options.data_dir`` from the folder that the run began with, if MNIST is still there.
    Reports threads and versions that are not those of the run so far: the weights then differ in their last digits.
    Raises DataError if the data has changed since the run started, ConfigError if another training is in its folder.
    """
    assert run.folder is not None
    if options.ranks is None or options.ranks.rank == 0:
        if run.lock is None or not run.lock.holds():
            run.lock = claim(run.folder)
        if stamp_of(run.folder / "last.npz") != run.stamp:
            raise ConfigError(f"another training has just gone on in {run.folder}; try again")
    threads = options.use_threads(run.info["threads"])
    run.data_dir = options.named_data_dir() or run.data_dir
    options = replace(options, data_dir=options.data_dir or mnist.still_there(run.data_dir))
    found = _load_data(run.dataset_argument, run.config, options, report=not options.quiet)
    if found.sha256 != run.info["dataset_sha256"]:
        raise DataError(
            f"the data set {found.name} isn't the one that the run in {run.folder} began with "
            f"({run.info['dataset']}, SHA-256 {run.info['dataset_sha256'][:12]}...); restore that one"
        )
    if run.config.reproducible:
        check_reproducible(run.network)
    session = Session(run, found, *_split(found, run.config), threads, options)
    _check_progress(session)
    _note_changes(session)
    return session


def _check_progress(session: Session) -> None:
    """Raise CheckpointError if the run can't have got that far with these images, or had another validation set."""
    run, state = session.run, session.run.state
    images, size = len(session.train_set), run.config.batch_size
    validated = not state.history or (state.history[-1]["val_loss"] is not None) == bool(len(session.validation_set))
    if state.batch > -(-images // size) or state.seen != min(images, state.batch * size) or not validated:
        raise CheckpointError(f"{run.folder}/last.npz: batch {state.batch} of {images} images makes no sense")


def _note_changes(session: Session) -> None:
    """If the run goes on with other threads or versions, report it; weights file and card will record both."""
    info, state = session.run.info, session.run.state
    now = {"threads": session.threads, **versions()}
    before = {"threads": info["threads"], **info["versions"]}
    if session.run.config.reproducible:
        before["threads"] = session.threads  # any number gives the same weights
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if not keys:
        return
    changed = ", ".join(f"{key} {before.get(key, 'none')} -> {now.get(key, 'none')}" for key in keys)
    session.options.report(
        f"warning: the run goes on with other {changed}; the weights will differ in their last digits"
    )
    part = {"until_epoch": state.epoch, "until_batch": state.batch, "threads": info["threads"]}
    part["versions"] = info["versions"]
    session.run.info = {
        **info,
        "threads": session.threads,
        "versions": versions(),
        "earlier": [*info.get("earlier", []), part],
    }


def _load_data(dataset: str | Path, config: TrainConfig, options: Options, *, report: bool) -> Dataset:
    return data.load(
        dataset,
        options.data_dir,
        seed=config.seed,
        limit=config.limit,
        backend=config.backend,
        report=options.report if report else lambda line: None,
    )


def _split(dataset: Dataset, config: TrainConfig) -> tuple[Examples, Examples]:
    """Return training and validation examples, both from the training set."""
    train, held_out = dataset.split(config.val, config.seed)
    images, labels = dataset.train_images, dataset.train_labels
    return Examples(images, labels, train), Examples(images, labels, held_out)


def _new_network(dataset: Dataset, train: Examples, config: TrainConfig) -> Network:
    """Build the network for the data set's images, normalised by their mean and standard deviation."""
    return Network(
        make_layers(config.model, dataset.classes, config.dropout),
        (*dataset.train_images.shape[1:], 1),
        backend=config.backend,
        seed=config.seed,
        normalisation=train.normalisation(),
        fuse=config.fuse,
    )


def _begin_with(network: Network, weights: str | Path, dataset: Dataset) -> Document:
    """Give a new network the parameters and the normalisation of a weights file.  Return what records that.

    Raises CheckpointError, and ConfigError if the file holds another architecture, or if what it learned from might be
    what the data set tests on.
    """
    path = find_weights(weights)
    earlier = load(path)
    shapes, wanted = ({name: a.shape for name, a in one.named_arrays(one.params).items()} for one in (earlier, network))
    if shapes != wanted or earlier.input_shape != network.input_shape:
        raise ConfigError(f"`from` {weights}: its network is not the model that is to be trained; name its `model`")
    learned_from = earlier.info.get("dataset")
    if dataset.name in MIXTURES and learned_from != dataset.name:
        raise ConfigError(
            f"`from` {weights}: it learned from {learned_from}; what goes on with {dataset.name} must come from that"
        )
    network.params[...] = earlier.params
    network.state[...] = earlier.state
    network.normalisation = earlier.normalisation
    return {"dataset": learned_from, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _info(dataset: Dataset, config: TrainConfig, threads: int) -> Document:
    """Return the weights file's record of its training, without times, so that equal runs write equal bytes."""
    return {
        "model": config.model,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "config": config.to_json(),
        "threads": threads,
        "versions": versions(),
    }


def peak_memory_mb() -> float | None:
    """Return the most memory (MB, resident) that this process has used so far; None if the system doesn't say."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
