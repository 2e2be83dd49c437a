"""Train with each combination of some settings, several seeds each, and compare
them by their accuracy on validation images. The test set is not read.

The trainings run side by side in processes of this machine, one thread each
unless --threads says more. A worker that is killed costs no result, and
--resume goes on with a sweep that was stopped. With --cluster they run on the
workers of a Dask scheduler.
"""

EXAMPLES = """examples:
  numcnn sweep --grid lr=1e-3,3e-3 --seeds 5
  numcnn sweep --grid dropout=0,0.3 --grid batch_size=64,128 --epochs 5
  numcnn sweep plan.toml --jobs 2
  numcnn sweep --resume runs/sweep-1
  numcnn sweep plan.toml --cluster tcp://host:8786

plan.toml:
  seeds = 5
  dataset = "mnist"
  [settings]
  epochs = 3
  [grid]
  lr = [0.001, 0.003]
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from numcnn.commands import Document, add_data_arguments, add_threads_argument, print_json, terminated_cleanly
from numcnn.commands.train import chosen_dataset, config_of, introduce, options_of
from numcnn.commands.workers import (
    add_worker_arguments,
    check_engine,
    do_jobs,
    goes_on_with_data,
    says_how_to_go_on,
    threads_of_each,
)
from numcnn.data import title_of
from numcnn.errors import ConfigError, WriteError
from numcnn.files import FolderLock, named_errors
from numcnn.training import sweeps
from numcnn.training.config import add_config_arguments, flag, given_settings
from numcnn.training.run_folder import check_out, claim, new_folder
from numcnn.training.session import Options, Session, new_session
from numcnn.training.sweeps import Sweep

SEEDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("plan", nargs="?", metavar="PLAN.toml", help="a file that says what to do, in place of options")
    group = parser.add_argument_group("sweep")
    group.add_argument(
        "--grid", action="append", metavar="NAME=A,B", help="a setting and the values to try; several: all combinations"
    )
    group.add_argument("--seeds", type=int, metavar="N", help=f"seeds for each, from --seed on (default: {SEEDS})")
    add_data_arguments(parser.add_argument_group("data"))
    add_config_arguments(parser.add_argument_group("training, of all runs"), hidden=("test",))
    group = parser.add_argument_group("running")
    add_worker_arguments(group, "as many as fill the processors")
    add_threads_argument(group, "threads for each training (default: 1)")
    group.add_argument("--out", metavar="DIR", help="a new folder for the sweep (default: runs/sweep-NUMBER)")
    group.add_argument("--resume", metavar="DIR", help="go on with the sweep in this folder")
    group.add_argument("--quiet", action="store_true", help="show no progress, only the result")
    group.add_argument("--json", action="store_true", help="print the table as JSON, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Train, and print the table.  Return the exit code: 1 if a combination has no result."""
    with terminated_cleanly("sweep"):
        check_engine(arguments)
        sweep, lock = _resumed(arguments) if arguments.resume else _new(arguments)
        work = sweep.jobs()
        with says_how_to_go_on("numcnn sweep", sweep.folder, arguments):
            results = do_jobs(work, arguments, lambda job: f"{job.folder.parent.name} seed {job.config.seed}")
        table = sweep.table(results)
        with named_errors(sweep.folder, action="write to the folder", error_class=WriteError):
            sweeps.save_table(table, sweep.folder)
        lock.release()
    if arguments.json:
        print_json(table)
    else:
        _print(sweep, table)
    return int(any(not row["val_accuracy"]["n"] for row in table["rows"]))


def _new(arguments: argparse.Namespace) -> tuple[Sweep, FolderLock]:
    """Return a new sweep, and the lock of its new folder."""
    given = given_settings(arguments)
    grid, count = _complete(arguments)
    if both := [name for name in grid if name in given]:
        raise ConfigError(f"the grid has {both[0]}, so `{both[0]}` would do nothing; leave out one of them")
    if not grid:
        raise ConfigError("there is nothing to compare; add `grid`, such as --grid lr=1e-3,3e-3")
    if arguments.test is not None:
        raise ConfigError("a sweep never reads the test set; leave out `test`")
    arguments.test = False
    if arguments.out:
        check_out(arguments.out)  # before anything takes time
    sweep = Sweep(
        folder=Path(),
        config=config_of(arguments),
        grid=grid,
        count=count,
        dataset_argument=chosen_dataset(arguments),
        threads=threads_of_each(arguments),
        command=arguments.command_line,
    )
    session = _first_session(sweep, options_of(arguments))
    introduce(session)
    folder, run = new_folder(arguments.out, "sweep"), session.run
    lock = claim(folder, empty=True)
    sweep = replace(sweep, folder=folder, dataset_argument=run.dataset_argument, data_dir=run.data_dir)
    with named_errors(folder, action="write to the folder", error_class=WriteError):
        sweep.save()
    return sweep, lock


