"""Labelled pictures of single digits: which file shows what, by its folder or its name, and what a network sees."""

import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging.picture_paths import find_pictures
from numcnn.kernels.arrays import Bytes
from numcnn.nn.network import Network
from numcnn.recognition import page

_FOLDER = re.compile(r"[0-9]")
_BEGINS, _ENDS = re.compile(r"([0-9])(?![0-9])"), re.compile(r".*(?<![0-9])([0-9])", re.DOTALL)


class LabelledPicture(NamedTuple):
    """A picture file and the digit, 0..9, that it shows."""

    path: str
    label: int


class LabelledDigits(NamedTuple):
    """Pictures as a network sees them, images (N,28,28) uint8, labels (N,) uint8; and a message for each other file."""

    images: Bytes
    labels: Bytes
    problems: list[str]


def labelled_pictures(folder: str | os.PathLike[str]) -> list[LabelledPicture]:
    """Return the pictures in a folder with their labels.

    Those in folders 0 to 9 have their folder's; the names of all others begin with their label, as in 3_0001.png, or
    all end with it, as in img_3.png.  Raises DataError for a folder that is missing or empty, if a picture has no
    label, or if the names may be read both ways.
    """
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: there is no such folder; name one with labelled pictures")
    found = find_pictures([folder])
    if found.problems:
        raise DataError(found.problems[0])
    by_folder = {path: int(name) for path in found.paths if _FOLDER.fullmatch(name := _folder_of(path))}
    others = [path for path in found.paths if path not in by_folder]
    by_folder |= dict(zip(others, _labels_by_name(others), strict=True))
    return [LabelledPicture(path, by_folder[path]) for path in found.paths]


def _folder_of(path: str) -> str:
    return os.path.basename(os.path.dirname(os.path.abspath(path)))


def _labels_by_name(paths: Sequence[str]) -> list[int]:
    """Return the label of each file, by its name: at the beginning of all, or at the end of all.  Raises DataError."""
    names = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    ways = [_BEGINS.match(name) for name in names], [_ENDS.fullmatch(name) for name in names]
    labels = [[int(match[1]) for match in way if match] for way in ways]
    whole = [some for some in labels if len(some) == len(names)]
    if not whole:
        way = max(ways, key=lambda way: sum(match is not None for match in way))
        odd = next(path for path, match in zip(paths, way, strict=True) if match is None)
        raise DataError(
            f"{odd}: says no digit that it shows; sort the pictures into folders 0 to 9, or begin or end all their "
            "names with it, as in 3_0001.png or img_3.png"
        )
    if len(whole) == 2 and whole[0] != whole[1]:
        odd = next(path for path, a, b in zip(paths, *whole, strict=True) if a != b)
        raise DataError(f"{odd}: begins with one digit and ends with another; sort the pictures into folders 0 to 9")
    return whole[0]


def read_labelled(
    pictures: Sequence[LabelledPicture], network: Network, progress: Callable[[], object] = lambda: None
) -> LabelledDigits:
    """Return what the network sees of each picture, known to hold one digit.  progress: called after each.

    Raises DataError if none can be read.
    """
    images: list[Bytes] = []
    labels: list[int] = []
    problems: list[str] = []
    for path, label in pictures:
        try:
            (digit,) = page.read(path, network=network, single=True)
            images.append(digit.image)
            labels.append(label)
        except DataError as error:
            problems.append(str(error) if str(error).startswith(path) else f"{path}: {error}")
        progress()
    if not images:
        raise DataError(f"none of {len(pictures):,} pictures can be read, such as {problems[0]}")
    return LabelledDigits(np.array(images), np.array(labels, np.uint8), problems)
