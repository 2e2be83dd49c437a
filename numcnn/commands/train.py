"""Train a network, and keep its weights, log and run card in a folder.

Without options: the canonical two-convolution network on MNIST, which is
downloaded the first time. If MNIST is not available, it trains on generated
digits and marks all results as such. The test set is read once, at the end,
with the weights that were best on validation. The run is saved every few
seconds. Ctrl-C finishes the current batch and saves; --resume continues from
there. In the epochs' lines a * marks the best so far on validation.
"""

EXAMPLES = """examples:
  numcnn train                            the full training: about two minutes
  numcnn train --preset fast              99% on MNIST in about ten seconds
  numcnn train --preset everyone          also learns other people's strokes,
                                          other scanners and non-digits
  numcnn train --preset harden --from runs/everyone-wide-1/best.npz
                                          goes on with disturbed pictures: the
                                          shipped network
  numcnn train --limit 6000 --epochs 3    a quick try
  numcnn train --seeds 5                  how much results vary by chance
  numcnn train --seeds 8 --jobs 4         the same, in four processes
  numcnn train --no-test --dropout 0.3    try a setting, judged by validation
  numcnn train --dataset fashion/         any data set in MNIST's IDX format
  mpiexec -n 4 numcnn train               one network, trained by four processes
  numcnn train --processes 4 --restarts 3 the same; if one ends, it goes on from
                                          the last save
  numcnn train --preset fast --reproducible
                                          the same bytes for any number of
                                          threads, on AVX2 and AVX-512; their
                                          SHA-256 for seed 0 is in the README
  numcnn train --watch-gradients          gradient and weight norms in log.csv,
                                          and a picture of them
  numcnn train --resume runs/mnist-canonical-1
                                          continue a run, or a series of
                                          --seeds, that was stopped

Equal settings, data, threads and versions give equal weights, byte for byte,
on one machine; with --reproducible the threads don't matter. Exit codes: 0
fine, 1 failed, 2 wrong usage or bad input, 75 one of several processes is lost,
129 terminal closed, 130 interrupted, 143 terminated.
"""

import argparse
import contextlib
import os
import shlex
import signal
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

from numcnn import data
from numcnn.commands import (
    Document,
    add_data_arguments,
    add_threads_argument,
    print_json,
    say,
    say_in_handler,
    terminated_cleanly,
)
from numcnn.commands.workers import (
    accuracy_of,
    add_worker_arguments,
    check_engine,
    do_jobs,
    goes_on_with_data,
    result_line,
    says_how_to_go_on,
    several_at_a_time,
    threads_of_each,
)
from numcnn.data import title_of
from numcnn.data.dataset import KEYWORDS
from numcnn.errors import CheckpointError, ConfigError, DivergedError, WriteError
from numcnn.files import FolderLock, named_errors
from numcnn.training import seeds
from numcnn.training.config import (
    DATASETS,
    TrainConfig,
    add_config_arguments,
    changed_settings,
    config_from_arguments,
    flag,
    given_settings,
    in_options,
)
from numcnn.training.launcher import find_mpiexec, launch
from numcnn.training.ranks import TIMEOUT, Follower, MpiRanks, count_ranks, silence
from numcnn.training.run_folder import Run, RunFolder, check_out, claim, load_run, new_folder
from numcnn.training.session import (
    DRY_RUN_STEPS,
    Options,
    Session,
    draw_again,
    new_session,
    resumed_session,
)
from numcnn.training.train_job import TrainJob

