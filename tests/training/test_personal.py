"""Learning one person's hand: what was misread is read, what was known stays, and a killed process leaves nothing."""

import json
import signal

import numpy as np
import pytest
from conftest import COMPILED, draw_digits
from processes import held, running

import numcnn
from numcnn.data.pendigits import PenDigits
from numcnn.errors import DataError
from numcnn.pad.store import OwnDigit
from numcnn.training import personal
from numcnn.training.optim import Adam

pytestmark = pytest.mark.skipif(not COMPILED, reason="learning takes minutes without compiled kernels")


def crosses(n, seed):
    """Return n drawings of a cross: two strokes that no digit has."""
    rng = np.random.default_rng(seed)
    return [
        [np.array(line) + rng.normal(0, 4, (2, 2)) for line in (((0, 0), (60, 90)), ((60, 5), (0, 88)))]
        for _ in range(n)
    ]


@pytest.fixture
def people():
    """Somebody who writes 4 as a cross."""
    return PenDigits(crosses(10, 0), np.full(10, 4), np.zeros(10, np.uint8))


@pytest.fixture
def own_file(tmp_path):
    lines = [json.dumps({"label": 4, "strokes": [s.tolist() for s in strokes]}) for strokes in crosses(8, 2)]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def finished(*arguments):
    """Run a command of numcnn; return the finished process, and what it wrote on stdout and stderr."""
    with running("-m", "numcnn", *arguments) as process:
        return process, *process.communicate()


def test_it_reads_its_user_afterwards_and_forgets_little(people):
    network = numcnn.load("canonical")
    before = network.params.copy()
    *replay, source = personal.replay_for(network, 600)
    images, labels = draw_digits(600, 11)
    fresh = personal.handwriting.render_plain(PenDigits(crosses(40, 1), np.full(40, 4), np.zeros(40, np.uint8)))
    assert personal.accuracy(network, *fresh) < 0.5
    recipe = personal.Recipe(replay=600, own_images=300)
    learner = personal.fine_tune(network, people, replay, recipe=recipe)
    assert personal.accuracy(learner, *fresh) > 0.9
    assert personal.accuracy(learner, images, labels) > personal.accuracy(network, images, labels) - 0.03
    np.testing.assert_array_equal(network.params, before)
    assert learner.temperature == network.temperature and "generated digits" in source
    again = personal.fine_tune(network, people, replay, recipe=recipe)
    np.testing.assert_array_equal(learner.params, again.params)


@pytest.mark.parametrize(("batch_size", "steps"), [(64, 10), (128, 5)])
def test_a_recipe_sets_how_many_pictures_make_a_step(people, batch_size, steps):
    fractions = []
    recipe = personal.Recipe(own_images=40, epochs=1, batch_size=batch_size)
    replay = draw_digits(600, 11)
    personal.fine_tune(numcnn.load("canonical"), people, replay, recipe=recipe, progress=fractions.append)
    assert fractions == pytest.approx(np.linspace(1 / steps, 1, steps))


def test_it_tells_how_much_is_done():
    network, shares = numcnn.load("canonical"), []
    digits = [OwnDigit(4, strokes, "") for strokes in crosses(personal.LEAST_TO_HOLD_OUT, 0)]
    recipe = personal.Recipe(replay=200, own_images=200, epochs=2)
    personal.learn(network, digits, recipe=recipe, progress=shares.append)
    assert shares == sorted(shares) and shares[0] == personal.PREPARED and shares[-1] == pytest.approx(1)
    assert max(np.diff(shares)) < 0.15  # each step of both lessons is reported


def test_nothing_to_learn_from_is_named():
    with pytest.raises(DataError, match="there are no digits to learn from"):
        personal.as_people([])


def test_drawn_digits_and_those_of_pictures_are_learned_together():
    images, labels = draw_digits(600, 12)
    drawn = [OwnDigit(4, strokes, "") for strokes in crosses(12, 0)]
    found = [OwnDigit(int(label), [], "", image) for image, label in zip(images[:12], labels, strict=False)]
    both = [digit for pair in zip(drawn, found, strict=True) for digit in pair]
    people = personal.as_people(both)
    assert len(people) == 24 and people.labels.tolist() == [4] * 12 + labels[:12].tolist()
    np.testing.assert_array_equal(personal.pictures_of(people)[0][12:], images[:12])
    for rows, kind in ((np.arange(3), PenDigits), (np.arange(12, 15), personal.Crops)):
        assert isinstance(people.at(rows), kind) and len(people.at(rows)) == 3
    mixed = people.at(np.array([13, 0]))
    assert mixed.labels.tolist() == [4, labels[1]]
    recipe = personal.Recipe(replay=200, own_images=200, epochs=1)
    learner, report = personal.learn(numcnn.load("canonical"), both, recipe=recipe)
    assert report["digits"] == 24 and report["held_out"]["n"] == 6 and report["own"]["n"] == 24
    assert report["own"]["after"] > report["own"]["before"] and learner.info["personal"]["digits"] == 24
    only = personal.as_people(found)
    assert isinstance(only, personal.Crops) and isinstance(personal.as_people(drawn), PenDigits)


@pytest.mark.parametrize("known", ["generated", "real"])
def test_the_command_learns_and_tells_what_came_of_it(known, own_file, tmp_path, request):
    if known == "real":
        request.getfixturevalue("real_mnist")
    out = tmp_path / "mine.npz"
    process, text, errors = finished("learn", "--weights", "canonical", "--own", own_file, "--out", out, "--json")
    assert process.returncode == 0, errors
    report = json.loads(text)
    assert report["digits"] == 8 and report["labels"][4] == 8 and report["held_out"] is None
    assert report["own"]["after"] > report["own"]["before"] and report["known"]["after"] > 0.9
    assert ("MNIST" in report["known"]["source"]) == (known == "real")
    assert numcnn.load(out).info["personal"]["digits"] == 8


def test_the_text_names_what_it_knew(own_file, tmp_path):
    command = "learn", "--weights", "canonical", "--own", own_file, "--out", tmp_path / "mine.npz"
    process, text, errors = finished(*command)
    assert process.returncode == 0, errors
    _, knew, source, _ = text.splitlines()
    assert knew.startswith("what it knew") and source.strip() == "generated digits"  # there is no MNIST here


def test_a_killed_process_leaves_nothing(own_file, tmp_path):
    command = "learn", "--weights", "canonical", "--own", own_file, "--out", tmp_path / "mine.npz"
    with held(Adam, "step", 5, *command) as process:  # in the middle of the lesson
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".npz"] == []
    assert len(own_file.read_text().splitlines()) == 8


def test_an_empty_set_is_no_traceback():
    process, _, errors = finished("evaluate", "--own", "--weights", "canonical")
    assert process.returncode == 2 and "Traceback" not in errors and errors.startswith("numcnn evaluate: ")
