"""Weights on disk: an ``.npz`` file (a zip of ``.npy`` arrays) and in it ``meta.json``, which describes the network.

``numpy.load`` opens it, ``unzip -p FILE meta.json`` prints the description, and nothing is ever unpickled.  Equal
content gives equal bytes.  Name, dtype, shape and size of an array are checked before it is read, so a damaged or
hostile file raises CheckpointError.
"""

import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from numcnn.errors import CheckpointError
from numcnn.files import atomic_write
from numcnn.kernels.arrays import AnyArray, Floats

FORMAT = "numcnn"
VERSION = 1

MAX_META_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 30

# Zip members have a time stamp; a fixed one (the earliest possible) makes the bytes depend on the content alone.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

# What the standard library and NumPy raise for a damaged zip or npy file.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    RecursionError,
)


def save(path: str | os.PathLike[str], arrays: Mapping[str, AnyArray], meta: Mapping[str, Any]) -> None:
    """Write ``arrays`` (name -> array) and ``meta`` (a dict for JSON) to ``path``: atomically, without pickle."""
    document = {"format": FORMAT, "version": VERSION, **meta}
    try:
        text = json.dumps(document, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"cannot write {path}: its description doesn't fit JSON ({error})") from error
    try:
        with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member("meta.json"), text)
            for name, array in arrays.items():
                with archive.open(_member(f"{name}.npy"), "w") as member:
                    # (Not ascontiguousarray: it makes a scalar an array of one value.)
                    np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; check the folder and the space left"
        ) from error


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _ZIP_TIME)
    info.external_attr = 0o644 << 16
    return info


class Checkpoint:
    """An open weights file: ``meta`` (dict), ``values`` (the most float32 values it can hold), ``read(name, shape)``.

    Use it in a ``with`` block.  Raises CheckpointError, with the path, for anything wrong with the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        except _DAMAGE as error:
            raise self._damaged("it is no .npz file, or only a part of one") from error
        try:
            self._refuse_compression()
            self.meta = self._read_meta()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def values(self) -> int:
        """The most float32 values that the file can hold."""
        return sum(info.file_size for info in self._archive.infolist()) // 4

    def _refuse_compression(self) -> None:
        """Refuse compressed members, such as a zip bomb's: numcnn stores arrays uncompressed."""
        whole = os.path.getsize(self.path)
        for info in self._archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > whole:
                raise self._damaged(f"its member {info.filename} is compressed, which numcnn's never are")

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}; use another copy, or train one with: numcnn train")

    def _read_meta(self) -> dict[str, Any]:
        if "meta.json" not in self._archive.namelist():
            raise self._damaged("it holds no meta.json, so it isn't a numcnn weights file")
        try:
            if self._archive.getinfo("meta.json").file_size > MAX_META_BYTES:
                raise self._damaged(f"its meta.json is larger than {MAX_META_BYTES} bytes")
            parsed = json.loads(self._archive.read("meta.json"))
        except (OSError, *_DAMAGE) as error:
            raise self._damaged(f"its meta.json cannot be read ({error})") from error
        meta = cast(dict[str, Any], parsed) if isinstance(parsed, dict) else {}
        if meta.get("format") != FORMAT:
            raise self._damaged("it isn't a numcnn weights file")
        if meta.get("version") != VERSION:
            raise CheckpointError(
                f"{self.path}: its format is version {meta.get('version')!r} and this numcnn reads version {VERSION}; "
                "install a numcnn that fits"
            )
        return meta

    def read(self, name: str, shape: tuple[int, ...]) -> Floats:
        """Return array ``name``, which must have ``shape``, be float32 or float64, and hold finite numbers only."""
        member = f"{name}.npy"
        if member not in self._archive.namelist():
            raise self._damaged(f"array {name} is missing")
        try:
            with self._archive.open(member) as file:
                found, dtype = self._read_header(file)
                if found != tuple(shape) or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
                    raise self._damaged(
                        f"array {name} is {dtype} {found}; its architecture wants floats {tuple(shape)}"
                    )
                size = math.prod(shape) * dtype.itemsize
                if size > MAX_ARRAY_BYTES:
                    raise self._damaged(f"array {name} has {size} bytes; {MAX_ARRAY_BYTES} are the most")
                data = file.read(size)
                if len(data) != size or file.read(1):
                    raise self._damaged(f"array {name} has more or fewer values than its shape says")
        except (OSError, NotImplementedError, *_DAMAGE) as error:
            raise self._damaged(f"array {name} is damaged ({error})") from error
        array = np.frombuffer(data, dtype).reshape(shape)
        if not np.isfinite(array).all():
            raise self._damaged(f"array {name} holds values that are not finite numbers")
        return array

    @staticmethod
    def _read_header(file: IO[bytes]) -> "tuple[tuple[int, ...], np.dtype[Any]]":
        """Return shape and dtype of the .npy member; reading them costs a hundred bytes, whatever the array claims."""
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
        if fortran and len(shape) > 1:
            raise ValueError("Fortran order")
        return shape, dtype


# Finding a weights file by name

DEFAULT_WEIGHTS = "everyone"
RENAMED = {"mnist": "canonical", "best": "everyone", "pad": "everyone"}  # weights that were shipped once -> now


def weights_folder() -> Path:
    """Return the folder of the shipped weights: ``weights/`` of a checkout, ``numcnn/weights`` once installed."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def find_weights(name: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of a weights file, given by path or by the name of a shipped one: "everyone", "canonical".

    A name stands for ``NAME.npz`` in the weights folder, else for the one file ``NAME*.npz`` there.  None: "everyone".
    Raises CheckpointError when there is no such file, or more than one.
    """
    given = DEFAULT_WEIGHTS if name is None else os.fspath(name)
    if not given:
        raise CheckpointError("the weights file's name is empty; give a path, or the name of a shipped one")
    shipped = sorted(weights_folder().glob("*.npz"), key=lambda path: path.stem)
    path = Path(given)
    if path.name == given and path.suffix != ".npz":  # a name, not a user's file or folder of that name
        exact = [p for p in shipped if p.stem == given]
        matches = exact or [p for p in shipped if p.stem.startswith(given)]
        if len(matches) > 1:
            raise CheckpointError(f"several weights files begin with {given}: {', '.join(p.stem for p in matches)}")
        if matches:
            return matches[0]
    if path.is_file() and name is not None:
        return path
    if path.name == given and path.stem in RENAMED:
        raise CheckpointError(f"the weights {path.stem} are no longer shipped; use {RENAMED[path.stem]} instead")
    if path.is_dir() and name is not None:
        raise CheckpointError(f"{given} is a folder; name the .npz file in it, such as {path / 'best.npz'}")
    known = ", ".join(p.stem for p in shipped) or "none"
    raise CheckpointError(f"there is no weights file {given}; give a path, or the name of a shipped one ({known})")
