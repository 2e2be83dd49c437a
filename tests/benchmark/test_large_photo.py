"""The part photo: pages as large JPEGs, read in a fresh process each; and the options that belong to drawn pictures."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from numcnn.benchmark import BenchmarkError, large_photo, report
from numcnn.benchmark.measure import Settings
from numcnn.cli import main
from numcnn.data.hands import Generated
from numcnn.imaging.photo import large_jpeg


def silent(line):
    pass


def test_a_page_becomes_a_noisy_jpeg_of_so_many_pixels():
    page = np.full((60, 80), 200, np.uint8)
    found = large_jpeg(page, 300_000, 0.02, 90, np.random.default_rng(1))
    with Image.open(io.BytesIO(found)) as image:
        assert image.format == "JPEG" and image.size == (632, 474)
        grey = np.asarray(image.convert("L"), float)
    assert abs(grey.mean() - 200) < 1 and 2 < grey.std() < 8


def test_photos_are_read_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(large_photo, "PIXELS", 300_000)
    monkeypatch.setattr(large_photo, "QUICK_COUNT", 1)
    found = large_photo.measure(Generated(), Settings(threads=1, quick=True, seed=6), tmp_path, silent)
    assert (found["pixels"], found["times"], found["seed"]) == (300_000, large_photo.QUICK_TIMES, 6)
    (one,) = found["photos"]
    assert one["condition"] == "clean" and 15 <= one["digits"] <= 80
    assert 0.9 * one["digits"] <= one["digits_right"] <= one["digits"]
    assert 0 < one["best_s"] <= one["median_s"] and one["first_s"] > 0 and one["processor_s"] > 0
    assert one["peak_memory_mb"] is None or 30 < one["peak_memory_mb"] < 400
    assert not list(tmp_path.glob("*.jpg"))
    ((title, header, (row,)),) = report.rows_of({"photo": found})
    assert title == "a page of 0.3 million pixels" and len(row) == len(header)
    assert row[:2] == ("clean", f"{one['digits_right']} of {one['digits']}")
    assert max(map(len, report._table_lines(title, header, [row]))) <= 80


def test_a_photo_that_cannot_be_read_ends_the_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(large_photo, "large_jpeg", lambda *_: b"no picture")
    with pytest.raises(BenchmarkError, match=r"photo0\.jpg: not a picture in a known format"):
        large_photo.measure(Generated(), Settings(threads=1, quick=True), tmp_path, silent)


def test_the_seed_reaches_the_part_and_the_report(real_pens, monkeypatch, capsys):
    seen = {}

    def measure(hand, settings, folder, say):
        seen["seed"] = settings.seed
        return {"pixels": 12_000_000, "times": 1, "seed": settings.seed, "photos": []}

    monkeypatch.setattr(large_photo, "measure", measure)
    options = ["--parts", "photo", "--dataset", "generated", "--json", "-"]
    assert main(["bench", *options, "--seed", "77"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert seen == {"seed": 77} and document["photo"]["seed"] == 77
    assert "seed 77" in report.heading(document)[-1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--parts", "kernels", "--seed", "1"],
            "--seed is for ocr and photo only; add --parts ocr, or leave out --seed",
        ),
        (["--parts", "photo", "--seed", "-1"], "--seed is -1; wants 0 or more"),
    ],
)
def test_a_seed_that_would_do_nothing_is_refused(options, text, capsys):
    assert main(["bench", *options]) == 2
    assert text in capsys.readouterr().err
