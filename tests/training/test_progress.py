"""What a run shows: a bar in a terminal or notebook, a line per epoch everywhere, nothing without ``verbose``."""

import os

import pytest
from conftest import BACKEND, draw_digits
from processes import running

from numcnn import ConfigError, Dense, Flatten, Network
from numcnn.training.monitor import Monitor
from numcnn.training.progress import Together


def small():
    return Network([Flatten(), Dense(10)], normalisation=(0.13, 0.31), backend=BACKEND)


class Steps(Monitor):
    """Count the steps, stop after so many, and note the end."""

    def __init__(self, most=100):
        self.count, self.most, self.ended = 0, most, 0

    def on_batch(self, state, images, loss, accuracy):
        self.count += 1

    def on_end(self):
        self.ended += 1

    def should_stop(self):
        return self.count == self.most


def test_fit_shows_a_line_an_epoch_only_if_it_is_to_be_verbose(capsys):
    images, labels = draw_digits(600, 11)
    small().fit(images, labels, epochs=2)
    assert capsys.readouterr() == ("", "")
    monitor = Steps()
    small().fit(images, labels, epochs=2, verbose=True, monitor=monitor)
    out, shown = capsys.readouterr()
    lines = shown.splitlines()
    assert out == "" and [line[:10] for line in lines] == ["epoch  1/2", "epoch  2/2"]  # no bar: that is no terminal
    assert all("loss" in line and line.endswith("img/s") for line in lines)
    assert (monitor.count, monitor.ended) == (10, 1)  # the user's own monitor is called too


def test_fit_shows_a_bar_on_a_terminal():
    code = """if True:
        import numpy as np
        from numcnn import Dense, Flatten, Network
        network = Network([Flatten(), Dense(10)], backend="reference")
        network.fit(np.zeros((40, 28, 28), np.uint8), np.arange(40) % 10, epochs=2, verbose=True)
    """
    termios = pytest.importorskip("termios")
    parent_end, child_end = os.openpty()
    termios.tcsetwinsize(parent_end, (24, 80))
    with running("-c", code, stderr=child_end) as process:
        os.close(child_end)
        shown = b""
        while part := _read(parent_end):
            shown += part
        assert process.wait() == 0, shown
    os.close(parent_end)
    text = shown.decode()
    assert "0%|" in text and "img/s" in text and "epoch  2/2  loss" in text


def _read(terminal):
    """Return what is written on the other side, b"" once that is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says then
        return b""


@pytest.mark.parametrize("first", [0, 1])
def test_each_of_several_monitors_may_stop_the_run_and_all_hear_of_it(first):
    images, labels = draw_digits(600, 11)
    monitors = [Steps(100), Steps(100)]
    monitors[first].most = 3
    state = small().fit(images, labels, epochs=2, monitor=Together(*monitors))
    assert state.interrupted and [(monitor.count, monitor.ended) for monitor in monitors] == [(3, 1)] * 2


def test_a_monitor_is_called_at_the_end_also_of_a_run_that_fails():
    class Failing(Steps):
        def on_batch(self, state, images, loss, accuracy):
            raise ZeroDivisionError

    images, labels = draw_digits(600, 11)
    monitor = Failing()
    with pytest.raises(ZeroDivisionError):
        small().fit(images, labels, epochs=1, monitor=monitor)
    assert monitor.ended == 1


def test_keyword_errors_of_fit_name_keywords_not_options():
    images, labels = draw_digits(600, 11)
    for settings in ({"epochs": 0}, {"patience": 2, "keep": "last"}, {"optimizer": "adam", "weight_decay": 0.1}):
        with pytest.raises(ConfigError) as caught:
            small().fit(images, labels, **settings)
        assert "--" not in str(caught.value) and "`" in str(caught.value)