RESTARTS_ALONE = "`restarts` goes with `processes`; add `processes`"
NOTHING_HELD_OUT = "no validation images: the last epoch is kept; probabilities are not calibrated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_data_arguments(parser.add_argument_group("data"))
    add_config_arguments(parser.add_argument_group("training"))
    group = parser.add_argument_group("running")
    add_threads_argument(group)
    group.add_argument("--out", metavar="DIR", help="a new folder for the run (default: runs/DATASET-MODEL-NUMBER)")
    group.add_argument("--from", dest="weights", metavar="FILE", help="begin with these weights, not with random ones")
    group.add_argument("--resume", metavar="DIR", help="continue the run in this folder, with its settings")
    group.add_argument("--seeds", type=int, metavar="N", help="train N networks, with --seed and the seeds after it")
    add_worker_arguments(group, "one at a time, in this process")
    group.add_argument(
        "--processes", type=int, metavar="N", help="train one network in N processes, as mpiexec -n N does"
    )
    group.add_argument(
        "--restarts", type=int, default=0, metavar="N", help="with --processes: if one ends, go on from the last save"
    )
    group.add_argument(
        "--rank-timeout",
        type=float,
        default=TIMEOUT,
        metavar="S",
        help="end if one of several processes doesn't answer for so long (default: %(default)g s)",
    )
    group.add_argument("--ensemble", action="store_true", help="with --seeds: also test all networks together")
    group.add_argument("--watch-gradients", action="store_true", help="log each layer's gradient and weight norms")
    group.add_argument("--dry-run", action="store_true", help=f"take {DRY_RUN_STEPS} steps, write nothing")
    group.add_argument("--quiet", action="store_true", help="show no progress, only the result")
    group.add_argument("--json", action="store_true", help="print the run card as JSON, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Train as the arguments say.  Return the exit code."""
    if count_ranks() > 1:
        return _run_on_ranks(arguments)
    if arguments.processes is not None or arguments.restarts:
        return _launch(arguments)
    if arguments.resume:
        _refuse_other_settings(arguments)
    if arguments.seeds is not None or arguments.ensemble or (arguments.resume and seeds.is_series(arguments.resume)):
        return _train_several(arguments)
    if several_at_a_time(arguments):
        raise ConfigError("`jobs` and `cluster` train several networks at a time; add `seeds`, or use: numcnn sweep")
    options = options_of(arguments)
    if arguments.resume:
        earlier = load_run(arguments.resume)
        if earlier.card is not None:
            return _report_finished(arguments, earlier)
        session = resumed_session(earlier, options)
    else:
        session = _new_session(arguments, options)
    introduce(session)
    if arguments.resume and not options.quiet:
        say(_where(session))
    if arguments.dry_run:
        return _dry_run(arguments, session)
    files = session.open_folder(arguments.out)
    if not _train(session, files):
        return 128 + (files.stop_signal or 0)
    card, _ = session.finish()
    session.draw()
    return _report(arguments, card)


def _run_on_ranks(arguments: argparse.Namespace) -> int:
    """Train as one of several processes that mpiexec has started.  Return the exit code."""
    ranks = MpiRanks()
    if ranks.rank:
        silence()
    ranks.timeout = arguments.rank_timeout
    if not ranks.timeout > 0:
        raise ConfigError(f"`rank_timeout` is {ranks.timeout}; wants a number of seconds above 0")
    _refuse_several_networks(arguments)
    if arguments.restarts and arguments.processes is None:
        raise ConfigError(RESTARTS_ALONE)
    if arguments.resume:
        _refuse_other_settings(arguments)
    options = replace(options_of(arguments), ranks=ranks)
    earlier = None
    if arguments.resume:  # rank 0 reads it, as the others may not share its disk
        earlier = ranks.from_first(ranks.agree(lambda: load_run(arguments.resume) if ranks.rank == 0 else None))
        assert earlier is not None
        if earlier.card is not None:
            return _report_finished(arguments, earlier) if ranks.rank == 0 else 0
        found: Run = earlier
        session = ranks.agree(lambda: resumed_session(found, options))
    else:
        session = ranks.agree(lambda: _new_session(arguments, options))
    ranks.check_alike(session.dataset.sha256)
    began_with: Document = session.run.info.get("began_with", {})
    ranks.check_equal("the weights with the SHA-256", began_with.get("sha256", "none"))
    introduce(session)
    if not options.quiet:
        threads = session.threads // ranks.size
        each = "1 thread" if threads == 1 else f"{threads} threads"
        say(f"{ranks.size} processes, {each} each: {'; '.join(ranks.names)}")
        if arguments.resume:
            say(_where(session))
    files = ranks.agree(lambda: session.open_folder(arguments.out) if ranks.rank == 0 else None)
    if files is None:
        follower = Follower()
        with _stop_after_this_batch(follower):
            session.follow(follower)
        return 0
    if not _train(session, files, again=_how_launched(arguments, ranks.size)):
        return 128 + (files.stop_signal or signal.SIGTERM)  # another rank may have had the signal
    card, _ = session.finish()
    session.draw()
    return _report(arguments, card)


def _how_launched(arguments: argparse.Namespace, processes: int) -> str:
    """Return the command that begins as many processes as train now."""
    if arguments.processes is None:
        return f"mpiexec -n {processes} numcnn train"
    restarts = f" --restarts {arguments.restarts}" if arguments.restarts else ""
    return f"numcnn train --processes {arguments.processes}{restarts}"


def _launch(arguments: argparse.Namespace) -> int:
    """Let mpiexec train, and resume the run if one of its processes ends.  Return the exit code."""
    if arguments.processes is None:
        raise ConfigError(RESTARTS_ALONE)
    _refuse_several_networks(arguments)
    if arguments.out:
        check_out(arguments.out)
    config = config_of(arguments)
    # It refuses before a folder is made.
    mpiexec = find_mpiexec(arguments.processes, arguments.restarts, arguments.threads)
    given = shlex.split(arguments.command_line)[1:]
    named = arguments.resume or arguments.out
    folder = Path(named or new_folder(None, f"{_name_of_data(arguments)}-{config.model}"))
    if not named:
        given += ["--out", str(folder)]

    def command() -> list[str]:
        if arguments.resume or not (folder / "last.npz").exists():
            return given
        names = ("processes", "restarts", "threads", "data_dir")
        options = {flag(name): getattr(arguments, name) for name in names}
        more = [text for name, value in options.items() if value is not None for text in (name, str(value))]
        more += [flag(name) for name in ("quiet", "json") if getattr(arguments, name)]
        return ["train", "--resume", str(folder), "--rank-timeout", str(arguments.rank_timeout), *more]

    try:
        with terminated_cleanly("train"):
            return launch([mpiexec, "-n", str(arguments.processes)], arguments.restarts, command, say)
    finally:
        if not named:
            with contextlib.suppress(OSError):
                folder.rmdir()  # works only if the processes have written nothing


def _refuse_several_networks(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for options that don't go with several processes for one network."""
    names = ("seeds", "ensemble", "jobs", "cluster", "dry_run")
    if given := [flag(name) for name in names if getattr(arguments, name) not in (None, False)]:
        raise ConfigError(f"several processes train one network; leave out {', '.join(given)}")


def _name_of_data(arguments: argparse.Namespace) -> str:
    """Return the name of the data set, for the run's folder.  Raises DataError, ConfigError."""
    chosen = chosen_dataset(arguments)
    if chosen in KEYWORDS and chosen != "auto":
        return chosen
    return data.load(chosen, arguments.data_dir, test_only=True, generated_test=10, report=lambda line: None).name


def _new_session(arguments: argparse.Namespace, options: Options) -> Session:
    if arguments.out and (options.ranks is None or options.ranks.rank == 0):
        check_out(arguments.out)  # before anything takes time
    return new_session(
        config_of(arguments),
        chosen_dataset(arguments),
        options,
        watch_gradients=arguments.watch_gradients,
        weights=arguments.weights,
    )


def _report_finished(arguments: argparse.Namespace, earlier: Run) -> int:
    assert earlier.card is not None
    say(f"the run in {arguments.resume} is finished; this is its result")
    draw_again(earlier)
    return _report(arguments, earlier.card)


def config_of(arguments: argparse.Namespace) -> TrainConfig:
    """Return the settings.  Raises ConfigError for an option that would do nothing."""
    config, given = config_from_arguments(arguments), given_settings(arguments)
    if "momentum" in given and config.optimizer != "sgd":
        raise ConfigError(f"`momentum` goes with `optimizer='sgd'`; {config.optimizer} has none that can be set")
    if "warmup" in given and config.schedule != "cosine":
        raise ConfigError(f"`warmup` goes with `schedule='cosine'`; the run's schedule is {config.schedule}")
    if arguments.preset == "harden" and not hasattr(arguments, "weights"):  # a sweep
        raise ConfigError("harden trains one network: numcnn train --preset harden --from FILE")
    if arguments.preset == "harden" and not arguments.weights:
        raise ConfigError("`preset='harden'` goes on with a trained network; add its weights: `from=FILE`")
    return config


def chosen_dataset(arguments: argparse.Namespace) -> str:
    """Return the data set that was named or, if none was, the one that the preset is for."""
    if arguments.dataset != "auto":
        return arguments.dataset
    return DATASETS.get(arguments.preset, arguments.dataset)


def options_of(arguments: argparse.Namespace) -> Options:
    """Return how a run is carried out."""
    return Options(
        data_dir=arguments.data_dir,
        threads=arguments.threads,
        quiet=arguments.quiet,
        report=say,
        command=arguments.command_line,
    )


def _refuse_other_settings(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for options that would change the settings of the run to resume."""
    if arguments.out:
        raise ConfigError("`out` can't be combined with `resume`: the run continues in its own folder")
    if arguments.seeds is not None or arguments.ensemble:
        raise ConfigError("`resume` goes on with all seeds of a series; leave out `seeds` and `ensemble`")
    changed = list(given_settings(arguments))
    changed += [name for name in ("preset", "watch_gradients", "dry_run") if getattr(arguments, name)]
    changed += ["dataset"] if arguments.dataset != "auto" else []
    changed += ["from"] if arguments.weights else []
    if changed:
        flags = ", ".join(map(flag, changed))
        raise ConfigError(f"`resume` continues with the run's own settings; leave out {flags}")


def introduce(session: Session) -> None:
    """Say which data the session trains on."""
    if session.options.quiet:
        return
    say(f"data: {session.dataset.source}")
    count = len(session.train_set)
    images = "1 image" if count == 1 else f"{count:,} images"
    say(f"{session.dataset.name}: {images} to train on, {len(session.validation_set):,} to validate")


def _where(session: Session) -> str:
    """Return a line that says where a resumed run continues."""
    run, state = session.run, session.run.state
    if state.epoch >= run.config.epochs:
        return f"resuming {run.folder} after its last epoch"
    batches = -(-len(session.train_set) // run.config.batch_size)
    batch = min(state.batch + 1, batches)  # it may have stopped after the last one, before validation
    return f"resuming {run.folder} in epoch {state.epoch + 1}, batch {batch} of {batches}"


def _dry_run(arguments: argparse.Namespace, session: Session) -> int:
    """Take a few steps as a check; write nothing."""
    loss, network = session.dry_run(), session.run.network
    if arguments.json:
        print_json({"dry_run": True, "loss": loss, "parameters": network.params.size})
    else:
        changed = changed_settings(session.run.config)
        settings = f"settings other than the defaults: {', '.join(changed) or 'none'}"
        print(network.summary())
        print(textwrap.fill(settings, 80, subsequent_indent="  ", break_on_hyphens=False))
        print(f"dry run: all is well, loss {loss:.4f}; nothing was written")
    return 0


def _train(session: Session, files: RunFolder, resume: Path | None = None, again: str = "numcnn train") -> bool:
    """Train; return whether the run finished.

    resume: the folder to continue with, if it isn't the run's.  again: the command to continue with.
    """
    state = session.run.state
    with _stop_after_this_batch(files):
        try:
            session.train()
        except KeyboardInterrupt:  # a second signal; what was saved last stays
            state.interrupted = True
            files.stop_signal = files.stop_signal or signal.SIGINT
        except WriteError:
            if files.stop_signal is None:  # else it was stopped while it tried to save
                raise
            state.interrupted = True
    if state.interrupted:
        folder = shlex.quote(str(resume or files.folder))
        missing = f"; saved: {files.saved}" if files.problem and files.saved else ""
        say(f"stopped in epoch {state.epoch + 1}{missing}; continue with: {again} --resume {folder}")
    return not state.interrupted


@contextlib.contextmanager
def _stop_after_this_batch(files: RunFolder | Follower) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM or a closed terminal end the run after the current batch; a second one ends it at once."""

    def request(number: int, frame: FrameType | None) -> None:
        if files.stop_signal is not None:
            files.stop_signal = number
            raise KeyboardInterrupt
        files.stop_signal = number
        say_in_handler(files.say, "stopping after this batch; interrupt again to stop at once")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it on purpose
        numbers.append(signal.SIGHUP)
    earlier = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _train_several(arguments: argparse.Namespace) -> int:
    """Train with one seed after another, each in its own folder; report mean and spread.  Return the exit code."""
    if arguments.weights:
        raise ConfigError("`from` goes with one training; leave out `seeds`")
    at_a_time = several_at_a_time(arguments)
    if at_a_time:
        check_engine(arguments)
    series, lock, first = _resumed_series(arguments) if arguments.resume else _new_series(arguments)
    arguments.data_dir = series.data_dir
    options = options_of(arguments)
    reasons: dict[int, str] = {}  # seed -> why it diverged
    if at_a_time:
        reasons, first = _train_as_jobs(series, arguments, first), None
        options = replace(options, threads=None)  # all seeds are finished
    cards: list[Document] = []
    diverged: list[Document] = []
    readings = seeds.Readings()
    for seed in series.seeds:
        try:
            if seed in reasons:
                raise DivergedError(reasons[seed])
            session, card = (first, None) if first else _seed_session(series, seed, options)
            first = None
            if card is None:
                introduce(session)
                files = session.open_folder(series.folder / f"seed-{seed}")
                if not _train(session, files, series.folder):
                    return 128 + (files.stop_signal or 0)
                card, test = session.finish()
            else:
                test = session.read_test_set(session.best_network()) if series.config.test else None
        except DivergedError as error:
            if seed not in reasons:  # else it was said when the job ended
                say(f"seed {seed} diverged: {in_options(str(error))}")
            diverged.append({"seed": seed, "reason": str(error)})
            continue
        if test:
            readings.add(session.dataset, test)
        session.draw()
        cards.append(card)
        if not at_a_time:
            say(result_line(f"seed {seed}", card))
    summary = seeds.summarise(series, cards, readings, diverged)
    seeds.write(summary, readings, series.folder)
    lock.release()
    return _report_several(arguments, summary, series.folder)


def _train_as_jobs(series: seeds.Series, arguments: argparse.Namespace, first: Session | None) -> dict[int, str]:
    """Train all seeds of a series that aren't finished, several at a time.  Return seed -> why it diverged.

    first: the session of the first one, if the series is new, of which only the data are said.
    """
    if first:
        introduce(first)
    work = [
        TrainJob(
            folder=series.folder / f"seed-{seed}",
            config=replace(series.config, seed=seed),
            dataset=series.dataset_argument,
            data_dir=arguments.data_dir,
            threads=threads_of_each(arguments),
            watch_gradients=series.watch_gradients,
            command=series.command,
        )
        for seed in series.seeds
    ]
    with terminated_cleanly("train"), says_how_to_go_on("numcnn train", series.folder, arguments):
        found = do_jobs(work, arguments, lambda job: f"seed {job.config.seed}")
    if series.config.test and not arguments.quiet:
        say("reading the test set with each network")  # again, for how they do together
    return {job.config.seed: found[job.folder].diverged for job in work if found[job.folder].card is None}


def _new_series(arguments: argparse.Namespace) -> tuple[seeds.Series, FolderLock, Session | None]:
    """Return a new series, in a new folder that is locked, and the session of its first seed."""
    count = arguments.seeds
    if count is None or count < 2:
        raise ConfigError(f"`seeds` is {count or 'not given'}; wants 2 or more, to measure a spread")
    if count > seeds.MOST_SEEDS:
        raise ConfigError(f"`seeds` is {count}; wants {seeds.MOST_SEEDS} or less")
    if arguments.dry_run:
        raise ConfigError("`seeds` trains several networks from the start; leave out `dry_run`")
    config = config_of(arguments)
    if arguments.ensemble and not config.test:
        raise ConfigError("`ensemble` reads the test set, which `test=False` leaves unread; leave out one of them")
    if arguments.out:
        check_out(arguments.out)  # before anything takes time
    watch, ensemble = arguments.watch_gradients, arguments.ensemble
    first = new_session(config, chosen_dataset(arguments), options_of(arguments), watch_gradients=watch)
    folder = new_folder(arguments.out, f"{config.model}-seeds")
    lock = claim(folder, empty=True)
    dataset = first.run.dataset_argument
    command, data_dir = arguments.command_line, first.run.data_dir
    series = seeds.Series(folder, config, count, dataset, watch, ensemble, command, data_dir)
    with named_errors(folder, action="write to the folder", error_class=WriteError):
        series.save()
    return series, lock, first


def _resumed_series(arguments: argparse.Namespace) -> tuple[seeds.Series, FolderLock, Session | None]:
    """Return the series to go on with, and the lock of its folder."""
    lock = claim(Path(arguments.resume))
    series = goes_on_with_data(seeds.load_series(arguments.resume), options_of(arguments))
    say(f"resuming the series in {series.folder}: seeds {series.seeds[0]} to {series.seeds[-1]}")
    return series, lock, None


def _seed_session(series: seeds.Series, seed: int, options: Options) -> tuple[Session, Document | None]:
    """Return the session of one seed of a series, and its run card if it is finished."""
    options = replace(options, began=time.perf_counter())
    folder, config = series.folder / f"seed-{seed}", replace(series.config, seed=seed)
    if not (folder / "last.npz").exists():
        return new_session(config, series.dataset_argument, options, watch_gradients=series.watch_gradients), None
    earlier = load_run(folder)
    if earlier.config != config:
        raise CheckpointError(f"{folder} holds a run with other settings than those in series.json")
    session = resumed_session(earlier, options)
    if earlier.card is None:
        say(_where(session))
    return session, earlier.card


def _report_several(arguments: argparse.Namespace, summary: Document, folder: Path) -> int:
    """Print a series' summary.  Return the exit code: 1 if a seed diverged."""
    code = 1 if "diverged" in summary else 0
    if arguments.json:
        print_json(summary)
        return code
    if len(summary["runs"]) < 2:
        print("fewer than two of the seeds have a result, so there is no spread")
    for key, part in (("test_accuracy", "test"), ("val_accuracy", "validation")):
        if key in summary:
            found = summary[key]
            low, high = found["interval"]
            print(f"{part} accuracy on {title_of(summary['dataset'])}, {found['n']} seeds:")
            print(f"mean {found['mean']:.2%}, standard deviation {100 * found['std']:.2f} points,")
            extremes = f"lowest {found['min']:.2%}, highest {found['max']:.2%}"
            print(f"{extremes}; 95% interval of the mean {low:.2%} to {high:.2%}")
    if "val_accuracy" not in summary:
        print(NOTHING_HELD_OUT)
    if "ensemble" in summary:
        several = summary["ensemble"]
        low, high = several["interval"]
        print(f"ensemble of all {several['networks']} networks (their probabilities averaged):")
        print(f"{several['test_accuracy']:.2%} (95% interval {low:.2%} to {high:.2%})")
    if "wrong_by_all" not in summary:
        print("the test set was not read (--no-test): no gallery of images that all misread")
    elif summary["wrong_by_all"]:
        count = len(summary["wrong_by_all"])
        print(f"test images misread by all of them: {count:,}, drawn in wrong_by_all.png")
    else:
        print("no test image was misread by all of them: no wrong_by_all.png")
    for seed in summary.get("diverged", []):
        print(f"seed {seed['seed']} diverged and is left out of all figures")
    print(f"runs and seeds.json: {folder}")
    return code


def _report(arguments: argparse.Namespace, card: Document) -> int:
    """Print the run card: as JSON, or in a few lines.  Return the exit code."""
    if arguments.json:
        print_json(card)
        return 0
    accuracy = accuracy_of(card, f" on {title_of(card['dataset'])}:")
    if card["test_interval"] is None:
        more = "(the test set was not read)"
    else:
        low, high = card["test_interval"]
        more = f"(95% interval {low:.2%} to {high:.2%})"
    print(accuracy, more, sep=" " if len(accuracy) + len(more) < 80 else "\n")
    if card["val_accuracy"] is None:
        print(NOTHING_HELD_OUT)
    memory = "" if card["peak_memory_mb"] is None else f", {card['peak_memory_mb']:.0f} MB at most"
    # If nothing was held out, no epoch is known to be the best.
    which = "last" if card["val_accuracy"] is None or card["config"].get("keep") == "last" else "best"
    epoch = f"{which} epoch {card['best_epoch']}"
    print(f"{epoch}; {card['seconds']:.0f} s, {card['images_per_second']:,.0f} img/s{memory}")
    if card["config"].get("reproducible") and "weights_sha256" in card:
        print(f"SHA-256: {card['weights_sha256']}")
    print(f"weights: {card['weights']}")
    folder = Path(card["weights"]).parent
    for text, name in (("curves", "curves.png"), ("gradients", "gradients.png"), ("log", "log.csv")):
        if os.path.isfile(folder / name):  # never raises, whatever the card says
            print(f"{text}: {folder / name}")
    if card["dataset"] == "generated" and arguments.dataset != "generated" and not arguments.resume:
        print("To train on MNIST: numcnn train --data-dir DIR, with its four files in DIR.")
    return 0
