"""Which picture files are meant: files, folders with all that is in them, and patterns such as "scans/*.png"."""

import glob
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from numcnn.imaging.picture_files import SUFFIXES


class Found(NamedTuple):
    """The files that were meant, in order and each once, where each belongs, and what was wrong, a line each.

    places: for each file its path below the folder that was named, or its name: where a copy of it would go.
    """

    paths: list[str]
    places: list[str]
    problems: list[str]


def find_pictures(names: Iterable[str | os.PathLike[str]]) -> Found:
    """Return the picture files of paths, folders and patterns, sorted within each of these.

    Of a folder and the folders in it, files whose suffix is a picture's and whose name doesn't begin with a dot count;
    links to folders are not followed.  What is named, also by a pattern, counts whatever its suffix.  A path that
    exists is never taken for a pattern.  A file that is named twice, also as a.png and ./a.png, counts once.
    """
    found: dict[str, tuple[str, str]] = {}  # by the shortest form of the path: the path, and its place
    problems: list[str] = []
    for name in [os.fspath(name) for name in names]:
        matches = [name]
        if not os.path.lexists(name) and glob.has_magic(name):
            matches = sorted(glob.iglob(name, recursive=True))
            if not matches:
                problems.append(f"{name}: no file matches; check the pattern")
        for path in matches:
            if not os.path.isdir(path):
                found.setdefault(_shortest(path), (path, os.path.basename(path)))
                continue
            seen = 0
            for inside in _pictures_in(path, problems):
                seen += 1
                found.setdefault(_shortest(inside), (inside, os.path.relpath(inside, path)))
            if not seen:
                problems.append(f"{path}: no pictures in this folder; they end in {', '.join(sorted(SUFFIXES))}")
    return Found([path for path, _ in found.values()], [place for _, place in found.values()], problems)


def _shortest(path: str) -> str:
    """Return a path without "." and double separators; as it is with "..", for a link may come before that."""
    return path if os.pardir in path else os.path.normpath(path)


def _pictures_in(folder: str, problems: list[str]) -> Iterator[str]:
    """Yield the pictures in a folder and the folders in it; add what can't be listed to ``problems``."""

    def cannot_list(error: OSError) -> None:
        problems.append(f"{error.filename}: the folder can't be listed ({error.strerror}); check its permissions")

    for place, folders, files in os.walk(folder, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.join(place, name)


def copies(places: Iterable[str]) -> Iterator[str]:
    """Yield for each place a relative path without a suffix, none twice.

    Where two pictures differ in their suffix only, the second keeps it: 7.png and 7.jpg become 7 and 7.jpg.
    """
    used: set[str] = set()
    for place in places:
        choice, number = os.path.splitext(place)[0], 1
        while choice.lower() in used:
            choice, number = place if number == 1 else f"{place}-{number}", number + 1
        used.add(choice.lower())
        yield choice
