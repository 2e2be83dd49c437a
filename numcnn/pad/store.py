"""What the pad keeps of its user, in a folder of his own: labelled digits, the last drawing, personal weights.

own.jsonl      the own set: a line of JSON for each digit, {"label": 4, "strokes": [[[x, y], ...], ...], "time": ...}
settings.json  how the pad was set up last, {"theme": "dark", "pen": 0.04}; settings.lock: held while it is changed
drawing.json   the drawing when the pad was last open, in the form that ``numcnn draw --strokes`` reads;
               drawing.json.damaged: the last one that could not be read, put aside
personal.npz   the network's weights after it has learnt from the own set; personal-forgotten.npz: put aside

Nothing in it is ever half-written or lost: not when a program is killed or the disk is full, nor with two pads at once.
"""

import contextlib
import datetime
import errno
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from numcnn.errors import DataError, NumcnnError
from numcnn.files import atomic_write
from numcnn.imaging import raster
from numcnn.pad.canvas import read_strokes, strokes_from_json

try:
    import fcntl
except ImportError:  # Windows: there a digit is still appended by a single write
    fcntl = None

CLASSES = 10
LINE = '{"label": 4, "strokes": [[[0, 0], [50, 80]]]}'  # what a line of the own set looks like; it has a time, too
SAVE_SECONDS = 1.0  # between two writings of the drawing


def home():
    """Return the user's data folder, which need not exist; the variable ``NUMCNN_HOME`` names another."""
    return Path(os.environ.get("NUMCNN_HOME") or platformdirs.user_data_path("numcnn")).expanduser()


def make_home():
    """Make the user's data folder if it isn't there.  Raises DataError."""
    with _told(home()):
        home().mkdir(parents=True, exist_ok=True)


# ------------------------------------------------------------------------------------------------- the own set


@dataclass(frozen=True, eq=False)
class OwnDigit:
    """A digit that the user drew and labelled: label 0..9, strokes (a list of (n,2) arrays), time as ISO 8601."""

    label: int
    strokes: list
    time: str


