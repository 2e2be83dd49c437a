"""Network: flat buffers, summary, what predict takes, save and load."""

import re
import threading
import tracemalloc

import numpy as np
import pytest
from conftest import BACKEND, COMPILED
from PIL import Image

import numcnn
from numcnn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, ReLU, preprocess
from numcnn.errors import ConfigError, DataError, NumcnnError, ShapeError
from numcnn.kernels import BACKENDS, reference, thread_team
from numcnn.kernels.fast import ops
from numcnn.nn.models import MODELS, make_layers
from numcnn.nn.network import AUTO_FAST_IMAGES


def small(seed=0, **settings):
    layers = [Conv2D(4, 3), ReLU(), MaxPool2D(4), Dropout(0.2), Flatten(), Dense(10)]
    return Network(layers, seed=seed, **{"backend": "reference", **settings})


def pictures(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28)).astype(np.uint8)


def test_the_canonical_network_is_the_one_every_tutorial_trains():
    network = Network(make_layers("canonical"))
    assert network.params.size == 225_034
    assert [(n, s.start, s.stop) for n, s in network.slices.items()][:3] == [
        ("conv1.w", 0, 288),
        ("conv1.b", 288, 320),
        ("conv2.w", 320, 18_752),
    ]
    summary = network.summary()
    for text in ("26 x 26 x 32", "5 x 5 x 64", "225,034", "5,262,080", "204,928"):
        assert text in summary, text
    assert max(map(len, summary.splitlines())) <= 80


def test_the_best_network_has_the_same_shape_with_larger_kernels_and_runs_fused():
    network = Network(make_layers("best"))
    kinds = [type(layer) for layer in make_layers("canonical")]
    assert [type(layer) for layer in network.layers] == kinds
    assert network.params.size == 630_474
    for text in ("24 x 24 x 32", "4 x 4 x 128", "2048", "one kernel: forward direct, backward lists"):
        assert text in network.summary(), text


@pytest.mark.parametrize("name", MODELS)
def test_dropout_stands_before_the_last_layer_if_anywhere(name):
    layers = make_layers(name, classes=7, dropout=0.25)
    assert type(layers[-2]) is Dropout and layers[-2].rate == 0.25 and layers[-1].units == 7
    assert not any(type(layer) is Dropout for layer in make_layers(name))


def test_an_unknown_model_is_refused():
    with pytest.raises(ConfigError, match=f"model 'resnet' is unknown; choose one of {', '.join(MODELS)}"):
        make_layers("resnet")


def test_layers_hold_views_into_the_flat_arrays():
    network = small()
    network.params[...] = 0
    assert not network.layers[0].params["w"].any() and not network.layers[-1].params["b"].any()
    network.layers[0].grads["w"][...] = 1
    assert network.grads.sum() == 3 * 3 * 4
    named = network.named_arrays(network.params)
    assert list(named) == ["conv1.w", "conv1.b", "dense1.w", "dense1.b"]
    assert np.shares_memory(named["dense1.w"], network.params)
    assert network.decay[network.slices["conv1.w"]].all() and not network.decay[network.slices["conv1.b"]].any()


def test_first_weights_depend_on_the_seed_and_have_he_s_variance():
    np.testing.assert_array_equal(small(seed=3).params, small(seed=3).params)
    assert (small(seed=3).params != small(seed=4).params).any()
    wide = Network([Dense(400)], (900,))
    assert wide.layers[0].params["w"].std() == pytest.approx((2 / 900) ** 0.5, rel=0.01)
    assert not wide.layers[0].params["b"].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_predict_takes_every_form_of_the_same_pictures(backend):
    network = small(backend=backend, normalisation=(0.13, 0.31))
    images = pictures(5)
    want = network.predict_proba(images)
    assert want.shape == (5, 10) and want.dtype == np.float32
    np.testing.assert_allclose(want.sum(axis=1), 1, rtol=1e-6)
    scaled = images / 255
    for same in (images[..., None], scaled, scaled[..., None], scaled.astype(np.float32), scaled[..., None][:, ::1]):
        np.testing.assert_allclose(network.predict_proba(same), want, atol=1e-5)
    np.testing.assert_allclose(network.predict_proba(images[2]), want[2:3], atol=1e-5)
    np.testing.assert_allclose(network.predict_proba(images[2][..., None]), want[2:3], atol=1e-5)
    np.testing.assert_array_equal(network.predict(images), want.argmax(axis=1))
    assert network.predict(images[0]).shape == (1,)
    assert network.predict(images[:0]).shape == (0,)
    reversed_view = network.predict_proba(images[::-1])
    np.testing.assert_allclose(reversed_view, want[::-1], atol=1e-5)


