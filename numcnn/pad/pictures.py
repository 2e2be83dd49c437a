"""Pictures that are dropped on the pad or pasted: decoded and read on a thread of their own.

A drop or a paste is a `Source`.  What becomes of it comes back as a ``Picture``, twice: decoded, then with its digits.
"""

import os
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pygame
from PIL import Image, ImageGrab

from numcnn.errors import DataError, NumcnnError
from numcnn.imaging.paper import load_colours
from numcnn.imaging.preprocess import Picture as PictureLike
from numcnn.nn.network import Network
from numcnn.pad.drawing.picture import Picture
from numcnn.recognition import page
from numcnn.recognition.reading import Recognizer

CLIPBOARD = "the clipboard"


class Source(NamedTuple):
    """Where a picture comes from: what the window calls it, and a function that returns it or raises DataError."""

    name: str
    get: Callable[[], PictureLike]


def from_file(path: str | os.PathLike[str]) -> Source:
    """Return a picture file as a source."""
    return Source(Path(path).name, lambda: path)


def from_text(text: str) -> Source | None:
    """Return the file that a text names by its path or file: URI, as file managers copy it; None for other texts."""
    for line in text.splitlines():
        path = _path(line.strip().strip("\"'"))
        if path is not None:
            return from_file(path)
    return None


def _path(text: str) -> Path | None:
    """Return the existing file that a line names, or None."""
    if re.match(r"file:", text, re.IGNORECASE):
        text = url2pathname(urlsplit(text).path)
    try:
        path = Path(text).expanduser()
        return path if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # a name that is too long or holds a NUL; no such user's home
        return None


def from_clipboard() -> Source:
    """Return what is on the clipboard: a file by its path or URI, else a picture.  Call it on the window's thread."""
    try:
        named = from_text(pygame.scrap.get_text())
    except pygame.error:
        named = None
    return named or Source(CLIPBOARD, _image_on_clipboard)


def _image_on_clipboard() -> PictureLike:
    """Return the picture on the clipboard, or the path of the file there.  Raises DataError."""
    try:
        found = ImageGrab.grabclipboard()
    except (NotImplementedError, OSError) as error:  # ChildProcessError is an OSError
        raise DataError(
            f"no picture could be pasted ({error}); copy a picture or its file again, or drop the file here"
        ) from error
    if isinstance(found, Image.Image):
        return found
    if found:
        return found[0]
    raise DataError("the clipboard holds no picture; copy one, or its file, or drop the file here")


class PictureReader:
    """Decodes and reads pictures on a thread of its own, one at a time: the last one that was asked for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "numcnn-picture")
        self._task: Future[Picture] | None = None

    @property
    def busy(self) -> bool:
        """Whether a picture is being decoded or read."""
        return self._task is not None

    def open(self, source: Source) -> Picture:
        """Begin to decode a picture.  Return what to show until then."""
        self.cancel()
        self._task = self._thread.submit(decode, source)
        return Picture(source.name)

    def read(self, picture: Picture, network: Network) -> Picture:
        """Begin to read a decoded picture's digits.  Return what to show until then."""
        self.cancel()
        self._task = self._thread.submit(read, picture, network)
        return replace(picture, readings=None)

    def cancel(self) -> None:
        """Drop what is being decoded or read: its result never comes."""
        if self._task:
            self._task.cancel()
            self._task = None

    def result(self) -> Picture | None:
        """Return a picture once it is decoded, and again once it is read, or with a ``problem``; else None."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result()

    def close(self) -> None:
        """Stop; a picture that is being read is read to its end, for nothing."""
        self.cancel()
        self._thread.shutdown(wait=False)


def decode(source: Source) -> Picture:
    """Return a decoded picture, or one with a ``problem``."""
    try:
        colours, _ = load_colours(source.get())
    except (NumcnnError, OSError, MemoryError) as error:
        return Picture(source.name, problem=str(error))
    return Picture(source.name, colours)


def read(picture: Picture, network: Network) -> Picture:
    """Return a decoded picture with its digits, or with a ``problem``."""
    assert picture.colours is not None, "it is not decoded"
    network = network.copy(backend="reference")  # the window's thread uses the other one meanwhile
    try:
        found = page.read(picture.colours, network=network)
        return replace(picture, readings=Recognizer(network).read_page(found.digits))
    except (NumcnnError, MemoryError) as error:
        return replace(picture, problem=f"{picture.name}: {error}")
