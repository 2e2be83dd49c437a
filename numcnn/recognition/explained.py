"""Every step from a picture to its text, as pictures: what ``page.read`` kept, and what the network made of it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol, overload

import numpy as np

from numcnn.errors import ConfigError
from numcnn.imaging.annotate import Boxed, annotated, labels_of
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.inspection import saliency
from numcnn.nn.network import Network
from numcnn.recognition.reading import smooth

MOST_DIGITS = 64  # whose saliency is shown: a millisecond each


class ReadDigit(Boxed, Protocol):
    """What is explained of a digit; ``page.Digit`` has it."""

    @property
    def image(self) -> Bytes: ...  # noqa: D102

    @property
    def probabilities(self) -> Floats: ...  # noqa: D102


class ReadPage(Protocol):
    """What is explained of a page; ``page.Page`` has it."""

    size: tuple[int, int]

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int) -> ReadDigit: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ReadDigit]: ...


def explained_steps(
    steps: Mapping[str, AnyArray], page: ReadPage, pixels: AnyArray, network: Network
) -> dict[str, AnyArray]:
    """Return the finder's steps, and those that follow: name -> array, in order.

    pixels: the picture that was read.  Added are the boxes on it, (H,W,3); each layer's maps of the first digit,
    (C,h,w); and the saliency of each answer, (N,28,28) uint8: light where ink spoke for it, dark where it spoke for the
    runner-up, grey where it made no difference.
    """
    steps = dict(steps)
    paper = steps.get("paper")
    if paper is not None and paper.ndim == 3 and paper.shape[2] == 2:  # of three colours, ink darkened two
        steps["paper"] = np.moveaxis(paper, 2, 0)
    steps["boxes"] = np.asarray(annotated(pixels, labels_of(page[:], pixels.shape[1] / page.size[0])))
    if not len(page):
        return steps
    with one_blas_thread:
        for layer, out in network.activations(page[0].image):
            if out.ndim == 4:
                steps[f"maps of {layer.name}"] = out[0].transpose(2, 0, 1)
        with contextlib.suppress(ConfigError):  # a layer of one's own has no gradient for a single picture
            steps["what spoke for each answer"] = np.array([_spoke(network, *pair) for pair in _answers(page)])
    return steps


def _answers(page: ReadPage) -> list[tuple[Bytes, int, int]]:
    """Return the picture, the answer and the runner-up of each digit."""
    found = [(digit.image, np.argsort(-digit.probabilities, kind="stable")) for digit in page[:MOST_DIGITS]]
    return [(image, int(order[0]), int(order[1])) for image, order in found]


def _spoke(network: Network, image: Bytes, answer: int, runner_up: int) -> Bytes:
    slopes = smooth(saliency(network, image, answer, runner_up))
    return np.rint(127.5 + 127.5 * slopes / (np.abs(slopes).max() or 1)).astype(np.uint8)