def test_predict_takes_bool_and_wider_integers():
    network, images = small(), pictures(3)
    for kind in (np.int64, np.uint16, ">i4"):
        np.testing.assert_array_equal(network.predict_proba(images.astype(kind)), network.predict_proba(images))
    ink = images > 127
    np.testing.assert_array_equal(network.predict_proba(ink), network.predict_proba(255 * ink.astype(np.uint8)))
    np.testing.assert_array_equal(network.predict_proba(ink[0]), network.predict_proba(ink[:1]))


@pytest.fixture
def colour():
    """Return a digit in blue on yellow paper, (90, 80, 3) uint8."""
    ink = np.zeros((90, 80, 1))
    ink[20:70, 35:45] = ink[20:30, 20:45] = 1
    return np.rint(ink * (20, 30, 160) + (1 - ink) * (250, 240, 180)).astype(np.uint8)


def test_predict_prepares_a_file_a_pil_image_and_a_colour_array_alike(colour, tmp_path):
    path, network = tmp_path / "digit.png", small(normalisation=(0.13, 0.31))
    Image.fromarray(colour).save(path)
    want = network.predict_proba(preprocess.prepare_file(path))
    opaque = np.concatenate([colour, np.full((90, 80, 1), 255, np.uint8)], axis=2)
    forms = (path, str(path), Image.open(path), colour, colour.astype(np.int64), colour / 255, opaque)
    for same in forms:
        np.testing.assert_array_equal(network.predict_proba(same), want)
        assert network.predict(same).tolist() == [want.argmax()]
    small_rgb = colour[20:48, 20:48]  # 28 x 28 pixels, but a picture, because it has three colours
    np.testing.assert_array_equal(network.logits(small_rgb), network.logits(preprocess.prepare(small_rgb)))


def test_predict_prepares_each_file_and_pil_image_of_a_list(colour, tmp_path):
    path, network = tmp_path / "digit.png", small()
    Image.fromarray(colour).save(path)
    dark_on_light = Image.fromarray(255 - preprocess.prepare(colour))  # 28 x 28 pixels: NumPy could stack them
    for several in ([dark_on_light, dark_on_light], (path, dark_on_light), [str(path), path]):
        want = np.concatenate([network.logits(one) for one in several])
        np.testing.assert_allclose(network.logits(several), want, rtol=1e-5)
    with pytest.raises(DataError, match=r"nothing\.png: no such file"):
        network.predict([path, tmp_path / "nothing.png"])


@pytest.mark.parametrize(
    "shape", [(90, 80), (90, 80, 1), (2, 28, 28, 3), (2, 90, 80), (28,), (3, 28, 30), (28, 28, 2), ()]
)
def test_what_might_be_one_thing_or_another_is_refused_with_advice(shape):
    text = re.escape(f"pictures are {shape}; wants (28, 28), (N, 28, 28) or (N, 28, 28, 1); of any other picture ")
    with pytest.raises(ShapeError, match=text + r"numcnn\.preprocess\.prepare\(picture\) makes \(28, 28\)"):
        small().predict(np.zeros(shape, np.uint8))


