"""Files of every format and kind, one page or many, come out upright, at the right size and in bounded memory."""

import contextlib
import importlib.util
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from numcnn.errors import DataError
from numcnn.imaging import picture_files
from numcnn.imaging.picture_files import (
    FORMATS,
    PictureFile,
    PicturePage,
    format_of,
    load_picture,
    page_of_image,
    pages,
)
from numcnn.imaging.preprocess import prepare

HEIF = importlib.util.find_spec("pillow_heif") is not None


def scene(width=60, height=40):
    """Return a picture in which no two corners are alike.  -> (height,width,3) uint8."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 128 + x / 4], axis=2).round().astype(np.uint8)


def in_bytes(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def only(picture):
    (page,) = pages(picture)
    return page


def far(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
def test_every_format_is_read_from_its_path_and_its_bytes(kind, tmp_path):
    image = Image.fromarray(scene())
    file = in_bytes(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    (tmp_path / "picture without suffix").write_bytes(file)
    page = only(tmp_path / "picture without suffix")
    assert (page.factor, page.size, page.number, page.count) == (1, (60, 40), 1, 1)
    assert page.pixels.shape == (40, 60, 3) and page.pixels.dtype == np.uint8
    assert far(page.pixels, scene()) < (12 if kind in ("JPEG", "GIF", "AVIF") else 1e-9)
    np.testing.assert_array_equal(only(file).pixels, page.pixels)
    assert format_of(file[:64]) == kind
    grey = np.asarray(Image.fromarray(page.pixels).convert("L"))
    np.testing.assert_array_equal(load_picture(file), grey)


def test_heic_names_the_package_that_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it weren't installed
    for brand in (b"heic", b"mif1"):
        head = struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, b"mif1", b"heic") + bytes(60)
        with pytest.raises(DataError, match=r"photo\.heic: is a HEIC picture, .* pip install 'numcnn\[heic\]'"):
            PictureFile(head, "photo.heic")


@pytest.mark.skipif(not HEIF, reason="pillow-heif is not here")
def test_heic_is_read():
    import pillow_heif

    pillow_heif.register_heif_opener()
    file = in_bytes(Image.fromarray(scene(64, 48)), "HEIF", quality=95)
    assert format_of(file[:64]) == "HEIC"
    assert far(only(file).pixels, scene(64, 48)) < 12


@pytest.mark.skipif(not HEIF, reason="pillow-heif is not here")
def test_of_a_heic_file_the_main_picture_is_read_and_set_upright():
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[274] = 6
    taken = Image.fromarray(scene(64, 48)).transpose(Image.Transpose.ROTATE_90)
    # As bytes: only then is the rotation written as phones write it, as a property of the picture.
    page = only(in_bytes(taken, "HEIF", quality=95, exif=exif.tobytes()))
    assert page.size == (64, 48) and far(page.pixels, scene(64, 48)) < 12
    both = pillow_heif.from_pillow(Image.new("RGB", (64, 48)))
    both.add_from_pillow(Image.fromarray(scene(64, 48)))
    file = io.BytesIO()
    both.save(file, quality=95, primary_index=1)
    page = only(file.getvalue())
    assert (page.number, page.count) == (1, 1) and far(page.pixels, scene(64, 48)) < 12


def test_avif_is_not_taken_for_heic_although_both_may_call_themselves_mif1():
    head = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"miaf", b"avif")
    assert format_of(head) == "AVIF"
    assert format_of(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)) is None  # a film
    assert format_of(b"") is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_camera_position_is_set_upright(kind, orientation):
    upright = Image.fromarray(scene())
    taken = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    for method in taken:
        upright = upright.transpose(method)
    exif = Image.Exif()
    exif[274] = orientation
    page = only(in_bytes(upright, kind, exif=exif))
    assert page.size == (60, 40) and page.pixels.shape == (40, 60, 3)
    assert far(page.pixels, scene()) < 8


def test_each_page_of_a_tiff_is_read_and_previews_are_not(tmp_path):
    first, second = Image.fromarray(scene(60, 40)), Image.fromarray(scene(30, 50)).convert("L")
    preview = Image.fromarray(scene(6, 4))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    path = tmp_path / "scan.tif"
    first.save(path, save_all=True, append_images=[preview, second])
    found = list(pages(path))
    assert [(page.number, page.count, page.size) for page in found] == [(1, 2, (60, 40)), (2, 2, (30, 50))]
    np.testing.assert_array_equal(found[0].pixels, scene(60, 40))
    np.testing.assert_array_equal(found[1].pixels, np.asarray(second))
    with PictureFile(path) as file:  # in any order
        np.testing.assert_array_equal(file.page(2).pixels, found[1].pixels)
        np.testing.assert_array_equal(file.page(1).pixels, found[0].pixels)
    np.testing.assert_array_equal(load_picture(path), np.asarray(first.convert("L")))


def test_a_damaged_page_is_named_and_the_others_are_read(tmp_path):
    grey = [Image.fromarray(np.full((40, 40), value, np.uint8)) for value in (10, 20, 30)]
    options = {"save_all": True, "append_images": grey[1:], "compression": "tiff_adobe_deflate"}
    file = bytearray(in_bytes(grey[0], "TIFF", **options))
    with Image.open(io.BytesIO(file)) as image:
        image.seek(1)
        (start,), (length,) = image.tag_v2[273], image.tag_v2[279]  # of the compressed pixels
    file[start : start + length] = bytes(length)
    with PictureFile(bytes(file), "scan.tif") as opened:
        assert opened.count == 3
        with pytest.raises(DataError, match=r"^scan\.tif#2: damaged or incomplete picture"):
            opened.page(2)
        assert opened.page(3).pixels.mean() == pytest.approx(30, abs=2)
        assert opened.page(1).pixels.mean() == pytest.approx(10, abs=2)


def test_an_animation_is_one_page():
    frames = [Image.fromarray(scene()), Image.new("RGB", (60, 40), "red")]
    for kind in ("GIF", "WEBP", "PNG"):
        page = only(in_bytes(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert page.count == 1 and far(page.pixels, scene()) < 12


def can_be_loaded(content):
    with Image.open(io.BytesIO(content)) as image, contextlib.suppress(OSError):
        return bool(image.load())
    return False


@pytest.mark.parametrize(
    ("mode", "kind", "shape"),
    [
        ("1", "PNG", (40, 60)),
        ("L", "PNG", (40, 60)),
        ("LA", "PNG", (40, 60, 3)),
        ("P", "PNG", (40, 60, 3)),
        ("RGBA", "PNG", (40, 60, 3)),
        ("CMYK", "JPEG", (40, 60, 3)),
        ("CMYK", "TIFF", (40, 60, 3)),
        ("YCbCr", "TIFF", (40, 60, 3)),
        ("LAB", "TIFF", (40, 60)),
        ("I;16", "PNG", (40, 60)),
        ("F", "TIFF", (40, 60)),
    ],
)
def test_every_mode_is_read(mode, kind, shape):
    grey = Image.fromarray(scene()).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    elif mode == "LAB":
        image = Image.merge("LAB", [grey, *[Image.new("L", grey.size, 128)] * 2])
    else:
        image = Image.fromarray(scene()).convert("RGB" if mode == "LA" else mode).convert(mode)
    assert image.mode == mode
    if mode == "YCbCr" and not can_be_loaded(in_bytes(image, kind)):
        pytest.skip("this Pillow, as 11.3 and 12.0, can't read the YCbCr TIFF that it writes")
    page = only(in_bytes(image, kind))
    assert page.pixels.shape == shape
    deep = page.pixels.dtype == np.float32
    values = page.pixels * 255 if deep else page.pixels
    want = np.asarray(grey) if values.ndim == 2 or mode == "LA" else scene()
    if mode == "LA":
        values = values[:, :, 0]
    if mode == "1":  # dithered
        values, want = values.mean(axis=0), want.mean(axis=0)
    assert far(values, want) < {"1": 30, "P": 20, "CMYK": 6}.get(mode, 3)


def big(width, height):
    """Return a picture of this size with large and small features, in grey.  -> PIL image."""
    small = np.random.default_rng(0).integers(0, 256, (height // 100 + 1, width // 100 + 1), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize(("size", "factor"), [((2049, 300), 2), ((401, 4203), 3), ((301, 8190), 4)])
def test_large_pictures_are_averaged_by_a_whole_number_and_boxes_scale_back(kind, size, factor):
    image = big(*size).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6
    for options, turned in (({}, False), ({"exif": exif}, True)):
        page = only(in_bytes(image, kind, **options))
        width, height = size[::-1] if turned else size
        assert (page.factor, page.size) == (factor, (width, height))
        assert page.pixels.shape == (-(-height // factor), -(-width // factor), 3)
        want = np.asarray(image.reduce(factor))
        assert far(np.rot90(page.pixels) if turned else page.pixels, want) < 2
        last = page.pixels.shape[1] - 1, page.pixels.shape[0] - 1, 1, 1
        x, y, w, h = page.box_in_file(last)
        assert (x + w, y + h) == (width, height) and min(w, h) >= 1
        assert page.box_in_file((3, 5, 7, 9)) == (3 * factor, 5 * factor, 7 * factor, 9 * factor)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
def test_averaging_band_by_band_is_averaging_all_at_once(mode):
    """Also where the last band is a part of one, and of the last pixels a part is missing."""
    grey = big(2051, 403)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        whole = Image.fromarray(np.asarray(image).astype(np.float32) / np.float32(65535)).reduce(2)
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
        whole = image.reduce(2)
    elif mode in ("LA", "RGBA"):
        image = grey.convert(mode)
        image.putalpha(255)
        whole = image.convert("RGBA").reduce(2).convert("L")
    else:
        image = grey.convert(mode)
        whole = image.convert("L").reduce(2)
    page = page_of_image(image, "picture", grey=True)
    np.testing.assert_array_equal(page.pixels, np.asarray(whole))
    assert image.size == (2051, 403)  # it is not changed


def peak_megabytes(path, work=0):
    """Return by how much reading a file raises the peak memory of a process that has read another, in MB.

    work: bytes that are needed for the page while the file is open.
    """
    code = """if True:
        import re, resource, sys
        from pathlib import Path
        from numcnn.imaging.picture_files import pages
        def peak():
            if sys.platform == "darwin":
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
            # On Linux, getrusage begins with the peak of the process that started this one.
            return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / (1 << 10)
        for path in sys.argv[2:]:
            before = peak()
            for page in pages(path):
                assert max(page.pixels.shape) <= 2048
                used = path == sys.argv[-1] and b"1" * int(sys.argv[1])
        print(peak() - before)
    """
    small = path.with_name(f"small{path.suffix}")
    Image.new("RGB", (10, 10)).save(small)
    arguments = [str(work), small, path]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="has no getrusage")
@pytest.mark.parametrize(
    ("name", "mode", "most"),
    [("a.jpg", "RGB", 30), ("a.png", "P", 60), ("a.png", "RGB", 110), ("turned.png", "RGB", 110), ("a.tif", "L", 50)],
)
def test_a_large_picture_is_in_memory_once(name, mode, most, tmp_path):
    image = Image.new("L", (6200, 3200), 200)  # 20 MB in grey, 80 MB in RGB as Pillow keeps it
    image.paste(0, (100, 100, 900, 300))
    exif = Image.Exif()
    exif[274] = 6 if name.startswith("turned") else 1
    image.convert(mode).save(tmp_path / name, exif=exif.tobytes(), **({"compress_level": 1} if "png" in name else {}))
    assert peak_megabytes(tmp_path / name) < most


@pytest.mark.skipif(sys.platform == "win32", reason="has no getrusage")
def test_what_was_decoded_is_freed_before_the_page_is_read(tmp_path):
    image = Image.new("RGBA", (5000, 4000), "white")  # 80 MB
    image.paste("black", (100, 100, 900, 300))
    image.save(tmp_path / "a.png", compress_level=1)
    assert peak_megabytes(tmp_path / "a.png", work=80_000_000) < 130


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_page_that_is_asked_for_again_is_the_same(kind, tmp_path):
    big(6300, 500).save(tmp_path / "a", kind)
    with PictureFile(tmp_path / "a") as file:
        first, second = file.page(), file.page()
    assert first.factor == second.factor == 4 and first.size == second.size == (6300, 500)
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_the_only_page_of_a_tiff_is_not_the_preview_before_it_also_when_it_is_asked_for_again(tmp_path):
    preview, page = Image.fromarray(scene(6, 4)), Image.fromarray(scene(60, 40))
    page.encoderinfo = {"tiffinfo": {254: 0}}
    preview.save(tmp_path / "a.tif", save_all=True, append_images=[page], tiffinfo={254: 1})
    with PictureFile(tmp_path / "a.tif") as file:
        assert file.count == 1 and [file.page().size for _ in range(2)] == [(60, 40)] * 2


LARGEST = [  # what takes the most memory: the name, the mode, its size, options of Pillow's save
    ("alpha.png", "RGBA", (8000, 8000), {"compress_level": 1}),
    ("wide.png", "RGBA", (100_000, 640), {"compress_level": 1}),
    ("strips.tif", "CMYK", (8000, 8000), {"compression": "tiff_lzw"}),
    ("whole.tif", "RGB", (6300, 6300), {"compression": "tiff_lzw", "tiffinfo": {278: 6300}}),
    ("progressive.jpg", "RGB", (7100, 7100), {"progressive": True, "subsampling": 0}),
    ("a.webp", "RGB", (5000, 4000), {"method": 0}),
    ("a.avif", "RGB", (5200, 5100), {"speed": 10, "subsampling": "4:4:4"}),
]


@pytest.mark.skipif(sys.platform == "win32", reason="has no getrusage")
@pytest.mark.parametrize(("name", "mode", "size", "options"), LARGEST, ids=[case[0] for case in LARGEST])
def test_the_largest_pictures_of_every_kind_take_less_than_400_megabytes(name, mode, size, options, tmp_path):
    image = Image.new(mode, size, "white")
    image.paste("black", (100, 100, 900, 300))
    image.save(tmp_path / name, **options)
    assert peak_megabytes(tmp_path / name) < 330  # Python, NumPy and Pillow take 60


@pytest.mark.parametrize(("name", "mode", "size", "options"), LARGEST[3:], ids=[case[0] for case in LARGEST[3:]])
def test_what_takes_more_memory_is_read_up_to_50_million_pixels(name, mode, size, options, tmp_path, monkeypatch):
    """Here with a hundredth of the limits, so that pictures a hundredth as large show it."""
    monkeypatch.setattr(picture_files, "MAX_MEMORY", picture_files.MAX_MEMORY // 100)
    monkeypatch.setattr(picture_files, "ALWAYS_READ", picture_files.ALWAYS_READ // 100)
    for small, refused in (((707, 707), False), ((716, 710), True)):
        more = {"tiffinfo": {278: small[1]}} if name == "whole.tif" else {}
        path = tmp_path / f"{small[0]}-{name}"
        Image.new(mode, small, "white").save(path, **(options | more))
        if not refused:
            assert only(path).size == small
            continue
        with pytest.raises(
            DataError, match=r"pixels of this kind of \w+ takes \d+ MB; the limit is 0\.5 million pixels"
        ):
            only(path)


@pytest.mark.parametrize("size", [(1, 100_001), (100_001, 1)])
def test_a_picture_that_is_very_thin_is_refused(size):
    """A row takes 8 bytes more in Pillow, and PNG's decoder keeps two: 1 x 64,000,000 took 773 MB, the other 651."""
    file = in_bytes(Image.new("L", size), "PNG")
    with pytest.raises(DataError, match=r"^picture: sides of \d+ x \d+ pixels; 100,000 are the most; cut the picture"):
        only(file)
    assert max(only(in_bytes(Image.new("L", (100_000, 1)), "PNG")).size) == 100_000


