"""Read picture files: each page upright, in grey or RGB, with sides of at most 2048 pixels, in bounded memory.

Large pictures are averaged down by a whole number while they are decoded (JPEG) or converted (all others, band by
band), so that beside Pillow's decoded picture there is never a second one of its size.  What decoders take beside it is
reckoned before; a picture of which that is too much is refused.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import re
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self, TypeAlias, TypeGuard

import numpy as np

from numcnn.errors import DataError
from numcnn.kernels.arrays import AnyArray, Bytes, Floats

if TYPE_CHECKING:
    from PIL import Image, ImageFile

PictureFileLike: TypeAlias = "str | os.PathLike[str] | bytes"  # a path, or what the file holds

# Formats and the suffixes of their files: none that runs a program, like EPS.  HEIC needs pillow-heif.
_SUFFIXES_OF = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif", ".avifs"),
    "HEIC": (".heic", ".heif", ".hif"),
}
FORMATS = tuple(_SUFFIXES_OF)
SUFFIXES = frozenset(suffix for some in _SUFFIXES_OF.values() for suffix in some)
MAX_PIXELS = 64_000_000  # phones make 12 to 50 million; RGB of this size takes 256 MB in Pillow
MAX_SIDE = 100_000  # 64 million pixels leave 640 for the other side, averaged to 13; a row takes memory of its own
ALWAYS_READ = 50_000_000  # pixels: up to here it may take more memory, 16 bytes a pixel of WebP
MAX_MEMORY = 320_000_000  # bytes that decoding a larger one may take, beside the 60 MB of Python, NumPy and Pillow
WORKING_SIDE = 2048  # larger pictures are averaged down by a whole number: 20 of these pixels make a digit
BAND = 250_000  # pixels that are converted at a time, or one row of the result if it is made of more
MIN_CONTRAST = 10  # of 255 levels; less is the shade of a blank sheet

ORIENTATION, KIND_OF_PAGE, ROWS_IN_STRIP, TILE_HEIGHT = 0x0112, 254, 278, 323  # tags of EXIF and TIFF
PREVIEW = 1  # bit of KIND_OF_PAGE: a smaller copy of another page

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((b"P%d" % kind, "PPM") for kind in range(1, 7)),
    (b"Pf", "PPM"),
)
_PLUGINS = {"PNG": "Png", "JPEG": "Jpeg", "GIF": "Gif", "BMP": "Bmp", "TIFF": "Tiff", "WEBP": "WebP", "PPM": "Ppm"}
# Bytes a pixel of Pillow's picture; 4 in all other modes.  And what decoders take, this included: WebP's two canvases
# and a copy, AVIF's colours at full resolution in two forms and a copy.
_BYTES_IN_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_BYTES_IN_DECODER = {"WEBP": 16, "AVIF": 12, "HEIF": 7}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_HEAD = 64  # bytes that tell the format
_PPM_HEADER = 1 << 16  # bytes that a PPM's sizes must begin in: Pillow reads a comment before them byte by byte


class PicturePage(NamedTuple):
    """One page of a picture file, upright.

    pixels: (H,W) or RGB (H,W,3) uint8; (H,W) float32 0..1 of greys with more than 8 bits.  factor: how many pixels of
    the file are averaged along each side of one of these.  size: (width, height) in the file.  number: 1, 2, ... of
    count.
    """

    pixels: Bytes | Floats
    factor: int
    size: tuple[int, int]
    number: int
    count: int

    def box_in_file(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Return a box (x, y, width, height) of ``pixels`` in pixels of the file, upright."""
        x, y, width, height = (self.factor * value for value in box)
        return x, y, min(width, self.size[0] - x), min(height, self.size[1] - y)


