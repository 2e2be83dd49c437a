"""The user's data: labelled digits, the last drawing, settings, personal weights.

own.jsonl      the own set: a line of JSON for each digit, {"label": 4, "strokes": [[[x, y], ...], ...], "time": ...};
               a digit of a picture has instead of strokes "image": what the network read, 28x28 bytes in base64
settings.json  theme and brush, {"theme": "dark", "pen": 0.04}; settings.lock: locked while the settings change
drawing.json   the last drawing, in the form that ``numcnn draw --strokes`` reads;
               drawing.json.damaged: the last one that could not be read, set aside
personal.npz   the network's weights after learning from the own set; personal-forgotten.npz: set aside;
               personal-before.npz: those that `numcnn learn --pictures` replaced

No file is ever half-written and no digit lost when a program is killed, the disk is full or two pads run at once.
"""

import base64
import contextlib
import datetime
import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import platformdirs

from numcnn.errors import DataError, NumcnnError, ShapeError
from numcnn.files import as_path, atomic_write, check_length, check_regular, named_errors, read_at_most, sweep
from numcnn.imaging import raster
from numcnn.imaging.preprocess import SIDE
from numcnn.kernels.arrays import Bytes, Float64s
from numcnn.pad.canvas import read_strokes, strokes_from_json

try:
    import fcntl
except ImportError:  # Windows, where a digit is still appended by a single write
    fcntl = None

Strokes: TypeAlias = Sequence[npt.ArrayLike]  # (n,2) each

CLASSES = 10
UNFINISHED_SECONDS = 60.0  # a temporary file as old as this belongs to no pad that is still writing
MAX_OWN_BYTES = 1 << 24  # of the own set: ten thousand digits or more; reading them takes 1 s
MAX_LINES = 50_000
MOVE = "move some of its lines to another file"
MAX_LINE_BYTES = 1 << 20  # of one digit, which takes some thousand bytes
MAX_SETTINGS_BYTES = 1 << 16
LINE = '{"label": 4, "strokes": [[[0, 0], [50, 80]]]}'  # a line of the own set; it has a time, too


def home() -> Path:
    """Return the user's data folder, which need not exist; the variable ``NUMCNN_HOME`` overrides it.

    Raises DataError for a folder of a user that there isn't, ~name.
    """
    return as_path(os.environ.get("NUMCNN_HOME") or platformdirs.user_data_path("numcnn"))


def make_home() -> None:
    """Create the user's data folder if it doesn't exist.  Raises DataError."""
    with named_errors(home()):
        home().mkdir(parents=True, exist_ok=True)


# ------------------------------------------------------------------------------------------------- the own set


@dataclass(frozen=True, eq=False)
class OwnDigit:
    """A digit that the user labelled: drawn, or found in a picture."""

    label: int  # 0..9
    strokes: list[Float64s]  # (n,2) each; none if it was found in a picture
    time: str  # ISO 8601
    image: Bytes | None = None  # (28,28): what the network read in a picture; None if it was drawn


