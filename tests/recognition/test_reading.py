"""Reading: each digit of a drawing gets its answer, "not sure" and an explanation; pictures are read from files."""

import numpy as np
import pytest

from numcnn import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU
from numcnn.data.generated import digit_strokes
from numcnn.errors import ConfigError
from numcnn.evaluation.calibration import CERTAINTY, certainty
from numcnn.imaging import raster
from numcnn.nn.inspection import saliency
from numcnn.recognition import grouping
from numcnn.recognition.page import Digit
from numcnn.recognition.reading import Recognizer, smooth, square_of, text_of

LINE = [(100.0, 100.0), (120.0, 300.0), (300.0, 320.0)]


class Drawing:
    """Strokes on no canvas: all that a recognizer needs."""

    def __init__(self, *digits):
        self.strokes = [stroke for digit in digits for stroke in digit]

    def groups(self):
        return grouping.group(self.strokes)

    def lines(self):
        return [number for number, line in enumerate(grouping.group_lines(self.strokes)) for _ in line]

    def digits(self):
        return [raster.mnist_image([self.strokes[i] for i in group]) for group in self.groups()]

    def boxes(self):
        return [grouping.box([self.strokes[i] for i in group]) for group in self.groups()]


def row(*labels):
    """Return a drawing of digits side by side."""
    rng = np.random.default_rng(0)
    return Drawing(*([s + np.array([3 * i, 0]) for s in digit_strokes(label, rng)] for i, label in enumerate(labels)))


@pytest.fixture
def network():
    layers = [Conv2D(4, 3), ReLU(), MaxPool2D(4), Flatten(), Dense(12), ReLU(), Dense(10)]
    return Network(layers, backend="reference", seed=0)


def test_every_digit_is_read_as_the_network_reads_its_picture(network):
    drawing = row(1, 0, 2)
    readings = Recognizer(network).read(drawing)
    assert [reading.strokes for reading in readings] == drawing.groups() and len(readings) == 3
    assert [reading.box for reading in readings] == drawing.boxes()
    for reading, image in zip(readings, drawing.digits(), strict=True):
        np.testing.assert_array_equal(reading.image, image)
        np.testing.assert_allclose(reading.inspection.probabilities, network.predict_proba(image)[0], atol=1e-6)
    assert Recognizer(network).read(Drawing()) == ()


def test_a_digit_that_has_not_changed_is_not_read_again(network):
    recognizer, drawing = Recognizer(network), row(1, 0)
    first, second = recognizer.read(drawing)
    more = row(1, 0, 7)
    again = recognizer.read(more)
    assert again[0].inspection is first.inspection and again[1].inspection is second.inspection and len(again) == 3
    recognizer.read(Drawing())  # after which nothing is kept
    assert recognizer.read(drawing)[0].inspection is not first.inspection


def test_below_its_threshold_a_network_is_not_sure(network):
    certain = certainty(Recognizer(network).read(row(3))[0].inspection.probabilities)
    network.info["certainty_temperature"] = CERTAINTY
    for threshold, sure in ((0.0, True), (certain - 1e-3, True), (certain + 1e-3, False)):
        network.info["refuse_below"] = float(threshold)
        recognizer = Recognizer(network)
        assert recognizer.read(row(3))[0].sure is sure


def test_a_page_is_read_again_digit_by_digit_and_says_itself_what_is_sure(network):
    image = row(3).digits()[0]
    probabilities = network.predict_proba(image)[0]
    page = [Digit((10, 20, 30, 40), 3, 0.9, sure, line, probabilities, image) for sure, line in ((True, 0), (False, 1))]
    readings = Recognizer(network).read_page(page)
    assert [(r.box, r.line, r.sure, r.strokes) for r in readings] == [
        ((10, 20, 40, 60), 0, True, ()), ((10, 20, 40, 60), 1, False, ())
    ]  # fmt: skip
    np.testing.assert_allclose(readings[0].inspection.probabilities, probabilities, atol=1e-6)
    assert text_of(readings) == f"{probabilities.argmax()}\n?" and text_of(()) == ""


def test_an_explanation_is_the_smoothed_saliency_scaled_to_one(network):
    recognizer, drawing = Recognizer(network), row(4)
    (reading,) = recognizer.read(drawing)
    why = recognizer.explain(reading, drawing)
    order = reading.inspection.probabilities.argsort()
    assert (why.answer, why.runner_up) == (order[-1], order[-2])
    slopes = smooth(saliency(network, reading.image, why.answer, why.runner_up))
    assert np.abs(why.saliency).max() == pytest.approx(1)
    np.testing.assert_allclose(why.saliency * np.abs(slopes).max(), slopes, rtol=1e-5)
    assert why.square == square_of(drawing.strokes, reading.image)
    assert recognizer.explain(reading, drawing) is why


def test_smoothing_keeps_a_constant_and_spreads_a_point():
    np.testing.assert_array_equal(smooth(np.full((3, 5), 2.0)), np.full((3, 5), 2.0))
    point = np.zeros((5, 5))
    point[2, 2] = 16
    np.testing.assert_array_equal(smooth(point)[1:4, 1:4], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_a_blank_insight_has_the_maps_of_the_network_and_shows_nothing(network):
    blank, (reading,) = Recognizer(network).blank(), Recognizer(network).read(row(8))
    assert [stage.out.shape for stage in blank.stages] == [stage.out.shape for stage in reading.inspection.stages]
    assert not any(stage.out.any() for stage in blank.stages)
    assert not blank.logits.any() and not blank.probabilities.any()


def test_a_network_for_other_pictures_or_with_broken_weights_is_refused(network):
    with pytest.raises(ConfigError, match=r"from \(28, 28, 1\) to ten digits; this one goes from .* to \(26,\)"):
        Recognizer(Network([Flatten(), Dense(26)], backend="reference"))
    network.params[3] = np.nan
    with pytest.raises(ConfigError, match="weights that are NaN or infinite"):
        Recognizer(network)


@pytest.mark.parametrize("dot", [False, True])
def test_the_picture_the_network_sees_is_put_back_where_it_was_drawn(dot):
    strokes = [[(200.0, 300.0)]] if dot else [50 + 3 * stroke for stroke in [np.array(LINE), np.array(LINE[::-1]) + 20]]
    image = raster.mnist_image(strokes)
    square = square_of(strokes, image)
    if dot:
        assert square is None
        return
    left, top, right, bottom = square
    pen = raster.PEN_WIDTH * (right - left) / 28
    again = raster.draw([(stroke - (left, top)) * 28 / (right - left) for stroke in strokes], (28, 28), 2.6)
    assert right - left == pytest.approx(bottom - top) and pen > 0
    assert np.abs(255 * again - image).max() <= 1
