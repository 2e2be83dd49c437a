"""Write a network as one Python file that needs NumPy alone: forward, backward,
Adam and the training loop, in at most 300 lines, from numcnn's own functions.

The file trains the network on MNIST from new random weights, tests it, reads
pictures from arrays, and can be imported. A copy of the weights goes beside it.
It computes the numbers of numcnn's training with --preset fast, --backend
reference and --no-fuse, to the last bit. All of numcnn's layers can go into it;
layers and initialisers of your own, augmentation, other optimisers and the
threshold for "not sure" can't.
"""

EXAMPLES = """examples:
  numcnn eject                             mynet.py and mynet.npz: the shipped
                                           network
  numcnn eject --weights canonical --out small.py
  python mynet.py train mnist/             needs numcnn no more
  python mynet.py test mnist/
"""

import argparse
from pathlib import Path

from numcnn.commands import add_weights_argument, check_output
from numcnn.errors import ConfigError
from numcnn.files import atomic_write
from numcnn.nn.checkpoint import find_weights
from numcnn.nn.network import load
from numcnn.training.standalone import as_python


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add_weights_argument(parser)
    parser.add_argument(
        "--out",
        default="mynet.py",
        metavar="FILE",
        help="the new Python file; the weights go beside it, as .npz (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the two files.  Return the exit code."""
    program = Path(arguments.out)
    check_output("--out", arguments.out, ".py")
    if not program.stem.isidentifier():
        raise ConfigError(f"--out is {arguments.out}; wants a name that Python can import, such as mynet.py")
    source, copy = find_weights(arguments.weights), program.with_suffix(".npz")
    there = copy.exists() and copy.samefile(source)  # ejected beside its own weights
    for path in (program, *(() if there else (copy,))):
        if path.exists():
            raise ConfigError(f"{path} exists; name another file with --out")
    text = as_python(load(source, backend="reference"), program.stem)
    if not there:
        with atomic_write(copy) as file:
            file.write(source.read_bytes())
    with atomic_write(program) as file:
        file.write(text.encode())
    print(f"wrote {program}: {text.count(chr(10))} lines, which need NumPy alone; its weights: {copy}")
    print(f"try: python {program} test FOLDER, with MNIST's four files in FOLDER")
    return 0
