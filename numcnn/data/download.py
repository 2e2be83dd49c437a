"""Download files over HTTP: verified, from the first mirror that works, continued where a transfer broke off.

The only file that loads requests, pooch and tqdm, and only when something is downloaded.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from numcnn.data import idx

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    import requests

TRIES = 8  # transfers of one file from one mirror, each continuing where the last one broke off
CHUNK = 1 << 14
UNREACHABLE = r" (cannot be reached|did not answer within) "  # in the words of ``ask``
SLACK = 1 << 16  # what gzip may add to bytes that don't compress

Report = Callable[[str], object]
Answer = TypeVar("Answer")


class IdxFile(NamedTuple):
    """A file of a data set: its name without ``.gz``, and the SHA-256 and the number of its uncompressed bytes."""

    name: str
    sha256: str
    n_bytes: int


class DownloadFailed(Exception):
    """No mirror has the file, or it can't be written; ``reason``: why, in a few words."""

    def __init__(self, problem: str, reason: str) -> None:
        super().__init__(problem)
        self.reason = reason


class MirrorFailed(Exception):
    """This mirror doesn't work: don't ask it again."""


class _Broken(Exception):
    """The transfer ended early: what has arrived may be continued."""


class _Damaged(Exception):
    """What has arrived is not the file: discard it."""


def to_stderr(line: str) -> None:
    """Print a line for people: the default for every ``report`` argument."""
    print(line, file=sys.stderr)


def user_cache() -> Path:
    """Return the user's cache folder for numcnn (``XDG_CACHE_HOME`` moves it on Linux); it need not exist."""
    import pooch  # noqa: PLC0415  (loads slowly)

    return Path(pooch.os_cache("numcnn")).expanduser()


def download_files(files: Sequence[IdxFile], folder: Path, mirrors: Mirrors, *, progress: bool = True) -> None:
    """Download IDX files into ``folder``, uncompressed and verified; after a break, the next call resumes.

    A progress bar is shown only on a terminal.  Raises DownloadFailed that says why each mirror failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            _download_file(file, folder, mirrors, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"cannot write to the cache folder {folder} ({reason})."
        raise DownloadFailed(problem, f"its cache folder cannot be written: {reason}") from error


def download_bytes(url: str, seconds: float, most: int) -> bytes:
    """Download a file into memory: ``most`` bytes and one more at most.  Raises MirrorFailed.

    seconds: how long to wait for the answer, and then for the next bytes.
    """
    data = bytearray()
    with ask(url, seconds, seconds) as answer:
        if answer.status_code != 200:
            raise MirrorFailed(f"answered {answer.status_code} {answer.reason}".rstrip())
        try:
            for chunk in _chunks(answer):
                data += chunk
                if len(data) > most:
                    break
        except _Broken as error:
            raise MirrorFailed(f"broke off after {len(data):,} bytes") from error
    return bytes(data[: most + 1])


# ---------------------------------------------------------------------------------------------------------- mirrors


class Mirrors:
    """The mirrors that have not failed yet, and the time left to wait for those that don't answer."""

    def __init__(
        self, addresses: Sequence[str], connect_seconds: float, stall_seconds: float, report: Report = to_stderr
    ) -> None:
        """connect_seconds: for all mirrors and files together; stall_seconds: for the next bytes of a transfer."""
        self.alive = [address.rstrip("/") + "/" for address in addresses]
        self.failures: list[str] = []
        self.unreported: list[str] = []  # failures to report once another mirror answers; else the exception has them
        self.seconds = connect_seconds
        self.stall_seconds = stall_seconds
        self._report = report

    def report(self, line: str) -> None:
        """Report a line, after those on the mirrors that failed before."""
        while self.unreported:
            self._report(f"{self.unreported.pop(0)}; asking the next mirror.")
        self._report(line)

    def drop(self, mirror: str, reason: str) -> None:
        """Don't ask ``mirror`` again."""
        self.alive.remove(mirror)
        self.failures.append(f"{mirror} {reason}")
        self.unreported.append(self.failures[-1])

    def open(self, url: str, offset: int) -> requests.Response:
        """Ask for ``url`` from byte ``offset`` on, within this mirror's part of the time left.  Raises MirrorFailed."""
        started = time.monotonic()
        try:
            return ask(url, max(self.seconds / len(self.alive), 0.1), self.stall_seconds, offset)
        except MirrorFailed:
            self.seconds -= time.monotonic() - started
            raise


