"""What mpiexec is not asked for.  Nothing is started here; ``test_ranks.py`` starts it."""

import os

import pytest

from numcnn.errors import ConfigError
from numcnn.training import launcher


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(launcher.shutil, "which", lambda *_, **__: "there")
    for name in launcher.ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("count", [-1, 1, 9, 10_000])
def test_a_senseless_number_of_processes_is_refused(count):
    """Asked of the function: by a command that doesn't refuse it, so many processes would halt the machine."""
    with pytest.raises(ConfigError, match=f"`processes` is {count}; wants 2 to 8 on this machine"):
        launcher.find_mpiexec(count, 0)


def test_processes_of_one_thread_each_may_be_as_many(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert launcher.find_mpiexec(8, 0) == "there"


def test_this_machine_limits_no_processes_on_others(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert launcher.find_mpiexec(16, 0) == "there"
    assert launcher.find_mpiexec(2, 0, 64) == "there"
    with pytest.raises(ConfigError, match="`processes` is 1; wants 2 to 8 on this machine"):
        launcher.find_mpiexec(1, 0)
    with pytest.raises(ConfigError, match="`threads` is 0; wants 1 to"):
        launcher.find_mpiexec(2, 0, 0)
