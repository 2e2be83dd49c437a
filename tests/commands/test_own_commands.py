"""The commands that deal with what the pad keeps of its user, run as a user runs them."""

import pytest
from conftest import BACKEND

import numcnn
from numcnn.cli import main
from numcnn.pad import store

KERNELS = ["--backend", BACKEND]


@pytest.fixture
def own_set(home):
    """The own set with a digit in it."""
    own = store.OwnSet()
    own.add(1, [[(0, 0), (0, 50)]])
    return own


def test_own_digits_are_read_with_the_weights_that_the_pad_uses(own_set, capsys):
    command = ["evaluate", "--own", *KERNELS]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("everyone.npz on your own digits\n")
    network = numcnn.load("everyone")
    network.info["personal"] = {"digits": 12, "labels": []}
    network.save(store.personal_weights())
    for named in ([], ["--weights", "personal"]):
        assert main([*command, *named]) == 0
        text = capsys.readouterr().out
        assert text.startswith("personal.npz on your own digits\n") and ", then on your own digits (12);" in text
    assert main([*command, "--weights", "canonical"]) == 0
    assert capsys.readouterr().out.startswith("canonical.npz on your own digits\n")


def test_personal_weights_that_do_not_exist_are_reported(home, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["predict", "--weights", "personal", "x.png"])
    assert caught.value.code == 2
    assert f"there are no personal weights in {home}; learn some first: numcnn learn" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["learn", "draw"])
def test_the_help_names_the_folder_where_the_pad_keeps_things(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "~/.local/share/numcnn" in text and "NUMCNN_HOME" in text


def test_a_file_of_another_form_is_reported_with_an_example_line(tmp_path, capsys):
    path = tmp_path / "strokes.json"
    path.write_text("[[[0, 0], [50, 80]]]")
    assert main(["evaluate", "--own", str(path), *KERNELS]) == 2
    text = capsys.readouterr().err
    line = '{"label": 4, "strokes": [[[0, 0], [50, 80]]]}'
    assert f"no line of {path} is a digit of your own, as in {line}; see numcnn learn --help" in text
    assert "cut off" not in text


@pytest.mark.parametrize("command", [["learn"], ["evaluate", "--own"]])
def test_a_file_in_the_folders_place_is_reported(command, home, capsys):
    home.write_text("mine")
    assert main([*command, *KERNELS]) == 2
    assert f"{home} is a file; digits of your own are kept in a folder" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_where_drawings_cannot_be_saved_the_pad_does_not_open(what, tmp_path, monkeypatch, capsys):
    from numcnn.pad import app

    monkeypatch.setattr(app, "run", lambda *arguments, **options: pytest.fail("it opened"))
    place = tmp_path / "place"
    if what == "file":
        place.write_text("mine")
    assert main(["draw", "--save-dir", str(place)]) == 2
    assert f"cannot write to --save-dir {place}: " in capsys.readouterr().err