def ask(url: str, seconds: float, stall_seconds: float, offset: int = 0) -> requests.Response:
    """Ask for ``url`` from byte ``offset`` on; return the answer once its head has arrived.  Raises MirrorFailed."""
    import requests  # noqa: PLC0415  (loads slowly)

    headers = {"Accept-Encoding": "identity"}  # a .gz that is gzipped again would make byte ranges meaningless
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return _within(
            seconds, lambda: requests.get(url, headers=headers, stream=True, timeout=(seconds, stall_seconds))
        )
    except (requests.RequestException, TimeoutError) as error:
        if isinstance(error, (TimeoutError, requests.Timeout)):
            raise MirrorFailed(f"did not answer within {seconds:.1f} s") from error
        raise MirrorFailed(f"cannot be reached ({_reason_of(error)})") from error


def _within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return ``call()``, or raise TimeoutError when it takes longer.

    The time-outs of sockets are not enough: they don't cover name look-ups, and start again for each address.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)


def _reason_of(error: BaseException) -> str:
    """Return in a few words why a connection failed: the system's message is at the bottom of several layers."""
    reason, cause = str(error), error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return reason


# ------------------------------------------------------------------------------------------------ resumable transfer


def _download_file(file: IdxFile, folder: Path, mirrors: Mirrors, progress: bool) -> None:
    """Download one file from the first mirror that works; one that fails is not asked for later files either."""
    reason = ""
    part = folder / f"{file.name}.gz.part"
    with _partial_file(part) as partial:
        transfer = _Transfer(file, partial, mirrors, progress)
        while mirrors.alive:
            mirror = mirrors.alive[0]
            failure = _try_mirror(mirror, transfer, folder)
            if failure is None:
                return
            reason = failure
            mirrors.drop(mirror, reason)
        kept = ""
        if _size(partial) and partial.name == str(part):
            kept = f" {_size(partial):,} bytes are kept in {part} to resume from."
    summary = f"no mirror has sent it; the last one {reason}"
    if all(re.search(UNREACHABLE, failure) for failure in mirrors.failures):
        summary = "none of the mirrors could be reached"
    raise DownloadFailed(f"{'; '.join(mirrors.failures)}.{kept}", summary)


def _try_mirror(mirror: str, transfer: _Transfer, folder: Path) -> str | None:
    """Download a file from one mirror, in as many transfers as make progress; return why that failed, or None."""
    import pooch  # noqa: PLC0415  (loads slowly)

    file, partial, reason = transfer.file, transfer.partial, ""
    for _ in range(TRIES):
        before = _size(partial)
        try:
            with _quiet(pooch.get_logger()):
                pooch.retrieve(
                    f"{mirror}{file.name}.gz",
                    file.sha256,
                    file.name,
                    path=folder,
                    downloader=transfer,  # pyright: ignore[reportArgumentType]  (pooch names its parameters otherwise)
                )
            partial.truncate(0)
            return None
        except _Broken:
            reason = f"broke off after {_size(partial):,} bytes of {file.name}.gz"
            if _size(partial) <= before:
                break
        except MirrorFailed as error:
            return str(error)
        except (_Damaged, ValueError):  # ValueError: the SHA-256, checked by pooch
            partial.truncate(0)
            reason = f"sent a damaged {file.name}.gz"
            if before == 0:  # all of it came from this mirror in one go
                break
    return reason


