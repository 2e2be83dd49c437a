"""The Python API refuses what makes no sense with a NumcnnError in clear words, before anything changes."""

import numpy as np
import pytest

import numcnn
from numcnn import Dense, Flatten, Network, NumcnnError

X, Y = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8), np.arange(20) % 10
RAGGED = [[1], [2, 3]]


def fit(network, images=X, labels=Y, **others):
    network.fit(images, labels, **{"epochs": 1, **others})


# What is done with a network -> what the error says.
WITH_A_NETWORK = {
    "fit: no images": (lambda n: fit(n, None), r"pictures are \(\); wants \(28, 28\), \(N, 28, 28\)"),
    "fit: a name": (lambda n: fit(n, "a.png"), r"pictures are \(\); wants"),
    "fit: a dict": (lambda n: fit(n, {}), r"pictures are \(\); wants"),
    "fit: ragged lists": (lambda n: fit(n, RAGGED), "pictures can't be made an array of"),
    "fit: pictures of two sizes": (lambda n: fit(n, [X[0], X[1, :5]]), "pictures can't be made an array of"),
    "fit: no labels": (lambda n: fit(n, X, None), "there are 20 images and 1 labels; wants as many of both"),
    "fit: one label": (lambda n: fit(n, X, 3), "there are 20 images and 1 labels; wants as many of both"),
    "fit: one picture, no label": (lambda n: fit(n, X[:1], None), r"labels are shape \(1,\), object; wants"),
    "fit: ragged labels": (lambda n: fit(n, X[:2], RAGGED), "fit: labels can't be made an array of"),
    "fit: labels in words": (lambda n: fit(n, X, ["four"] * 20), r"labels are shape \(20,\), <U4; wants"),
    "fit: nothing": (lambda n: fit(n, X[:0], Y[:0]), "there are 0 images and 0 labels"),
    "fit: half a validation set": (lambda n: fit(n, validation=(X,)), r"is a tuple; wants a pair \(images, labels\)"),
    "fit: validation without labels": (lambda n: fit(n, validation=(X, None)), "there are 20 images and 1 labels"),
    "fit: ragged validation": (lambda n: fit(n, validation=(X[:2], RAGGED)), "labels can't be made an array of"),
    "fit: an unknown setting": (lambda n: fit(n, batchsize=3), "fit has no setting batchsize; it has epochs"),
    "fit: epochs in words": (lambda n: fit(n, epochs="x"), "`epochs` is 'x'; wants int"),
    "fit: no monitor": (lambda n: fit(n, monitor=3), "monitor is 3; wants an object of a class .* from Monitor"),
    "fit: a monitor's class": (lambda n: fit(n, monitor=Dense), "monitor is <class .*; wants an object"),
    "calibrate: above the classes": (lambda n: n.calibrate(X, Y + 5), r"calibrate: labels are .* from 5 to 14; wants"),
    "calibrate: below them": (lambda n: n.calibrate(X, Y - 1), r"calibrate: labels are .* from -1 to 8; wants"),
    "calibrate: no labels": (lambda n: n.calibrate(X, None), r"calibrate: labels are shape \(\), object"),
    "calibrate: too few": (lambda n: n.calibrate(X, Y[:3]), r"calibrate: labels are shape \(3,\)"),
    "calibrate: nothing": (lambda n: n.calibrate(X[:0], Y[:0]), "temperature: .* of one image or more"),
    "evaluate: no images": (lambda n: n.evaluate(None, None), r"pictures are \(\)"),
    "evaluate: no labels": (lambda n: n.evaluate(X, None), r"evaluate: labels are shape \(\), object"),
    "evaluate: ragged labels": (lambda n: n.evaluate(X[:2], RAGGED), "evaluate: labels can't be made an array of"),
    "predict: None": (lambda n: n.predict(None), r"pictures are \(\)"),
    "predict: ragged lists": (lambda n: n.predict(RAGGED), "pictures can't be made an array of"),
    "read: a share in words": (lambda n: n.read(X, at_most="few"), "`at_most` is 'few'; wants a share"),
    "input_gradient: too few": (lambda n: n.input_gradient(X[0], [1, 2]), r"dlogits is \(2,\), int64; wants"),
    "input_gradient: words": (lambda n: n.input_gradient(X[0], ["x"] * 10), r"is \(10,\), <U1; wants numbers, \(10"),
    "gradcheck: a number": (lambda n: numcnn.gradcheck(n, 3), r"gradcheck got .*3.*; wants an input \(N, \*shape\)"),
    "trace: several": (lambda n: numcnn.trace(n, X), "trace got 20 pictures; wants one"),
    "trace: an unknown class": (lambda n: numcnn.trace(n, X[0], 77), "`label` is 77; wants a class"),
    "copy: an unknown dtype": (lambda n: n.copy(dtype="x"), "dtype is 'x'; wants float32 or float64"),
}  # fmt: skip

WITHOUT = {
    "no layers": (lambda: Network(None), "a network is made of a list of layers, not of None"),
    "a number of layers": (lambda: Network(3), "a network is made of a list of layers, not of 3"),
    "None among layers": (lambda: Network([None]), "layer 0 is None; wants a Layer"),
    **{
        f"input_shape {shape!r}": (
            lambda shape=shape: Network([Flatten(), Dense(10)], shape),
            "input_shape is .*; wants whole numbers, 1 or more",
        )
        for shape in ("abc", -1, 0, 2.5, None, (28, -1, 1), ("a", 1, 1))
    },
    "a limit in words": (lambda: Network([Flatten()], most_parameters="x"), "most_parameters is 'x'; wants a whole"),
    "normalisation": (lambda: Network([Flatten()], normalisation=3), r"normalisation is 3; wants a pair"),
    "a back-end that is none": (lambda: Network([Flatten()], backend=None), "backend None lacks computing"),
    "load: a number": (lambda: numcnn.load(3), "the weights file is 3; wants a path"),
    "load: far too long": (lambda: numcnn.load("x" * 5000), "cannot find x+: File name too long"),
    "load: a null character": (lambda: numcnn.load("a\0b"), "there is no weights file a"),
    "prepare: ragged lists": (lambda: numcnn.preprocess.prepare(RAGGED), "picture can't be made an array of"),
    "read: None": (lambda: numcnn.read(None), r"picture: got shape \(\); wants \(H, W\)"),
    "read: ragged lists": (lambda: numcnn.read(RAGGED), "picture can't be made an array of"),
    "a data set's number": (lambda: numcnn.data.load(3), "3 is no path; name a file or a folder"),
    "an initialiser's number": (lambda: numcnn.register_initializer(3), r"got 3; wants a function \(rng, shape\)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return Network([Flatten(), Dense(10)], backend="reference")


@pytest.mark.once
@pytest.mark.parametrize("name", WITH_A_NETWORK)
def test_what_makes_no_sense_is_refused_and_changes_nothing(network, name):
    call, text = WITH_A_NETWORK[name]
    before = network.sha256()
    network.temperature = 2.0
    with pytest.raises(NumcnnError, match=text):
        call(network)
    assert network.temperature == 2 and network.sha256() == before


@pytest.mark.once
@pytest.mark.parametrize("name", WITHOUT)
def test_what_makes_nothing_is_refused(name):
    call, text = WITHOUT[name]
    with pytest.raises(NumcnnError, match=text):
        call()


@pytest.mark.once
def test_one_picture_and_one_label_are_a_training_set_in_any_form(network):
    for images, labels in ((X[0], Y[:1]), (X[0], 0), (X[:1], [0])):
        network.fit(images, labels, epochs=1)
