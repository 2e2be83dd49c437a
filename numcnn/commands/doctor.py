"""Check this installation: versions, processor, threads, BLAS, kernel cache,
display, data and weights (by their hashes), gradients and speed.

Exit code 0 if everything works, 1 if something failed. What is only worth
knowing, such as a missing display, is a note. Nothing is downloaded. The first
run on a machine compiles the kernels, which takes about a minute.
"""

EXAMPLES = """examples:
  numcnn doctor
  numcnn doctor --json > doctor.json    to attach to a report of a problem
"""

import argparse
from dataclasses import asdict

from numcnn.benchmark.checkup import FAILED, FINE, findings
from numcnn.commands import print_json

MARKS = {FINE: "ok", FAILED: "FAILED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks.  Return 0, or 1 if one failed."""
    found = []
    for finding in findings():
        found.append(finding)
        if not arguments.json:
            print(f"{MARKS.get(finding.state, finding.state):<6}  {finding.name:<12}  {finding.text}", flush=True)
    failed = [finding.name for finding in found if finding.state == FAILED]
    if arguments.json:
        print_json({"passed": not failed, "checks": [asdict(finding) for finding in found]})
    else:
        print(f"failed: {', '.join(failed)}" if failed else "everything works")
    return 1 if failed else 0
