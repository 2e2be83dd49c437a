"""Weights on disk: an ``.npz`` file (a zip of ``.npy`` arrays) and in it ``meta.json``, which describes the network.

``numpy.load`` opens it, ``unzip -p FILE meta.json`` prints the description, and nothing is ever unpickled.  Equal
content gives equal bytes.  Name, dtype, shape and size of an array are checked before it is read, so a damaged or
hostile file raises CheckpointError.
"""

import ast
import glob
import hashlib
import json
import math
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from numcnn.errors import CheckpointError
from numcnn.files import atomic_write, named_errors
from numcnn.kernels.arrays import AnyArray, Floats

FORMAT = "numcnn"
VERSION = 1

MAX_META_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 30
MAX_DIRECTORY_BYTES = 1 << 20  # of the zip: ten thousand members, more than MAX_LAYERS layers have; read in 0.1 s
MAX_HEADER_BYTES = 1000  # of an array; those that NumPy writes have 118

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
    MemoryError,  # of Python's parser, for many signs or brackets in a row
    SyntaxError,
)

# The parts of a zip that say how long its list of members is: signature, its bytes, and where in them the length is.
_END, _END_BYTES, _LENGTH = b"PK\5\6", 22, slice(12, 16)
_LOCATOR, _LOCATOR_BYTES = b"PK\6\7", 20
_END64, _END64_BYTES, _LENGTH64 = b"PK\6\6", 56, slice(40, 48)

# What .npy headers call the types of arrays that are read here.
_DTYPES = {np.lib.format.dtype_to_descr(np.dtype(kind)): np.dtype(kind) for kind in (np.float32, np.float64)}


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
                    _write_array(member, name, array)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; check the folder and the space left"
        ) from error
    except (TypeError, ValueError) as error:  # the path is none, or an array
        raise CheckpointError(f"cannot write {path}: {error}") from error


def _write_array(file: IO[bytes], name: str, array: npt.ArrayLike) -> None:
    """Write an array as .npy.  Raises ValueError, with the array's name, for what only pickle could store."""
    try:
        # (Not ascontiguousarray: it makes a scalar an array of one value.)
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"array {name} can't be stored: {error}") from error


