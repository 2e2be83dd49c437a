"""An animation of a network that learns in the pad, made without a window: ``numcnn draw --record``."""

import io
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pygame
from PIL import Image

from numcnn.data.generated import digit_strokes
from numcnn.errors import ConfigError, NumcnnError
from numcnn.files import atomic_write, named_errors
from numcnn.pad.drawing.layout import layout
from numcnn.pad.drawing.live_view import SETTINGS, TrainingScene
from numcnn.pad.drawing.theme import RGB, THEMES, Theme, mix, rgb
from numcnn.pad.drawing.view import PALE, Scene, View
from numcnn.pad.live import EPOCHS, FAILED, FINISHED, FIRST_CHOICE, LiveRun
from numcnn.pad.still import complete, fitted_canvas, lengths, place_of, suited_pen
from numcnn.pad.watching import FULL, progress_words
from numcnn.recognition.reading import Recognizer

KINDS = {".gif": "GIF", ".png": "PNG"}  # by the end of the file's name
MOST_BYTES = 3_000_000
FRAMES = (72, 48, 32)  # as many as fit into MOST_BYTES
SEED = 3  # of the 7 that is shown if there are no strokes
FIRST_MS, FRAME_MS, LAST_MS = 900, 90, 3500


def record(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    strokes: Sequence[npt.ArrayLike],
    *,
    theme: str = "light",
    settings: dict[str, Any] | None = None,
    report: Callable[[str], object] = lambda words: None,
) -> int:
    """Train a network, and write to ``path`` how it reads the strokes while it learns.  Return the number of frames.

    path: .gif, or .png for an animated PNG; at most 3 MB.  strokes: none for a 7 that numcnn draws.
    settings: of the run, on top of those of the preset fast.
    report: called with a line of words now and then.  Raises NumcnnError when training fails, or the file can't be
    written; ConfigError if even few frames of this size take more than 3 MB.
    """
    kind = KINDS[os.path.splitext(os.fspath(path))[1].lower()]
    chosen = {"epochs": EPOCHS} | FIRST_CHOICE | (settings or {})
    run = LiveRun(chosen)
    try:
        report("training a network; the animation follows")
        run.go()
        while run.state not in (FINISHED, FAILED) or run.waiting:
            run.poll()
            time.sleep(0.01)
        if run.state == FAILED:
            raise NumcnnError(run.problem)
        for note in run.notes:
            report(note)
    finally:
        run.close()
    pygame.font.init()
    strokes = strokes or digit_strokes(7, np.random.default_rng(SEED))
    camera = _Camera(run, size, strokes, theme, tuple(str(chosen[name]) for name in SETTINGS))
    for most in FRAMES:
        frames = [camera.frame(step) for step in _steps(run, most)]
        found = _encoded(frames, kind, THEMES[theme])
        if len(found) <= MOST_BYTES:
            with named_errors(path, action="write"), atomic_write(path) as file:
                file.write(found)
            return len(frames)
    raise ConfigError(f"{path} would take {len(found) / 1e6:.1f} MB; choose a smaller --size")


def _steps(run: LiveRun, most: int) -> list[int]:
    """Return at most so many of a run's snapshots: at first all, then fewer, and the last."""
    assert run.timeline is not None
    kept = np.array(run.timeline.snapshots)
    wanted = np.concatenate(
        [np.linspace(0, kept[-1], most // 2), np.expm1(np.linspace(0, np.log1p(kept[-1]), most // 2))]
    )
    return sorted({int(kept[np.abs(kept - step).argmin()]) for step in wanted})


class _Camera:
    """Draws what the pad shows at any step of a run."""

    def __init__(
        self, run: LiveRun, size: tuple[int, int], strokes: Sequence[npt.ArrayLike], theme: str, values: tuple[str, ...]
    ) -> None:
        assert run.timeline is not None
        self._run, self._timeline, self._values = run, run.timeline, values
        self._canvas, self._surface, self._view = fitted_canvas(strokes), pygame.Surface(size), View()
        self._places = layout(size, True, training=True)
        self._scene = Scene(self._canvas, theme=theme, pen=suited_pen(self._canvas), inside=True)

    def frame(self, step: int) -> Image.Image:
        """Return the picture of a step."""
        scene, past = self._scene, self._timeline.until(step)
        recognizer = Recognizer(self._run.network(step)[1])
        scene.readings = recognizer.read(self._canvas)
        scene.focus = len(scene.readings) - 1 if scene.readings else None
        scene.why = recognizer.explain(scene.reading, self._canvas) if scene.reading else None
        complete(scene, recognizer)
        scene.bars = lengths(scene)
        scene.training = TrainingScene(
            timeline=past,
            shown=step,
            follows=True,
            words=progress_words(self._run.known, past),
            failed=False,
            ended=step == past.steps,
            go="Pause" if step < past.steps else "Finished",
            notch=FULL,
            values=self._values,
            changed=False,
        )
        self._view.draw(self._surface, scene, self._places, place_of(scene, self._places))
        pixels = pygame.surfarray.array3d(self._surface).swapaxes(0, 1)
        return Image.fromarray(np.ascontiguousarray(pixels))


def _encoded(frames: Sequence[Image.Image], kind: str, theme: Theme) -> bytes:
    """Return the animation as a file's bytes.  All frames share one palette, so that what stands still stays equal."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for color in _palette(theme) for level in color])
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [FIRST_MS, *[FRAME_MS] * (len(frames) - 2), LAST_MS][: len(frames)]
    file = io.BytesIO()
    small[0].save(file, kind, save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)
    return file.getvalue()


def _palette(theme: Theme) -> list[RGB]:
    """Return 256 colours for everything that the pad shows: those of the theme, and what lies between them."""
    ink = mix(theme.paper, theme.ink, PALE)
    ramps = (
        ("#000000", "#ffffff", 24),
        (theme.background, theme.ink, 24),
        (theme.background, theme.muted, 8),
        (theme.background, theme.accent, 16),
        (theme.track, theme.accent, 24),
        (theme.accent, theme.ink, 24),
        (theme.paper, theme.ink, 12),
        (theme.paper, theme.accent, 32),
        (theme.paper, theme.against, 32),
        (ink, theme.accent, 20),
        (ink, theme.against, 20),
    )
    colors = [mix(one, other, i / (count - 1)) for one, other, count in ramps for i in range(count)]
    colors += [rgb(color) for color in theme]
    return (colors + [colors[-1]] * 256)[:256]
