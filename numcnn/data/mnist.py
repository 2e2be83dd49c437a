"""Find MNIST on this machine, or download it from one of two mirrors; only its SHA-256 makes a file MNIST's.

The hash is that of the *uncompressed* IDX bytes, so a copy that has been compressed again counts too.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from numcnn.data import idx
from numcnn.data.dataset import Dataset
from numcnn.data.download import DownloadFailed, IdxFile, Mirrors, Report, download_files, to_stderr, user_cache
from numcnn.errors import DataError
from numcnn.files import as_path
from numcnn.kernels.arrays import Bytes

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
VARIABLE = "NUMCNN_DATA"


class Origin(NamedTuple):
    """Where MNIST comes from.  The defaults are the real one's; tests use their own.

    files: by role; cache: folder, by default the user's; mirrors: addresses to which a file's name and ``.gz`` are
    appended, by default `chosen_mirrors`.
    """

    files: Mapping[str, IdxFile] = FILES
    cache: str | Path | None = None
    mirrors: Sequence[str] | None = None
    connect_seconds: float = 8.0  # waiting for mirrors that don't answer, all of them and all files together
    stall_seconds: float = 15.0  # waiting for the next bytes of a transfer that has begun


OFFICIAL = Origin()


class UnavailableError(DataError):
    """MNIST is not on this machine, and could not be downloaded either; ``reason``: why, in a few words."""

    def __init__(self, problem: str, reason: str) -> None:
        self.reason = reason
        others = [mirror for mirror in chosen_mirrors() if mirror.rstrip("/") not in problem]  # name each only once
        source = f" from {' or '.join(others)}" if others else ""
        super().__init__(
            f"MNIST is not on this machine, and could not be downloaded: {problem} "
            f"To get it by hand, put {_names(FILES, '.gz')}{source} into a folder and "
            f"set {VARIABLE} to it, or pass `data_dir`."
        )


def load(
    data_dir: str | Path | None = None,
    *,
    test_only: bool = False,
    origin: Origin = OFFICIAL,
    progress: bool = True,
    report: Report = to_stderr,
) -> Dataset:
    """Get MNIST from ``data_dir``, else ``NUMCNN_DATA``, else the user's cache, else a mirror -> Dataset.

    A folder that is named is the only one looked into.  Raises DataError, UnavailableError.
    """
    named = data_dir or os.environ.get(VARIABLE)
    if named:
        try:
            arrays = read_mnist(as_path(named), roles(test_only), origin.files)
        except DataError as error:
            raise DataError(f"{error} (The folder was given by {'`data_dir`' if data_dir else VARIABLE}.)") from error
    else:
        arrays = fetch(roles(test_only), origin, progress=progress, report=report)
    return Dataset.from_arrays("mnist", f"MNIST, SHA-256 verified, from {named or 'the cache'}", arrays)


def roles(test_only: bool = False) -> tuple[str, ...]:
    """Return the keys of FILES, or only those of the test set."""
    return tuple(role for role in FILES if role.startswith("test") or not test_only)


def cache_folder() -> Path:
    """Return the user's cache folder for MNIST; it need not exist."""
    return user_cache() / "mnist"


def locate(folder: str | Path, role: str) -> Path | None:
    """Return the path of one of the four files (``role``: a key of FILES) in ``folder``, raw or .gz, or None."""
    name = FILES[role].name
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = Path(folder) / (spelling + suffix)
            if path.is_file():
                return path
    return None


def still_there(folder: str | None) -> str | None:
    """Return a folder that a run was begun with if it still has MNIST's files, else None: look for them as usual."""
    try:
        return folder if folder and all(locate(folder, role) for role in FILES) else None
    except OSError:  # the name is too long
        return None


