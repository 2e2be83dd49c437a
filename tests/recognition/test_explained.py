"""The steps of a reading as pictures: each can be shown."""

import numpy as np

import numcnn
from numcnn.imaging.annotate import as_image, sheet
from numcnn.recognition.explained import explained_steps
from numcnn.recognition.page import Page


def test_paper_of_two_colours_is_two_pictures_side_by_side():
    """As when ink darkens two of three colours; as (H,W,2) it would be taken for H pictures that are 2 wide."""
    steps = {"original": np.zeros((40, 90, 3), np.uint8), "paper": np.full((40, 90, 2), 200, np.uint8)}
    found = explained_steps(steps, Page([], (90, 40)), steps["original"], numcnn.load())
    assert found["paper"].shape == (2, 40, 90) and as_image(found["paper"]).size[0] >= 90
    assert list(found) == ["original", "paper", "boxes"]
    assert sheet(found, columns=2, side=100).size == (12 + 2 * 112, sheet(found, columns=2, side=100).size[1])
