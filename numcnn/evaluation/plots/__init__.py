"""Pictures of results.  Every function is given what it draws and returns a matplotlib Figure, which ``save`` writes.

matplotlib is imported when the first figure is made, without pyplot: no display is needed, and the caller's own
plots stay as they are.
"""

from numcnn.evaluation.plots.benchmark_bars import benchmark_plot
from numcnn.evaluation.plots.contact_sheet import (
    augmentation_plot,
    digit_grid,
    gallery,
    mistakes_gallery,
    page_plot,
    picture_sheet,
)
from numcnn.evaluation.plots.curves import HEALTHY_UPDATE, gradient_watch, learning_curves
from numcnn.evaluation.plots.gradcheck_bars import gradcheck_plot
from numcnn.evaluation.plots.scores import (
    confusion_plot,
    corruption_plot,
    coverage_risk_plot,
    per_class_plot,
    reliability_plot,
)
from numcnn.evaluation.plots.style import save
from numcnn.evaluation.plots.trace_sheets import layer_sheet, trace_overview

__all__ = [
    "HEALTHY_UPDATE",
    "augmentation_plot",
    "benchmark_plot",
    "confusion_plot",
    "corruption_plot",
    "coverage_risk_plot",
    "digit_grid",
    "gallery",
    "gradcheck_plot",
    "gradient_watch",
    "layer_sheet",
    "learning_curves",
    "mistakes_gallery",
    "page_plot",
    "per_class_plot",
    "picture_sheet",
    "reliability_plot",
    "save",
    "trace_overview",
]
