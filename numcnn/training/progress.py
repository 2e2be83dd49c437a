"""Progress on the screen: a bar in a terminal or a notebook, and a line after each epoch or job."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numcnn.console import stderr
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.monitor import Monitor, TrainState
from numcnn.training.optim import Optimizer

if TYPE_CHECKING:
    from tqdm import tqdm

# The bar, within 80 columns, its postfix included.  A notebook draws a bar of its own in place of {bar}.
BAR = "{desc} {percentage:3.0f}%|{bar:10}| {rate_fmt}, {remaining} left{postfix}"
NOTEBOOK_BAR = BAR.replace("{bar:10}", "{bar}")


class Lines:
    """Lines on stderr, above a bar if there is one; only warnings when ``quiet``."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: tqdm[Any] | None = None

    def say(self, line: str) -> None:
        """Print a line, unless ``quiet``."""
        if not self.quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print a line, also when ``quiet``."""
        if self._bar is not None and not self._bar.disable:
            self._bar.write(line, file=stderr())
        else:
            print(line, file=stderr(), flush=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Progress(Lines, Monitor):
    """A bar in a terminal or a notebook, and a line after each epoch, on stderr; nothing when ``quiet``."""

    def __init__(self, config: TrainConfig, quiet: bool = False) -> None:
        super().__init__(quiet)
        self.config = config

    def on_start(self, network: Network, state: TrainState, images_per_epoch: int) -> None:
        """Open the bar; for a resumed run it starts where the run stopped."""
        if self.quiet:
            return
        from tqdm.auto import tqdm  # noqa: PLC0415  (importing numcnn doesn't load tqdm)

        in_terminal = stderr().isatty()
        self._bar = tqdm(
            total=self.config.epochs * images_per_epoch,
            initial=state.epoch * images_per_epoch + state.seen,
            unit="img",
            unit_scale=True,
            disable=None,  # outside a notebook: no bar where stderr isn't a terminal
            leave=False,
            bar_format=BAR if in_terminal else NOTEBOOK_BAR,
            file=stderr() if in_terminal else None,  # a notebook draws its bar elsewhere
        )

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Advance the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.set_description(f"epoch {state.epoch + 1}/{self.config.epochs}", refresh=False)
            self._bar.set_postfix_str(f"loss {loss:.4f} acc {accuracy:.2%}", refresh=False)
            self._bar.update(images)

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """Print the epoch's line."""
        row = state.history[-1]
        validation = ""
        if row["val_accuracy"] is not None:
            mark = " *" if best else ""
            validation = f"  validation {row['val_accuracy']:.2%}{mark}"
        self.say(
            f"epoch {row['epoch']:>2}/{self.config.epochs}  loss {row['train_loss']:.4f} "
            f"accuracy {row['train_accuracy']:.2%}{validation}  {row['images_per_second']:,.0f} img/s"
        )

    def on_end(self) -> None:
        """Remove the bar."""
        self._close_bar()


class Together(Monitor):
    """Several monitors as one: each is called in turn, and each may stop the run."""

    def __init__(self, *monitors: Monitor) -> None:
        self._monitors = monitors
        self.watch_gradients = any(monitor.watch_gradients for monitor in monitors)

    def on_start(self, network: Network, state: TrainState, images_per_epoch: int) -> None:
        """See ``Monitor.on_start``."""
        for monitor in self._monitors:
            monitor.on_start(network, state, images_per_epoch)

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """See ``Monitor.on_batch``."""
        for monitor in self._monitors:
            monitor.on_batch(state, images, loss, accuracy)

    def on_kept(self, network: Network, state: TrainState) -> None:
        """See ``Monitor.on_kept``."""
        for monitor in self._monitors:
            monitor.on_kept(network, state)

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """See ``Monitor.on_epoch``."""
        for monitor in self._monitors:
            monitor.on_epoch(network, optimizer, state, best)

    def wants_checkpoint(self) -> bool:
        """See ``Monitor.wants_checkpoint``."""
        return any([monitor.wants_checkpoint() for monitor in self._monitors])

    def on_checkpoint(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """See ``Monitor.on_checkpoint``."""
        for monitor in self._monitors:
            monitor.on_checkpoint(network, optimizer, state)

    def on_interrupt(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """See ``Monitor.on_interrupt``."""
        for monitor in self._monitors:
            monitor.on_interrupt(network, optimizer, state)

    def on_end(self) -> None:
        """See ``Monitor.on_end``."""
        for monitor in self._monitors:
            monitor.on_end()

    def should_stop(self) -> bool:
        """See ``Monitor.should_stop``."""
        return any([monitor.should_stop() for monitor in self._monitors])


JOBS_BAR = "{desc} {n_fmt} of {total_fmt} |{bar:10}| {elapsed}, {remaining} left"


class JobProgress(Lines):
    """A bar of the jobs that are done, and a line for each, on stderr; no lines and no bar when ``quiet``."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        super().__init__(quiet)
        self._total = total

    def __enter__(self) -> Self:
        from tqdm.auto import tqdm  # noqa: PLC0415  (importing numcnn doesn't load tqdm)

        disable = True if self.quiet else None  # None: no bar where stderr isn't a terminal
        self._bar = tqdm(
            total=self._total, desc="trainings", disable=disable, leave=False, bar_format=JOBS_BAR, file=stderr()
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._close_bar()

    def advance(self) -> None:
        """Count one more job as done."""
        if self._bar is not None:
            self._bar.update()
