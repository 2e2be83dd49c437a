"""Every entry of every array is the sum of the terms that ``explain`` returns, and the arrays are the network's own."""

import json
import math
import re

import numpy as np
import pytest
from conftest import draw_digits
from own_layers import MyAveragePool2D, MyBatchNorm, MyTanh

import numcnn
from numcnn import (
    AveragePool2D,
    BatchNorm,
    ConfigError,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from numcnn.kernels import reference
from numcnn.nn import terms
from numcnn.nn.terms import entry, number, term

pytestmark = pytest.mark.once

NORMALISATION = (0.13, 0.31)


def picture(seed=3):
    images, _ = draw_digits(12, seed)
    return images[seed]


def small():
    """A network of our own layers with even geometry."""
    layers = [Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(6), ReLU(), Dense(10)]
    return Network(layers, normalisation=NORMALISATION, backend="reference", seed=5)


def every_kind():
    """Each of numcnn's layers, with windows that overlap, strides, padding and rows that fill no window."""
    layers = [
        Conv2D(3, (5, 4), stride=(2, 1), padding="same"),
        BatchNorm(),
        LeakyReLU(0.2),
        MaxPool2D(3, stride=2),
        Conv2D(4, 3, padding=2),
        Tanh(),
        AveragePool2D((2, 3), stride=(1, 2)),
        Dropout(0.4),
        MaxPool2D(2),
        Conv2D(6, 1),
        Sigmoid(),
        GlobalAveragePool2D(),
        Dense(7),
        BatchNorm(),
        ReLU(),
        Dense(10),
    ]
    network = Network(layers, normalisation=NORMALISATION, backend="reference", seed=2)
    network.state[...] = np.random.default_rng(4).uniform(0.5, 1.5, network.state.size)
    network.params[...] += np.random.default_rng(5).normal(0, 0.05, network.params.size)
    return network


def own():
    layers = [Conv2D(2, 5, stride=2), MyBatchNorm(), MyTanh(), MyAveragePool2D(2), Flatten(), Dense(10)]
    return Network(layers, backend="reference", seed=1)


def shipped(name):
    return lambda: numcnn.load(name, backend="reference")


NETWORKS = {
    "small": small,
    "every kind": every_kind,
    "own": own,
    "canonical": shipped("canonical"),
    "everyone": shipped("everyone"),
}


def computed(found):
    """Yield (stop, array) for each array that is computed from others."""
    for stop in found.stops:
        for array in stop.arrays:
            if not found._maker(stop, array)[0].given(found._maker(stop, array)[1]):
                yield stop, array


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_entry_is_the_sum_of_its_terms(name, training):
    found = numcnn.trace(NETWORKS[name](), picture(), 8, training=training)
    rng = np.random.default_rng(0)
    seen = 0
    for stop, array in computed(found):
        values = stop[array]
        places = [np.unravel_index(np.abs(values).argmax(), values.shape)]
        places += [tuple(rng.integers(values.shape)) for _ in range(7)]
        for index in {tuple(map(int, place)) for place in places}:
            explained = found.explain(stop.name, array, index)
            maker = found[explained.layer]
            assert explained.value == values[index]
            cancelled = 1e-12 * np.abs(explained.products).sum()  # a bias before a BatchNorm: its gradient is 0
            bound = cancelled if abs(explained.value) < cancelled else 1e-6 * abs(explained.value)
            assert abs(explained.sum - explained.value) <= bound, explained
            for one in explained.terms:
                assert one.product == math.prod(factor.value for factor in one.factors)
                for factor in one.factors:
                    if factor.at is not None:
                        assert factor.value == maker[factor.name][factor.at], (explained.entry, factor)
            seen += 1
    assert seen > 100


def test_the_arrays_are_those_of_a_training_step():
    network = every_kind()
    found = numcnn.trace(network, picture(), 8, training=True)
    twin = network.copy(dtype=np.float64)
    x = (picture()[None, :, :, None] / 255 - NORMALISATION[0]) / NORMALISATION[1]
    criterion = SoftmaxCrossEntropy(reference)
    loss = criterion.forward(twin.forward(x, training=True), np.array([8]))
    dx = twin.backward(criterion.backward(), need_dx=True)
    assert found.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found["conv1"]["dx"], dx[0], rtol=1e-9, atol=1e-15)
    for name, gradient in twin.named_arrays(twin.grads).items():
        layer, _, parameter = name.partition(".")
        np.testing.assert_allclose(found[layer]["d" + parameter], gradient, rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(found[layer][parameter], twin.named_arrays(twin.params)[name])


def test_without_training_it_is_what_the_network_answers_and_its_input_gradient():
    network = every_kind()
    found = numcnn.trace(network, picture())
    logits = network.logits(picture())[0]
    np.testing.assert_allclose(found["dense2"]["out"], logits, rtol=1e-4, atol=1e-5)
    assert found.label == found.answer == logits.argmax()
    expected = network.copy(dtype=np.float64).input_gradient(picture(), found["loss"]["dx"])
    np.testing.assert_allclose(found["picture"]["dx"], expected, rtol=1e-9, atol=1e-15)
    assert found.probabilities.sum() == pytest.approx(1)


def test_neither_network_nor_trace_changes():
    network = every_kind()
    before = [network.params.copy(), network.grads.copy(), network.state.copy(), network.rng.bit_generator.state]
    found = numcnn.trace(network, picture(), 2, training=True)
    own_trace = numcnn.trace(own(), picture(), 2)
    kept = {stop.name: {name: a.copy() for name, a in stop.arrays.items()} for stop in own_trace.stops}
    own_trace.explain("mytanh1", "dx", (0, 0, 0))  # runs the layer's backward again, 288 times
    for stop in own_trace.stops:
        for name, values in stop.arrays.items():
            np.testing.assert_array_equal(values, kept[stop.name][name])
    for array, now in zip(before[:3], (network.params, network.grads, network.state), strict=True):
        np.testing.assert_array_equal(array, now)
    assert before[3] == network.rng.bit_generator.state
    with pytest.raises(ValueError, match="read-only"):
        found["conv1"]["dw"][0, 0, 0, 0] = 1


def test_a_max_pool_says_who_won():
    found = numcnn.trace(small(), picture(), 1)
    x, dx, dout = (found["pool1"][name] for name in ("x", "dx", "dout"))
    assert (dx == 0).mean() >= 0.75
    at = tuple(int(i) for i in np.unravel_index(x[:26, :26].argmax(), x.shape))
    won = found.explain("pool1", "dx", at)
    assert "is the largest of its window: it gets the gradient" in won.note
    assert [factor.value for factor in won.terms[0].factors] == [dout[at[0] // 2, at[1] // 2, at[2]], 1]
    lost = found.explain("pool1", "dx", (at[0] ^ 1, at[1], at[2]))
    assert lost.value == lost.sum == 0 and "lost: x[" in lost.note and f"[{at[0]},{at[1]},{at[2]}]" in lost.note
    odd = Network([MaxPool2D(3), Flatten(), Dense(10)], backend="reference")
    outside = numcnn.trace(odd, picture(), 1).explain("pool1", "dx", (27, 3, 0))
    assert outside.terms == [] and outside.sum == 0 and "in no window" in outside.note


def test_a_max_pool_s_lesson_counts_its_windows():
    found = numcnn.trace(small(), picture(), 1)
    assert "169 windows choose among the 676 pixels of a map: at least 75% of dx are 0" in found["pool1"].lessons[1]
    overlapping = numcnn.trace(every_kind(), picture(), 1)["pool1"]
    (share,) = re.findall(r"at least (\d+)% of dx", overlapping.lessons[1])
    assert (overlapping["dx"] == 0).mean() >= (int(share) - 0.5) / 100


def test_x_and_dout_are_explained_where_they_are_made():
    found = numcnn.trace(small(), picture(), 1)
    assert found.explain("relu1", "x", (3, 4, 1)).entry == "conv1.out[3,4,1]"
    assert found.explain("relu1", "dout", (3, 4, 1)).entry == "pool1.dx[3,4,1]"
    assert found.explain("loss", "x", 3).entry == "dense2.out[3]"
    assert found.explain("dense2", "dout", 3).entry == "loss.dx[3]"


def test_an_explanation_prints_its_sum():
    explained = numcnn.trace(small(), picture(), 1).explain("conv1", "out", (10, 11, 2))
    text = str(explained)
    assert text.startswith(f"conv1.out[10,11,2] = {explained.value:.6g}\n  out[oy,ox,f] = b[f] + sum over")
    assert len(explained.terms) == 10 and explained.formula in text and "x[10,11,0] * w[0,0,0,2]" in text
    assert f"sum of 10 terms = {explained.sum:.9g}; stored: {explained.value:.9g}" in text
    assert "<table>" in explained._repr_html_() and "x[10,11,0] * w[0,0,0,2]" in explained._repr_html_()
    zeros = numcnn.trace(small(), np.zeros((28, 28), np.uint8), 1).explain("picture", "out", (0, 0, 0))
    assert "1 of 2 terms is 0" in str(zeros) or "1 of 2 terms are 0" in str(zeros)


def test_a_trace_prints_a_table_and_shows_itself_in_a_notebook():
    found = numcnn.trace(small(), picture(), 1)
    lines = str(found).splitlines()
    assert lines[0] == found.title and "label 1; the network reads" in repr(found)
    row = next(line for line in lines if line.startswith("pool1") and " dx " in line)
    zeros = (found["pool1"]["dx"] == 0).mean()
    assert row.split() == [
        "pool1",
        "dx",
        *("26", "x", "26", "x", "4"),
        f"{norm(found['pool1']['dx']):.4g}",
        f"{zeros:.1%}",
    ]
    shown = found._repr_html_()
    assert 'src="data:image/png;base64,' in shown and "<td>pool1</td><td>dx</td><td>26 x 26 x 4</td>" in shown
    document = found.to_json()
    assert document["label"] == 1 and len(document["arrays"]) == len(found.rows())


def norm(array):
    return float(np.sqrt((array**2).sum()))


def test_of_a_network_that_has_diverged_it_shows_where(tmp_path):
    network = small()
    network.named_arrays(network.params)["dense1.w"][3, 2] = np.inf
    network.named_arrays(network.params)["dense1.w"][4, 2] = -np.inf
    found = numcnn.trace(network, picture(), 1)
    rows = {(row.layer, row.array): row for row in found.rows()}
    assert math.isfinite(rows["pool1", "out"].norm) and math.isnan(rows["dense1", "out"].norm)
    assert math.isnan(found.explain("dense1", "out", 2).sum)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["loss"] is None
    found.plot("dense1").savefig(tmp_path / "dense1.png")
    found.plot().savefig(tmp_path / "all.png")


def test_stops_and_explanations_have_a_short_name():
    found = numcnn.trace(small(), picture(), 1)
    assert repr(found["relu2"]) == "<relu2, ReLU(): x 6, out 6, dout 6, dx 6>"
    assert re.fullmatch(
        r"<Explanation of conv1.dw\[1,2,0,3\] = \S+: 676 terms>", repr(found.explain("conv1", "dw", (1, 2, 0, 3)))
    )


def test_a_sheet_s_titles_are_the_arrays_figures():
    found = numcnn.trace(small(), picture(), 1)
    dx = found["pool1"]["dx"]
    titles = [axes.get_title(loc="left") for axes in found.plot("pool1").axes]
    assert f"pool1.dx   norm {norm(dx):.3g}   largest {np.abs(dx).max():.3g}   {(dx == 0).mean():.0%} zeros" in titles
    strongest = np.abs(dx).sum(axis=(0, 1)).argmax()
    assert any(title.startswith(f"pool1.dx, map {strongest} ") for title in titles)
    shown = next(axes for axes in found.plot("pool1").axes if axes.get_title(loc="left").startswith("pool1.dx, map "))
    np.testing.assert_array_equal(shown.images[0].get_array() == 0, dx[:, :, strongest] == 0)
    overview = [axes.get_title(loc="left") for axes in found.plot().axes]
    for stop in found.stops:
        assert any(title.startswith(f"{stop.name}.") for title in overview)


@pytest.mark.parametrize(
    "layer, array, index, message",
    [
        ("conv9", "dw", (0, 0, 0, 0), "no layer 'conv9'; it has picture, conv1, relu1"),
        ("conv1", "dv", (0,), "conv1 has no array 'dv'; it has x, w, b, out"),
        ("conv1", "dw", (1, 2, 3), r"conv1.dw has the shape \(3, 3, 1, 4\); index .* wants 4 whole numbers"),
        ("conv1", "dw", (1, 2, 1, 0), r"outside: wants up to \(2, 2, 0, 3\)"),
        ("conv1", "dw", (-1, 2, 0, 0), "outside"),
        ("conv1", "dw", (1.0, 2, 0, 0), "whole numbers"),
        ("conv1", "w", (1, 2, 0, 0), "no sum: it is stored in the network; explain its gradient, 'dw'"),
        ("picture", "x", (1, 2, 0), "a pixel of the picture; explain its gradient, 'dx'"),
        ("loss", "target", (1,), "1 at the label"),
        ("loss", "out", (1,), r"wants \(\)"),
    ],
)
def test_errors_say_what_is_there(layer, array, index, message):
    with pytest.raises(ConfigError, match=message):
        numcnn.trace(small(), picture(), 1).explain(layer, array, index)


def test_a_label_is_a_class_and_the_picture_is_one():
    for label in (10, -1, 1.5, "3"):
        with pytest.raises(ConfigError, match="wants a class of the network: a whole number from 0 to 9"):
            numcnn.trace(small(), picture(), label)
    with pytest.raises(ConfigError, match="2 pictures"):
        numcnn.trace(small(), np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(ShapeError):
        numcnn.trace(small(), np.zeros((7, 7), np.uint8))
    with pytest.raises(ShapeError):
        numcnn.trace(Network([Dense(3)], (4,)), np.zeros((1, 4)))


# A user's own layers


class Twice(Layer):
    """out = 2 x, which says so itself."""

    factor = 2.0

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        return 2 * x

    def _backward(self, dout, need_dx):
        return 2 * dout

    def explain(self, array, index, arrays):
        yield term(entry(arrays, "x" if array == "out" else "dout", *index), number("factor", self.factor))


def with_layer(layer):
    return Network([Conv2D(2, 5, stride=2), layer, Flatten(), Dense(10)], backend="reference", seed=1)


def test_a_layer_may_explain_itself():
    found = numcnn.trace(with_layer(Twice()), picture(), 1)
    explained = found.explain("twice1", "dx", (3, 4, 1))
    assert str(explained.terms[0]) == "dout[3,4,1] * factor" and explained.formula == "dx, by Twice.explain"
    assert explained.terms[0].product == explained.value


def test_a_wrong_explain_is_named(monkeypatch):
    monkeypatch.setattr(Twice, "factor", 3.0)
    found = numcnn.trace(with_layer(Twice()), picture(), 1)
    with pytest.raises(ConfigError, match=r"twice1.out\[3,4,1\]: the terms add up to .* mend its explain"):
        found.explain("twice1", "out", (3, 4, 1))


def test_a_backward_that_is_not_linear_is_named():
    class Squares(Twice):
        explain = None  # no longer says anything

        def _backward(self, dout, need_dx):
            return 2 * dout**2

    network = with_layer(Squares())
    with pytest.raises(ConfigError, match="is its backward right"):
        numcnn.trace(network, picture(), 1).explain("squares1", "dx", (3, 4, 1))


def test_the_slopes_of_an_own_layer_are_its_jacobian():
    found = numcnn.trace(own(), picture(), 1)
    out = found["mytanh1"]["out"]
    explained = found.explain("mytanh1", "dx", (3, 4, 1))
    (only,) = explained.terms
    assert only.factors[1].value == pytest.approx(1 - out[3, 4, 1] ** 2)
    names = [str(one) for one in found.explain("mytanh1", "out", (3, 4, 1)).terms]
    assert names == ["x[3,4,1] * slope", "rest"]
    pooled = found.explain("myaveragepool2d1", "out", (1, 2, 0)).terms
    assert [one.factors[1].value for one in pooled] == [0.25] * 4  # and no rest: it is linear
    gamma = found.explain("mybatchnorm1", "dgamma", (1,))
    assert len(gamma.terms) == np.count_nonzero(found["mybatchnorm1"]["x"][:, :, 1])  # of the others the slope is 0


def test_a_layer_that_is_too_large_to_take_apart_asks_for_explain(monkeypatch):
    monkeypatch.setattr(terms, "MOST_OUTPUTS", 100)
    found = numcnn.trace(own(), picture(), 1)
    with pytest.raises(ConfigError, match=r"mytanh1 is too large .* give MyTanh a method explain\(array, index"):
        found.explain("mytanh1", "dx", (3, 4, 1))
    monkeypatch.undo()
    monkeypatch.setattr(terms, "MOST_SLOPES", 100)
    with pytest.raises(ConfigError, match="too large"):
        numcnn.trace(own(), picture(), 1).explain("mytanh1", "dx", (3, 4, 1))


@pytest.mark.parametrize("error, right", [(3e-6, False), (1e-7, True)])
def test_terms_that_miss_the_value_are_refused(error, right, monkeypatch):
    """The check that all these tests lean on."""

    def almost(layer, array, index, arrays):
        return terms.Made("", [term(number("almost", (1 + error) * arrays[array][index]))])

    monkeypatch.setitem(terms.BY_LAYER, Dense, almost)
    found = numcnn.trace(small(), picture(), 1)
    if right:
        assert found.explain("dense1", "out", (2,)).value
    else:
        with pytest.raises(ConfigError, match=r"dense1\.out\[2\]: the terms add up to .* Try gradcheck"):
            found.explain("dense1", "out", (2,))


def test_every_layer_of_the_package_has_terms_and_a_lesson():
    package = {cls for cls in numcnn.nn.layer.LAYERS.values() if cls.__module__.startswith("numcnn.")}
    assert package == set(terms.BY_LAYER) == set(terms.LESSONS)
    for forward, back in [*terms.LESSONS.values(), terms.OWN_LESSON, terms.PICTURE_LESSON, terms.LOSS_LESSON]:
        assert re.fullmatch(r"\S.*\.", forward) and re.fullmatch(r"\S.*\.", back)
