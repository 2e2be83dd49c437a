"""The machine: what it is, and how much of it others use meanwhile."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

# Worth a warning: a load average per processor, and the share of the processors that others took meanwhile.
BUSY, DISTURBED = 0.5, 0.1


def describe(threads):
    """Return what can be said of the machine without naming it."""
    processors = os.cpu_count() or 1
    return {
        "cpu": _cpu_name(),
        "vectors": _vectors(),
        "processors": processors,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu_name():
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or platform.machine()
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _vectors():
    """Return the widest vector instructions that Linux names, or None."""
    flags = _cpuinfo("flags").split()
    return next((name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), None)


def _cpuinfo(key):
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def is_busy(machine):
    """Say whether other work was under way when the benchmark began."""
    return machine["load_average"] is not None and machine["load_average"] > BUSY * machine["processors"]


class OtherWork:
    """Finds out how much of the machine others take, from its making until ``share`` is asked; Linux only."""

    def __init__(self):
        self._busy, self._ours, self._began = _processors_busy(), _ours(), time.perf_counter()

    def share(self, workers_seconds=0.0):
        """Return the share of all processors that others took, 0 to 1; None where nobody can tell.

        workers_seconds: processor time that living children of this process have used meanwhile.
        """
        busy = _processors_busy()
        if busy is None or self._busy is None:
            return None
        taken = busy - self._busy - (_ours() - self._ours) - workers_seconds
        return round(max(0.0, taken / ((os.cpu_count() or 1) * (time.perf_counter() - self._began))), 3)


def _processors_busy():
    """Return the seconds that the processors have worked, or were taken away by a hypervisor, since they started."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours():
    """Return the processor seconds of this process and of all those it has started and waited for."""
    return sum(os.times()[:4])
