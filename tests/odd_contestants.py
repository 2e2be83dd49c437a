"""Contestants that go wrong in one way each: the benchmark's tests let workers load them."""

import os

from numcnn.benchmark.numcnn_contestants import NumcnnTraining
from numcnn.benchmark.ocr import Engine, draw
from numcnn.data.hands import Generated


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


class ReadsAll(Engine):
    """Knows what stands on the pictures, and in another way reads half of it."""

    def __init__(self, pictures, threads, backend="fast", wrong=False):
        super().__init__(pictures)
        drawn = draw(Generated(), len(next(iter(pictures.values()))))
        self.texts = {sheet.picture.tobytes(): sheet.text for sheets in drawn.values() for sheet in sheets}
        self.wrong = wrong

    def versions(self):
        """See ``Engine``."""
        return {"reads-all": "1.0"}

    def ways(self, single):
        """See ``Engine``."""
        if self.wrong:
            return {"WRONG": lambda picture: "", "HALF": lambda picture: self.texts[picture.tobytes()][:2]}
        return {"right": lambda picture: self.texts[picture.tobytes()]}


class CannotRead(Engine):
    """Fails when it is constructed, as an engine without its data does."""

    def __init__(self, pictures, threads):
        raise RuntimeError("no language data")
