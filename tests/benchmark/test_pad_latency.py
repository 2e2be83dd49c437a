"""Events are played to the pad, and the report has their figures."""

import numpy as np
import pytest

from numcnn.benchmark import pad_latency, pad_player, report
from numcnn.data.generated import digit_strokes

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_display")]


def test_every_event_counts_until_its_bars_are_shown(monkeypatch):
    monkeypatch.setattr(pad_player, "STROKE_SECONDS", 0.2)
    figures = pad_player.play("640x480", 250, ("inside", "why"), digits=(1,))
    strokes = len(digit_strokes(1, np.random.default_rng(1)))
    assert figures["events"] == strokes * (2 + 50)
    times = [figures[f"latency_ms_{name}"] for name in ("p50", "p95", "max")]
    assert 0 < times[0] <= times[1] <= times[2] < 60_000 and times == sorted(times)
    assert 0 < figures["work_ms_p50"] <= figures["work_ms_p95"] and figures["frames_per_second"] > 0


def test_an_idle_pad_hardly_takes_a_processor(monkeypatch):
    monkeypatch.setattr(pad_player, "IDLE_SECONDS", 0.6)
    assert 0 <= pad_player.idle_share() < 0.15


def test_the_first_frame_is_timed_from_outside():
    assert 0.05 < pad_latency._first_frame(pad_latency.environment()) < 60


def test_the_tables_of_the_figures_fit():
    case = {"size": "3840x2160", "events_per_second": 1000, "panels": ["inside"], "frames_per_second": 61.2}
    case |= {f"latency_ms_{name}": value for name, value in (("p50", 7.04), ("p95", 11.1), ("max", 123.4))}
    figures = {"cases": [case | {"work_ms_p50": 3.21}], "first_frame_s": [0.61, 0.72], "idle_cpu": 0.0123}
    tables = report._pad_rows({"pad": figures})
    lines = [line for table in tables for line in report._table_lines(*table)]
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["3840x2160,", "1000", "Hz,", "inside", "7.0", "11.1", "123.4", "3.2", "61"]
    assert [line.split()[-1] for line in lines[-3:]] == ["0.61", "0.72", "1.2%"]
