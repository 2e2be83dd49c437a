"""The shipped network reads the ways of writing that networks misread most: drawings made for this, by hand.

The generator writes in such ways too, so this shows that they have been learned; it is no measure of strangers.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import numcnn
from numcnn.imaging import raster

WAYS = json.loads(Path(__file__).with_name("ways_of_writing.json").read_text())
PENS = (1.8, 2.6, 3.4)  # pixels


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


def drawn(way, pen, turn=0.0):
    """Draw one way of writing, turned by some radians -> (28,28)."""
    rotation = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    return raster.mnist_image([np.array(stroke) @ rotation for stroke in way["strokes"]], pen)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['digit']}, {way['way']}")
def test_the_drawing_is_read(network, way):
    assert network.predict(drawn(way, 2.6)) == way["digit"]


def test_with_other_pens_and_a_little_turned_nearly_all_are_read(network):
    images = np.array([drawn(way, pen, turn) for way in WAYS for pen in PENS for turn in (-0.12, 0, 0.12)])
    labels = np.repeat([way["digit"] for way in WAYS], len(images) // len(WAYS))
    assert np.mean(network.predict(images) == labels) >= 0.95
