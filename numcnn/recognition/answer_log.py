"""Answers to many pictures in one file, a line each, continued after an interruption.

A line is written whole, or the next start cuts off what there is of it; so whenever the process is killed, each picture
has been answered once or not at all.  Beside the file, FILE.settings says how its pictures were read; nobody continues
it with other weights or thresholds unawares.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self, cast

from numcnn.errors import ConfigError
from numcnn.files import atomic_write, named_errors
from numcnn.recognition.documents import COLUMNS, csv_row
from numcnn.recognition.file_reader import CSV, JSON

try:
    import fcntl
except ImportError:  # Windows: two commands that write to one file are not noticed
    fcntl = None

SUFFIXES = {".jsonl": JSON, ".csv": CSV}
MAX_RECORD_BYTES = 1 << 24  # of a page's answer: a digit takes 400 at most, a page has some thousands
_PAGE = re.compile(r"(.*)#[0-9]+", re.DOTALL)  # the name of a page of a file that has several
_JSON_START = b'{"path": "'


def form_of(path: str | os.PathLike[str]) -> str:
    """Return "json" or "csv", by a file's suffix.  Raises ConfigError for another."""
    form = SUFFIXES.get(Path(path).suffix.lower())
    if form is None:
        raise ConfigError(f"--out is {path}; wants a file that ends in .jsonl or .csv")
    return form


class _Pages(NamedTuple):
    """The lines last read: of a ``file`` with several pages, or of one picture, then ``file`` is None."""

    file: str | None
    start: int  # offset of the first of these lines
    names: set[str]


class AnswerLog:
    """An open file of answers; ``with`` closes it.  ``answered``: the pictures that it had answers to before.

    Nobody else can open it meanwhile.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, str] | None = None) -> None:
        """Open the file, or make it; cut off an unfinished last line.

        settings: how pictures are read, by name, for people; None: as before, whatever that is.
        Raises ConfigError if it is another kind of file or was begun with other settings, and is then unchanged, or if
        another process writes to it; DataError if it can't be used.
        """
        self.path, self._form = Path(path), form_of(path)
        self.answered: set[str] = set()
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(f"--out is {path}, which is no regular file; name another, or print the answers instead")
        with named_errors(self.path, action="open"):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        self._file = cast(io.FileIO, os.fdopen(descriptor, "r+b", buffering=0))
        try:
            self._lock()
            with named_errors(self.path, action="continue"):
                known = settings is None or self._is_noted(settings)
                self._continue()
            if settings is not None and not known:
                with named_errors(self._beside, action="write"), atomic_write(self._beside) as file:
                    file.write(json.dumps(dict(settings), indent=1).encode() + b"\n")
        except BaseException:
            self._file.close()
            raise

    def add(self, lines: list[str]) -> None:
        """Append lines, without their ends, and hand them to the system, which keeps them if this process is killed."""
        left = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
        with named_errors(self.path, action="write to"):
            while left:
                left = left[self._file.write(left) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with named_errors(self.path, action="write to"), self._file:
            os.fsync(self._file.fileno())

    def _lock(self) -> None:
        if fcntl:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"--out is {self.path}, which another process writes to; wait, or name another"
                ) from None
            except OSError:  # some network file systems have no locks
                pass

    @property
    def _beside(self) -> Path:
        return Path(f"{self.path}.settings")

    def _is_noted(self, settings: Mapping[str, str]) -> bool:
        """Return whether the settings stand beside the file; False if none do.  Raises ConfigError if others do."""
        if not self._beside.exists() or not os.fstat(self._file.fileno()).st_size:
            return False
        try:
            before: dict[str, str] = dict(json.loads(self._beside.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ConfigError(f"{self._beside} is no list of settings; name another file for --out") from None
        names = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
        if names:
            changes = "; ".join(f"{name}: {before.get(name)}, now {settings.get(name)}" for name in names)
            raise ConfigError(
                f"--out is {self.path}, which was begun with other settings ({changes}); use the same, or name another"
            )
        return True

    def _continue(self) -> None:
        """Note what is answered, cut off what is unfinished, and go to the end."""
        end, started = 0, self._form == JSON
        last = _Pages(None, 0, set())
        for number, (start, line) in enumerate(self._records(), 1):
            if not line.endswith(b"\n"):
                self._check_is_ours_cut_off(number, line)
                break
            end = start + len(line)
            if not started:
                if line.decode("utf-8", "replace").rstrip("\r\n") != csv_row(COLUMNS):
                    raise self._foreign(number)
                started = True
                continue
            name = self._name(number, line)
            found = _PAGE.fullmatch(name)
            file = found[1] if found else None
            if file is None or file != last.file:
                self.answered |= last.names
                last = _Pages(file, start, set())
            last.names.update({name} if file is None else {name, file})
        if last.file is None:
            self.answered |= last.names
        else:  # it may have more pages: they are all read again
            end = last.start
        self._file.truncate(end)
        self._file.seek(end)
        if not started:
            self.add([csv_row(COLUMNS)])

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Yield each record with the offset of its start; in CSV one may have several lines, between quotes."""
        start, record = 0, b""
        with open(self._file.fileno(), "rb", closefd=False) as file:
            file.seek(0)
            while line := file.readline(MAX_RECORD_BYTES + 1):
                record += line
                if len(record) > MAX_RECORD_BYTES:
                    raise ConfigError(
                        f"--out is {self.path}, which has a line of more than {MAX_RECORD_BYTES:,} bytes at {start:,}, "
                        "as no answer of numcnn predict is; name another file"
                    )
                if self._form == CSV and record.count(b'"') % 2:
                    continue
                yield start, record
                start, record = start + len(record), b""
        if record:  # quotes that were never closed: unfinished, whatever it ends in
            yield start, record.rstrip(b"\n")

    def _name(self, number: int, line: bytes) -> str:
        """Return the picture that a line answers.  Raises ConfigError if it is no answer."""
        try:
            if self._form == JSON:
                found = json.loads(line)
                name, _, _ = found["path"], found["text"], found["digits"]
            else:
                (row,) = csv.reader(io.StringIO(line.decode("utf-8", "surrogateescape"), newline=""))
                name, *_ = row
                if len(row) != len(COLUMNS):
                    raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError, csv.Error):
            raise self._foreign(number) from None
        if not isinstance(name, str):
            raise self._foreign(number)
        return name

    def _check_is_ours_cut_off(self, number: int, line: bytes) -> None:
        """Raise ConfigError unless an unfinished line may be one of ours; it is about to be cut off."""
        if number > 1:
            return  # the lines before it are
        begin = csv_row(COLUMNS).encode() if self._form == CSV else _JSON_START
        if not (begin.startswith(line) or line.startswith(begin)):
            raise self._foreign(number)

    def _foreign(self, number: int) -> ConfigError:
        return ConfigError(
            f"--out is {self.path}, whose line {number} is no answer of numcnn predict; name another file, or move it"
        )
