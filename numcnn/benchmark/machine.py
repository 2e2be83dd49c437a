"""The machine: what it is, and how much of it other processes use during a measurement."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Warn above these: load average per processor, and share of the processors that other processes took meanwhile.
BUSY, DISTURBED = 0.5, 0.1


def describe(threads: int) -> dict[str, Any]:
    """Return the properties of the machine that matter, without its name."""
    processors = os.cpu_count() or 1
    return {
        "cpu": _cpu_name(),
        "vectors": _vectors(),
        "processors": processors,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu_name() -> str:
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or platform.machine()
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _vectors() -> str | None:
    """Return the widest vector instructions that Linux names, or None."""
    flags = _cpuinfo("flags").split()
    return next((name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), None)


def _cpuinfo(key: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def is_busy(machine: dict[str, Any]) -> bool:
    """Return whether other processes were busy when the benchmark began."""
    return machine["load_average"] is not None and machine["load_average"] > BUSY * machine["processors"]


class OtherWork:
    """Measures how much of the machine other processes take, from now until ``share`` is called; Linux only."""

    def __init__(self) -> None:
        self._busy, self._own, self._began = _busy_seconds(), _own_seconds(), time.perf_counter()

    def share(self, workers_seconds: float = 0.0) -> float | None:
        """Return the share of all processors that other processes took, 0 to 1; None where the system doesn't say.

        workers_seconds: processor time that living children of this process have used meanwhile.
        """
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        taken = busy - self._busy - (_own_seconds() - self._own) - workers_seconds
        return round(max(0.0, taken / ((os.cpu_count() or 1) * (time.perf_counter() - self._began))), 3)


def _busy_seconds() -> float | None:
    """Return the seconds since boot that the processors worked or were taken away by a hypervisor."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return the processor seconds of this process and of all children it has waited for."""
    return sum(os.times()[:4])
