"""An animation of a network that learns in the pad, from a real run, without a window."""

import numpy as np
import pytest
from conftest import BACKEND, write_digits
from PIL import Image

from numcnn.cli import main
from numcnn.errors import ConfigError, NumcnnError
from numcnn.pad import recording
from numcnn.pad.drawing.layout import layout
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.recording import MOST_BYTES, record

pytestmark = pytest.mark.once

SIZE = (640, 480)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = write_digits(tmp_path_factory.mktemp("digits") / "own")
    return {"dataset": str(folder), "backend": BACKEND, "epochs": 2, "batch_size": 8, "limit": 150}


@pytest.mark.parametrize("name", ["a.gif", "b.PNG"])
def test_an_animation_shows_the_run_from_noise_to_its_end(tmp_path, settings, name):
    path, told = tmp_path / name, []
    count = record(path, SIZE, [], theme="dark", settings=settings, report=told.append)
    assert told and 12 <= count <= 13  # steps 0 to 10, 20 and the last, 36
    assert path.stat().st_size <= MOST_BYTES
    places = layout(SIZE, True, training=True)
    with Image.open(path) as image:
        assert (image.format, image.size) == (name[-3:].upper(), SIZE)
        shots, times = [], []
        for i in range(image.n_frames):
            image.seek(i)
            shots.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
    assert sum(times) == 900 + (count - 2) * 90 + 3500
    curves, button = places.training, places.buttons["help"]
    for rect, changes in ((curves, True), (places.answer, True), (button, False)):
        part = [shot[rect.top : rect.bottom, rect.left : rect.right] for shot in (shots[0], shots[-1])]
        assert (part[0] != part[1]).any() == changes
    paper = np.array([int(THEMES["dark"].background[i : i + 2], 16) for i in (1, 3, 5)])
    np.testing.assert_allclose(shots[0][0, 0], paper, atol=2)


def test_what_doesn_t_work_is_said(tmp_path, settings, monkeypatch, capsys):
    with pytest.raises(NumcnnError, match=r"finite|come down|collapsed"):
        record(tmp_path / "a.gif", SIZE, [], settings={**settings, "optimizer": "sgd", "lr": 1e9, "epochs": 9})
    monkeypatch.setattr(recording, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="smaller --size"):
        record(tmp_path / "a.gif", SIZE, [], settings=settings)
    assert not (tmp_path / "a.gif").exists()
    assert main(["draw", "--record", str(tmp_path / "a.jpg")]) == 2
    assert main(["draw", "--record", str(tmp_path / "a.gif"), "--inside"]) == 2
    err = capsys.readouterr().err
    assert "wants a .gif or .png file" in err and "leave out --inside" in err
