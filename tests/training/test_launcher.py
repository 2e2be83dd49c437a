"""What mpiexec is not asked for.  Nothing is started here; ``test_ranks.py`` starts it."""

import pytest

from numcnn.errors import ConfigError
from numcnn.training import launcher


@pytest.mark.parametrize("count", [-1, 1, 10_000])
def test_a_senseless_number_of_processes_is_refused(count):
    """Asked of the function: by a command that doesn't refuse it, so many processes would halt the machine."""
    with pytest.raises(ConfigError, match=f"`processes` is {count}; wants 2 to "):
        launcher.find_mpiexec(count, 0)
