"""All errors that numcnn raises.  A message says what was wrong, where, and what to do about it.

It names a setting in backquotes, as in `lr` or `keep='last'`; the command line prints the option instead: --lr,
--keep last.  See ``training.config.in_options``.
"""


class NumcnnError(Exception):
    """Base class of numcnn's errors.  The commands print it as one line and exit with 2."""


class ShapeError(NumcnnError, ValueError):
    """An array of the wrong rank, size or dtype; the message names the layer, the shape it got and the one it wants."""


class ConfigError(NumcnnError, ValueError):
    """A setting outside its range, or settings that contradict each other."""


class DataError(NumcnnError):
    """A data set or picture that is missing, damaged or of the wrong kind."""


class CheckpointError(NumcnnError):
    """A weights file that is missing, damaged or not written by numcnn."""


class DivergedError(NumcnnError):
    """Training stopped: the loss is not finite, or the network is useless and will stay so."""


class WriteError(NumcnnError):
    """Results that could not be written: the disk is full, or the folder is gone."""


class WorkerError(NumcnnError):
    """Work that could not be done because the processes that were to do it ended, hang or are unreachable."""