class _Transfer:
    """A downloader for pooch: continue ``partial`` by HTTP Range, then write its uncompressed bytes to the output."""

    def __init__(self, file: IdxFile, partial: BufferedRandom, mirrors: Mirrors, progress: bool) -> None:
        self.file = file
        self.partial = partial
        self.mirrors = mirrors
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        offset = _size(self.partial)
        with self.mirrors.open(url, offset) as answer:
            nothing_more = answer.status_code == 416 and offset > 0
            if answer.status_code in (200, 206):
                self._receive(answer, self._start(answer, offset))
            elif not nothing_more:
                raise MirrorFailed(f"answered {answer.status_code} {answer.reason}".rstrip())
        try:
            self._unpack(output_file)
        except _Broken:
            if nothing_more:  # cut off, but the server has no more of it
                raise _Damaged from None
            raise

    def _start(self, answer: requests.Response, offset: int) -> int:
        """Return the byte at which the answer begins: a server may ignore Range and send everything."""
        if answer.status_code == 206:
            found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != offset:
                raise _Damaged
            return offset
        self.partial.truncate(0)
        return 0

    def _receive(self, answer: requests.Response, offset: int) -> None:
        from tqdm import tqdm  # noqa: PLC0415  (needed for downloads only)

        after = f", resuming after {offset:,} bytes" if offset else ""
        self.mirrors.report(f"Downloading {answer.url}{after}.")
        length = answer.headers.get("Content-Length", "")
        self.partial.seek(offset)
        bar = tqdm(
            desc=self.file.name,
            total=offset + int(length) if length.isdecimal() else None,
            initial=offset,
            unit="B",
            unit_scale=True,
            disable=None if self.progress else True,  # None: shown only on a terminal
        )
        with bar:
            for chunk in _chunks(answer):
                if offset == 0 and not chunk.startswith((idx.GZIP_MAGIC, b"\0\0\x08")):
                    raise MirrorFailed("sent something else than an IDX file, such as a web page")
                offset += len(chunk)
                if offset > self.file.n_bytes + SLACK:
                    self.partial.truncate(0)
                    raise MirrorFailed(f"sent more than the {self.file.n_bytes:,} bytes of {self.file.name}")
                self.partial.write(chunk)
                self.partial.flush()  # so that a killed process leaves what it had
                bar.update(len(chunk))

    def _unpack(self, output_file: str) -> None:
        """Write the uncompressed bytes, never more than one beyond what the file should have; pooch hashes them."""
        try:
            data = idx.uncompressed(self.partial).read(self.file.n_bytes + 1)
        except EOFError as error:
            raise _Broken from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _Damaged from error
        if len(data) < self.file.n_bytes:
            raise _Broken
        with open(output_file, "wb") as output:
            output.write(data)
            output.flush()
            os.fsync(output.fileno())
        os.chmod(output_file, 0o644)  # pooch's temporary file is 0600, and is moved into place as it is


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Yield a response's bytes as they arrive.  Raises _Broken when they end early or stall."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  (comes with requests)

    chunks = answer.raw.stream(CHUNK, decode_content=False)
    while True:
        try:
            chunk = next(chunks, b"")
        except (HTTPError, OSError) as error:
            raise _Broken from error
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _partial_file(path: Path) -> Iterator[BufferedRandom]:
    """Open the file that collects a download; whatever it holds when the block ends stays, for the next run.

    It is locked: a second process gets a private file instead, which is discarded.  The lock dies with its owner.
    """
    with contextlib.ExitStack() as open_files:
        file: BufferedRandom = open_files.enter_context(open(path, "r+b", opener=_open_or_create))
        own = _lock(file)
        if not own:
            file = open_files.enter_context(tempfile.TemporaryFile(dir=path.parent))
        try:
            yield file
        finally:
            if own and _size(file) == 0:
                open_files.close()  # first: Windows removes no open file
                with contextlib.suppress(OSError):
                    path.unlink()


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o644)


def _lock(file: BufferedRandom) -> bool:
    """Lock an open file without waiting; return whether that worked.  Closing the file, or dying, unlocks it."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # Windows locks bytes: one far beyond the end, which nothing else uses
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _size(file: BufferedRandom) -> int:
    return os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from announcing on stderr what the progress bar shows."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
