"""Coverage-guided fuzzing of what reads files: whatever is in one, it is read, or refused with a NumcnnError.

    pip install atheris
    python tests/fuzz.py weights|"idx images"|pictures|... [--seconds 60]

KIND: one of hostile.py.  It begins with valid files and keeps each change that reaches new lines of numcnn.  A file
that ends in anything else is kept in the working folder, and the exit code is not 0.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["numcnn", "hostile", "zipfile", "json", "ast"]):
    import hostile

    from numcnn.errors import NumcnnError

MOST_MEGABYTES = 1000  # of the whole process


def main() -> None:
    """Fuzz one kind of file for some seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=tuple(hostile.KINDS))
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    kind = hostile.KINDS[arguments.kind]
    with tempfile.TemporaryDirectory() as folder:
        if child := os.fork():  # atheris ends its process at once: the folder would stay
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        path, corpus = Path(folder, kind.name), Path(folder, "corpus")
        corpus.mkdir()
        for number, content in enumerate(hostile.contents(arguments.kind)):
            (corpus / str(number)).write_bytes(content)

        def read(content: bytes) -> None:
            path.write_bytes(content)
            with contextlib.suppress(NumcnnError):
                kind.read(path)

        limits = [f"-max_total_time={arguments.seconds}", f"-rss_limit_mb={MOST_MEGABYTES}", "-timeout=10"]
        atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
