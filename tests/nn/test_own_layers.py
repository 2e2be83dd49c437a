"""A layer written outside the package works like one inside, and a mistake in it is named."""

import copy
import pickle
from pathlib import Path

import numpy as np
import own_layers
import pytest
from conftest import BACKEND, COMPILED, draw_digits
from own_layers import MyAveragePool2D, MyBatchNorm, MyTanh

import numcnn
from numcnn import (
    AveragePool2D,
    BatchNorm,
    CheckpointError,
    ConfigError,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    Network,
    ParamSpec,
    ReLU,
    ShapeError,
    StateSpec,
    Tanh,
    gradcheck,
    register_initializer,
    register_layer,
)
from numcnn.kernels import BACKENDS
from numcnn.nn.initializers import INITIALIZERS
from numcnn.nn.layer import LAYERS


@pytest.fixture(autouse=True)
def tables():
    """Take back what a test registers."""
    before = dict(LAYERS), dict(INITIALIZERS)
    yield
    for table, entries in zip((LAYERS, INITIALIZERS), before, strict=True):
        table.clear()
        table.update(entries)


def network_of(norm, squash, pool, backend=BACKEND, **settings):
    layers = [Conv2D(4, 5), norm(), squash(), pool(2), Flatten(), Dense(10)]
    return Network(layers, seed=2, normalisation=(0.13, 0.31), backend=backend, **settings)


@pytest.mark.parametrize("layer", [MyTanh(), MyAveragePool2D(2), MyBatchNorm()])
def test_they_pass_gradcheck(layer):
    report = gradcheck(layer, input_shape=(6, 8, 3), samples=None)
    assert report.passed, str(report)


def test_they_compute_what_numcnn_s_own_do(set_threads):
    own, builtin = (
        network_of(*layers, dtype=np.float64, backend="reference")
        for layers in ((MyBatchNorm, MyTanh, MyAveragePool2D), (BatchNorm, Tanh, AveragePool2D))
    )
    np.testing.assert_array_equal(own.params, builtin.params)
    x, dout = np.random.default_rng(0).random((3, 28, 28, 1)), np.random.default_rng(1).random((3, 10))
    for _ in range(2):
        np.testing.assert_allclose(own.forward(x, training=True), builtin.forward(x, training=True), rtol=1e-9)
        np.testing.assert_allclose(own.backward(dout, need_dx=True), builtin.backward(dout, need_dx=True), atol=1e-9)
        np.testing.assert_allclose(own.grads, builtin.grads, atol=1e-9)
    np.testing.assert_allclose(own.state[:4], builtin.state[:4], rtol=1e-9)
    np.testing.assert_allclose(own.state[4:], builtin.state[4:], rtol=1e-3)  # MyBatchNorm takes the biased variance
    assert [layer.name for layer in own.layers][1:4] == ["mybatchnorm1", "mytanh1", "myaveragepool2d1"]


@pytest.mark.skipif(not COMPILED, reason="without compilation everything takes long")
def test_they_train_are_saved_loaded_and_copied(tmp_path):
    network = network_of(MyBatchNorm, MyTanh, MyAveragePool2D)
    images, labels = draw_digits(600, 11)
    history = network.fit(images[:500], labels[:500], epochs=8, batch_size=50, lr=0.01).history
    assert history[-1]["train_accuracy"] > 0.85 > history[0]["train_accuracy"]
    network.save(tmp_path / "own.npz")
    want = network.logits(images[500:])
    twins = (
        numcnn.load(tmp_path / "own.npz", backend=BACKEND),
        network.copy(),
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
    )
    for twin in twins:
        assert twin.state.any() and twin.state.tobytes() == network.state.tobytes()
        assert not np.shares_memory(twin.state, network.state)
        np.testing.assert_array_equal(twin.logits(images[500:]), want)
    reader = network.reader()
    assert reader._plan is None
    np.testing.assert_allclose(reader.logits(images[500]), want[0], atol=1e-4)