def digest(arrays: Mapping[str, Floats]) -> str:
    """Return the SHA-256 of arrays: of name, dtype and shape in words, then the numbers (little-endian), in turn."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype.name} {'x'.join(map(str, array.shape))}\n".encode())
        found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


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
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise self._damaged("it is no regular file")
            self._bytes = os.path.getsize(self.path)
            self._check_directory()
            self._archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        except _DAMAGE as error:
            raise self._damaged("it is no .npz file, or only a part of one") from error
        try:
            self._check_members()
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

    def _check_directory(self) -> None:
        """Refuse a zip whose list of members is too long, or that something follows; ``zipfile`` reads it all."""
        with open(self.path, "rb") as file:
            file.seek(max(0, self._bytes - _END_BYTES - _LOCATOR_BYTES - _END64_BYTES))
            tail = file.read()
        end, before = tail[-_END_BYTES:], tail[:-_END_BYTES]
        if not end.startswith(_END):
            raise self._damaged("it is no .npz file, or only a part of one, or something follows it")
        length = int.from_bytes(end[_LENGTH], "little")
        if before[-_LOCATOR_BYTES:].startswith(_LOCATOR):  # a large zip says it here
            end64 = before[:-_LOCATOR_BYTES]
            if not end64.startswith(_END64):
                raise self._damaged("its list of members is damaged")
            length = int.from_bytes(end64[_LENGTH64], "little")
        if length > MAX_DIRECTORY_BYTES:
            raise self._damaged(f"its list of members has {length:,} bytes; {MAX_DIRECTORY_BYTES:,} are the most")

    def _check_members(self) -> None:
        """Refuse what numcnn doesn't write: compressed members, which may be a bomb, two of one name, other files."""
        members = self._archive.infolist()
        for info in members:
            if info.compress_type != zipfile.ZIP_STORED:
                raise self._damaged(f"its member {info.filename!r} is compressed, which numcnn's never are")
            if info.filename != "meta.json" and not info.filename.endswith(".npy"):
                raise self._damaged(f"its member {info.filename!r} is none of numcnn's")
        self._names = {info.filename for info in members}
        if len(self._names) < len(members):
            raise self._damaged("two of its members have one name")
        if members and min(info.header_offset for info in members) > 0:
            raise self._damaged("something comes before its first member")
        if sum(info.file_size for info in members) > self._bytes:
            raise self._damaged("its members claim more bytes than it has")

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}; use another copy, or train one with: numcnn train")

    def _read_meta(self) -> dict[str, Any]:
        if "meta.json" not in self._names:
            raise self._damaged("it holds no meta.json, so it isn't a numcnn weights file")
        try:
            if self._archive.getinfo("meta.json").file_size > MAX_META_BYTES:
                raise self._damaged(f"its meta.json is larger than {MAX_META_BYTES} bytes")
            parsed = json.loads(self._archive.read("meta.json"), parse_constant=_refuse_constant)
            json.dumps(parsed, ensure_ascii=False).encode()  # half a pair of surrogates could not be printed
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
        if member not in self._names:
            raise self._damaged(f"array {name} is missing")
        try:
            with self._archive.open(member) as file:
                found, dtype = self._read_header(file)
                if found != tuple(shape) or dtype not in _DTYPES.values():
                    raise self._damaged(
                        f"array {name} is {dtype} {found}; its architecture wants floats {tuple(shape)}"
                    )
                size = math.prod(shape) * dtype.itemsize
                if size > MAX_ARRAY_BYTES:
                    raise self._damaged(f"array {name} has {size} bytes; {MAX_ARRAY_BYTES} are the most")
                data = file.read(size + 1)
                if len(data) != size:
                    raise self._damaged(f"array {name} has more or fewer values than its shape says")
        except (OSError, NotImplementedError, *_DAMAGE) as error:
            raise self._damaged(f"array {name} is damaged ({error})") from error
        array = np.frombuffer(data, dtype).reshape(shape)
        if not np.isfinite(array).all():
            raise self._damaged(f"array {name} holds values that are not finite numbers")
        return array

    @staticmethod
    def _read_header(file: IO[bytes]) -> tuple[Any, Any]:
        """Return shape and dtype of the .npy member (of a dtype that isn't read here, its name); see NumPy's NEP 1.

        Not by ``np.lib.format``, which warns about some damage and raises ``tokenize``'s errors for some.
        """
        version = np.lib.format.read_magic(file)
        length = int.from_bytes(file.read({(1, 0): 2, (2, 0): 4}[version]), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length:,} bytes")
        header = ast.literal_eval(file.read(length).decode("latin1").strip())
        shape, fortran = header["shape"], header["fortran_order"]
        if fortran and len(shape) > 1:
            raise ValueError("Fortran order")
        return shape, _DTYPES.get(header["descr"], header["descr"])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


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
    try:
        given = DEFAULT_WEIGHTS if name is None else os.fsdecode(name)
    except TypeError:
        raise CheckpointError(f"the weights file is {name!r}; wants a path, or the name of a shipped one") from None
    with named_errors(given, "give a path, or the name of a shipped one", action="find", error_class=CheckpointError):
        return _find(given, name is not None)


def _find(given: str, by_user: bool) -> Path:
    """Return the path of ``given``; ``by_user``: not by default, so that a file in the present folder counts."""
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
    if path.is_file() and by_user:
        return path
    if path.name == given and path.stem in RENAMED:
        raise CheckpointError(f"the weights {path.stem} are no longer shipped; use {RENAMED[path.stem]} instead")
    if path.is_dir() and by_user:
        found = _below(path)
        advice = f"name the .npz file in it, such as {found}" if found else "name a .npz file"
        raise CheckpointError(f"{given} is a folder; {advice}")
    known = ", ".join(p.stem for p in shipped) or "none"
    raise CheckpointError(f"there is no weights file {given}; give a path, or the name of a shipped one ({known})")


def _below(folder: Path) -> Path | None:
    """Return an .npz file of a folder, a best.npz if there is one: of a run, of a folder of runs, or of a series."""
    for pattern in ("*.npz", "*/*.npz", "*/*/*.npz"):
        found = [path for name in glob.glob(pattern, root_dir=folder) if os.path.isfile(path := folder / name)]
        if found:
            return min(found, key=lambda path: (path.name != "best.npz", path))
    return None
