"""Training that is watched in the pad, beside ``numcnn train --preset fast``: its speed, frames, the time to 99%."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numcnn.benchmark import BenchmarkError, Say
from numcnn.benchmark.processes import PYTHON_MODULE, environment
from numcnn.pad.learner import NICE
from numcnn.pad.live import EPOCHS

# The window's size, and what is drawn meanwhile: see ``pad_player.watch_training``.
STAYS, MANY = "one digit", "many"
CASES = (*(("1100x700", STAYS), ("1100x700", MANY)) * 3, ("3840x2160", STAYS))
QUICK_CASES = CASES[:1]


def measure(quick: bool, dataset: Sequence[str], say: Say) -> dict[str, Any]:
    """Train with and without the pad, in turn.  dataset: the options of ``numcnn train`` that name it.

    Return the runs' figures, and the pad's share of the speed, by what is drawn.  Raises BenchmarkError if one fails.
    """
    rows: list[dict[str, Any]] = []
    for number, (size, drawing) in enumerate(QUICK_CASES if quick else CASES):
        say(f"live: seed {number}, numcnn train, then the same in the pad, {size}, drawing {drawing}")
        with tempfile.TemporaryDirectory(prefix="numcnn-live-") as home:
            before = _processor_seconds()
            alone = _alone(dataset, number, Path(home) / "run")
            between = _processor_seconds()
            watched = _watched(dataset, number, size, drawing, home)
            seconds = {"alone_processor_seconds": between - before, "processor_seconds": _processor_seconds() - between}
        rows.append({**watched, **seconds, "seed": number, "alone_images_per_second": alone})
        rows[-1]["share_of_speed"] = rows[-1]["images_per_second"] / alone
    shares = {
        drawing: statistics.median(row["share_of_speed"] for row in rows if row["drawing"] == drawing)
        for drawing in dict.fromkeys(row["drawing"] for row in rows)
    }
    return {"runs": rows, "share_of_speed": shares}


def _processor_seconds() -> float:
    """Return what the processes that have ended took of the processors; 0 on Windows, which doesn't say."""
    used = os.times()
    return used.children_user + used.children_system


def _alone(dataset: Sequence[str], seed: int, out: Path) -> float:
    """Return the images a second of ``numcnn train --preset fast`` on as many images as the pad trains on."""
    options = ["--preset", "fast", "--epochs", str(EPOCHS), "--no-test", "--val", str(1 / 12)]
    command = [*PYTHON_MODULE, "numcnn", "train", *options]
    _run([*command, "--seed", str(seed), "--out", str(out), *dataset], {})
    return json.loads((out / "run.json").read_text())["images_per_second"]


def _watched(dataset: Sequence[str], seed: int, size: str, drawing: str, home: str) -> dict[str, Any]:
    """Return what ``pad_player.watch_training`` measures."""
    settings: dict[str, Any] = {"seed": seed}
    names = {"--dataset": "dataset", "--data-dir": "data_dir"}
    settings |= {names[option]: value for option, value in zip(dataset[::2], dataset[1::2], strict=True)}
    display = {"SDL_VIDEODRIVER": "dummy", "NUMCNN_HOME": home}
    command = [*PYTHON_MODULE, "numcnn.benchmark.pad_player", "train", size, drawing, json.dumps(settings)]
    return json.loads(_run(command, display).splitlines()[-1])


def _run(command: Sequence[str], more: dict[str, str]) -> str:
    """Run a command and return what it printed.  Without a pad it is as nice as the pad's training process is."""
    with subprocess.Popen(
        command, env={**environment(), **more}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if not more and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        out, errors = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command[2:6])} failed: {errors.strip().splitlines()[-1:]}")
    return out
