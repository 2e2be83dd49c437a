"""Several seeds: what their networks read together, and what they all misread."""

from types import SimpleNamespace

import numpy as np
from conftest import draw_digits

from numcnn.evaluation import plots
from numcnn.evaluation.metrics import accuracy_interval, evaluation
from numcnn.training.seeds import Readings


def test_the_gallery_of_several_networks_says_what_most_of_them_read(tmp_path, monkeypatch):
    images, labels = draw_digits(200, 12)
    dataset = SimpleNamespace(test_images=images, test_labels=labels)
    readings = Readings()
    for number in range(3):  # digit 0 is misread by all, with another answer each time; 1 and 2 are read correctly once
        wrong = (labels + 1) % 10
        wrong[0] = (labels[0] + 1 + number // 2) % 10
        wrong[1:3] = labels[1:3] if number == 1 else wrong[1:3]
        wrong[3:] = labels[3:] if number else wrong[3:]
        readings.add(dataset, evaluation(labels, np.eye(10, dtype=np.float32)[wrong]))
    assert readings.wrong.tolist() == [0] and len(readings.wrong_images) == 1
    assert readings.ensemble() == {
        "test_accuracy": 197 / 200, "interval": list(accuracy_interval(197, 200)), "networks": 3
    }  # fmt: skip
    drawn = []
    monkeypatch.setattr(plots, "gallery", lambda *shown: drawn.append(shown) or plots.digit_grid(shown[0]))
    readings.draw_wrong(tmp_path / "wrong.png")
    ((shown, index, true, answers, title),) = drawn
    np.testing.assert_array_equal(shown, images[:1])
    assert index.tolist() == [0] and true.tolist() == [labels[0]]
    assert answers == [f"2 of 3 read {(labels[0] + 1) % 10}"]
    assert title == "1 of 200 test images are misread by all 3 networks"