class PictureFile:
    """An open picture file; ``with`` closes it.  ``count``: how many pages it has; only a TIFF has more than one.

    Previews in a TIFF don't count, and of an animation only the first frame does.
    """

    def __init__(self, picture: PictureFileLike, name: str | None = None) -> None:
        """Open a file by its path, or the bytes of one.  name: what errors call it (default: the path).

        Raises DataError, which begins with the name, for a file that is missing, not a regular file, damaged, too large
        or in no known format.
        """
        self.name = name or ("picture" if isinstance(picture, bytes) else str(picture))
        self._file = _open(picture, self.name)
        self._decoded = False
        try:
            with _reading(self.name):
                self._image = _identified(self._file, self.name)
                check_size(self.name, self._image.size)
                # A HEIC file names its main picture, which need not be the first.
                self._frames = _pages_of_tiff(self._image) if self._image.format == "TIFF" else [self._image.tell()]
        except BaseException:
            self._file.close()
            raise

    @property
    def count(self) -> int:
        """The number of pages."""
        return len(self._frames)

    def page(self, number: int = 1, grey: bool = False) -> PicturePage:
        """Decode a page, 1 to ``count``.  grey: as luminance, (H,W), also if it has colours.

        Raises DataError, which begins with the name, and "#2" for the second of several pages.
        """
        name = self.name if self.count == 1 else f"{self.name}#{number}"
        with _reading(name):
            if self._decoded and self.count == 1:  # its pixels are gone
                self._file.seek(0)
                self._image = _identified(self._file, self.name)
            if self._image.tell() != self._frames[number - 1]:
                self._image.seek(self._frames[number - 1])
            self._decoded = True
            page = _page(self._image, name, grey, own=True, last=self.count == 1)
            return page._replace(number=number, count=self.count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._image.close()
        self._file.close()


def pages(picture: PictureFileLike) -> Iterator[PicturePage]:
    """Yield each page of a file, given by its path or its bytes.  Raises DataError: see ``PictureFile``."""
    with PictureFile(picture) as file:
        for number in range(1, file.count + 1):
            yield file.page(number)


def load_picture(picture: PictureFileLike) -> Bytes | Floats:
    """Read a picture file's first page as grey.  -> (H,W) uint8, or float32 0..1 from files with more than 8 bits.

    picture: a path, or the bytes of a file.  Colour becomes luminance; transparency is laid on white, or on black if
    white would hide everything; the camera's rotation mark is applied; of an animation, the first frame counts; sides
    over 2048 are averaged down by whole numbers.
    Raises DataError, with the path, for a file that is missing, damaged, too large or in no known picture format.
    """
    with PictureFile(picture) as file:
        return file.page(grey=True).pixels


def page_of_image(image: Image.Image, name: str, grey: bool = False) -> PicturePage:
    """Return a PIL image's current page, without changing the image.  Raises DataError, which begins with ``name``."""
    with _reading(name):
        check_size(name, image.size)
        return _page(image, name, grey, own=False)


def is_pil_image(thing: object) -> TypeGuard[Image.Image]:
    """Return whether this is a PIL image, without loading PIL: if it isn't loaded, there are no PIL images."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(thing, module.Image)


# ------------------------------------------------------------------------------------------------- opening


def check_file(path: str | os.PathLike[str], name: str) -> None:
    """Raise DataError, which begins with the name, unless path is a readable regular file that isn't empty.

    A pipe could block for ever.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise DataError(f"{name}: {reason}; check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{name}: is a folder; name a picture file in it")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{name}: is not a regular file; name a picture file")
    if status.st_size == 0:
        raise DataError(f"{name}: the file is empty; save the picture again")
    if not os.access(path, os.R_OK):
        raise DataError(f"{name}: no permission to read it; change the file's mode or owner")


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise DataError if a picture declares more than MAX_PIXELS, or a longer side, before its data is decoded."""
    width, height = size
    if max(size) > MAX_SIDE:
        raise DataError(
            f"{name}: sides of {width} x {height} pixels; {MAX_SIDE:,} are the most; cut the picture in parts"
        )
    if width * height > MAX_PIXELS:
        raise DataError(f"{name}: {width} x {height} pixels are more than {MAX_PIXELS:,}; make the picture smaller")


def _open(picture: PictureFileLike, name: str) -> BinaryIO:
    if isinstance(picture, bytes):
        if not picture:
            raise DataError(f"{name}: the file is empty; save the picture again")
        return io.BytesIO(picture)
    check_file(picture, name)
    try:
        return open(picture, "rb")
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error}); check the path") from None


def _identified(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Let Pillow open a file in the format that its first bytes tell; no other is loaded or tried."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    head = file.read(_PPM_HEADER)
    found = format_of(head[:_HEAD])
    if found == "PPM" and len(head) == _PPM_HEADER and len(re.sub(rb"#[^\r\n]*", b"", head).split(None, 3)) < 4:
        raise DataError(f"{name}: its header takes more than {_PPM_HEADER:,} bytes; save it as PNG")
    if found is None:
        raise DataError(f"{name}: not a picture in a known format ({', '.join(FORMATS)}); save it as PNG")
    if found == "HEIC":
        _load_heif(name)
        found = "HEIF"
    else:
        _load_plugin(found, name)
    return Image.open(file, formats=(found,))


def format_of(head: bytes) -> str | None:
    """Return the format that a file's first 64 bytes tell, one of FORMATS, or None."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] != b"ftyp":
        return None
    brands = {head[8:12]} | {head[i : i + 4] for i in range(16, min(len(head), int.from_bytes(head[:4])), 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def _load_plugin(name_of_format: str, name: str) -> None:
    try:
        importlib.import_module(f"PIL.{_PLUGINS.get(name_of_format, 'Avif')}ImagePlugin")
        if name_of_format == "AVIF":
            importlib.import_module("PIL._avif")
    except ImportError:
        raise DataError(f"{name}: this Pillow can't read {name_of_format}; upgrade it: pip install -U pillow") from None


def _load_heif(name: str) -> None:
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise DataError(
            f"{name}: is a HEIC picture, which needs pillow-heif: pip install 'numcnn[heic]', or save it as JPEG"
        ) from None


def _pages_of_tiff(image: ImageFile.ImageFile) -> list[int]:
    """Return the indices of a TIFF's frames that are pages; the first if all call themselves previews."""
    count: int = getattr(image, "n_frames", 1)
    found: list[int] = []
    for i in range(count if count > 1 else 0):
        image.seek(i)
        if not int(getattr(image, "tag_v2", {}).get(KIND_OF_PAGE, 0)) & PREVIEW:
            found.append(i)
    if count > 1:
        image.seek(found[0] if found else 0)
    return found or [0]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn all that PIL raises over a bad picture into a DataError that begins with ``name``."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that MAX_PIXELS refuses anyway
            yield
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{name}: there is too little memory to decode it; make the picture smaller") from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: the picture declares more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except Exception as error:  # damaged bytes can raise anything: OSError, SyntaxError, struct.error ...
        # Pillow's words for a file that it gave up contain its address in memory.
        reason = "its header can't be read" if isinstance(error, Image.UnidentifiedImageError) else str(error).strip()
        raise DataError(f"{name}: damaged or incomplete picture ({reason}); save it again as PNG") from None


# ------------------------------------------------------------------------------------------------- decoding


def _page(image: Image.Image, name: str, grey: bool, own: bool, last: bool = False) -> PicturePage:
    """Decode, convert, average and turn an opened picture.

    own: it may be decoded smaller, and then only once.  last: nothing else is read of it, so what Pillow decoded, up to
    256 MB, is freed at once, and not when the file is closed: whoever reads the page needs memory, too.
    """
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    check_size(name, image.size)  # pages of one TIFF differ
    size = image.size
    factor = max(1, math.ceil(max(size) / WORKING_SIDE))
    done = _decode_smaller(image, factor) if own and factor > 1 else 1
    if own:
        _check_memory(image, name, size)
    image.load()
    small = _turned(_smaller(image, factor // done, grey), orientation := image.getexif().get(ORIENTATION, 1))
    if last and small is not image:
        Image.Image.close(image)  # its pixels; its own ``close`` closes the file, too
    pixels = _on_paper(small, grey) if small.mode == "RGBA" else np.asarray(small)
    width, height = size[::-1] if orientation in range(5, 9) else size
    return PicturePage(pixels, factor, (width, height), 1, 1)


def _decode_smaller(image: Image.Image, factor: int) -> int:
    """Let a JPEG's decoder halve the picture as often as ``factor`` allows.  Return by what it divides, 1 to 8."""
    times = math.gcd(factor, 8)
    if times == 1 or image.format not in ("JPEG", "MPO"):
        return 1
    width, height = image.size
    image.draft(None, (max(1, width // times), max(1, height // times)))
    return max(1, round(width / image.width)) if width >= height else max(1, round(height / image.height))


def _check_memory(image: Image.Image, name: str, size: tuple[int, int]) -> None:
    """Raise DataError if decoding an opened picture larger than ALWAYS_READ would take more than MAX_MEMORY.

    size: of the whole picture.  No decoder in Pillow but JPEG's can make a picture smaller on the way.
    """
    width, height = size
    needed = _memory_to_decode(image, width * height)
    if width * height > ALWAYS_READ and needed > MAX_MEMORY:
        raise DataError(
            f"{name}: decoding {width} x {height} pixels of this kind of {image.format} takes {needed / 1e6:.0f} MB; "
            f"the limit is {ALWAYS_READ / 1e6:g} million pixels; save it as JPEG or PNG, or make it smaller"
        )


def _memory_to_decode(image: Image.Image, pixels: int) -> int:
    """Return about how many bytes an opened picture takes while it is decoded.  pixels: of the whole picture.

    Beside Pillow's picture, which of a JPEG may be smaller: a progressive JPEG's coefficients, 16 bits each, and a
    compressed TIFF's largest strip or row of tiles.
    """
    if image.format in _BYTES_IN_DECODER:
        return pixels * _BYTES_IN_DECODER[image.format]
    own = image.width * image.height * _BYTES_IN_MODE.get(image.mode, 4)
    if image.info.get("progressive"):
        samples = [across * down for _, across, down, _ in getattr(image, "layer", [])]
        return own + 2 * pixels * sum(samples) // max(samples, default=1)
    if image.format == "TIFF" and image.info.get("compression") != "raw":
        tags = getattr(image, "tag_v2", {})
        rows = tags.get(TILE_HEIGHT) or tags.get(ROWS_IN_STRIP) or image.height
        return own + own * min(int(rows), image.height) // image.height
    return own


def _smaller(image: Image.Image, factor: int, grey: bool) -> Image.Image:
    """Convert a decoded picture and average it by ``factor``.  -> mode L, RGB, RGBA, or F, 0..1, of deep greys."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    deep = image.mode.startswith(("I", "F"))
    full = _full_scale(image) if deep else 1.0
    mode = "F" if deep else _mode_for(image, grey)

    def converted(part: Image.Image) -> Image.Image:
        if deep:
            return Image.fromarray(np.asarray(part).astype(np.float32) / np.float32(full))
        if part.mode == "LAB":
            return part.getchannel("L")
        return part if part.mode == mode else part.convert(mode)

    if factor == 1:
        return converted(image)
    if image.mode == mode and mode in ("L", "RGB"):
        return image.reduce(factor)  # needs no copy in full size
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for top, band in _bands(image, factor):
        small.paste(converted(band).reduce(factor), (0, top // factor))
    return small


def _mode_for(image: Image.Image, grey: bool) -> str:
    """Return the mode to convert a picture of at most 8 bits to."""
    if image.has_transparency_data:
        return "RGBA"
    return "L" if grey or image.mode in ("1", "L", "LAB") else "RGB"


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield a picture's parts of so many rows that ``factor`` divides, each with its first row."""
    rows = factor * max(1, BAND // (factor * image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _full_scale(image: Image.Image) -> float:
    """Return the smallest range that greys of more than 8 bits fit: 1, 255 or 65535; whole numbers have 65535.

    Pillow's own conversion to 8 bits clips at 255, which turns a 16-bit scan white.  Raises ValueError beyond 65535.
    """
    extremes = np.array([(part.min(), part.max()) for _, band in _bands(image) for part in [np.asarray(band)]])
    low, high = extremes[:, 0].min(), extremes[:, 1].max()
    if not (low >= 0 and high <= 65535):  # also if one of them is NaN
        raise ValueError(f"greys run from {low} to {high}; wants 0 to 65535 at most")
    return next(full for full in ((1, 255, 65535) if image.mode == "F" else (65535,)) if high <= full)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture as EXIF's ``orientation``, 1 to 8, says; other values mean nothing."""
    from PIL.Image import Transpose  # noqa: PLC0415  (loads slowly)

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _on_paper(image: Image.Image, grey: bool) -> Bytes:
    """Lay a transparent picture, RGBA, on white, or on black if white would hide everything.  -> (H,W) or (H,W,3)."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    mode = "L" if grey else "RGB"
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if np.asarray(on_white.convert("L")).min() <= 255 - MIN_CONTRAST:
        return np.asarray(on_white.convert(mode))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert(mode))


def grey_of_colours(pixels: AnyArray) -> Bytes:
    """Return the luminance of RGB (H,W,3) or RGBA (H,W,4) uint8, as that of a PNG file.  -> (H,W) uint8."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    return page_of_image(Image.fromarray(pixels), "picture", grey=True).pixels.astype(np.uint8, copy=False)
