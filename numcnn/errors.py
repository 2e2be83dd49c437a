"""The one family of errors.  Every message says what was wrong, where, and what to do about it."""


class NumcnnError(Exception):
    """Anything that numcnn refuses to do.  Command-line programs print it as one line and exit with 2."""


class ShapeError(NumcnnError, ValueError):
    """An array of the wrong rank, size or dtype; the message names the layer, what it got and what it wants."""


class ConfigError(NumcnnError, ValueError):
    """A setting outside its range, or settings that contradict each other."""


class DataError(NumcnnError):
    """A data set or picture that is missing, damaged or not of the expected kind."""


class CheckpointError(NumcnnError):
    """A weights file that is missing, damaged or not one of ours."""


class DivergedError(NumcnnError):
    """Training stopped because the loss is no longer a finite number."""