class OwnSet:
    """The user's labelled digits in a file, ``path`` (default: own.jsonl in ``home``), which need not exist."""

    def __init__(self, path=None):
        self.path = Path(path or home() / "own.jsonl")
        self._added = []  # where this object's own lines are, and what they are: (offset, bytes)

    def add(self, label, strokes):
        """Append a digit, on disk when this returns.  Raises DataError; then the file is what it was."""
        line = _line(label, strokes)
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with _told(self.path), _locked(self.path, "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            # What somebody left without an end stays as it is; the new digit gets a line of its own.
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

    def remove_last(self):
        """Take back the last digit that this object added, and return its label; None when there is none left.

        Digits that another pad has added since stay.  Raises DataError.
        """
        if not self._added:
            return None
        offset, line = self._added.pop()
        with _told(self.path), _locked(self.path, "r+b") as file:
            file.seek(offset)
            if file.read(len(line)) != line:
                return None  # somebody has edited the file
            if offset + len(line) == file.seek(0, os.SEEK_END):
                file.truncate(offset)
            else:  # other lines follow: leave an empty one
                file.seek(offset)
                file.write(b" " * (len(line) - 1))
            os.fsync(file.fileno())
        return _parse(line).label

    def last_label(self, strokes):
        """Return the label of the last digit that this object added, if these are its strokes; else None.

        None as well when the file holds it no more.  Raises DataError.
        """
        if not self._added or not self.path.exists():
            return None
        offset, line = self._added[-1]
        with _told(self.path), _locked(self.path, "rb") as file:
            file.seek(offset)
            if file.read(len(line)) != line:
                return None
        last = _parse(line)
        return last.label if _as_text(last.strokes) == _as_text(strokes) else None

    def read(self):
        """Return the digits, a list of ``OwnDigit``, and a list of texts: what is wrong with lines that were left out.

        No file is an empty set.  Raises DataError when the file can't be read.
        """
        digits, problems = [], []
        lines = self._text().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                digits.append(_parse(line))
            except DataError as error:
                # Only the last element has no line end after it.
                half = number == len(lines) and _is_half(line)
                what = "is only half there, as when a program is stopped while it writes" if half else error
                problems.append(f"{self.path}, line {number}: {what}; left out")
        return digits, problems

    def counts(self):
        """Return how many digits there are of each label, a list of ten.  Raises DataError, as `read` does."""
        digits, _ = self.read()
        return [sum(digit.label == label for digit in digits) for label in range(CLASSES)]

    def __len__(self):
        return sum(self.counts())

    def _text(self):
        if not self.path.exists():
            return b""
        with _told(self.path), _locked(self.path, "rb") as file:
            return file.readall()


def _line(label, strokes):
    """Return a digit as a line of JSON, bytes.  Raises DataError for what ``read`` would leave out."""
    strokes = [stroke.tolist() for stroke in raster.check_strokes(strokes)]
    label = int(label) if isinstance(label, np.integer) else label
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    _checked(label, strokes, now)
    return json.dumps({"label": label, "strokes": strokes, "time": now}, separators=(",", ":")).encode() + b"\n"


def _parse(line):
    """Return the ``OwnDigit`` that a line (bytes) holds.  Raises DataError."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"wants {LINE}")
    return _checked(value.get("label"), value.get("strokes"), value.get("time", ""))


def _is_half(line):
    """Say whether a line (bytes) begins as one of ours does and breaks off."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(b"{")
    return False


def _checked(label, strokes, when):
    """Return an ``OwnDigit`` of a line's values.  Raises DataError."""
    if type(label) is not int or not 0 <= label < CLASSES:
        raise DataError(f"the label is {label!r}; wants a digit from 0 to 9")
    if not isinstance(when, str):
        raise DataError(f"the time is {when!r}; wants a text")
    try:
        strokes = strokes_from_json(strokes)
    except DataError as error:
        raise DataError(f"its strokes can't be used: {error}") from error
    if not any(map(len, strokes)):
        raise DataError("nothing is drawn")
    return OwnDigit(label, strokes, when)


@contextlib.contextmanager
def _locked(path, mode):
    """Open a file, unbuffered, for this process alone: whoever else asks for it so waits."""
    with open(path, mode, buffering=0) as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        yield file


@contextlib.contextmanager
def _told(path):
    """Turn the system's refusals into a DataError that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot use {path}: {error.strerror or error}; check the folder and the space left") from error


# ------------------------------------------------------------------------------------------------- the last drawing


class Autosave:
    """Keeps the drawing in a file, ``path`` (default: drawing.json in ``home``), and gives it back at the next start.

    Nothing here raises: ``problem`` is the text of what went wrong last, or None.
    """

    def __init__(self, path=None):
        self.path = Path(path or home() / "drawing.json")
        self.problem = None
        self._saved = None  # the strokes in the file, as text
        self._when = -math.inf

    def restore(self):
        """Return the strokes of the last drawing, a list of (n,2) arrays; none when there is none or it is damaged."""
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

    def update(self, strokes):
        """Write the strokes if they are new and the last writing is a second ago; call it often, best with pen up."""
        if time.monotonic() - self._when >= SAVE_SECONDS:
            self.flush(strokes)

    def flush(self, strokes):
        """Write the strokes now if they are new: when the pad closes."""
        self._when = time.monotonic()
        try:
            text = _as_text(strokes)
            if text != self._saved:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(self.path) as file:
                    file.write(text.encode())
        except (OSError, NumcnnError) as error:
            reason = getattr(error, "strerror", None) or error
            self.problem = f"cannot keep the drawing in {self.path}: {reason}"
        else:
            self._saved, self.problem = text, None


def _as_text(strokes):
    """Return strokes as JSON.  Raises DataError, see ``raster.check_strokes``."""
    return json.dumps([stroke.tolist() for stroke in raster.check_strokes(strokes)])


# ------------------------------------------------------------------------------------------------- settings


class Settings:
    """Keeps how the pad is set up, a dict, in a file: ``path`` (default: settings.json in ``home``)."""

    def __init__(self, path=None):
        self.path = Path(path or home() / "settings.json")

    def read(self):
        """Return what was kept last; nothing when there is no such file, or when it is damaged."""
        try:
            value = json.loads(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def change(self, values):
        """Keep a dict's values; others stay as they are, whoever set them.  Raises DataError; then nothing changes."""
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Another file, as this one is replaced: whoever waited for it would hold the old one.
            with _locked(self.path.with_suffix(".lock"), "ab"), atomic_write(self.path) as file:
                file.write(json.dumps(self.read() | values).encode())


# ------------------------------------------------------------------------------------------------- personal weights


def personal_weights():
    """Return the path of the weights that have learnt from the own set; the file need not exist."""
    return home() / "personal.npz"


def forgotten_weights():
    """Return the path where ``forget`` puts the personal weights."""
    return home() / "personal-forgotten.npz"


def kept_weights():
    """Return where the personal weights are, in use or put aside; where they would be in use if there are none."""
    used, aside = personal_weights(), forgotten_weights()
    return aside if aside.exists() and not used.exists() else used


def forget():
    """Put the personal weights aside, so that the shipped ones hold again.  Return whether there were any."""
    return _move(personal_weights(), forgotten_weights())


def restore():
    """Take the personal weights back that ``forget`` put aside.  Return whether there were any, and no newer ones."""
    return not personal_weights().exists() and _move(forgotten_weights(), personal_weights())


def _move(source, target):
    with _told(source):
        try:
            os.replace(source, target)
        except FileNotFoundError:
            return False
    return True