def read_folder(folder: str | Path, roles: Collection[str] = tuple(FILES)) -> dict[str, Bytes]:
    """Read IDX files with MNIST's names from ``folder`` -> {role: uint8 array}.

    Raises DataError when one is missing or damaged, or when images and labels don't match.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; a folder with {_names(roles)} is wanted.")
    found = {role: locate(folder, role) for role in roles}
    paths = {role: path for role, path in found.items() if path is not None}
    missing = [role for role in roles if role not in paths]
    if missing:
        raise DataError(f"{folder} has no {_names(missing)} (nor with .gz).")
    arrays = {
        role: idx.read_labels(path, classes=256) if role.endswith("labels") else idx.read_images(path)
        for role, path in paths.items()
    }
    _check_match(arrays, paths)
    return arrays


def _check_match(arrays: Mapping[str, Bytes], paths: Mapping[str, Path]) -> None:
    """Raise DataError unless there are as many labels as images, and all images have one size."""
    for part in ("train", "test"):
        images, labels = arrays.get(f"{part}_images"), arrays.get(f"{part}_labels")
        if images is not None and labels is not None and len(images) != len(labels):
            raise DataError(
                f"{paths[part + '_images']} holds {len(images)} images, but "
                f"{paths[part + '_labels']} {len(labels)} labels: they don't belong together."
            )
    sizes = {role: array.shape[1:] for role, array in arrays.items() if role.endswith("images")}
    if len(set(sizes.values())) > 1:
        listed = " and ".join(f"{paths[role]} {height}x{width}" for role, (height, width) in sizes.items())
        raise DataError(f"The images must all have one size, but {listed}.")


def mismatch(arrays: Mapping[str, Bytes], files: Mapping[str, IdxFile]) -> str | None:
    """Return the first role in ``arrays`` whose IDX bytes don't have the SHA-256 that ``files`` gives, or None."""
    return next((role for role, array in arrays.items() if idx.sha256(array) != files[role].sha256), None)


def read_mnist(
    folder: str | Path, roles: Collection[str] = tuple(FILES), files: Mapping[str, IdxFile] = FILES
) -> dict[str, Bytes]:
    """Read MNIST from ``folder`` -> {role: uint8 array}.  Raises DataError also for any other data set's files."""
    arrays = read_folder(folder, roles)
    role = mismatch(arrays, files)
    if role is not None:
        raise DataError(
            f"{locate(folder, role)} is not MNIST's: the SHA-256 of its uncompressed bytes is "
            f"{idx.sha256(arrays[role])}, MNIST's is {files[role].sha256}. "
            f"Replace it, or pass `dataset='{folder}'` if it is another data set."
        )
    return arrays


def fetch(
    roles: Collection[str] = tuple(FILES),
    origin: Origin = OFFICIAL,
    *,
    progress: bool = True,
    report: Report = to_stderr,
) -> dict[str, Bytes]:
    """Read MNIST from the cache -> {role: array}, after downloading what is missing or damaged there.

    Raises UnavailableError when the download fails.
    """
    folder = Path(origin.cache or cache_folder())
    arrays: dict[str, Bytes] = {}
    missing: list[str] = []
    for role in roles:
        if locate(folder, role) is None:
            missing.append(role)
            continue
        try:
            arrays |= read_mnist(folder, [role], origin.files)
        except DataError as error:
            report(f"{error} Downloading it again.")
            missing.append(role)
    if missing:
        mirrors = Mirrors(origin.mirrors or chosen_mirrors(), origin.connect_seconds, origin.stall_seconds, report)
        try:
            download_files([origin.files[role] for role in missing], folder, mirrors, progress=progress)
        except DownloadFailed as error:
            raise UnavailableError(str(error), error.reason) from error
        arrays |= read_mnist(folder, missing, origin.files)
    return arrays


def chosen_mirrors() -> tuple[str, ...]:
    """Return the addresses to download from: ``NUMCNN_MIRRORS`` (separated by spaces or commas), else MIRRORS."""
    return tuple(re.findall(r"[^\s,]+", os.environ.get("NUMCNN_MIRRORS", ""))) or MIRRORS


def _names(roles: Collection[str], suffix: str = "") -> str:
    return ", ".join(FILES[role].name + suffix for role in roles)