class OwnSet:
    """The user's labelled digits in a file, ``path`` (default: own.jsonl in ``home``), which need not exist."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or home() / "own.jsonl")
        self._added: list[tuple[int, bytes]] = []  # offset and content of each line that this object has added

    def add(self, label: int | np.integer[Any], strokes: Strokes, image: Bytes | None = None) -> None:
        """Append a digit, on disk when this returns.  Raises DataError; then the file is unchanged.

        strokes: none for a digit of a picture, which has an image (28,28) uint8 instead.
        """
        line = _line(label, strokes, image)
        with named_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with named_errors(self.path), _locked(self.path, "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            # An unfinished last line stays as it is; the new digit gets a line of its own.
            start = b"\n" if file.read(1) not in (b"", b"\n") else b""
            try:
                if file.write(start + line) < len(start + line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise
        self._added.append((end + len(start), line))

    def remove_last(self) -> int | None:
        """Remove the last digit that this object added, and return its label; None if there is none left.

        Digits that another pad has added since stay.  Raises DataError.
        """
        if not self._added:
            return None
        return self._remove(*self._added.pop())

    def label_of(self, strokes: Strokes, image: Bytes | None = None) -> int | None:
        """Return the label of the last digit with exactly these strokes, or this image; None if there is none.

        Raises DataError.
        """
        found = self._find(strokes, image)
        return _parse(found[1]).label if found else None

    def remove(self, strokes: Strokes, image: Bytes | None = None) -> None:
        """Remove the last digit with exactly these strokes, or this image, if there is one.  Raises DataError."""
        if found := self._find(strokes, image):
            self._added = [added for added in self._added if added != found]
            self._remove(*found)

    def _find(self, strokes: Strokes, image: Bytes | None) -> tuple[int, bytes] | None:
        """Return offset and content of the last line with this ink."""
        text, ink = self._text(), _ink(strokes, image)
        at = text.rfind(ink)
        if at < 0:
            return None
        start, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at) + 1
        line = text[start : end or len(text)]
        try:
            _parse(line)
        except DataError:
            return None
        return start, line

    def _remove(self, offset: int, line: bytes) -> int | None:
        """Remove a line and return its label; None if the file no longer holds it there."""
        with named_errors(self.path), _locked(self.path, "r+b") as file:
            file.seek(offset)
            if file.read(len(line)) != line:
                return None  # the file has been edited
            if offset + len(line) == file.seek(0, os.SEEK_END):
                file.truncate(offset)
            else:  # other lines follow: leave an empty one
                file.seek(offset)
                file.write(b" " * (len(line) - 1))
            os.fsync(file.fileno())
        return _parse(line).label

    def read(self) -> tuple[list[OwnDigit], list[str]]:
        """Return the digits, and a message for each line that was left out.

        No file is an empty set.  Raises DataError if the file can't be read.
        """
        digits: list[OwnDigit] = []
        problems: list[str] = []
        lines = self._text().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                digits.append(_parse(line))
            except DataError as error:
                # Only the last element has no line end after it.
                cut_off = number == len(lines) and _is_cut_off(line)
                what = "is cut off, as when a program is stopped while it writes" if cut_off else error
                problems.append(f"{self.path}, line {number}: {what}; left out")
        return digits, problems

    def counts(self) -> list[int]:
        """Return the number of digits of each label, 0 to 9.  Raises DataError, as `read` does."""
        digits, _ = self.read()
        return [sum(digit.label == label for digit in digits) for label in range(CLASSES)]

    def __len__(self) -> int:
        return sum(self.counts())

    def _text(self) -> bytes:
        if not self.path.exists():
            return b""
        check_regular(self.path, "name a file of own digits")
        with named_errors(self.path), _locked(self.path, "rb") as file:
            text = file.read(MAX_OWN_BYTES + 1) or b""
        check_length(self.path, text, MAX_OWN_BYTES, MOVE)
        if (lines := text.count(b"\n")) > MAX_LINES:
            raise DataError(f"{self.path} has {lines:,} lines; {MAX_LINES:,} are the most; {MOVE}")
        return text


def _line(label: int | np.integer[Any], strokes: Strokes, image: Bytes | None) -> bytes:
    """Return a digit as a line of JSON.  Raises DataError for a digit that ``read`` would leave out."""
    label = int(label) if isinstance(label, np.integer) else label
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    line = b'{"label":%s,%s,"time":"%s"}\n' % (json.dumps(label).encode(), _ink(strokes, image), now.encode())
    _parse(line)
    return line


def _ink(strokes: Strokes, image: Bytes | None) -> bytes:
    """Return the part of a line that says what the digit looks like.  Raises DataError, ShapeError."""
    if image is None:
        points = [stroke.tolist() for stroke in raster.check_strokes(strokes)]
        return b'"strokes":' + json.dumps(points, separators=(",", ":")).encode()
    if image.shape != (SIDE, SIDE) or image.dtype != np.uint8:
        raise ShapeError(f"own digit: got shape {image.shape} of {image.dtype}; wants ({SIDE}, {SIDE}) of uint8")
    return b'"image":"%s"' % base64.b64encode(image.tobytes())


def _check_length(line: bytes) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"has {len(line):,} bytes; {MAX_LINE_BYTES:,} are the most")


def _parse(line: bytes) -> OwnDigit:
    """Return the digit in a line.  Raises DataError."""
    _check_length(line)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"expected an object like {LINE}")
    label, when = value.get("label"), value.get("time", "")
    if type(label) is not int or not 0 <= label < CLASSES:
        raise DataError(f"the label is {label!r}; it must be a digit from 0 to 9")
    if not isinstance(when, str):
        raise DataError(f"the time is {when!r}; it must be a string")
    if "image" in value:
        return OwnDigit(label, [], when, _image(value["image"]))
    try:
        strokes = strokes_from_json(value.get("strokes"))
    except DataError as error:
        raise DataError(f"its strokes can't be used: {error}") from error
    if not any(map(len, strokes)):
        raise DataError("nothing is drawn")
    return OwnDigit(label, strokes, when)


def _image(value: object) -> Bytes:
    """Return the image (28,28) in a line.  Raises DataError."""
    try:
        pixels = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        pixels = b""
    if len(pixels) != SIDE * SIDE or not any(pixels):
        raise DataError(f"its image can't be used: wants {SIDE} x {SIDE} bytes in base64, not all 0")
    return np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE)


def _is_cut_off(line: bytes) -> bool:
    """Say whether a line begins like a digit but ends before it is valid JSON."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(b"{")
    return False


@contextlib.contextmanager
def _locked(path: Path, mode: str) -> Iterator[FileIO]:
    """Open a file, unbuffered, with an exclusive lock: others that open it like this wait."""
    with cast(FileIO, open(path, mode, buffering=0)) as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        yield file


# ------------------------------------------------------------------------------------------------- the last drawing


class Autosave:
    """Saves the drawing in a file, ``path`` (default: drawing.json in ``home``), and restores it at the next start.

    Nothing here raises: ``problem`` is the last error's message, or None.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or home() / "drawing.json")
        self.problem: str | None = None
        self._saved: str | None = None  # the strokes in the file, as JSON

    def restore(self) -> list[Float64s]:
        """Return the strokes of the last drawing, (n,2) each; none if there is no drawing or it is damaged.

        The pad starts with this, so it also deletes what killed pads left half-written in the folder.
        """
        sweep(self.path.parent, least_age=UNFINISHED_SECONDS)
        if not self.path.exists():
            return []
        try:
            strokes = read_strokes(self.path)
            self._saved = _as_text(strokes)
            return strokes
        except DataError as error:
            self.problem = f"the last drawing is lost: {error}"
            aside = self.path.with_name(f"{self.path.name}.damaged")  # the next stroke would overwrite it
            with contextlib.suppress(OSError):
                os.replace(self.path, aside)
                self.problem += f"; the file is now {aside.name}"
            return []

    def save(self, strokes: Strokes) -> None:
        """Write the strokes, unless they are already in the file."""
        try:
            text = _as_text(strokes)
            if text != self._saved:
                with named_errors(self.path, action="keep the drawing in"):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with atomic_write(self.path) as file:
                        file.write(text.encode())
        except NumcnnError as error:
            self.problem = str(error)
        else:
            self._saved, self.problem = text, None


def _as_text(strokes: Strokes) -> str:
    """Return strokes as JSON.  Raises DataError, see ``raster.check_strokes``."""
    return json.dumps([stroke.tolist() for stroke in raster.check_strokes(strokes)])


# ------------------------------------------------------------------------------------------------- settings


class Settings:
    """The pad's settings, a dict, in a file: ``path`` (default: settings.json in ``home``)."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or home() / "settings.json")

    def read(self) -> dict[str, Any]:
        """Return the saved settings, unchecked; none if there is no file or it is damaged."""
        try:
            value = json.loads(read_at_most(self.path, MAX_SETTINGS_BYTES, "delete it"))
        except (DataError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def change(self, values: dict[str, Any]) -> None:
        """Save some settings; the others keep their saved values.  Raises DataError; then nothing changes."""
        with named_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The lock is another file because this one is replaced: a waiting pad would lock the old one.
            with _locked(self.path.with_suffix(".lock"), "ab"), atomic_write(self.path) as file:
                file.write(json.dumps(self.read() | values).encode())


# ------------------------------------------------------------------------------------------------- personal weights


def personal_weights() -> Path:
    """Return the path of the weights learned from the own set; the file need not exist."""
    return home() / "personal.npz"


def forgotten_weights() -> Path:
    """Return the path to which ``forget`` moves the personal weights."""
    return home() / "personal-forgotten.npz"


def replaced_weights() -> Path:
    """Return where ``numcnn learn --pictures`` keeps the personal weights that it replaces."""
    return home() / "personal-before.npz"


def kept_weights() -> Path:
    """Return where the personal weights are, in use or set aside; ``personal_weights()`` if there are none."""
    used, aside = personal_weights(), forgotten_weights()
    return aside if aside.exists() and not used.exists() else used


def forget() -> bool:
    """Set the personal weights aside, so that the shipped ones are used again.  Return whether there were any."""
    return _move(personal_weights(), forgotten_weights())


def restore() -> bool:
    """Undo ``forget``, unless there are newer personal weights.  Return whether a file was moved."""
    return not personal_weights().exists() and _move(forgotten_weights(), personal_weights())


def back_up() -> Path | None:
    """Copy the personal weights to ``replaced_weights``.  Return that path, or None if there are none to copy."""
    source, target = personal_weights(), replaced_weights()
    if not source.exists():
        return None
    with named_errors(source):
        weights = source.read_bytes()
    with named_errors(target), atomic_write(target) as file:
        file.write(weights)
    return target


def _move(source: Path, target: Path) -> bool:
    with named_errors(source):
        try:
            os.replace(source, target)
        except FileNotFoundError:
            return False
    return True