def test_a_network_of_another_shape_takes_no_files_but_its_own_colours(colour, tmp_path):
    network = Network([Flatten(), Dense(10)], (90, 80, 3), backend="reference")
    assert network.predict(colour).shape == (1,) and network.predict(colour[None]).shape == (1,)
    text = r"becomes \(28, 28, 1\), but this network reads \(90, 80, 3\); give it an array of that shape"
    for picture in (tmp_path / "digit.png", Image.fromarray(colour), colour[:50]):
        with pytest.raises(ShapeError, match=text):
            network.predict(picture)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.png: no such file; check the path"):
        small().predict(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.png: not a picture in a known format"):
        small().predict(str(tmp_path / "text.png"))


def test_any_memory_layout_is_read_alike_and_in_bounded_memory():
    network = small()
    images = pictures(400)
    want = network.predict_proba(images)
    every_other = np.repeat(images, 2, axis=0)[::2]
    sideways = np.ascontiguousarray(images.transpose(1, 2, 0)).transpose(2, 0, 1)
    for same in (every_other, sideways):
        assert not same.flags.c_contiguous
        np.testing.assert_array_equal(network.predict_proba(same), want)
    many = np.broadcast_to(images[:1] / 255, (20_000, 28, 28))  # 125 MB if it were copied
    tracemalloc.start()
    network.predict(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Network(["conv"]), "layer 0 is 'conv'; wants a Layer"),
        (lambda: Network([Dense(3)] * 2, (4,)), r"layer 1, Dense\(.*\), is in the network twice"),
        (lambda: Network([Dense(3)], (4,), dtype="foo"), "dtype is 'foo'; wants float32 or float64"),
        (lambda: Network([Dense(3)], (4,), seed=-1), "seed is -1; wants a whole number, 0 or more"),
        (
            lambda: Network([Dense(3)], (4,), normalisation=(0, 0)),
            r"normalisation is \(0.0, 0.0\); wants a mean",
        ),
        (lambda: Network([Flatten()], 28), "input_shape is 28; wants whole numbers, 1 or more, such as"),
        (lambda: Network([Flatten()], normalisation=None), r"normalisation is None; wants a pair \(mean, std\)"),
        (lambda: small().activations(pictures(3)), "got 3 pictures; wants one"),
        (lambda: small().input_gradient(pictures(0), np.ones(10)), "got 0 pictures; wants one"),
        (lambda: Network([Flatten()], (0, 28, 1)), "input_shape is 0; wants whole numbers"),
        (lambda: Network([Flatten()], (28, 28, 1.5)), r"input_shape is 1\.5; wants whole numbers"),
        (lambda: Network([Dense(3)], (4,)).predict(pictures(1)), r"this network goes from \(4,\) to \(3,\)"),
        (lambda: Network([ReLU()]).predict(pictures(1)), "reading pictures wants one from"),
        (lambda: Dense(3).forward(np.zeros((1, 2))), "Dense is not built yet; put it into a Network"),
        (lambda: small().evaluate(pictures(0), np.zeros(0, int)), "there are no images to evaluate on"),
    ],
)
def test_what_makes_no_network_is_named(make, text):
    with pytest.raises(NumcnnError, match=text):
        make()


def test_layers_of_another_network_are_refused_and_stay_its_own():
    network = small()
    want = network.logits(pictures(2))
    with pytest.raises(ConfigError, match=r"layer 1, MaxPool2D\(.*\), is in another network already; make new layers"):
        Network([ReLU(), network.layers[2], Flatten(), Dense(3)], seed=9)
    np.testing.assert_array_equal(network.logits(pictures(2)), want)
    assert network.layers[2].name == "pool1"
    Network([type(layer)(**layer.config()) for layer in network.layers])


@pytest.mark.parametrize(
    "settings",
    [
        {"input_shape": (2, 2, 1)},
        {"most_parameters": 10},
        {"backend": "gpu"},
        {"normalisation": (0, 0)},
        {"dtype": "foo"},
    ],
)
def test_layers_of_a_network_that_could_not_be_built_go_into_the_next(settings):
    layers = small().copy().architecture()
    layers = [getattr(numcnn, layer.pop("type"))(**layer) for layer in layers]
    with pytest.raises(NumcnnError):
        Network(layers, **settings)
    network = Network(layers, backend="reference", seed=0)
    np.testing.assert_array_equal(network.logits(pictures(2)), small().logits(pictures(2)))