def test_a_huge_page_is_refused_before_decoding():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 8001, 8000, 8, 0, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(DataError, match=r"^big\.png: 8001 x 8000 pixels are more than 64,000,000"):
        PictureFile(file, "big.png")


@pytest.mark.parametrize("before", [b"P6\n#%s\n", b"P6\n2#%s\n"])
def test_a_ppm_whose_sizes_come_after_a_very_long_comment_is_refused(before):
    """Pillow reads comments byte by byte: one of 30 MB took 15 s."""
    rest = (b" 2" if b"2" in before else b"2 2") + b"\n255\n" + bytes(range(12))
    long = before.replace(b"%s", (1 << 16) * b"x") + rest
    with pytest.raises(DataError, match=r"^picture: its header takes more than 65,536 bytes; save it as PNG"):
        load_picture(long)
    assert load_picture(before.replace(b"%s", (1 << 15) * b"x") + rest).shape == (2, 2)


def test_bytes_that_are_no_picture_are_named():
    for file, text in (
        (b"", r"^picture: the file is empty"),
        (b"no picture", rf"^picture: not a picture in a known format \({', '.join(FORMATS)}\); save it as PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a picture in a known format"),
        (b"\x89PNG\r\n\x1a\nand then nothing", "^picture: damaged or incomplete picture"),
    ):
        for read in (load_picture, prepare, lambda file: list(pages(file))):
            with pytest.raises(DataError, match=text):
                read(file)