def test_a_file_with_layers_of_ones_own_is_read_where_they_are_registered_or_given(tmp_path):
    network = network_of(MyBatchNorm, MyTanh, MyAveragePool2D, backend="reference")
    path = tmp_path / "own.npz"
    network.save(path)
    for name in ("MyTanh", "MyBatchNorm", "MyAveragePool2D"):
        del LAYERS[name]
    with pytest.raises(CheckpointError) as caught:
        numcnn.load(path)
    assert str(caught.value) == (
        f"{path} was made with the layer types 'MyBatchNorm', 'MyTanh', 'MyAveragePool2D', which numcnn doesn't know: "
        "in Python, numcnn.load(path, layers={'MyBatchNorm': MyBatchNorm, 'MyTanh': MyTanh, 'MyAveragePool2D': "
        "MyAveragePool2D}); the commands know only numcnn's own layers"
    )
    with pytest.raises(
        CheckpointError, match=r"made with the layer type 'MyBatchNorm', which .* layers=\{'MyB.*m\}\);"
    ):
        numcnn.load(path, layers={"MyTanh": MyTanh, "MyAveragePool2D": MyAveragePool2D})
    own = {"MyTanh": MyTanh, "MyBatchNorm": MyBatchNorm, "MyAveragePool2D": MyAveragePool2D}
    again = numcnn.load(path, layers=own)
    np.testing.assert_array_equal(again.params, network.params)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in network.layers]
    with pytest.raises(CheckpointError, match=r"layers has 'MyTanh': 3; wants a subclass of numcnn.Layer"):
        numcnn.load(path, layers={**own, "MyTanh": 3})


def test_the_name_of_a_subclass_does_not_depend_on_its_registration(tmp_path):
    class Wide(Conv2D):
        pass

    network = Network([Wide(2, 3), Flatten(), Dense(3)], (4, 4, 1), backend="reference")
    network.save(tmp_path / "net.npz")
    given = numcnn.load(tmp_path / "net.npz", layers={"Wide": Wide})
    register_layer(Wide)
    registered = numcnn.load(tmp_path / "net.npz")
    for again in (given, registered):
        assert list(again.slices) == ["conv1.w", "conv1.b", "dense1.w", "dense1.b"]
        np.testing.assert_array_equal(again.params, network.params)


def test_a_name_is_one_layer_s():
    assert register_layer(MyTanh) is MyTanh and register_layer(MyTanh) is MyTanh
    again = {"numcnn": numcnn, "__name__": own_layers.__name__}
    exec(
        compile(Path(own_layers.__file__).read_text(encoding="utf-8"), "own_layers", "exec"), again
    )  # a notebook's cell
    assert LAYERS["MyTanh"] is again["MyTanh"] is not MyTanh
    other = type("Dense", (Layer,), {"__module__": "elsewhere"})
    with pytest.raises(ConfigError, match=r"layer 'Dense' is taken by numcnn.nn.layers.Dense; choose another name"):
        register_layer(other)
    assert LAYERS["Dense"] is Dense
    for thing in (Dense(3), int, "Dense"):
        with pytest.raises(ConfigError, match=r"register_layer got .*; wants a subclass of numcnn.Layer"):
            register_layer(thing)


class Mine(Layer):
    """Returns what it is given to return."""

    def __init__(self, forward=None, backward=None, build=None):
        super().__init__()
        self.forward_, self.backward_, self.build_ = forward, backward, build

    def _build(self, in_shape):
        return (in_shape, []) if self.build_ is None else self.build_

    def _forward(self, x, training):
        return x if self.forward_ is None else self.forward_(x)

    def _backward(self, dout, need_dx):
        return dout if self.backward_ is None else self.backward_(dout)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (lambda a: a[:, :3], r"\(2, 3\), float64"),
        (lambda a: a[:1], r"\(1, 4\), float64"),
        (lambda a: a.astype(np.float32), r"\(2, 4\), float32"),
        (lambda a: list(a), "a list"),
        (lambda a: a.sum(), "a float64"),
    ],
)
def test_what_forward_and_backward_return_is_held_against_build(wrong, got):
    x = np.ones((2, 4))
    network = Network([Dense(4), Mine(forward=wrong)], (4,), dtype=np.float64, backend="reference")
    text = rf"mine1: Mine\._forward returned {got}; _build promised \(2, 4\), float64, for its output"
    for training in (False, True):
        with pytest.raises(ShapeError, match=text):
            network.forward(x, training)
    network = Network([Dense(4), Mine(backward=wrong)], (4,), dtype=np.float64, backend="reference")
    network.forward(x, training=True)
    with pytest.raises(ShapeError, match=text.replace("_forward", "_backward").replace("output", "input")):
        network.backward(x)


