"""How much ``numcnn learn --pictures`` gains from ten crops of each digit of a source: ``python tests/meter.py``.

Two sources that the shipped network errs at: a meter's seven segments, and digits that lean very far.  Each is drawn
with seeds of its own, learned by the command, and measured on other pictures of the same source.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import papers
from PIL import Image, ImageDraw, ImageFilter

from numcnn.data import generated

# Seven segments, as of a meter: a at the top, clockwise to f, g in the middle.
ENDS = {
    "a": (0, 0, 1, 0), "b": (1, 0, 1, 1), "c": (1, 1, 1, 2), "d": (0, 2, 1, 2), "e": (0, 1, 0, 2), "f": (0, 0, 0, 1),
    "g": (0, 1, 1, 1),
}  # fmt: skip
LIT = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")
LEARNED, TESTED = 10, 50  # pictures of each digit


def seven_segments(label, rng):
    """Draw a digit of a meter, light on dark: no two alike.  -> PIL image."""
    image = Image.new("L", (96, 128), 0)
    pen = ImageDraw.Draw(image)
    width, height, left, top = rng.uniform((34, 38, 20, 14), (44, 46, 30, 24))
    thick, gap, slant = rng.uniform((5, 4, 0), (9, 8, 0.2))
    for segment in LIT[label]:
        x1, y1, x2, y2 = ENDS[segment]
        ends = np.array([(left + x1 * width, top + y1 * height), (left + x2 * width, top + y2 * height)])
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        ends += np.array([along, -along]) * gap
        across = along[::-1] * (-thick / 2, thick / 2)
        corners = ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across
        pen.polygon([(x + slant * (top + 2 * height - y), y) for x, y in corners], fill=255)
    light = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) / 255
    return Image.fromarray((rng.uniform(20, 60) + rng.uniform(120, 180) * light).astype(np.uint8))


def leaning(label, rng):
    """Draw a digit that leans very far to the left, in one of the ways to write it.  -> PIL image."""
    way = rng.choice([glyph.name for glyph in generated.GLYPHS if glyph.digit == label])
    strokes = papers.strokes_of(label, rng.uniform(50, 65), (20, 20), way, slant=-rng.uniform(0.8, 1.1))
    width = round(np.concatenate(strokes)[:, 0].max()) + 20
    ink = papers.ink_of(strokes, (105, width), rng.uniform(4, 7))
    return Image.fromarray(papers.noisy(papers.on_paper(ink), rng))


SOURCES = {"meter": seven_segments, "leaning": leaning}


def save_source(folder, draw, count, seed):
    """Save so many pictures of each digit, with the label at the beginning of their names."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for label in range(10):
        for i in range(count):
            draw(label, rng).save(folder / f"{label}_{i:04}.png")
    return folder


def numcnn(*arguments):
    """Run a command of numcnn -> its JSON."""
    command = [sys.executable, "-m", "numcnn", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    """Print the errors before and after, for each source and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one measurement of each source for each")
    parser.add_argument("--test", type=int, default=TESTED, help="pictures of each digit to measure on")
    arguments = parser.parse_args()
    for name, draw in SOURCES.items():
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                learned = save_source(folder / "learn", draw, LEARNED, [seed, 0])
                test = save_source(folder / "test", draw, arguments.test, [seed, 1])
                weights = folder / "learned.npz"
                before = numcnn("evaluate", test)
                report = numcnn("learn", "--pictures", learned, "--out", weights, "--seed", seed)
                after = numcnn("evaluate", test, "--weights", weights)
            errors = [round((1 - found["accuracy"]) * found["n"]) for found in (before, after)]
            known = [f"{report['known'][when]:.2%}" for when in ("before", "after")]
            print(
                f"{name}, seed {seed}: {errors[0]} -> {errors[1]} of {before['n']} misread; "
                f"what it knew: {known[0]} -> {known[1]} of {report['known']['n']}, {report['seconds']:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
