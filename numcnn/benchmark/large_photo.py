"""A page photographed with twelve million pixels: seconds and peak memory, each photo in a fresh process.

``python -m numcnn.benchmark.large_photo PHOTO FILE TIMES`` is that process.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from numcnn.benchmark import Say
from numcnn.benchmark.measure import Settings
from numcnn.benchmark.processes import PYTHON_MODULE
from numcnn.benchmark.whole_runs import peak_memory
from numcnn.data import pages
from numcnn.data.hands import Hand
from numcnn.files import atomic_write
from numcnn.imaging.photo import large_jpeg
from numcnn.recognition.page import read
from numcnn.recognition.scoring import score_text, text_of

PIXELS = 12_000_000
NOISE = 0.02  # standard deviation of a pixel's noise, of the range from black to white
QUALITY = 90  # of the JPEG
CONDITIONS = ("clean", "shadow edge", "ruled", "squared", "table", "perspective")  # of the photos, in turn
COUNT, QUICK_COUNT = 6, 2
TIMES, QUICK_TIMES = 7, 3  # readings of each photo


def measure(hand: Hand, settings: Settings, folder: str | os.PathLike[str], say: Say) -> dict[str, Any]:
    """Draw photos and read each some times -> a dict for JSON.  Raises BenchmarkError if a process fails.

    For each photo: seconds of the first reading, which loads the kernels, median and best of the later ones, the
    median of their processor seconds, and the process's peak memory (MB; None where the system doesn't say).
    """
    count, times = (QUICK_COUNT, QUICK_TIMES) if settings.quick else (COUNT, TIMES)
    say(f"photo: {count} pages of {PIXELS / 1e6:g} million pixels, each read {times} times")
    photos = []
    for number in range(count):
        condition = CONDITIONS[number % len(CONDITIONS)]
        sheet = pages.make("page", condition, hand, seed=settings.seed, number=number)
        path, out = Path(folder) / f"photo{number}.jpg", Path(folder) / f"photo{number}.json"
        noise = np.random.default_rng([settings.seed, number])
        path.write_bytes(large_jpeg(sheet.picture, PIXELS, NOISE, QUALITY, noise))
        command = [*PYTHON_MODULE, "numcnn.benchmark.large_photo", str(path), str(out), str(times)]
        memory = peak_memory(command, settings)
        path.unlink()
        found = json.loads(out.read_text(encoding="utf-8"))
        right = score_text(found.pop("text"), sheet.text).right
        known = {"condition": condition, "digits": len(sheet.digits), "digits_right": right}
        photos.append({**known, **_figures(found), "peak_memory_mb": memory})
    return {"pixels": PIXELS, "times": times, "seed": settings.seed, "photos": photos}


def _figures(found: dict[str, list[float]]) -> dict[str, float]:
    later = found["seconds"][1:]
    return {
        "first_s": round(found["seconds"][0], 3),
        "median_s": round(float(np.median(later)), 3),
        "best_s": round(min(later), 3),
        "processor_s": round(float(np.median(found["processor_seconds"][1:])), 3),
    }


def main(photo: str, out: str, times: str) -> None:
    """Read a photo so many times, and write the seconds and what was read into a file of JSON."""
    found: dict[str, Any] = {"seconds": [], "processor_seconds": []}
    for _ in range(int(times)):
        started, processor = time.perf_counter(), time.process_time()
        page = read(photo)
        found["seconds"].append(time.perf_counter() - started)
        found["processor_seconds"].append(time.process_time() - processor)
    found["text"] = text_of(page)
    with atomic_write(out) as file:
        file.write(json.dumps(found).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
