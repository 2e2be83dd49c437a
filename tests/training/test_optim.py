"""Ten steps of each optimiser against published implementations, and clipping."""

import numpy as np
import pytest

from numcnn import BatchNorm, Dense, Flatten, Network
from numcnn.errors import ConfigError
from numcnn.kernels import BACKENDS, get_backend, reference
from numcnn.training.config import TrainConfig
from numcnn.training.optim import SGD, Adam, clip_gradients, make_optimizer, moments_of

# Ten steps on f(p) = sum(scale * (p - target)^2) / 2 by torch.optim of PyTorch 2.13 in float64.
START, TARGET, SCALE = (0.3, -0.1, 2.0), (1.0, -2.0, 0.5), (1.0, 10.0, 0.1)
PUBLISHED = {
    "SGD(lr=0.05)": [
        (0.335, -1.05, 1.9925),
        (0.36825, -1.525, 1.9850375),
        (0.3998375, -1.7625, 1.9776123125),
        (0.429845625, -1.88125, 1.97022425094),
        (0.45835334375, -1.940625, 1.96287312968),
        (0.485435676562, -1.9703125, 1.95555876403),
        (0.511163892734, -1.98515625, 1.94828097021),
        (0.535605698098, -1.992578125, 1.94103956536),
        (0.558825413193, -1.9962890625, 1.93383436754),
        (0.580884142533, -1.99814453125, 1.9266651957),
    ],
    "SGD(lr=0.05, momentum=0.9)": [
        (0.335, -1.05, 1.9925),
        (0.39975, -2.38, 1.9782875),
        (0.4880375, -3.387, 1.9581048125),
        (0.593094375, -3.5998, 1.93264986969),
        (0.70799084375, -2.99142, 1.90257717181),
        (0.825998123438, -1.948168, 1.86849885786),
        (0.940904768984, -1.0351572, 1.83098588101),
        (1.04727551153, -0.69586888, 1.79056927245),
        (1.14064540424, -1.042574952, 1.74774147838),
        (1.21764603747, -1.8333229408, 1.70295775632),
    ],
    "SGD(lr=0.05, momentum=0.9, nesterov=True)": [
        (0.3665, -1.905, 1.98575),
        (0.4550325, -2.76475, 1.965560375),
        (0.5579761625, -2.7692625, 1.94015276394),
        (0.668094185813, -2.386661875, 1.91019948441),
        (0.778840386454, -2.02116065625, 1.87632532517),
        (0.88458636868, -1.84610477969, 1.83910938895),
        (0.980769865049, -1.84427724539, 1.79908697112),
        (1.06396826119, -1.92131623226, 1.75675146109),
        (1.13190447683, -1.99532566022, 1.71255625456),
        (1.18339471737, -2.03096707269, 1.66691666584),
    ],
    "Adam(lr=0.1)": [
        (0.399999998571, -0.199999999947, 1.90000000667),
        (0.49930557878, -0.299822649948, 1.80023907514),
        (0.597256515806, -0.399335052238, 1.70090289004),
        (0.692998341746, -0.49839261266, 1.60219896279),
        (0.785448353896, -0.596838551464, 1.50435820267),
        (0.87327948411, -0.694503507406, 1.40763627014),
        (0.95494423447, -0.791205273534, 1.31231455812),
        (1.02876371546, -0.886748710223, 1.21870060624),
        (1.09309398504, -0.980925888089, 1.12712771327),
        (1.14654743908, -1.07351651952, 1.03795348145),
    ],
    "AdamW(lr=0.1, weight_decay=0.1)": [
        (0.396999998571, -0.198999999947, 1.88000000667),
        (0.492367002906, -0.296834840435, 1.76150373985),
        (0.585509790602, -0.393388138486, 1.64473487263),
        (0.675687459003, -0.488536135176, 1.52994510999),
        (0.761990958715, -0.582147812265, 1.41741611541),
        (0.843339807358, -0.67408513141, 1.30746090876),
        (0.918507488752, -0.764203418867, 1.20042440908),
        (0.986189231151, -0.852351919575, 1.09668272059),
        (1.04511768148, -0.93837454445, 0.996640701275),
        (1.0942134343, -1.0221108333, 0.900727335544),
    ],
}
CASES = {
    "SGD(lr=0.05)": (SGD, {"momentum": 0.0}, 0.05),
    "SGD(lr=0.05, momentum=0.9)": (SGD, {"momentum": 0.9}, 0.05),
    "SGD(lr=0.05, momentum=0.9, nesterov=True)": (SGD, {"momentum": 0.9, "nesterov": True}, 0.05),
    "Adam(lr=0.1)": (Adam, {}, 0.1),
    "AdamW(lr=0.1, weight_decay=0.1)": (Adam, {"weight_decay": 0.1}, 0.1),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_ten_published_steps(name, backend):
    kind, settings, lr = CASES[name]
    params, grads = np.array(START), np.zeros(3)
    optimizer = kind(params, grads, get_backend(backend), **settings)
    for want in PUBLISHED[name]:
        grads[...] = np.array(SCALE) * (params - np.array(TARGET))
        optimizer.step(lr)
        np.testing.assert_allclose(params, want, rtol=2e-11)
    assert optimizer.steps == 10


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_decoupled_weight_decay_shrinks_what_is_masked_and_nothing_else(kind, backend):
    # Without a gradient only the decay is left: ten times the factor 1 - lr * weight_decay = 1 - 0.5 * 0.2.
    params = np.array([1.0, -2.0, 3.0])
    optimizer = kind(params, np.zeros(3), get_backend(backend), decay=np.array([1, 0, 1]), weight_decay=0.2)
    for _ in range(10):
        optimizer.step(0.5)
    np.testing.assert_allclose(params, [0.9**10, -2.0, 3 * 0.9**10], rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_average_by_hand(backend):
    params, grads = np.array([1.0, -2.0]), np.array([0.5, 1.0])
    optimizer = SGD(params, grads, get_backend(backend), momentum=0, average=0.25)
    want, path = params.copy(), []
    for step in range(1, 6):
        optimizer.step(0.1)
        path.append(params.copy())
        keep = min(0.25, step / (step + 9))  # 1/10, 2/11, 3/12, then 1/4
        want = keep * want + (1 - keep) * params
    np.testing.assert_allclose(optimizer.moments["average"], want, rtol=1e-12)
    np.testing.assert_array_equal(params, path[-1])
    with pytest.raises(ZeroDivisionError), optimizer.averaged():
        np.testing.assert_allclose(params, want, rtol=1e-12)
        raise ZeroDivisionError
    np.testing.assert_array_equal(params, path[-1])
    with SGD(params, grads, get_backend(backend)).averaged():
        np.testing.assert_array_equal(params, path[-1])


def test_of_trained_parameters_the_average_keeps_what_its_decay_says():
    params = np.array([1.0])
    optimizer = SGD(params, np.ones(1), reference, momentum=0, average=0.75)
    optimizer.trained = True
    optimizer.step(0.2)  # 1 -> 0.8
    assert optimizer.moments["average"][0] == pytest.approx(0.75 * 1 + 0.25 * 0.8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_pull_goes_a_fraction_of_the_way_back_after_each_step(kind, dtype):
    start, grads = np.array([1.0, -2.0, 3.0], dtype), np.array([0.5, 1.0, -2.0], dtype)
    params, free = start.copy(), start.copy()
    optimizer, without = kind(params, grads, reference, pull=0.25), kind(free, grads, reference)
    for _ in range(3):
        free[...] = params
        optimizer.step(0.1)
        without.step(0.1)
        np.testing.assert_array_equal(params, free + dtype(0.25) * (start - free))
    assert np.abs(params - start).max() > 0.01


def test_the_average_is_of_parameters_that_were_pulled():
    params = np.array([1.0])
    optimizer = SGD(params, np.ones(1), reference, momentum=0, average=0.5, pull=0.5)
    optimizer.step(0.2)  # 1 -> 0.8 -> 0.9; the first average keeps a tenth of where it began
    assert params[0] == pytest.approx(0.9) and optimizer.moments["average"][0] == pytest.approx(0.91)


def test_sgd_weight_decay_by_hand():
    # p <- 0.98 p - 0.1 v with v <- 0.5 v + 1, from p = 1: v = 1, 1.5, 1.75
    params = np.array([1.0])
    optimizer = SGD(params, np.ones(1), reference, momentum=0.5, weight_decay=0.2)
    for want in (0.88, 0.98 * 0.88 - 0.15, 0.98 * (0.98 * 0.88 - 0.15) - 0.175):
        optimizer.step(0.1)
        assert params[0] == pytest.approx(want, rel=1e-14)


def test_clipping_scales_the_whole_gradient_to_the_norm():
    grads = np.array([3.0, 4.0], np.float32)
    assert clip_gradients(grads, 10) == pytest.approx(5)
    assert grads.tolist() == [3, 4]
    clip_gradients(just_above := np.array([0.9, 1.2]), 1)
    np.testing.assert_allclose(just_above, [0.6, 0.8])
    assert clip_gradients(grads, 1) == pytest.approx(5)
    np.testing.assert_allclose(grads, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(("average", "state"), [(0.0, set()), (0.9, {"average", "average state"})])
def test_what_is_kept_between_steps_is_known_beforehand(average, state):
    network = Network([Flatten(), Dense(4), BatchNorm(), Dense(10)], (2, 2, 1))
    config = TrainConfig(average=average)
    optimizer = make_optimizer(network, config)
    shapes = {name: array.shape for name, array in optimizer.moments.items()}
    assert moments_of(config, network) == shapes and set(shapes) == {"m", "v"} | state
    assert not optimizer.trained


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        (SGD, {"momentum": 1.0}, "momentum is 1.0; wants a number, 0 or more and below 1"),
        (SGD, {"weight_decay": -1}, "weight decay is -1; wants a number, 0 or more"),
        (Adam, {"beta2": "x"}, "beta2 is 'x'"),
        (Adam, {"average": 1.0}, "average is 1.0; wants a number, 0 or more and below 1"),
        (Adam, {"eps": float("nan")}, "eps is nan"),
        (SGD, {"pull": 1.5}, "pull is 1.5; wants a number, 0 or more and below 1"),
    ],
)
def test_a_wrong_setting_is_named(kind, settings, text):
    with pytest.raises(ConfigError, match=text):
        kind(np.zeros(1), np.zeros(1), reference, **settings)