def test_a_backward_that_forgets_dx_is_named_only_where_dx_is_wanted():
    network = Network([Mine(backward=lambda dout: None), Dense(3)], (4,), dtype=np.float64, backend="reference")
    network.forward(np.ones((2, 4)), training=True)
    network.backward(np.ones((2, 3)))
    with pytest.raises(
        ShapeError, match=r"mine1: Mine._backward returned a NoneType; _build promised \(2, 4\), float64"
    ):
        network.backward(np.ones((2, 3)), need_dx=True)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        ((4,), r"Mine._build returned \(4,\); wants the output's shape and a list of ParamSpec and StateSpec"),
        (((4,), None), r"Mine._build returned \(\(4,\), None\); wants"),
        (((4,), ["w"]), r"Mine._build returned \['w'\]; wants a list of ParamSpec and StateSpec"),
        (
            ((4,), [ParamSpec("w", (2,), "ones", True), StateSpec("w", (2,))]),
            "Mine._build gives a name twice: w, w",
        ),
    ],
)
def test_a_build_that_returns_something_else_is_named(build, text):
    with pytest.raises(ConfigError, match=text):
        Network([Mine(build=build)], (4,))


def test_a_constructor_that_forgets_is_named():
    class Scale(Mine):
        def __init__(self, factor):
            Layer.__init__(self)
            self.build_ = self.forward_ = self.backward_ = None

    with pytest.raises(
        ConfigError, match=r"Scale takes factor but has no attribute factor; keep it in __init__ \(self"
    ):
        Network([Scale(3)], (4,)).copy()

    class Unborn(Mine):
        def __init__(self):
            pass

    with pytest.raises(ConfigError, match=r"Unborn.__init__ doesn't call super\(\).__init__\(\)"):
        Network([Unborn()], (4,))


def tenth(rng, shape):
    """Start at 0.1."""
    return np.full(shape, 0.1)


def test_an_initialiser_may_be_a_function(tmp_path):
    network = Network([Dense(3, init=tenth)], (4,), backend="reference")
    assert (network.layers[0].params["w"] == np.float32(0.1)).all() and not network.layers[0].params["b"].any()
    for twin in (network.copy(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert twin.layers[0].init is tenth
        np.testing.assert_array_equal(twin.params, network.params)
    path = tmp_path / "net.npz"
    advice = (
        r"weights files have no name for; give it one with numcnn\.register_initializer, here and where the file is"
    )
    with pytest.raises(ConfigError, match=rf"dense1: init is <function tenth .*>, a function that {advice}"):
        network.save(path)
    assert not path.exists()
    assert register_initializer(tenth) is tenth
    network.save(path)
    assert numcnn.load(path).layers[0].init == "tenth"
    assert (Network([Dense(3, init="tenth")], (4,)).layers[0].params["w"] == np.float32(0.1)).all()
    del INITIALIZERS["tenth"]
    with pytest.raises(CheckpointError, match=r"Dense init is 'tenth'; wants one of he_normal, .*, or a function"):
        numcnn.load(path)


def test_an_initialiser_of_the_wrong_shape_or_name_is_refused():
    with pytest.raises(
        ConfigError, match=r"dense1.w: the initialiser <function .*> returned shape \(3,\); wants \(4, 3\)"
    ):
        Network([Dense(3, init=lambda rng, shape: np.ones(3))], (4,))

    def zeros(rng, shape):
        return np.zeros(shape)

    with pytest.raises(
        ConfigError, match=r"initialiser 'zeros' is taken by numcnn.nn.initializers.zeros; choose another"
    ):
        register_initializer(zeros)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_may_be_pickled_and_deep_copied(backend):
    network = network_of(BatchNorm, Tanh, AveragePool2D, backend=backend, fuse=False, dtype=np.float64)
    network.info, network.temperature = {"note": ["a"]}, 1.5
    network.state[...] = np.arange(8)
    network.rng.random(3)
    image = draw_digits(600, 11)[0][0]
    for twin in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network), copy.deepcopy([network])[0]):
        assert (
            repr(twin) == repr(network) and twin.info == network.info and twin.info["note"] is not network.info["note"]
        )
        assert (twin.temperature, twin.fuse, twin.backend, twin.dtype) == (1.5, False, backend, np.float64)
        assert twin.rng.bit_generator.state == network.rng.bit_generator.state
        np.testing.assert_array_equal(twin.logits(image), network.logits(image))
        twin.params[...] = 0
        assert network.params.any() and not any(values.any() for values in twin.layers[0].params.values())