def _first_session(sweep: Sweep, options: Options) -> Session:
    """Return the session of the first run.

    Raises ConfigError if a combination holds no images out, or is to be reproducible and can't be.
    """
    first, seen = None, set[tuple[int | None, float | None, bool]]()
    for settings in sweep.combinations():
        config = replace(sweep.config, **settings)
        which_matter = config.limit, config.val, config.reproducible
        if which_matter in seen:
            continue
        session = new_session(config, sweep.dataset_argument, replace(options, quiet=options.quiet or bool(seen)))
        if not len(session.validation_set):
            which = "".join(f", {name}={value}" for name, value in settings.items() if name in ("limit", "val"))
            raise ConfigError(f"a sweep compares validation accuracy, and no images are held out{which}; add `val`")
        seen.add(which_matter)
        first = first or session  # the others are only checked, so their images aren't kept
    assert first is not None  # a sweep has at least one combination
    return first


def _resumed(arguments: argparse.Namespace) -> tuple[Sweep, FolderLock]:
    """Return the sweep to go on with, and the lock of its folder."""
    given = list(given_settings(arguments))
    others = ("plan", "grid", "seeds", "preset", "threads", "out")
    given += [name for name in others if getattr(arguments, name) is not None]
    given += ["dataset"] if arguments.dataset != "auto" else []
    if given:
        flags = ", ".join("PLAN.toml" if name == "plan" else flag(name) for name in given)
        raise ConfigError(f"`resume` goes on with what the sweep was begun with; leave out {flags}")
    sweep = sweeps.load_sweep(arguments.resume)
    lock = claim(sweep.folder)
    return goes_on_with_data(sweep, options_of(arguments)), lock


def _complete(arguments: argparse.Namespace) -> tuple[sweeps.Grid, int]:
    """Complete the options by those of the plan, if there is one.  Return the grid and the number of seeds."""
    if arguments.plan and not os.path.exists(arguments.plan):
        _refuse_spaces(arguments.grid or [], arguments.plan)
    plan = sweeps.read_plan(arguments.plan) if arguments.plan else {}
    for name, value in plan.get("settings", {}).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    arguments.preset = arguments.preset or plan.get("preset")
    if arguments.dataset == "auto":
        arguments.dataset = plan.get("dataset", "auto")
    count = arguments.seeds if arguments.seeds is not None else plan.get("seeds", SEEDS)
    return {**plan.get("grid", {}), **sweeps.parse_grid(arguments.grid or [])}, count


def _refuse_spaces(grid: list[str], rest: str) -> None:
    """Raise ConfigError if ``rest``, no plan, looks like the rest of a grid: --grid lr=1e-3, 3e-3."""
    signs = (",", "=")
    cut = [text for text in grid if text.endswith(signs) or (len(grid) == 1 and rest.startswith(signs))]
    if cut:
        raise ConfigError(f"there is no file {rest}; `grid` takes no spaces: `grid={cut[0]}{rest}`")


def _print(sweep: Sweep, table: Document) -> None:
    """Print the table, best first, and how to train with the best settings."""
    rows, names = table["rows"], list(sweep.grid)
    first, last = sweep.config.seed, sweep.config.seed + sweep.count - 1
    seeds = f"seeds {first} to {last}" if last > first else f"seed {first}"
    spread = "; spread: standard deviation, in points" if sweep.count > 1 else ""
    print(f"validation accuracy on {title_of(Path(sweep.dataset_argument).name)}, {seeds}, best first{spread}:")
    cells = [[*names, "mean", "spread", "lowest", "highest", "seconds"]]
    for row in rows:
        found, values = row["val_accuracy"], [str(row["settings"][name]) for name in names]
        if not found["n"]:
            cells.append([*values, "diverged", "", "", "", ""])
            continue
        spread = [f"{100 * found['std']:.2f}", f"{found['min']:.2%}", f"{found['max']:.2%}"] if "std" in found else []
        lost = f"; {row['diverged']} diverged" if row["diverged"] else ""
        cells.append([*values, f"{found['mean']:.2%}", *(spread or ["", "", ""]), f"{row['seconds']:.0f}{lost}"])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
    if rows[0]["val_accuracy"]["n"]:
        best = [sweeps.as_options(row["settings"]) or "without options" for row in sweeps.best_rows(table)]
        print(f"{'best, with equal means' if len(best) > 1 else 'best'}: {' | '.join(best)}; the test set was not read")
    print(f"runs and results.json: {sweep.folder}")
