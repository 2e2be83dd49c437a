"""An evaluation as one self-contained HTML page: no scripts, no other files, readable on a phone and in the dark."""

import base64
import html
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numcnn.evaluation import metrics
from numcnn.evaluation.metrics import Answered, Evaluation, Robustness, accuracy_interval, percent
from numcnn.evaluation.plots.curves import column
from numcnn.evaluation.svg_chart import Chart, Point
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints

MOST_MISTAKES = 60
MOST_FILTERS = 128
DEEPEST = 0.75  # how opaque the colour of the most frequent mistake is

STYLE = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1d1f; --muted: #63636a; --rule: #dcdcd8;
  --a: #0072b2; --b: #b86e00; --wrong: 213 94 0 }
@media (prefers-color-scheme: dark) { :root { --page: #141416; --card: #1e1e21; --ink: #ececee; --muted: #a5a5ad;
  --rule: #38383d; --a: #56b4e9; --b: #f0b040; --wrong: 240 120 40 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
main { max-width: 1360px; margin: 0 auto; padding: 16px 16px 0 }
.columns { columns: 3 400px; column-gap: 16px; margin-bottom: 16px }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px;
  margin: 0 0 16px; break-inside: avoid }
h1 { font-size: 20px; margin: 0 0 4px; overflow-wrap: anywhere } h2 { font-size: 16px; margin: 0 0 8px }
p { margin: 4px 0 } .muted, figcaption, .label { color: var(--muted) }
.big { font-size: 44px; line-height: 1.1; font-weight: 650; margin: 8px 0 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 12px 0 0 } dd { margin: 0;
  overflow-wrap: anywhere } dt { color: var(--muted) }
.columns > :last-child { margin-bottom: 0 } .scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { font-weight: 500; color: var(--muted) } td, th { text-align: right; padding: 3px 5px; white-space: nowrap }
tr > :first-child { text-align: left } tbody tr { border-top: 1px solid var(--rule) }
.confusion { table-layout: fixed }
.confusion td, .confusion th { text-align: center; padding: 4px 0; font-size: 11px; border: 1px solid var(--rule) }
.confusion td { background: rgb(var(--wrong) / var(--share, 0)) } .confusion .right { font-weight: 650 }
.confusion .none { color: var(--muted); opacity: .55 }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 10px }
figure { margin: 0; min-width: 0 } figcaption { font-size: 12px; line-height: 1.3 }
img { image-rendering: pixelated; width: 100%; display: block; border: 1px solid var(--rule); background: #fff }
.filters { grid-template-columns: repeat(auto-fill, minmax(44px, 1fr)); gap: 6px }
svg { width: 100%; max-width: 560px; height: auto; display: block; margin: 0 auto }
svg text { font-size: 12px; fill: var(--ink) } svg .label { fill: var(--muted) } .grid { stroke: var(--rule) }
.line { fill: none; stroke-width: 2 } .a { stroke: var(--a) } .b { stroke: var(--b) }
.quiet { stroke: var(--muted); stroke-dasharray: 5 4; stroke-width: 1.2 }
.dot { fill: var(--a) } .band { fill: var(--a); opacity: .18 }
.legend { text-align: center; font-size: 13px } .key { margin: 0 8px }
.key::before { content: "\\2014 "; font-weight: 700 }
.key.a::before { color: var(--a) } .key.b::before { color: var(--b) } .key.quiet::before { color: var(--muted) }
.bar { width: 30% } .bar div { height: 10px; background: var(--a); border-radius: 2px }
"""


@dataclass(frozen=True, eq=False)
class Findings:
    """What the page shows.

    title: one line; facts: name -> text, such as what the network was trained on; images (N,H,W) uint8 and labels (N,),
    which ``result`` is about; robustness: under corruptions, if measured; curves: rows of the run's log.csv, if any;
    filters (KH,KW,C,F): those of the first convolution, if any.
    """

    title: str
    facts: Mapping[str, str]
    images: Bytes
    labels: Ints
    result: Evaluation
    answered: Answered
    robustness: Robustness | None = None
    curves: Sequence[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    filters: Floats | None = None


def page(found: Findings) -> str:
    """Return the page.  Raises DataError for a log that holds no numbers."""
    columns = [_per_class(found.result), _confusion(found.result), _calibration(found.result)]
    columns.append(_coverage_risk(found.result, found.answered))
    if found.robustness:
        columns.append(_corruptions(found.robustness))
    if found.curves:
        columns += _curves(found.curves)
    sections = [_headline(found), f'<div class="columns">{"".join(columns)}</div>', _mistakes(found)]
    if found.filters is not None:
        sections.append(_filters(found.filters))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(found.title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(sections)}\n</main></body></html>\n"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def _table(head: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "", narrowest: int = 0) -> str:
    """Return a table; cells are HTML already, and a cell that begins with <t is one with its own tag.

    narrowest: its least width, in pixels; a narrower page scrolls.
    """

    def line(cells: Sequence[object], tag: str) -> str:
        return "".join(str(c) if str(c).startswith("<t") else f"<{tag}>{c}</{tag}>" for c in cells)

    body = "".join(f"<tr>{line(cells, 'td')}</tr>" for cells in rows)
    top = f"<thead><tr>{line(head, 'th')}</tr></thead>"
    table = f'<table class="{kind}" style="min-width: {narrowest}px">{top}<tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _range(low: float, high: float) -> str:
    return f"{low:.2%} to {high:.2%}"


def _headline(found: Findings) -> str:
    result, answered = found.result, found.answered
    right = int(result.right.sum())
    facts = {
        "loss": f"{result.loss:.4f}",
        "calibration": f"expected calibration error {result.calibration_error:.2%}",
    }
    if answered.threshold.refuses and answered.given:
        low, high = accuracy_interval(answered.right, answered.given)
        sure = f"{answered.right / answered.given:.2%} right ({_range(low, high)}), {answered.given:,} answers"
        facts["sure answers"] = sure
        facts["not sure"] = f"{1 - answered.given / answered.n:.2%} of the pictures: {answered.threshold}"
    lines = [f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in {**facts, **found.facts}.items()]
    return (
        f'<section><h1>{html.escape(found.title)}</h1><p class="big">{result.accuracy:.2%}</p>'
        f"<p>{right:,} of {result.n:,} read correctly; 95% interval {_range(*result.interval)}</p>"
        f"<dl>{''.join(lines)}</dl></section>"
    )


def _per_class(result: Evaluation) -> str:
    rows = [
        (
            one.label,
            f"{one.support:,}",
            *(f"{x:.2%}" if one.support else "-" for x in (one.precision, one.recall, one.f1)),
        )
        for one in result.per_class
    ]
    return _section("By class", _table(("class", "images", "precision", "recall", "F1"), rows))


def _confusion(result: Evaluation) -> str:
    """Return the matrix; a mistake's cell is the darker the larger its share of the true class is."""
    counts = result.confusion
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    np.fill_diagonal(share, 0)
    depth = DEEPEST * np.sqrt(share / (share.max() or 1))  # the root: small shares stay visible beside large ones
    rows: list[list[str]] = []
    for true, row in enumerate(counts):
        cells = [f"<th>{true}</th>"]
        for read, count in enumerate(row):
            kind = "right" if true == read else "" if count else "none"
            color = f' style="--share: {depth[true, read]:.2f}"' if count and true != read else ""
            cells.append(f'<td class="{kind}"{color}>{count}</td>')
        rows.append(cells)
    pairs = [f"{true} as {read} ({count:,})" for true, read, count in metrics.top_confusions(counts, 5)]
    often = f'<p class="muted">most frequent: {", ".join(pairs)}</p>' if pairs else ""
    text = '<p class="muted">a row for each true class, a column for what it was read as</p>'
    return _section(
        "Confusion", text, _table(("", *range(len(counts))), rows, "confusion", 28 * (len(counts) + 1)), often
    )


def _calibration(result: Evaluation) -> str:
    chart = Chart(
        "Accuracy over probability", "probability of the answer, %", "right, %", range_x=(0, 100), range_y=(0, 100)
    )
    chart.line((0, 100), (0, 100), "quiet", "perfectly calibrated")
    points: list[Point] = []
    for some in result.calibration:
        low, high = accuracy_interval(round(some.n * some.accuracy), some.n)
        points.append(Point(100 * some.confidence, 100 * some.accuracy, 100 * low, 100 * high))
    chart.points(points)
    error = f"Expected calibration error {result.calibration_error:.2%}"
    text = f"<p>{error}; a dot is the answers of about one probability, with its 95% interval.</p>"
    return _section("Calibration", chart.to_svg(), text)


def _coverage_risk(result: Evaluation, answered: Answered) -> str:
    rows = sorted(result.risks, key=lambda row: row.answered)
    given = [100 * row.answered / row.n for row in rows]
    wrong = [100 * row.wrong / row.answered for row in rows]
    limits = [accuracy_interval(row.wrong, row.answered) for row in rows]
    highest = max(100 * high for _, high in limits)
    chart = Chart("Wrong answers over answers", "answered, % of the pictures", "wrong, %", range_y=(0, highest))
    chart.range_x = (min(given), 100) if min(given) < 100 else (0, 100)
    chart.band(given, [100 * low for low, _ in limits], [100 * high for _, high in limits])
    chart.line(given, wrong, "a", "wrong answers, with 95% interval")
    text = ""
    if answered.threshold.refuses and answered.given:
        low, high = accuracy_interval(answered.given - answered.right, answered.given)
        share, wrong_share = answered.given / answered.n, 1 - answered.right / answered.given
        chart.points([Point(100 * share, 100 * wrong_share, 100 * low, 100 * high)])
        text = "<p>The dot: the sure answers, chosen by certainty; the line: those of the highest probability.</p>"
    return _section("If only the most probable answers count", chart.to_svg(), text)


def _corruptions(found: Robustness) -> str:
    ordered = sorted(found.corruptions.items(), key=lambda row: -row[1].accuracy)
    rates = {"clean": found.clean, **dict(ordered), f"mean of {len(ordered)}": found.mean}
    rows = [
        (
            html.escape(name.replace("_", " ")),
            f'<td class="bar"><div style="width: {100 * rate.accuracy:.1f}%"></div></td>',
            f"{rate.accuracy:.1%}",
            f"{100 * rate.interval[0]:.1f} to {rate.interval[1]:.1%}",
        )
        for name, rate in rates.items()
    ]
    return _section("Under corruptions", _table(("", "", "accuracy", "95% interval"), rows))


def _curves(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    epochs = column(rows, "epoch")
    sections: list[str] = []
    for name, factor, unit in (("loss", 1, ""), ("accuracy", 100, "%")):
        train, held_out = factor * column(rows, f"train_{name}"), factor * column(rows, f"val_{name}")
        finite = np.concatenate([train, held_out])
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            continue
        log = bool(name == "loss" and finite.min() > 0 and finite.max() > 5 * finite.min())
        chart = Chart(f"{name} over the epochs", "epoch", name, unit=unit, log=log)
        chart.line(epochs, train, "a", "training")
        chart.line(epochs, held_out, "b", "validation")
        sections.append(_section(f"The run: {name}", chart.to_svg()))
    return sections


def _mistakes(found: Findings) -> str:
    probabilities = found.result.probabilities
    wrong = metrics.mistakes(found.labels, probabilities)
    if not len(wrong):
        return _section("Mistakes", "<p>No picture was misread.</p>")
    figures = [
        _figure(
            255 - found.images[i],
            f"#{i}: a {found.labels[i]}, read {probabilities[i].argmax()}, {percent(probabilities[i].max())}",
        )
        for i in wrong[:MOST_MISTAKES]
    ]
    count = f"{len(wrong):,} of {found.result.n:,} misread"
    which = f"; the {MOST_MISTAKES} most confident, the worst first" if len(wrong) > MOST_MISTAKES else ""
    return _section(
        "The most confident mistakes",
        f"<p>{count}{which}</p>",
        f'<div class="pictures">{"".join(figures)}</div>',
    )


def _filters(filters: Floats) -> str:
    """Return the first convolution's filters: white 0, blue above, orange below, each of its own scale."""
    shown = filters.mean(axis=2).transpose(2, 0, 1)[:MOST_FILTERS]  # (F,KH,KW), the mean over the channels
    pictures: list[str] = []
    for number, weights in enumerate(shown):
        scaled = (weights / (np.abs(weights).max() or 1)).astype(np.float64)[..., None]
        color = np.where(scaled > 0, np.array([0, 114, 178]), np.array([213, 94, 0]))
        pictures.append(_figure((255 + np.abs(scaled) * (color - 255)).astype(np.uint8), f"{number}"))
    KH, KW, C, F = filters.shape
    size = f"{F} filters of {KH} x {KW}" + (f", the mean over {C} channels" if C > 1 else "")
    text = f'<p class="muted">{size}; blue adds, orange takes away, white is 0</p>'
    return _section("The first convolution", text, f'<div class="pictures filters">{"".join(pictures)}</div>')


def _figure(picture: AnyArray, caption: str) -> str:
    data = base64.b64encode(png(picture)).decode()
    text = html.escape(caption, quote=True)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def png(picture: AnyArray) -> bytes:
    """Return a picture (H,W) or (H,W,3), uint8, as the bytes of a PNG file."""
    rows = np.ascontiguousarray(picture).reshape(len(picture), -1)
    lines = np.pad(rows, ((0, 0), (1, 0)))  # each line begins with its filter: 0, none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    color = 0 if picture.ndim == 2 else 2  # grey, RGB
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
