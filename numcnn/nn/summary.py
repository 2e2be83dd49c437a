"""Descriptions of a network: a table for the terminal or a notebook, and the architecture for the weights file."""

import html
from collections.abc import Sequence
from typing import Any

from numcnn.nn import fusion, initializers
from numcnn.nn.flat_arrays import size
from numcnn.nn.layer import Layer


def as_text(layers: Sequence[Layer], steps: Sequence[Layer]) -> str:
    """Return a table: layer, output shape, parameters, FLOP per image; and below it the steps that run."""
    rows = _rows(layers)
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], "", *fusion.describe(steps)])


def as_html(layers: Sequence[Layer]) -> str:
    """Return the table as HTML."""
    head, *rows = (tuple(html.escape(cell) for cell in row) for row in _rows(layers))
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{''.join(lines)}</table>"


def _rows(layers: Sequence[Layer]) -> list[tuple[str, str, str, str]]:
    rows = [("layer", "output", "parameters", "FLOP per image")]
    sizes = [sum(size(spec) for spec in layer.specs) for layer in layers]
    for layer, parameters in zip(layers, sizes, strict=True):
        name = f"{layer.name} ({type(layer).__name__})"
        rows.append((name, shape_in_words(layer.out_shape), f"{parameters:,}", f"{layer.flops():,}"))
    rows.append(("total", "", f"{sum(sizes):,}", f"{sum(layer.flops() for layer in layers):,}"))
    return rows


def shape_in_words(shape: tuple[int, ...]) -> str:
    """Return a shape as "28 x 28 x 1"."""
    return " x ".join(map(str, shape))


def architecture(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return the layers as dicts that JSON can hold, which ``layer.layer_from`` reads.

    Raises ConfigError for an initialiser that is a function without a registered name.
    """
    described: list[dict[str, Any]] = []
    for layer in layers:
        config = layer.config()
        if "init" in config:
            config["init"] = initializers.name_of(config["init"], layer.name)
        described.append({"type": type(layer).__name__, **config})
    return described
