"""Non-digits: prepared like digits, and the held-out part shares no character, font or glyph."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import BACKEND

from numcnn.data import nondigits
from numcnn.errors import ConfigError, DataError
from numcnn.imaging import painting

ALL_KINDS = [*nondigits.KINDS, *nondigits.HELD_OUT_KINDS]


@pytest.mark.parametrize("held_out", [False, True])
def test_they_are_mixed_and_depend_on_the_seed(held_out):
    images = nondigits.generate(60, 3, held_out=held_out, backend=BACKEND)
    assert images.shape == (60, 28, 28) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, nondigits.generate(60, 3, held_out=held_out, backend=BACKEND))
    assert (images != nondigits.generate(60, 4, held_out=held_out, backend=BACKEND)).any()
    assert len({image.tobytes() for image in images}) == 60
    assert nondigits.generate(0, 3, held_out=held_out, backend=BACKEND).shape == (0, 28, 28)
    # These kinds draw picture by picture, so that how many there are changes nothing.
    kinds = nondigits.HELD_OUT_KINDS if held_out else nondigits.KINDS
    every = {"printed letters", "printed signs", "other printed letters", "clothes", "animals"}
    for kind in every:
        drawn = {image.tobytes() for image in nondigits.generate_kind(kind, 30, 3, backend=BACKEND)}
        present = sum(image.tobytes() in drawn for image in images)
        assert 1 <= present < 30 if kind in kinds else present == 0


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_is_prepared_as_digits_are(kind):
    images = nondigits.generate_kind(kind, 12, 1, backend=BACKEND)
    assert images.shape == (12, 28, 28) and (images.max(axis=(1, 2)) == 255).all()
    for image in images:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert 17 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        middle = np.array([image.sum(axis=1) @ np.arange(28), image.sum(axis=0) @ np.arange(28)]) / image.sum()
        assert np.abs(middle - 14).max() < 1.5
    assert len({image.tobytes() for image in images}) > 8


def test_nothing_held_out_is_trained_on():
    assert not set(nondigits.KINDS) & set(nondigits.HELD_OUT_KINDS)
    trained, held_out = (
        {character.lower() for character in letters + signs}
        for letters, signs in (
            (nondigits.LETTERS, nondigits.SIGNS),
            (nondigits.HELD_OUT_LETTERS, nondigits.HELD_OUT_SIGNS),
        )
    )
    assert not trained & held_out
    assert not {*nondigits.FONTS, *nondigits.SIGN_FONTS} & {
        *nondigits.HELD_OUT_FONTS,
        *nondigits.HELD_OUT_SIGN_FONTS,
    }
    written, others = (
        {glyph.name.split("_")[0].lower() for glyph in letters + signs}
        for letters, signs in (
            (nondigits.WRITTEN_LETTERS, nondigits.WRITTEN_SIGNS),
            (nondigits.HELD_OUT_WRITTEN_LETTERS, nondigits.HELD_OUT_WRITTEN_SIGNS),
        )
    )
    assert not (written | trained) & (others | held_out)


def test_no_look_alike_of_a_digit_is_drawn():
    avoided = set("".join(nondigits.LOOKALIKES.values())) | set("0123456789")
    printed = nondigits.LETTERS + nondigits.SIGNS + nondigits.HELD_OUT_LETTERS + nondigits.HELD_OUT_SIGNS
    assert not avoided & set(printed) and len(set(printed)) == len(printed)
    written = nondigits.WRITTEN_LETTERS + nondigits.HELD_OUT_WRITTEN_LETTERS
    assert not avoided & {glyph.name.split("_")[0] for glyph in written}
    assert sorted(nondigits.LOOKALIKES) == list(range(10))


@pytest.mark.parametrize(
    ("fonts", "characters"),
    [
        (nondigits.FONTS, nondigits.LETTERS),
        (nondigits.SIGN_FONTS, nondigits.SIGNS),
        (nondigits.HELD_OUT_FONTS, nondigits.HELD_OUT_LETTERS),
        (nondigits.HELD_OUT_SIGN_FONTS, nondigits.HELD_OUT_SIGNS),
    ],
)
def test_every_font_has_every_character(fonts, characters):
    for font in fonts:
        missing = np.asarray(painting.character_mask(font, "\uffff", 0)).tobytes()  # the box for missing characters
        for character in characters:
            mask = np.asarray(painting.character_mask(font, character, 0))
            assert mask.any() and mask.tobytes() != missing, (font, character)
            assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()), (font, character)


def test_a_font_or_a_kind_that_is_not_there():
    with pytest.raises(DataError, match=r"NoSuchFont\.ttf: the font can't be read .* install matplotlib again"):
        painting.character_mask("NoSuchFont", "A", 0)
    with pytest.raises(ConfigError, match=r"there is no kind 'ghosts' of non-digits; choose one of printed letters, "):
        nondigits.generate_kind("ghosts", 1, 0)


def test_matplotlib_gives_its_fonts_but_is_not_loaded():
    code = (
        "import sys; from numcnn.data import nondigits\n"
        "nondigits.generate_kind('printed letters', 2, 0)\n"
        "print({'matplotlib', 'PIL'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "{'PIL'}\n"


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with pytest.raises(DataError, match="fonts of matplotlib, which is not installed: pip install matplotlib"):
        painting.font_folder()
