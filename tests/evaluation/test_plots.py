"""What the figures show is what was passed in, and they are drawn without pyplot."""

import io
import math
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from conftest import draw_digits
from PIL import Image

import numcnn
from numcnn.data import augmentation
from numcnn.errors import DataError, ShapeError
from numcnn.evaluation import plots
from numcnn.evaluation.metrics import CalibrationBin, classification_report, robustness


@dataclass
class Row:
    """What ``gradcheck_plot`` reads of a report's row."""

    name: str
    shape: tuple
    max_error: float
    passed: bool | None
    analytic: np.ndarray = field(default_factory=lambda: np.linspace(-2, 3, 20))
    numeric: np.ndarray = field(default_factory=lambda: np.linspace(-2, 3, 20))
    worst_index: tuple = (0,)


@dataclass
class Report:
    rows: list
    tolerance: float = 1e-7
    title: str = "Dense(4)"


def pixels(figure):
    """Draw a figure, with every warning an error.  -> (H,W,3) uint8."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(file, format="png", dpi=50)
    return np.asarray(Image.open(file).convert("RGB"))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def log_row(epoch, **changes):
    row = {
        "epoch": str(epoch),
        "lr": "0.001",
        "train_loss": f"{0.3 / epoch}",
        "train_accuracy": f"{1 - 0.1 / epoch}",
        "val_loss": f"{0.2 / epoch}",
        "val_accuracy": f"{0.9 + 0.01 * epoch}",
        "seconds": "3.0",
        "images_per_second": "20000",
    }
    for number, layer in enumerate(("conv1", "conv2", "dense1")):
        row[f"{layer}.gradient_norm"] = f"{0.1 * (number + 1) / epoch}"
        row[f"{layer}.weight_norm"] = f"{number + 2 + epoch / 100}"
        row[f"{layer}.update_ratio"] = f"{0.001 / (number + 1)}"
    return row | changes


CONFUSION = np.diag([90, 80, 70]) + np.array([[0, 12, 0], [3, 0, 0], [1, 0, 0]])


# confusion matrix and scores


def test_confusion_cells_hold_the_matrix():
    figure = plots.confusion_plot(CONFUSION, "three classes")
    axes = figure.axes[0]
    cells = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts[:9]}
    assert cells == {(row, column): str(CONFUSION[row, column]) for row in range(3) for column in range(3)}
    assert [t for t in texts(axes) if "%" in t] == ["88.2%", "96.4%", "98.6%"]  # recall, in the margin
    assert axes.get_title() == "three classes"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("read as", "true class")
    assert tick_labels(axes.xaxis) == tick_labels(axes.yaxis) == ["0", "1", "2"]


def test_the_worst_mistake_is_the_darkest_cell_and_right_ones_have_their_own_colour():
    figure = plots.confusion_plot(CONFUSION, "")
    image = pixels(figure)
    axes = figure.axes[0]

    def color(row, column):
        x, y = axes.transData.transform((column - 0.4, row - 0.4)) * 50 / figure.dpi
        return image[image.shape[0] - 1 - round(y), round(x)].astype(int)

    dark = {cell: color(*cell).sum() for cell in ((0, 1), (1, 0), (2, 0), (0, 2))}
    assert sorted(dark, key=dark.get) == [(0, 1), (1, 0), (2, 0), (0, 2)]
    assert (color(0, 2) == 255).all()  # no mistake: white
    assert color(0, 0)[2] > color(0, 0)[0] + 10  # right: blue
    assert (color(0, 0) == color(2, 2)).all()


@pytest.mark.parametrize(
    "confusion", [np.zeros((10, 10), int), np.eye(10, dtype=int), np.array([[5]]), CONFUSION * 9999]
)
def test_confusion_plot_draws_extremes(confusion):
    assert len(np.unique(pixels(plots.confusion_plot(confusion)))) > 10


def test_confusion_plot_refuses_other_shapes():
    for bad in (np.ones((2, 3)), np.ones(4), np.ones((0, 0))):
        with pytest.raises(ShapeError, match=r"confusion_plot: got shape .* wants \(C, C\)"):
            plots.confusion_plot(bad)


def test_per_class_dots_are_the_scores():
    scores = classification_report(CONFUSION)
    figure = plots.per_class_plot(scores)
    axes = figure.axes[0]
    dots = {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) == 3}
    for name, attribute in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
        expected = [(100 * getattr(s, attribute), s.label) for s in scores]
        np.testing.assert_allclose(dots[name], expected)
    assert tick_labels(axes.yaxis) == ["0  (102)", "1  (83)", "2  (71)"]
    assert legend_texts(figure) == ["precision", "recall", "F1"]
    low, high = axes.get_xlim()
    assert low < dots["precision"][:, 0].min()
    assert high >= 100
    pixels(figure)
    pixels(plots.per_class_plot(classification_report(np.eye(10, dtype=int))))  # all 100%
    with pytest.raises(DataError, match="no classes"):
        plots.per_class_plot([])


# learning curves and gradients


def test_learning_curves_show_the_log():
    rows = [log_row(epoch) for epoch in (1, 2, 3)]
    figure = plots.learning_curves(rows)
    loss, accuracy = figure.axes
    lines = {line.get_label(): line for line in loss.lines}
    np.testing.assert_allclose(lines["training"].get_xydata(), [(1, 0.3), (2, 0.15), (3, 0.1)])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [0.2, 0.1, 0.2 / 3])
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), [90, 95, 100 - 10 / 3])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [91, 92, 93])
    assert loss.get_yscale() == "log"
    assert accuracy.get_yscale() == "linear"
    assert accuracy.get_title() == "Accuracy (%), best in validation 93.00 at epoch 3"
    assert legend_texts(figure) == ["training", "validation"]
    pixels(figure)


@pytest.mark.parametrize("empty", ["", None, "nan", math.nan])
def test_learning_curves_without_validation(empty):
    rows = [log_row(epoch, val_loss=empty, val_accuracy=empty) for epoch in (1, 2)]
    figure = plots.learning_curves(rows)
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert figure.axes[1].get_title() == "Accuracy (%)"
    assert legend_texts(figure) == ["training"]
    pixels(figure)


def test_one_epoch_is_a_visible_point_at_a_whole_number():
    figure = plots.learning_curves([log_row(1)])
    image = pixels(figure)
    blue, orange = np.array([0, 114, 178]), np.array([230, 159, 0])  # the palette's first two, as RGB
    assert (np.abs(image.astype(int) - blue).sum(axis=2) < 60).sum() > 10
    assert (np.abs(image.astype(int) - orange).sum(axis=2) < 60).sum() > 10
    left, right = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if left <= tick <= right] == [1]


def test_gaps_in_the_log_stay_gaps():
    rows = [log_row(1), log_row(2, val_loss="", val_accuracy="nan"), log_row(3, train_loss="inf")]
    figure = plots.learning_curves(rows)
    np.testing.assert_array_equal(np.isfinite(figure.axes[0].lines[1].get_ydata()), [True, False, True])
    assert figure.axes[1].get_title().endswith("93.00 at epoch 3")
    pixels(figure)


def test_gradient_watch_shows_every_layer_on_log_axes():
    rows = [log_row(epoch) for epoch in (1, 2, 3)]
    figure = plots.gradient_watch(rows)
    assert [axes.get_title() for axes in figure.axes] == ["Gradient norm", "Weight norm", "Update / weight ratio"]
    assert [axes.get_yscale() for axes in figure.axes] == ["log"] * 3
    for axes, kind in zip(figure.axes, ("gradient_norm", "weight_norm", "update_ratio"), strict=True):
        assert [line.get_label() for line in axes.lines] == ["conv1", "conv2", "dense1"]
        for line in axes.lines:
            np.testing.assert_allclose(line.get_ydata(), [float(row[f"{line.get_label()}.{kind}"]) for row in rows])
    assert legend_texts(figure) == ["conv1", "conv2", "dense1", "healthy, about 1/1000"]
    low, high = plots.HEALTHY_UPDATE
    assert low < 1e-3 < high
    band = figure.axes[2].patches[0].get_bbox()
    assert (band.y0, band.y1) == (low, high)
    pixels(figure)


def test_many_layers_keep_different_looks_and_zeros_are_left_out():
    row = {"epoch": 1}
    for number in range(14):
        row |= {
            f"a_rather_long_name_{number}.{kind}": 0.001 for kind in ("gradient_norm", "weight_norm", "update_ratio")
        }
    row["a_rather_long_name_3.gradient_norm"] = 0.0
    figure = plots.gradient_watch([row, row | {"epoch": 2}])
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 14
    assert np.isnan(figure.axes[0].lines[3].get_ydata()).all()
    pixels(figure)


def test_logs_that_hold_nothing_to_draw_are_refused():
    for draw in (plots.learning_curves, plots.gradient_watch):
        with pytest.raises(DataError, match="the log has no epochs"):
            draw([])
    with pytest.raises(DataError, match="no gradient columns; train with --watch-gradients"):
        plots.gradient_watch([{"epoch": "1", "train_loss": "0.1"}])
    with pytest.raises(DataError, match="column train_loss holds something that is not a number"):
        plots.learning_curves([log_row(1, train_loss="abc")])


# gradient check


def test_gradcheck_bars_are_the_errors_and_failures_stand_out():
    rows = [Row("x", (2, 6, 8, 3), 3e-9, True), Row("conv1.w", (3, 3, 3, 4), 0.5, False), Row("b", (4,), 0.0, True)]
    rows[1].analytic = rows[1].analytic[::-1]
    figure = plots.gradcheck_plot(Report(rows))
    bars, scatter = figure.axes
    assert bars.get_xscale() == "log"
    assert tick_labels(bars.yaxis) == ["x  2x6x8x3", "conv1.w  3x3x3x4", "b  4"]
    assert texts(bars) == ["3.0e-09", "5.0e-01  wrong", "0"]
    ends = [patch.get_x() + patch.get_width() for patch in bars.patches]
    assert ends[:2] == [pytest.approx(3e-9), pytest.approx(0.5)]
    colors = [patch.get_facecolor() for patch in bars.patches]
    assert colors[0] == colors[2] != colors[1]
    np.testing.assert_allclose(bars.lines[0].get_xdata(), 1e-7)
    assert "tolerance 1e-07" in bars.get_xlabel()
    assert [text.get_text() for text in scatter.get_legend().get_texts()] == ["conv1.w is wrong", "arrays that agree"]
    points = [np.asarray(c.get_offsets()) for c in scatter.collections if len(c.get_offsets())]
    line = np.linspace(-2, 3, 20) / 3
    np.testing.assert_allclose(points[0], np.stack([line, line], axis=1))
    np.testing.assert_allclose(points[-1], np.stack([line, line[::-1]], axis=1))  # what is wrong is drawn on top
    pixels(figure)


def test_an_array_that_was_not_checked_has_no_bar_and_is_not_wrong():
    nothing = np.zeros(0)
    rows = [Row("x", (5,), 3e-9, True), Row("w", (3,), math.nan, None, nothing, nothing)]
    bars, scatter = plots.gradcheck_plot(Report(rows)).axes
    assert texts(bars) == ["3.0e-09", "not checked"]
    assert [patch.get_width() for patch in bars.patches][1] == 0
    assert [text.get_text() for text in scatter.get_legend().get_texts()] == ["arrays that agree"]


@pytest.mark.parametrize("error", [math.nan, math.inf, 1e300, 5e-324])
def test_gradcheck_plot_survives_any_error(error):
    rows = [
        Row("x", (5,), error, False, np.full(5, np.nan), np.ones(5)),
        Row("w", (0,), 0.0, True, np.ones(0), np.ones(0)),
    ]
    figure = plots.gradcheck_plot(Report(rows))
    assert texts(figure.axes[0])[0] == f"{error:.1e}  wrong"
    pixels(figure)


# the benchmark


def benchmark_document():
    """What ``numcnn bench`` measures, with two peers."""
    images = {"images_per_second": 6000.0, "images_per_second_quartiles": [5500.0, 6200.0]}
    logits = {"batch_images_per_second": 30_000.0, "batch_images_per_second_quartiles": [29_000.0, 31_000.0]}
    logits |= {"single_us_p50": 50.0, "single_us_p95": 90.0, "single_us_quartiles": [48.0, 55.0]}
    figures = {"batch_size": 128, "images_per_second": 24_000.0, "images_per_second_quartiles": [23_000.0, 24_500.0]}
    figures |= {"one_thread_images_per_second": 12_500.0, "roofline_images_per_second": 18_000.0}
    variants = {
        "training: a": {"label": "PyTorch, contiguous", **images},
        "training: b": {"label": "PyTorch, channels_last", **images, "images_per_second": 6100.0},
    }
    return {
        "date": "2026-11-22T12:00:00+00:00",
        "machine": {"cpu": "A Processor", "vectors": "AVX2", "threads": 2},
        "training": figures,
        "inference": {"batch_size": 1000, **logits, "batch_images_per_second": 40_000.0},
        "time_to_99": {"seconds": 8.0, "runs": [{"seconds": 7.5}, {"seconds": 8.5}]},
        "scan": {
            "batch_sizes": [{"batch_size": 2**k, "training_us": 50.0 + k, "inference_us": 20.0} for k in range(13)],
            "data_sets": [{"images": n, "epoch_us": 45.0} for n in (1000, 60_000)],
        },
        "peers": {
            "pytorch": {"variants": variants, "time_to_99": {"seconds": 25.0, "runs": [{"seconds": 25.0}]}},
            "onnxruntime": {"variants": {"inference: onnxruntime": {"label": "ONNX Runtime", **logits}}},
        },
    }


def test_benchmark_bars_are_the_figures_best_first():
    figure = plots.benchmark_plot(benchmark_document())
    training, batches, singles, whole, by_batch, by_data = figure.axes
    assert tick_labels(training.yaxis) == [
        "numcnn", "numcnn, one thread", "PyTorch, channels_last", "PyTorch, contiguous",
    ]  # fmt: skip
    assert [bar.get_width() for bar in training.patches] == [24_000, 12_500, 6100, 6000]
    colors = [bar.get_facecolor() for bar in training.patches]
    assert colors[2] == colors[3] and len(set(colors)) == 3  # numcnn stands out
    assert texts(training) == ["24,000", "12,500", "6,100", "6,000", "dense roofline 18,000"]
    np.testing.assert_allclose(training.lines[-1].get_xdata(), 18_000)
    assert tick_labels(batches.yaxis) == ["numcnn", "ONNX Runtime"] and "batches of 1,000" in batches.get_title()
    assert texts(singles) == ["50", "50"] and "less is better" in singles.get_title()
    assert tick_labels(whole.yaxis) == ["numcnn", "PyTorch"] and texts(whole) == ["8", "25"]
    assert [line.get_label() for line in by_batch.lines] == ["training", "inference"]
    np.testing.assert_allclose(by_batch.lines[0].get_xydata()[-1], (4096, 62))
    np.testing.assert_allclose(by_data.lines[0].get_xydata(), [(1000, 45), (60_000, 45)])
    pixels(figure)


@pytest.mark.parametrize("part", ["training", "inference", "time_to_99", "scan"])
def test_a_benchmark_of_one_part_is_drawn_alone(part):
    document = benchmark_document()
    alone = {key: document[key] for key in ("date", "machine", part)}
    figure = plots.benchmark_plot({**alone, "peers": {}})
    assert len(figure.axes) == (2 if part in ("inference", "scan") else 1)
    pixels(figure)


def test_a_benchmark_without_figures_is_refused():
    document = benchmark_document()
    with pytest.raises(DataError, match="the document has no training, inference"):
        plots.benchmark_plot({"date": document["date"], "machine": document["machine"], "peers": {}})


# contact sheet


def test_the_sheet_of_changes_shows_a_line_of_pictures_for_each():
    images, _ = draw_digits(600, 11)
    strengths = ("rotation", "cutout", None)
    rows = {
        name or "everything": [augmentation.growing(image, name, 5, number=k)[k] for k, image in enumerate(images[:5])]
        for name in strengths
    }
    figure = plots.augmentation_plot(rows)
    (axes,) = figure.axes
    assert texts(axes) == ["rotation", "cutout", "everything"]
    drawn = [np.asarray(image.get_array()) for image in axes.images]
    np.testing.assert_array_equal(drawn, np.concatenate([*rows.values()]))
    np.testing.assert_array_equal(drawn[::5], [images[0]] * 3)  # strength 0
    assert all(
        (picture != image).any() for picture, image in zip(drawn[6:10], images[1:5], strict=True)
    )  # a patch in each
    assert [image.get_extent()[3] for image in axes.images[::5]] == pytest.approx([0, 1.12, 2.24])  # top
    assert pixels(figure).std() > 10
    for nothing in ({}, {"rotation": []}):
        with pytest.raises(DataError, match="augmentation_plot: there are no pictures to draw"):
            plots.augmentation_plot(nothing)


def test_the_readmes_sheet_is_drawn_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(numcnn.__file__).parent / "evaluation" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert list(names["rows"])[:2] == ["rotation", "scale"] and len(names["rows"]) == 13
    for name, pictures in names["rows"].items():
        np.testing.assert_array_equal(pictures[0], names["digits"][0])
        assert any((pictures[k] != names["digits"][k]).any() for k in range(1, 10)), name
    assert (tmp_path / "augmentation.png").stat().st_size > 10_000


def test_the_picture_of_corruptions_frames_what_is_misread_and_puts_the_best_first():
    images, labels = draw_digits(600, 11)
    clean = np.ones(100, bool)
    found = robustness(clean, {"fog": np.arange(100) < 30, "shot_noise": np.arange(100) < 90})
    examples = {name: (images[:3], labels[:3].copy()) for name in ("identity", "fog", "shot_noise")}
    examples["fog"][1][2] = (labels[2] + 1) % 10
    figure = plots.corruption_plot(found, examples, labels[:3], "spoilt")
    (axes,) = figure.axes
    read = str((labels[2] + 1) % 10)
    assert texts(axes) == ["clean", "100.0%", "shot noise", "90.0%", read, "fog", "30.0%", "mean of 2: 60.0%"]
    np.testing.assert_array_equal([image.get_array() for image in axes.images], np.concatenate([images[:3]] * 3))
    widths = [bar.get_width() for bar in axes.patches if bar.get_height() == 0.5]
    assert widths == pytest.approx([4, 4, 4, 3.6, 4, 1.2])
    framed = [
        frame for frame in axes.patches if frame.get_edgecolor()[:3] == pytest.approx((0xD5 / 255, 0x5E / 255, 0))
    ]
    assert len(framed) == 1
    assert figure.get_suptitle() == "spoilt" and pixels(figure).std() > 10


def test_a_gallery_says_which_picture_it_was_and_what_it_was_read_as():
    images, _ = draw_digits(600, 11)
    figure = plots.gallery(
        images[:2], [17, 9042], [4, 5], ["read 9, 88.0%", "read 6, >99.9%"], "what went wrong in a run"
    )
    (axes,) = figure.axes
    assert texts(axes) == ["#17 is a 4\nread 9, 88.0%", "#9042 is a 5\nread 6, >99.9%"]
    assert figure.get_suptitle() == "what went wrong in a run"
    figure.canvas.draw()
    title = figure._suptitle.get_window_extent()
    assert title.x0 >= 0 and title.x1 <= figure.bbox.width  # though two pictures are narrow
    upper = [text.get_window_extent() for text in axes.texts]
    assert all(box.y0 >= axes.images[0].get_window_extent().y1 - 1 for box in upper) and upper[0].x1 < upper[1].x0


def test_a_picture_sheet_keeps_proportions_and_has_titles_below():
    pictures = [np.full((20, 60), 200, np.uint8), np.full((90, 30, 3), 90, np.uint8), np.zeros((5, 5), np.uint8)]
    figure = plots.picture_sheet(pictures, ["a", "b\nc", "d"], columns=2, title="misread")
    (axes,) = figure.axes
    assert pixels(figure).std() > 10  # draws it
    assert texts(axes) == ["a", "b\nc", "d"] and figure.get_suptitle() == "misread"
    for image, text, picture in zip(axes.images, axes.texts, pictures, strict=True):
        box = image.get_window_extent()
        assert box.width / box.height == pytest.approx(picture.shape[1] / picture.shape[0], rel=0.1)
        assert text.get_window_extent().y1 <= box.y0 + 1
    assert axes.images[2].get_window_extent().y1 < axes.images[1].get_window_extent().y0
    with pytest.raises(DataError, match="there are no pictures to draw"):
        plots.picture_sheet([], [])
    with pytest.raises(ShapeError, match="got 1 titles for 3 pictures; wants one for each"):
        plots.picture_sheet(pictures, ["a"])


def test_digit_grid_shows_every_picture_in_order():
    images = np.zeros((7, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[4:24, 4 : 6 + 2 * number] = 255
    figure = plots.digit_grid(images, titles=[f"{n} read 5" for n in range(7)], columns=3)
    axes = figure.axes[0]
    assert texts(axes) == [f"{n} read 5" for n in range(7)]
    shown = axes.images
    np.testing.assert_array_equal([image.get_array() * 255 for image in shown], images)
    corners = [(image.get_extent()[3], image.get_extent()[0]) for image in shown]  # top, left
    assert corners == sorted(corners)
    assert len({top for top, _ in corners}) == 3
    assert len({left for _, left in corners}) == 3
    assert (pixels(figure).mean(axis=2) < 40).sum() > 500  # ink is dark


def test_digit_grid_takes_floats_and_a_single_picture():
    picture = np.linspace(0, 1, 784).reshape(1, 28, 28)
    figure = plots.digit_grid(picture)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), picture[0])
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    pixels(figure)


def test_digit_grid_refuses_bad_input():
    with pytest.raises(ShapeError, match=r"got shape \(28, 28\); wants \(N, H, W\)"):
        plots.digit_grid(np.zeros((28, 28)))
    with pytest.raises(ShapeError, match="at least one picture"):
        plots.digit_grid(np.zeros((0, 28, 28)))
    with pytest.raises(ShapeError, match="got 1 titles for 2 pictures"):
        plots.digit_grid(np.zeros((2, 28, 28)), titles=["a"])


# files and side effects


def test_save_writes_a_png_and_leaves_nothing_else(tmp_path):
    plots.save(plots.confusion_plot(CONFUSION), tmp_path / "a.png")
    plots.save(plots.per_class_plot(classification_report(CONFUSION)), tmp_path / "a.png")  # replaces it
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.width > 500
        assert len(image.getcolors(2**24)) > 50


def test_neither_import_nor_drawing_touches_pyplot(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from numcnn import plots\n"
        "print('matplotlib' in sys.modules)\n"
        f"plots.save(plots.confusion_plot(np.eye(3, dtype=int)), {str(tmp_path / 'a.png')!r})\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True", "False"]
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_the_reliability_plot_shows_every_bin_in_use():
    bins = [CalibrationBin(0.4, 0.6, 4, 0.5, 0.75), CalibrationBin(0.8, 1.0, 1000, 0.97, 0.99)]
    figure = plots.reliability_plot(bins, 0.021, "seven")
    upper, lower = figure.axes
    assert upper.get_title() == "seven\nexpected calibration error 2.10%"
    (points,) = upper.containers
    np.testing.assert_allclose(points[0].get_xydata(), [[50, 75], [97, 99]])
    assert [patch.get_height() for patch in lower.patches] == [4, 1000]
    assert pixels(figure).std() > 10
