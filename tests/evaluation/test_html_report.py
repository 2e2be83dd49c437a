"""The page of an evaluation: it holds the figures, needs no other file, and is well-formed."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from numcnn.errors import DataError
from numcnn.evaluation import metrics
from numcnn.evaluation.calibration import Threshold
from numcnn.evaluation.html_report import Findings, page, png
from numcnn.evaluation.svg_chart import Chart, Point

VOID = {"meta", "img", "line", "circle", "polyline", "polygon", "br"}


class Checker(HTMLParser):
    """Collects words and addresses, and fails on a tag that isn't closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.words, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def findings(right=0.9, least=0.0, **more):
    rng = np.random.default_rng(3)
    n, classes = 400, 10
    labels = rng.integers(0, classes, n)
    answers = np.where(rng.random(n) < right, labels, (labels + 1) % classes)
    probabilities = np.full((n, classes), 0.01)
    probabilities[np.arange(n), answers] = rng.uniform(0.5, 0.9, n)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    result = metrics.evaluation(labels, probabilities)
    images = rng.integers(0, 256, (n, 28, 28), np.uint8)
    return Findings(
        "a <b> & c.npz", {"trained on": "x < y"}, images, labels, result, result.answered(Threshold(least, 1.0)), **more
    )


def read(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return checker


def everything(**more):
    rng = np.random.default_rng(5)
    clean = rng.random(400) < 0.95
    robustness = metrics.robustness(clean, {"fog": rng.random(400) < 0.2, "shot_noise": rng.random(400) < 0.7})
    log = [
        {
            "epoch": str(k),
            "train_loss": f"{2 / k}",
            "train_accuracy": f"{1 - 0.3 / k}",
            "val_loss": "",
            "val_accuracy": "",
        }
        for k in (1, 2, 3)
    ]
    filters = rng.standard_normal((3, 5, 1, 7)).astype(np.float32)
    return findings(robustness=robustness, curves=log, filters=filters, **more)


def test_it_holds_every_section_and_the_figures():
    found = everything(least=0.6)
    checker = read(page(found))
    words = " ".join(checker.words)
    for heading in ("By class", "Confusion", "Calibration", "If only the most probable answers count"):
        assert heading in words
    for heading in ("Under corruptions", "The run: loss", "The run: accuracy", "The most confident mistakes"):
        assert heading in words
    assert "The first convolution" in words and "7 filters of 3 x 5" in words
    result = found.result
    low, high = result.interval
    assert f"{result.accuracy:.2%}" in words and f"95% interval {low:.2%} to {high:.2%}" in words
    for one in result.per_class:
        assert f"{one.precision:.2%}" in words and f"{one.recall:.2%}" in words
    assert f"{result.calibration_error:.2%}" in words and "shot noise" in words and "mean of 2" in words
    assert f"{found.answered.right / found.answered.given:.2%} right" in words
    assert "a <b> & c.npz" in words and "x < y" in words  # escaped, so that they come out as they are
    wrong = metrics.mistakes(found.labels, result.probabilities)
    probabilities = result.probabilities[wrong[0]]
    assert f"#{wrong[0]}: a {found.labels[wrong[0]]}, read {probabilities.argmax()}, {probabilities.max():.1%}" in words


def test_it_needs_no_other_file_and_no_script():
    text = page(everything())
    checker = read(text)
    assert checker.addresses and all(address.startswith("data:image/png;base64,") for address in checker.addresses)
    assert "script" not in checker.tags and "link" not in checker.tags
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_pictures_are_the_misread_ones_dark_on_white():
    found = everything()
    wrong = metrics.mistakes(found.labels, found.result.probabilities)
    first = read(page(found)).addresses[0].split(",")[1]
    with Image.open(io.BytesIO(base64.b64decode(first))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), 255 - found.images[wrong[0]])


@pytest.mark.parametrize("shape", [(28, 28), (5, 3, 3), (1, 1)])
def test_png_is_what_pillow_reads(shape):
    picture = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png(picture))) as opened:
        opened.load()
        np.testing.assert_array_equal(np.asarray(opened), picture)


def test_sections_without_a_measurement_are_left_out():
    words = " ".join(read(page(findings())).words)
    for heading in ("Under corruptions", "The run", "The first convolution", "sure answers"):
        assert heading not in words
    assert "No picture was misread." in " ".join(read(page(findings(right=2))).words)


def test_a_confusion_cell_is_darker_for_a_larger_share():
    found = findings()
    shares = [float(share) for share in re.findall(r"--share: ([0-9.]+)", page(found))]
    rates = found.result.confusion / found.result.confusion.sum(axis=1, keepdims=True)
    rates = [rates[k, (k + 1) % 10] for k in range(10) if rates[k, (k + 1) % 10]]
    assert np.argsort(rates).tolist() == np.argsort(shares).tolist() and max(shares) == 0.75 and min(shares) > 0


def test_a_log_without_numbers_is_refused():
    with pytest.raises(DataError, match="not a number"):
        page(findings(curves=[{"epoch": "1", "train_loss": "much"}]))


def test_a_chart_draws_what_it_is_given():
    chart = Chart("title", "x", "y", log=True)
    chart.line([1, 2, 3], [1, 0.1, float("nan")], "a", "falling")
    text = chart.to_svg()
    (line,) = re.findall(r'polyline class="line a" points="([^"]+)"', text)
    (x0, y0), (x1, y1) = (tuple(map(float, pair.split(","))) for pair in line.split())
    assert x0 < x1 and y0 < y1  # downwards, as y grows so in SVG
    assert "falling" in text and "nan" not in text
    points = Chart("title", "x", "y", range_x=(0, 10), range_y=(0, 10))
    points.points([Point(5, 5, 4, 6)])
    assert points.to_svg().count("<circle") == 1
    with pytest.raises(DataError, match="empty: there is nothing to draw"):
        Chart("empty", "x", "y").to_svg()


@pytest.mark.parametrize("values", [(0.5, 0.5), (0, 0), (1e-4, 3), (97, 99.5), (0, 1e-3), (-3, 4)])
@pytest.mark.parametrize("log", [True, False])
def test_axes_have_a_few_round_numbers(values, log):
    chart = Chart("title", "x", "y", log=log and min(values) > 0)
    chart.line([0, 1], values)
    ticks = re.findall(r'text-anchor="end">([^<]+)<', chart.to_svg())
    assert 1 <= len(ticks) <= 8 and len(set(ticks)) == len(ticks)
