"""Digits in files of every kind come out as their pixels would, and bad files as one clear error."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from papers import difference, draw, ink_box, saved
from PIL import Image

from numcnn.errors import DataError
from numcnn.imaging.preprocess import load_picture, prepare, prepare_file


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.tif", "a.webp", "a.pgm"])
def test_lossless_formats_read_alike(tmp_path, name):
    grey = 255 - draw()
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, Image.fromarray(grey), name, **options)
    np.testing.assert_array_equal(load_picture(path), grey)
    np.testing.assert_array_equal(prepare_file(path), prepare(grey))
    np.testing.assert_array_equal(prepare_file(str(path)), prepare(grey))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_reads_as_the_same_digit(tmp_path, mode):
    grey = 255 - draw()
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray((grey / 255).astype(np.float32))
    else:
        image = Image.fromarray(grey).convert(mode)
    assert image.mode == mode
    path = saved(tmp_path, image, "a.tif" if mode in ("CMYK", "F") else "a.png")
    # Converting to 1 bit dithers the smooth edges.
    assert difference(prepare_file(path), prepare(grey)) < (8 if mode == "1" else 0.2)


def test_16_bit_greys_keep_their_levels(tmp_path):
    deep = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    for path in (saved(tmp_path, Image.fromarray(deep), "a.png"), saved(tmp_path, Image.fromarray(deep), "a.tif")):
        np.testing.assert_allclose(load_picture(path), deep / 65535, rtol=1e-6)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 64 64 65535\n" + deep.astype(">u2").tobytes())
    np.testing.assert_allclose(load_picture(path), deep / 65535, rtol=1e-6)


def test_greys_out_of_any_range_are_refused(tmp_path):
    for worst in (np.nan, -1.0, 1e9):
        values = draw(40).astype(np.float32)
        values[0, 0] = worst
        path = saved(tmp_path, Image.fromarray(values), "a.tif")
        with pytest.raises(DataError, match=r"a\.tif: .*wants 0 to 65535 at most"):
            load_picture(path)


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_transparent_paper_is_found(tmp_path, ink):
    colour = np.full((120, 120, 3), ink, np.uint8)
    image = Image.fromarray(np.dstack([colour, draw()]))
    np.testing.assert_array_equal(prepare_file(saved(tmp_path, image, "a.png")), prepare(draw()))


def test_a_transparent_palette_colour_is_paper(tmp_path):
    bilevel = draw() > 127
    image = Image.fromarray(bilevel.astype(np.uint8))
    image.putpalette([0, 0, 0, 0, 0, 0])  # both black: they differ in transparency only
    path = saved(tmp_path, image, "a.gif", transparency=0)
    np.testing.assert_array_equal(prepare_file(path), prepare(bilevel))


def test_the_cameras_rotation_mark_is_obeyed(tmp_path):
    upright = Image.fromarray(255 - draw())
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn 90 degrees clockwise to see it upright
    path = saved(tmp_path, upright.transpose(Image.Transpose.ROTATE_90), "a.jpg", exif=exif, quality=95)
    assert difference(prepare_file(path), prepare(draw())) < 3
    assert difference(np.rot90(prepare_file(path)), prepare(draw())) > 20


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.fromarray(255 - draw()), Image.new("L", (120, 120), 255)]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(prepare_file(path), prepare(draw()))


def test_a_tiny_picture_is_enlarged(tmp_path):
    tiny = np.full((5, 4), 255, np.uint8)
    tiny[1:4, 1] = 0
    tiny[3, 2] = 0
    out = prepare_file(saved(tmp_path, Image.fromarray(tiny), "a.png"))
    top, bottom, left, right = ink_box(out)
    assert (bottom - top + 1, right - left + 1) == (20, 14)  # 3 x 2 pixels of 6 2/3


def test_large_pictures_are_averaged_down(tmp_path):
    big = Image.fromarray(255 - draw(250)).resize((4500, 4500), Image.Resampling.NEAREST)
    path = saved(tmp_path, big, "a.png", compress_level=1)
    assert load_picture(path).shape == (1500, 1500)
    assert difference(prepare_file(path), prepare(draw(250))) < 1
    deep = Image.fromarray(np.asarray(big)[:3000, ::2].astype(np.uint16) * 257)
    picture = load_picture(saved(tmp_path, deep, "b.png", compress_level=1))
    assert picture.shape == (1500, 1125)
    assert picture.max() == 1


def png(width, height, pixels=b""):
    """Return the bytes of a grey PNG that declares a size, whatever pixels it has."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 9500, 12000, 60000, 2**31 - 1])
def test_a_huge_declared_size_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"bomb\.png: .*more than 64,000,000.*make .* smaller"):
            load_picture(path)


def test_files_that_are_no_pictures_are_refused(tmp_path):
    text, empty, eps = tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "a.png"
    text.write_text("not a picture\n" * 20)
    empty.write_bytes(b"")
    eps.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    for path, message in (
        (text, r"text\.png: not a picture in a known format \(PNG, JPEG.*save it as PNG"),
        (eps, r"a\.png: not a picture in a known format"),
        (empty, r"empty\.png: the file is empty"),
        (tmp_path, r": is a folder; name a picture file"),
        (tmp_path / "none.png", r"none\.png: no such file; check the path"),
        (tmp_path / "text.png" / "x.png", r"x\.png: .*check the path"),
        ("nul\0byte.png", r"null (byte|character).*check the path"),
    ):
        for read in (load_picture, prepare_file):
            with pytest.raises(DataError, match=message):
                read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: is not a regular file"):
        load_picture(tmp_path / "pipe.png")


def test_damaged_files_give_one_error_with_the_path(tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(255 - draw(40)).convert("RGB")
    refused = 0
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        file = io.BytesIO()
        image.save(file, kind)
        whole = file.getvalue()
        for _ in range(30):
            damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for place in rng.integers(0, len(damaged), 3):
                damaged[place] = rng.integers(256)
            path = tmp_path / f"damaged.{kind.lower()}"
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    prepare_file(path)
                except DataError as error:
                    refused += 1
                    assert str(error).startswith(str(path))
    assert refused > 100


def test_a_truncated_picture_is_damaged(tmp_path):
    path = saved(tmp_path, Image.fromarray(draw()), "a.png")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"a\.png: damaged or incomplete picture \(.*truncated"):
        load_picture(path)


def test_a_blank_file_is_named_once(tmp_path):
    path = saved(tmp_path, Image.new("L", (50, 50), 255), "blank.png")
    with pytest.raises(DataError, match=r"blank\.png: the picture is all one shade; a digit needs") as caught:
        prepare_file(path)
    assert str(caught.value).count("blank.png") == 1
