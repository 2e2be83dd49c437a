"""Start mpiexec, and again when a process of it has ended: ``numcnn train --processes 4 --restarts 3``."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from numcnn.children import child_environment
from numcnn.errors import ConfigError, WorkerError
from numcnn.kernels.thread_team import checked_threads, most_processes

# Exit codes after which the same would happen again, or somebody wanted the end: see ``numcnn train --help``.
FINAL = (0, 1, 2, 129, 130, 143)

SAVE_SECONDS = 60.0  # how long the processes may take to save when all are to end

# What tells mpiexec of other machines, on which it then starts processes, too: a batch system, or a list of hosts.
ELSEWHERE = (
    "SLURM_JOB_ID",
    "PBS_NODEFILE",
    "LSB_DJOB_HOSTFILE",
    "PE_HOSTFILE",
    "HYDRA_HOST_FILE",
    "I_MPI_HYDRA_HOST_FILE",
    "OMPI_MCA_orte_default_hostfile",
    "PRTE_MCA_prte_default_hostfile",
)


def find_mpiexec(processes: int, restarts: int, threads: int | None = None) -> str:
    """Return the path of mpiexec.  Raises ConfigError if there is none, or for numbers that make no sense.

    threads: of each process; None: each decides.
    """
    most = most_processes()
    elsewhere = any(map(os.environ.get, ELSEWHERE))  # this machine doesn't know the others' processors
    if not elsewhere or (threads is not None and threads < 1):
        checked_threads(threads)
    if processes < 2 or (processes > most and not elsewhere):
        raise ConfigError(f"`processes` is {processes}; wants 2 to {most} on this machine")
    if restarts < 0:
        raise ConfigError(f"`restarts` is {restarts}; wants 0 or more")
    beside = str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if mpiexec is None:
        raise ConfigError("`processes` needs the program mpiexec: pip install 'numcnn[mpi]'")
    return mpiexec


def launch(
    mpiexec: Sequence[str], restarts: int, arguments: Callable[[], Sequence[str]], report: Callable[[str], object]
) -> int:
    """Run numcnn with the arguments by mpiexec, in several processes, until they come to an end.  Return the exit code.

    arguments: called each time that they start.  restarts: how often they may start again because one was killed, hung
    or failed.  Raises WorkerError once there are no restarts left.
    """
    done = 0
    while True:
        command = [*mpiexec, sys.executable, "-m", "numcnn", *arguments()]
        with subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE) as process:
            try:
                try:
                    output, _ = process.communicate()
                except KeyboardInterrupt:  # mpiexec has passed it on, and the ranks save; a second one ends them
                    process.communicate()
                    return process.returncode
                except SystemExit:  # from a signal to this process alone: let the ranks save, too
                    process.send_signal(signal.SIGINT)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.communicate(timeout=SAVE_SECONDS)
                    raise
            except BaseException:
                process.terminate()
                raise
        code = process.returncode
        # If a process was lost or stopped, most of this is mpiexec's own, and no result.
        print(output.decode(errors="backslashreplace"), end="", file=sys.stderr if code else sys.stdout, flush=True)
        if code in FINAL:
            return code
        if done == restarts:
            raise WorkerError(
                f"one of the processes has ended (mpiexec's exit code: {code}), and there are no restarts left"
            )
        done += 1
        report(f"one of the processes has ended (mpiexec's exit code: {code}); restart {done} of {restarts}")
