"""Contestants that go wrong in one way each: the benchmark's tests let workers load them."""

import os

from numcnn.benchmark.numcnn_contestants import NumcnnTraining


class Talkative(NumcnnTraining):
    """Prints, from Python and from C, where the answers must not be disturbed."""

    def __init__(self, workload, threads, backend):
        super().__init__(workload, threads, backend)
        print('{"result": "not an answer"}')
        os.write(1, b"nor this\n")


class Crooked(NumcnnTraining):
    """Has one wrong weight."""

    def __init__(self, workload, threads, backend):
        super().__init__(workload, threads, backend)
        self.network.layers[3].params["w"][1, 2, 3, 4] += 0.5


class Raising(NumcnnTraining):
    """Raises in the second round."""

    def burst(self):
        """See ``Training``."""
        self.rounds = getattr(self, "rounds", 0) + 1
        if self.rounds == 2:
            raise ArithmeticError("the second round is too much")
        return super().burst()


class Dying(NumcnnTraining):
    """Dies without a word to the parent."""

    def burst(self):
        """See ``Training``."""
        os.write(2, b"first line\nkilled by its own hand\n")
        os._exit(7)