BAD_LABELS = {
    "one-hot": (lambda labels: np.eye(10, dtype=int)[labels], r"shape \(40, 10\), int64 from 0 to 1"),
    "a column": (lambda labels: labels[:, None], r"shape \(40, 1\), int64 from 0 to 9"),
    "floats": (lambda labels: labels / 1, r"shape \(40,\), float64 from 0.0 to 9.0"),
    "bools": (lambda labels: labels > 4, r"shape \(40,\), bool"),
    "texts": (lambda labels: labels.astype(str), r"shape \(40,\), <U\d+"),
    "the last is out of range": (lambda labels: np.append(labels[:-1], 10), r"shape \(40,\), int64 from 0 to 10"),
    "the last is negative": (lambda labels: np.append(labels[:-1], -1), r"shape \(40,\), int64 from -1 to 9"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_labels_that_are_no_classes_are_refused_before_anything_changes(name):
    network, images, labels = small(), pictures(40), np.arange(40) % 10
    network.temperature = 2.0
    before = network.params.copy()
    spoil, text = BAD_LABELS[name]
    bad = spoil(labels)
    for where, call in (
        ("fit", lambda: network.fit(images, bad, epochs=1, batch_size=8)),
        ("fit", lambda: network.fit(images, labels, validation=(images, bad), epochs=1, batch_size=8)),
        ("evaluate", lambda: network.evaluate(images, bad)),
        ("calibrate", lambda: network.calibrate(images, bad)),
    ):
        with pytest.raises(ShapeError, match=rf"{where}: labels are {text}; wants shape \(40,\), integers from 0 to 9"):
            call()
    np.testing.assert_array_equal(network.params, before)
    assert network.temperature == 2


def test_outliers_have_a_label_only_where_they_are_trained_on():
    images, labels = pictures(40), np.arange(40) % 11
    network = small()
    with pytest.raises(ShapeError, match=r"fit: labels are .* from 0 to 10; wants .* from 0 to 9"):
        network.fit(images, labels, epochs=1)
    network.fit(images, labels, epochs=1, outliers=True)
    with pytest.raises(ShapeError, match=r"fit: labels are .* from 0 to 11; wants .* from 0 to 10"):
        network.fit(images, np.arange(40) % 12, epochs=1, outliers=True)
    with pytest.raises(ShapeError, match=r"fit: labels are .* from 0 to 10; wants .* from 0 to 9"):
        network.fit(images, labels, validation=(images, labels), epochs=1, outliers=True)


def test_a_gradient_for_another_number_of_images_is_refused():
    for backend in BACKENDS:
        network = small(backend=backend)
        network.forward(np.zeros((2, 28, 28, 1), np.float32), training=True)
        with pytest.raises(ShapeError, match="dense1: gradient is of 5 images; the forward before it had 2"):
            network.backward(np.zeros((5, 10), np.float32))


@pytest.mark.parametrize("kernels", [reference, ops])
def test_blas_keeps_to_one_thread_while_anybody_computes(kernels):
    from threadpoolctl import threadpool_info

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def compute():
        with kernels.computing():
            inside.append(blas())

    inside = []
    thread_team.one_blas_thread.otherwise(2)
    before = blas()
    if before != {2}:
        pytest.skip("the threads of this BLAS can't be set")
    first, second = kernels.computing(), kernels.computing()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas() == {1}
    second.__exit__(None, None, None)
    assert blas() == before
    for _ in range(2):  # also in other threads than the one that was first
        other = threading.Thread(target=compute)
        other.start()
        other.join()
        assert blas() == before
    assert inside == [{1}, {1}]


def test_normalisation_is_applied():
    plain, shifted = small(), small(normalisation=(0.5, 0.25))
    images = pictures(3) / 255
    np.testing.assert_allclose(
        shifted.logits(images), plain.forward(((images - 0.5) / 0.25).astype(np.float32)[..., None]), atol=1e-4
    )


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((3, 28, 27), np.uint8), r"pictures are \(3, 28, 27\); wants \(28, 28\), \(N, 28, 28\) or"),
        (np.zeros((3, 28, 28, 3), np.uint8), r"pictures are \(3, 28, 28, 3\)"),
        (np.zeros(784, np.uint8), r"pictures are \(784,\)"),
        (np.zeros((1, 28, 28), complex), "are complex128; wants integers from 0 to 255, floats from 0 to 1 or bool"),
        (np.full((1, 28, 28), 256), r"pictures are int64 and go from 256 to 256; wants 0 to 255$"),
        (np.full((1, 28, 28), -1), "pictures are int64 and go from -1 to -1"),
        (np.full((1, 28, 28), 200.0), r"are float64 and go from 200.0 to 200.0; wants 0 to 1 \(divide by 255"),
        (np.full((1, 28, 28), -0.1), "pictures are float64 and go from -0.1"),
        (np.full((1, 28, 28), np.nan), "pictures are float64 and go from nan"),
    ],
)
def test_what_predict_refuses(images, text):
    with pytest.raises(ShapeError, match=text):
        small().predict(images)