def test_prepare_takes_the_bytes_of_a_file():
    ink = np.zeros((50, 40), np.uint8)
    ink[10:40, 18:23] = 255
    np.testing.assert_array_equal(prepare(in_bytes(Image.fromarray(255 - ink), "PNG")), prepare(ink))


def test_reading_a_format_loads_no_other():
    file = in_bytes(Image.fromarray(scene()), "PNG")
    code = (
        "import sys; from numcnn.imaging.picture_files import load_picture\n"
        "load_picture(sys.stdin.buffer.read())\n"
        "print(sorted(name for name in sys.modules if name.endswith('ImagePlugin')))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=file, capture_output=True, check=True)
    assert b"Png" in done.stdout  # and the few that Pillow itself loads
    assert not any(name in done.stdout for name in (b"Eps", b"Tiff", b"WebP", b"Avif", b"Heif"))


def test_a_file_is_closed_also_after_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nand then nothing")
    with pytest.raises(DataError):  # a file left open is a ResourceWarning, and that an error here
        PictureFile(tmp_path / "a.png")


def test_box_in_file_stays_inside():
    page = PicturePage(np.zeros((2, 2), np.uint8), 3, (5, 4), 1, 1)
    assert page.box_in_file((0, 0, 2, 2)) == (0, 0, 5, 4)
    assert picture_files.WORKING_SIDE == 2048
