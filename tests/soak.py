"""Use numcnn for a long time: memory, threads and open files must not grow.

    python tests/soak.py [MINUTES] [SEED] [PART ...]

PART: pad, training or predictions; all three, one after the other, if none is named.

The pad is played for so many minutes (60 if none are given), then a network trains for as many, then eight threads ask
another one for answers: 100,000 times in an hour, in proportion in less.  Linux only: it reads /proc.

memory_mb is what is in use: before each sample Python's garbage and the pages that malloc keeps for later are given
back, so that grown_mb is a leak and not the allocator's.  peak_mb is the most that the process ever had, with these.
"""

import contextlib
import ctypes
import gc
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

import numpy as np
import pygame
from conftest import draw_digits, write_digits
from pads import drag, opened_pads, press, settle
from processes import wait_for

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.training.config import TrainConfig
from numcnn.training.run_folder import load_run
from numcnn.training.session import Options, new_session

THREADS, PREDICTIONS = 8, 100_000  # in an hour
MOST_GROWTH = 8.0  # MB
SAMPLES, LEAST_SAMPLES = 200, 9
WARM_ROUNDS = 3  # until all fonts and pictures of the pad are drawn once
PAD_KEYS = (
    pygame.K_SPACE, pygame.K_e, pygame.K_f, pygame.K_w, pygame.K_b, pygame.K_d, pygame.K_h, pygame.K_LEFTBRACKET,
    pygame.K_RIGHTBRACKET, pygame.K_F11, pygame.K_g, pygame.K_LEFT, pygame.K_RIGHT,
)  # fmt: skip


def open_files():
    """Return how many files are open, but for fonts: the pad keeps some sizes of them."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += not os.readlink(path).endswith(".ttf")
    return count


def memory_in_use():
    """Return how much memory the process has (MB), once it has given back what it doesn't use."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


class Watch:
    """Samples of what a process uses, while ``going`` is asked whether to go on."""

    def __init__(self, seconds):
        self.began, self.seconds = time.monotonic(), seconds
        self.events, self.samples = 0, []

    def going(self, share=None, events=1):
        """Count events; return whether there is time left.  share: how much is done, if time doesn't say it."""
        self.events += events
        share = (time.monotonic() - self.began) / self.seconds if share is None else share
        if share * SAMPLES >= len(self.samples):
            self.samples.append((memory_in_use(), len(os.listdir("/proc/self/task")), open_files()))
        return share < 1 or len(self.samples) < LEAST_SAMPLES

    def report(self, name):
        """Print and return the growth of memory (MB), threads and files from the second third to the last one."""
        early, late = np.array_split(np.array(self.samples), 3)[1:]
        memory = float(np.median(late[:, 0]) - np.median(early[:, 0]))
        threads, files = (int(late[:, i].max() - early[:, i].max()) for i in (1, 2))
        found = {"events": self.events, "seconds": round(time.monotonic() - self.began, 1)}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        found |= {"memory_mb": round(float(late[-1, 0]), 1), "grown_mb": round(memory, 2), "peak_mb": round(peak, 1)}
        found |= {"threads": threads, "files": files}
        print(json.dumps({name: found}), flush=True)
        return found


def play(seconds, seed=0):
    """Draw digits, erase, undo, open and close panels, resize: rounds of all that, as fast as frames come."""
    rng = np.random.default_rng(seed)
    with opened_pads() as opened:
        pad = opened(network=numcnn.load(backend="reference"))
        for _ in range(WARM_ROUNDS):
            play_round(pad, rng)
        watch, rounds = Watch(seconds), 0
        while watch.going(events=rounds and play_round(pad, rng)):
            rounds += 1
    return watch.report("pad")


def play_round(pad, rng):
    """Press every key, draw below it, press it again.  Return how many events that were."""
    events = 0
    for key in PAD_KEYS:
        press(pad, key)
        sheet = pad.places().sheet
        for stroke in digit_strokes(int(rng.integers(10)), rng):
            points = stroke[:: max(1, len(stroke) // 8)] * 0.4 * min(sheet.size) + sheet.center
            drag(pad, *(tuple(map(int, point)) for point in points))
            events += len(points) + 2
        if pad.one_step.open:  # a starved thread may take longer than the drawing
            wait_for(lambda: pad.step() and not (pad.one_step.open and pad.one_step.lesson is None), "the step")
        press(pad, key)
        press(pad, pygame.K_z, mod=pygame.KMOD_CTRL)
    press(pad, pygame.K_SPACE)
    wait_for(lambda: pad.step() and not any(tool.busy for tool in pad.tools), "the pad's tools to come to rest")
    settle(pad)
    return events + 3 * len(PAD_KEYS)


def train(seconds, seed=0):
    """Train in a folder, with all that a run does: augmentation, validation, saves, a log."""
    watch = Watch(seconds)
    config = TrainConfig(epochs=1_000_000, limit=600, augment=0.6, disturb=0.5, average=0.99, dropout=0.1, seed=seed)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        session = new_session(config, write_digits(folder / "drawn"), Options(quiet=True))
        files = session.open_folder(folder / "run")
        step = files.on_batch

        def on_batch(*arguments):
            step(*arguments)
            if not watch.going():
                files.stop_signal = 15

        files.on_batch = on_batch
        session.train()
        assert load_run(folder / "run").state.epoch == session.run.state.epoch
    return watch.report("training")


def predict(count):
    """Ask one network for ``count`` answers from eight threads; every answer must be what one thread gets."""
    images = np.resize(draw_digits(600, 11)[0], (256, 28, 28))
    network = numcnn.load()
    want, watch = network.predict(images), Watch(1.0)
    asked, lock, wrong = 0, threading.Lock(), []

    def ask():
        nonlocal asked
        chance = random.Random(threading.get_ident())
        while True:
            with lock:
                if not watch.going(asked / count):
                    return
                asked += 1
            n, start = chance.choice((1, 1, 1, 7)), chance.randrange(200)
            if not np.array_equal(network.predict(images[start : start + n]), want[start : start + n]):
                wrong.append((start, n))

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"other answers than one thread gets: {wrong[:5]}"
    return watch.report("predictions")


def flat(found):
    return found["grown_mb"] < MOST_GROWTH and found["threads"] <= 0 and found["files"] <= 0


def run(minutes, seed, *names):
    """Soak these parts, or all; return what grew."""
    parts = {
        "pad": lambda: play(60 * minutes, seed),
        "training": lambda: train(60 * minutes, seed),
        "predictions": lambda: predict(max(SAMPLES, round(PREDICTIONS * minutes / 60))),
    }
    return {name: found for name in names or parts if not flat(found := parts[name]())}


if __name__ == "__main__":
    minutes, seed, *names = [*sys.argv[1:3], *("60", "0")[len(sys.argv[1:3]) :], *sys.argv[3:]]
    grown = run(float(minutes), int(seed), *names)
    sys.exit(f"grown: {grown}" if grown else 0)
