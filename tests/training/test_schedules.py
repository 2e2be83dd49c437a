"""Each schedule against ten published or hand-computed steps."""

import pytest

from numcnn.errors import ConfigError
from numcnn.training.schedules import SCHEDULES, constant, cosine, make_schedule, one_cycle, step_decay

# torch.optim.lr_scheduler of PyTorch 2.13: OneCycleLR(max_lr=0.01, total_steps=10), CosineAnnealingLR(T_max=10) and
# StepLR(step_size=3, gamma=0.1), both from 0.01.
ONE_CYCLE = [0.0004, 0.0052, 0.01, 0.00950484632013, 0.0081174565395, 0.00611262021936, 0.00388741978064,
             0.0018825834605, 0.000495193679865, 4e-08]  # fmt: skip
COSINE = [0.01, 0.00975528258148, 0.00904508497187, 0.00793892626146, 0.00654508497187, 0.005, 0.00345491502813,
          0.00206107373854, 0.000954915028125, 0.000244717418524]  # fmt: skip
STEP = [0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.0001, 0.0001, 0.0001, 0.00001]


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        (constant(0.01), [0.01] * 10),
        (step_decay(0.01, every=3, factor=0.1), STEP),
        (cosine(0.01, total=10), COSINE),
        (one_cycle(0.01, total=10), ONE_CYCLE),
        # By hand: up in four even parts, then COSINE's points 0, 2, 4, 6, 8, 10 (six steps on the half cosine of 10/2).
        (cosine(0.01, total=9, warmup=4), [0.0025, 0.005, 0.0075, 0.01, *COSINE[::2]]),
    ],
)
def test_ten_steps(schedule, want):
    assert [schedule(step) for step in range(len(want))] == pytest.approx(want, rel=1e-11)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_by_name_every_step_is_positive_and_at_most_the_peak(name, total):
    schedule = make_schedule(name, 0.1, total, steps_per_epoch=max(1, total // 5))
    rates = [schedule(step) for step in range(total)]
    assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in rates)
    assert max(rates) > 0.02
    if name != "constant" and total == 1000:
        assert rates[-1] < 0.002


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="schedule 'linear' is unknown; choose one of constant, step"):
        make_schedule("linear", 0.1, 10, 5)
