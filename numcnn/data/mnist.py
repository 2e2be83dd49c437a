"""Find MNIST on this machine, or download it from one of two mirrors; nothing passes for MNIST but by its SHA-256.

That of the *uncompressed* IDX bytes, so a copy that somebody has compressed again counts too.
"""

import contextlib
import gzip
import logging
import os
import queue
import re
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from numcnn.data import idx
from numcnn.errors import DataError


class IdxFile(NamedTuple):
    """A file of a data set: its name without ``.gz``, and the SHA-256 and the number of its uncompressed bytes."""

    name: str
    sha256: str
    n_bytes: int


FILES = {
    "train_images": IdxFile(
        "train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016
    ),
    "train_labels": IdxFile(
        "train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008
    ),
    "test_images": IdxFile(
        "t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016
    ),
    "test_labels": IdxFile(
        "t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008
    ),
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
TRIES = 8  # transfers of one file from one mirror, each continuing where the last one broke
CHUNK = 1 << 14
SLACK = 1 << 16  # what gzip may add to bytes that don't compress


class Origin(NamedTuple):
    """Where MNIST comes from.  The defaults are the real one's; tests put their own in place.

    files: by role; cache: folder, by default the user's; mirrors: addresses to which a file's name and ``.gz`` are
    appended, by default `chosen_mirrors`.
    """

    files: dict = FILES
    cache: Path | None = None
    mirrors: tuple | None = None
    connect_seconds: float = 8.0  # waiting for mirrors that don't answer, all of them and all files together
    stall_seconds: float = 15.0  # waiting for the next bytes of a transfer that has begun


OFFICIAL = Origin()


def to_stderr(line):
    """Print a line for people: the default for every ``report`` argument here."""
    print(line, file=sys.stderr)


# ---------------------------------------------------------------------------------------------- finding and reading


def cache_folder():
    """Return the user's cache folder for MNIST (``XDG_CACHE_HOME`` moves it on Linux); it need not exist."""
    import pooch

    return Path(pooch.os_cache("numcnn")).expanduser() / "mnist"


def locate(folder, role):
    """Return the path of one of the four files (``role``: a key of FILES) in ``folder``, raw or .gz, or None."""
    name = FILES[role].name
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = Path(folder) / (spelling + suffix)
            if path.is_file():
                return path
    return None


def read_folder(folder, roles=tuple(FILES)):
    """Read IDX files with MNIST's names from ``folder`` -> {role: uint8 array}.

    Raises DataError when one is missing or damaged, or when images and labels don't fit each other.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; a folder with {_names(roles)} is wanted.")
    paths = {role: locate(folder, role) for role in roles}
    missing = [role for role, path in paths.items() if path is None]
    if missing:
        raise DataError(f"{folder} has no {_names(missing)} (nor with .gz).")
    arrays = {
        role: idx.read_labels(path, classes=256) if role.endswith("labels") else idx.read_images(path)
        for role, path in paths.items()
    }
    for part in ("train", "test"):
        images, labels = arrays.get(f"{part}_images"), arrays.get(f"{part}_labels")
        if images is not None and labels is not None and len(images) != len(labels):
            raise DataError(
                f"{paths[part + '_images']} holds {len(images)} images, but "
                f"{paths[part + '_labels']} {len(labels)} labels: they don't belong together."
            )
    sizes = {role: arrays[role].shape[1:] for role in roles if role.endswith("images")}
    if len(set(sizes.values())) > 1:
        told = " and ".join(f"{paths[role]} {height}x{width}" for role, (height, width) in sizes.items())
        raise DataError(f"The images must all have one size, but {told}.")
    return arrays


def stranger(arrays, files):
    """Return the first role in ``arrays`` whose IDX bytes don't have the SHA-256 that ``files`` gives, or None."""
    return next((role for role, array in arrays.items() if idx.sha256(array) != files[role].sha256), None)


def read_mnist(folder, roles=tuple(FILES), files=FILES):
    """Read MNIST from ``folder`` -> {role: uint8 array}.  Raises DataError also for any other data set's files."""
    arrays = read_folder(folder, roles)
    role = stranger(arrays, files)
    if role is not None:
        raise DataError(
            f"{locate(folder, role)} is not MNIST's: the SHA-256 of its uncompressed bytes is "
            f"{idx.sha256(arrays[role])}, MNIST's is {files[role].sha256}. "
            f"Replace it, or pass --dataset {folder} if it is another data set."
        )
    return arrays


def fetch(roles=tuple(FILES), origin=OFFICIAL, *, progress=True, report=to_stderr):
    """Read MNIST from the cache -> {role: array}, after downloading what is missing or damaged there.

    Raises UnavailableError, as `download` does.
    """
    folder = Path(origin.cache or cache_folder())
    arrays, wanted = {}, []
    for role in roles:
        if locate(folder, role) is None:
            wanted.append(role)
            continue
        try:
            arrays |= read_mnist(folder, [role], origin.files)
        except DataError as error:
            report(f"{error} Downloading it again.")
            wanted.append(role)
    if wanted:
        download(folder, wanted, origin, progress=progress, report=report)
        arrays |= read_mnist(folder, wanted, origin.files)
    return arrays


def _names(roles, suffix=""):
    return ", ".join(FILES[role].name + suffix for role in roles)


# ------------------------------------------------------------------------------------------------------ downloading


def chosen_mirrors():
    """Return the addresses to download from: ``NUMCNN_MIRRORS`` (separated by spaces or commas), else MIRRORS."""
    return tuple(re.findall(r"[^\s,]+", os.environ.get("NUMCNN_MIRRORS", ""))) or MIRRORS


def download(folder, roles=tuple(FILES), origin=OFFICIAL, *, progress=True, report=to_stderr):
    """Download MNIST's files into ``folder``, uncompressed and verified; after a break, the next call goes on.

    A progress bar is shown only on a terminal.  Raises UnavailableError that says why each mirror failed.
    """
    folder = Path(folder)
    mirrors = _Mirrors(origin, report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for role in roles:
            _fetch_file(origin.files[role], folder, mirrors, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"cannot write to the cache folder {folder} ({reason})."
        raise UnavailableError(problem, f"its cache folder cannot be written: {reason}") from error


class UnavailableError(DataError):
    """MNIST is not on this machine, and could not be downloaded either; ``reason``: why, in a few words."""

    def __init__(self, problem, reason):
        self.reason = reason
        others = [mirror for mirror in chosen_mirrors() if mirror.rstrip("/") not in problem]  # told only once
        source = f" from {' or '.join(others)}" if others else ""
        super().__init__(
            f"MNIST is not on this machine, and could not be downloaded: {problem} "
            f"To get it by hand, put {_names(FILES, '.gz')}{source} into a folder and "
            "set NUMCNN_DATA to it, or pass --data-dir."
        )


class _MirrorFailed(Exception):
    """This mirror is of no use: don't ask it again."""


class _Broken(Exception):
    """The transfer ended early: what has arrived may be continued."""


class _Damaged(Exception):
    """What has arrived is not the file: throw it away."""


class _Mirrors:
    """The mirrors that have not failed yet, and the time left to wait for those that don't answer."""

    def __init__(self, origin, report):
        self.alive = [address.rstrip("/") + "/" for address in origin.mirrors or chosen_mirrors()]
        self.failures = []
        self.untold = []  # failures to be told once another mirror answers; if none does, the exception tells them
        self.seconds = origin.connect_seconds
        self.stall_seconds = origin.stall_seconds
        self._report = report

    def report(self, line):
        """Report a line, after those on the mirrors that failed before."""
        while self.untold:
            self._report(f"{self.untold.pop(0)}; asking the next mirror.")
        self._report(line)

    def drop(self, mirror, reason):
        """Ask ``mirror`` no more."""
        self.alive.remove(mirror)
        self.failures.append(f"{mirror} {reason}")
        self.untold.append(self.failures[-1])

    def open(self, url, offset):
        """Ask for ``url`` from byte ``offset`` on; return the answer once its head is there.  Raises _MirrorFailed."""
        import requests

        headers = {"Accept-Encoding": "identity"}  # or a .gz may come gzipped again, and byte ranges lose their sense
        if offset:
            headers["Range"] = f"bytes={offset}-"
        seconds = max(self.seconds / len(self.alive), 0.1)
        started = time.monotonic()
        try:
            return _within(
                seconds,
                lambda: requests.get(url, headers=headers, stream=True, timeout=(seconds, self.stall_seconds)),
            )
        except (requests.RequestException, TimeoutError) as error:
            self.seconds -= time.monotonic() - started
            raise _MirrorFailed(reason_of(error, seconds)) from error


def _within(seconds, call):
    """Return ``call()``, or raise TimeoutError when it takes longer.

    Sockets' own time-outs are not enough: they don't reach the look-up of a name, and start again for each address.
    """
    answers = queue.SimpleQueue()

    def run():
        try:
            answers.put((call(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer


def reason_of(error, seconds):
    """Say in a few words why a connection failed: what the system said lies at the bottom of several layers."""
    import requests

    if isinstance(error, (TimeoutError, requests.Timeout)):
        return f"did not answer within {seconds:.1f} s"
    reason, cause = str(error), error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return f"cannot be reached ({reason})"


def _fetch_file(file, folder, mirrors, progress):
    """Download one file, trying each mirror that is alive; one that fails, fails for the files after this one too."""
    import pooch

    part = folder / f"{file.name}.gz.part"
    with _partial_file(part) as partial, quiet(pooch.get_logger()):
        while mirrors.alive:
            mirror = mirrors.alive[0]
            transfer = _Transfer(file, partial, mirrors, progress)
            reason = ""
            for _ in range(TRIES):
                before = _size(partial)
                try:
                    pooch.retrieve(f"{mirror}{file.name}.gz", file.sha256, file.name, path=folder, downloader=transfer)
                    partial.truncate(0)
                    return
                except _Broken:
                    reason = f"broke off after {_size(partial):,} bytes of {file.name}.gz"
                    if _size(partial) <= before:
                        break
                except _MirrorFailed as error:
                    reason = str(error)
                    break
                except (_Damaged, ValueError):  # ValueError: the SHA-256, checked by pooch
                    partial.truncate(0)
                    reason = f"sent a damaged {file.name}.gz"
                    if before == 0:  # all of it came from this mirror in one go
                        break
            mirrors.drop(mirror, reason)
        kept = ""
        if _size(partial) and partial.name == str(part):
            kept = f" {_size(partial):,} bytes are kept in {part} to go on from."
    raise UnavailableError(f"{'; '.join(mirrors.failures)}.{kept}", f"the last mirror {reason}")


class _Transfer:
    """A downloader for pooch: continue ``partial`` by HTTP Range, then write its uncompressed bytes to the output."""

    def __init__(self, file, partial, mirrors, progress):
        self.file = file
        self.partial = partial
        self.mirrors = mirrors
        self.progress = progress

    def __call__(self, url, output_file, pooch, check_only=False):
        offset = _size(self.partial)
        with self.mirrors.open(url, offset) as answer:
            nothing_more = answer.status_code == 416 and offset > 0
            if answer.status_code in (200, 206):
                self._receive(answer, self._start(answer, offset))
            elif not nothing_more:
                raise _MirrorFailed(f"answered {answer.status_code} {answer.reason}".rstrip())
        try:
            self._unpack(output_file)
        except _Broken:
            if nothing_more:  # cut off, but the server has no more of it
                raise _Damaged from None
            raise

    def _start(self, answer, offset):
        """Return the byte at which the answer begins: a server may ignore Range and send everything."""
        if answer.status_code == 206:
            found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != offset:
                raise _Damaged
            return offset
        self.partial.truncate(0)
        return 0

    def _receive(self, answer, offset):
        from tqdm import tqdm
        from urllib3.exceptions import HTTPError

        after = f", going on after {offset:,} bytes" if offset else ""
        self.mirrors.report(f"Downloading {answer.url}{after}.")
        length = answer.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        self.partial.seek(offset)
        chunks = answer.raw.stream(CHUNK, decode_content=False)
        bar = tqdm(
            desc=self.file.name,
            total=total,
            initial=offset,
            unit="B",
            unit_scale=True,
            disable=None if self.progress else True,  # None: shown only on a terminal
        )
        with bar:
            while True:
                try:
                    chunk = next(chunks, b"")
                except (HTTPError, OSError) as error:
                    raise _Broken from error
                if not chunk:
                    return
                if offset == 0 and not chunk.startswith((idx.GZIP_MAGIC, b"\0\0\x08")):
                    raise _MirrorFailed("sent something else than an IDX file, such as a web page")
                offset += len(chunk)
                if offset > self.file.n_bytes + SLACK:
                    self.partial.truncate(0)
                    raise _MirrorFailed(f"sent more than the {self.file.n_bytes:,} bytes of {self.file.name}")
                self.partial.write(chunk)
                self.partial.flush()  # so that a killed process leaves what it had
                bar.update(len(chunk))

    def _unpack(self, output_file):
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


@contextlib.contextmanager
def _partial_file(path):
    """Open the file that collects a download; what it holds when the block ends stays, to be continued another time.

    It is locked: a second process gets a private file instead, which nobody continues.  The lock dies with its owner.
    """
    with contextlib.ExitStack() as open_files:
        file = open_files.enter_context(open(path, "r+b", opener=_open_or_create))
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


def _open_or_create(path, flags):
    return os.open(path, flags | os.O_CREAT, 0o644)


def _lock(file):
    """Lock an open file without waiting; return whether that worked.  Closing the file, or dying, unlocks it."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 40)  # Windows locks bytes: one far beyond the end is in nobody's way
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _size(file):
    return os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def quiet(logger):
    """Keep pooch from announcing on stderr what the progress bar shows."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
