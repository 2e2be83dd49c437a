"""The one family of errors.  Every message says what was wrong, where, and what to do about it.

A message names a setting in backquotes, as in `lr` or `keep='last'`; the command line prints the option instead: --lr,
--keep last.  See ``config.in_options``.
"""


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
    """Training stopped: the loss is not finite, or the network is useless and will stay so."""