@pytest.mark.parametrize("n", [1, 128, 129, 300] if COMPILED else [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", [*BACKENDS, "auto"] if COMPILED else BACKENDS)
def test_pictures_of_any_dtype_and_byte_order_are_read_alike(backend, dtype, n):
    network = small(backend=backend, dtype=dtype, normalisation=(0.13, 0.31))
    levels = pictures(n)
    for same in (levels.astype(kind) for kind in (np.int8, np.int64, ">i2", np.uint16, ">u4")):
        if same.dtype == np.int8:
            same, want = levels.astype(np.int8) & 127, network.logits(levels & 127)
        else:
            want = network.logits(levels)
        np.testing.assert_array_equal(network.logits(same), want)
    halves = (levels / 255).astype(np.float16)
    want = network.logits(halves.astype(dtype))
    for kind in (np.float16, ">f2", ">f4", ">f8", np.longdouble):
        np.testing.assert_array_equal(network.logits(halves.astype(kind)), want)
    ink = levels > 127
    np.testing.assert_array_equal(network.logits(ink), network.logits(ink.astype(dtype)))


@pytest.mark.parametrize("kind", [bool, np.int64, np.float16, ">f4", np.longdouble])
def test_a_network_learns_from_pictures_of_any_dtype(kind):
    images, labels = pictures(40), np.arange(40) % 10
    images = images if kind == np.int64 else images > 127
    same = images.astype(np.uint8 if kind == np.int64 else np.float32)
    one, other = small(backend=BACKEND), small(backend=BACKEND)
    for network, form in ((one, images.astype(kind)), (other, same)):
        network.fit(form, labels, validation=(form, labels), epochs=1, batch_size=16)
    np.testing.assert_array_equal(one.params, other.params)


@pytest.mark.parametrize("backend", ["reference", BACKEND])
def test_memory_of_inference_is_bounded(backend, one_thread):  # of several it is chance who makes buffers when
    network = small(backend=backend)
    network.predict(pictures(300))  # buffers are made now
    tracemalloc.start()
    peaks = []
    for n in (300, 3000):
        images = pictures(n)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        network.predict(images)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3000 * 10 * 16  # no more than the results themselves


@pytest.mark.skipif(not COMPILED, reason="plain Python makes objects that compiled kernels don't")
def test_a_training_step_allocates_nothing_large():
    network = small(backend="fast")
    x, labels = np.zeros((64, 28, 28, 1), np.float32), np.zeros(64, np.uint8)
    loss = numcnn.SoftmaxCrossEntropy(network.kernels)

    def step():
        loss.forward(network.forward(x, training=True), labels)
        network.backward(loss.backward())

    with network.kernels.computing():
        step()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            step()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    activations = 64 * 26 * 26 * 4 * 4
    assert peak - before < activations / 5
    assert after - before < 20_000


def test_evaluate_reports_accuracy_and_the_networks_own_loss():
    network = small()
    images, labels = pictures(40), np.arange(40) % 10
    result = network.evaluate(images, labels)
    probabilities = network.predict_proba(images)
    assert result.accuracy == (probabilities.argmax(axis=1) == labels).mean()
    assert result.loss == pytest.approx(-np.log(probabilities[np.arange(40), labels]).mean(), rel=1e-5)
    assert result.n == 40 and result.confusion.sum() == 40


@pytest.mark.skipif(not COMPILED, reason="without compiling it takes minutes")
def test_backends_give_one_answer_and_auto_chooses():
    images = pictures(AUTO_FAST_IMAGES)
    network, plain, quick = (Network(make_layers("canonical"), backend=name) for name in ("auto", *BACKENDS))
    few, many = network.predict_proba(images[:-1]), network.predict_proba(images)
    np.testing.assert_array_equal(few, plain.predict_proba(images[:-1]))
    np.testing.assert_array_equal(many, quick.predict_proba(images))
    np.testing.assert_allclose(few, many[:-1], atol=1e-5)
    assert (few != many[:-1]).any()  # so it is known who answered
    assert network.kernels is ops and network.backend_name == "fast"  # what it trains on
    assert plain.kernels is reference and plain.backend_name == "reference"


@pytest.mark.parametrize("backend", BACKENDS)
def test_backward_gives_the_inputs_gradient_only_when_asked(backend):
    network = small(backend=backend)
    x = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    network.forward(x, training=True)
    dlogits = np.ones((2, 10), np.float32)
    assert network.backward(dlogits) is None
    grads = network.grads.copy()
    assert network.backward(dlogits, need_dx=True).shape == x.shape
    np.testing.assert_array_equal(network.grads, grads)


def test_nothing_before_the_first_parameters_is_computed():
    network = Network([ReLU(), Flatten(), Dense(3)], (2, 2, 1), backend="reference")
    network.forward(np.ones((1, 2, 2, 1), np.float32), training=True)
    network.backward(np.ones((1, 3), np.float32))
    assert "dx" not in network.layers[0]._buffers and "dx" not in network.layers[2]._buffers


def test_fit_learns_and_returns_the_history():
    network = small(backend=BACKEND)
    images, labels = np.zeros((60, 28, 28), np.uint8), np.arange(60) % 2
    images[labels == 1, 5:20, 10:15] = 255
    state = network.fit(images, labels, validation=(images, labels), epochs=10, batch_size=16, lr=0.01)
    assert len(state.history) == 10 and state.history[-1]["val_accuracy"] == 1
    np.testing.assert_array_equal(network.predict(images), labels)


def test_copy_is_independent_and_may_change_dtype():
    network = small(seed=2)
    twin = network.copy(dtype=np.float64)
    np.testing.assert_array_equal(twin.params, network.params.astype(np.float64))
    twin.params[...] = 0
    assert network.params.any()


def test_dtypes():
    with pytest.raises(ConfigError, match=r"dtype is .*float16.*; wants float32 or float64"):
        Network([Dense(2)], (2,), dtype=np.float16)
    assert small(dtype=np.float64).predict_proba(pictures(1)).dtype == np.float64


def test_too_many_parameters_are_refused_before_they_are_made():
    with pytest.raises(
        ConfigError, match="the network has 100,000,000,100,000,000 parameters; 134,217,728 are the most here"
    ):
        Network([Dense(10**8)], (10**9,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_save_and_load_keep_everything(tmp_path, dtype):
    network = small(seed=7, normalisation=(0.2, 0.3), dtype=dtype)
    network.info = {"result": {"test_accuracy": 0.5}}
    network.save(tmp_path / "net.npz")
    again = numcnn.load(tmp_path / "net.npz", backend="reference")
    np.testing.assert_array_equal(again.params, network.params)
    assert again.dtype == dtype and again.normalisation == (0.2, 0.3) and again.info == network.info
    assert again.architecture() == network.architecture()
    np.testing.assert_array_equal(again.predict_proba(pictures(3)), network.predict_proba(pictures(3)))


def test_unequal_layers_of_one_kind_are_all_stored(tmp_path):
    layers = [Conv2D(3, (2, 3), (1, 2), "same"), MaxPool2D((2, 1), 2), Conv2D(2, 3, padding=1), Flatten(), Dense(4)]
    network = Network(layers, (9, 8, 2), backend="reference")
    network.save(tmp_path / "net.npz")
    again = numcnn.load(tmp_path / "net.npz")
    assert [layer.out_shape for layer in again.layers] == [layer.out_shape for layer in network.layers]