def test_a_network_shows_itself_in_a_line_and_in_a_table():
    network = Network([Conv2D(4, 3), ReLU(), Flatten(), Dense(10)], backend="reference")
    assert repr(network) == ("<Network 28 x 28 x 1 -> 10: conv1, relu1, flatten1, dense1; 27,090 parameters, float32>")
    table = network._repr_html_()
    assert table.count("<tr>") == 6 and "<td>conv1 (Conv2D)</td><td>26 x 26 x 4</td><td>40</td>" in table


class Scale(Layer):
    """Multiply everything by one number; count the steps."""

    def _build(self, in_shape):
        return in_shape, [ParamSpec("factor", (), "ones", decay=False), StateSpec("steps", ())]

    def _forward(self, x, training):
        if training and not self.frozen:
            self._saved = x
            self.next_state["steps"][...] = self.state["steps"] + 1
        return x * self.params["factor"]

    def _backward(self, dout, need_dx):
        self.grads["factor"][...] = (dout * self._saved).sum()
        return dout * self.params["factor"]


def test_a_single_number_as_parameter_or_state_is_saved_and_loaded(tmp_path):
    network = Network([Flatten(), Scale(), Dense(10)], backend=BACKEND)
    network.fit(*draw_digits(40, 0), epochs=1, batch_size=20)
    network.save(tmp_path / "scale.npz")
    loaded = numcnn.load(tmp_path / "scale.npz", layers={"Scale": Scale})
    np.testing.assert_array_equal(loaded.params, network.params)
    assert loaded.named_state()["scale1.steps"] == 2


class Named(Network):
    """A network with a constructor of its own."""

    def __init__(self, name):
        super().__init__([Flatten(), Dense(10)])
        self.name = name


def test_a_subclass_stays_one_in_copies_and_pickles():
    network = Named("mine")
    for twin in (network.copy(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert type(twin) is Named
        np.testing.assert_array_equal(twin.params, network.params)


def test_layers_of_load_is_a_dict(tmp_path):
    Network([Flatten(), Dense(10)]).save(tmp_path / "plain.npz")
    with pytest.raises(ConfigError, match=r"load got layers=.*; wants a dict, name -> class"):
        numcnn.load(tmp_path / "plain.npz", layers=[Tanh])


def test_a_copy_keeps_which_layers_are_frozen():
    network = Network([Conv2D(2, 3), BatchNorm(), Flatten(), Dense(10)], backend="reference")
    network.layers[1].frozen = True
    for twin in (network.copy(), pickle.loads(pickle.dumps(network))):
        assert [layer.frozen for layer in twin.layers] == [False, True, False, False]


def test_a_layer_is_copied_alone_as_a_new_one_that_another_network_may_take():
    network = Network([Conv2D(2, 3, padding="same"), Flatten(), Dense(10)], backend="reference")
    twin = copy.deepcopy(network.layers[0])
    assert repr(twin) == repr(network.layers[0]) and not twin.params and not twin.in_network
    Network([twin, Flatten(), Dense(10)], backend="reference")


def test_the_parameters_are_written_in_place_and_can_not_be_replaced():
    network = Network([Flatten(), Dense(10)], backend="reference")
    network.params -= 1
    assert network.params is network._flat.params
    with pytest.raises(ConfigError, match=r"network.params can't be replaced .* network.params\[...\] = values"):
        network.params = np.zeros_like(network.params)
