"""What was read in a picture as JSON, as a row of CSV and as text for people."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from numcnn.evaluation.metrics import percent
from numcnn.imaging.picture_files import PicturePage
from numcnn.recognition.page import Page

Document: TypeAlias = dict[str, Any]

COLUMNS = ("path", "text", "sure", "probability", "digits")  # of CSV
RUNNERS_UP = 2

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def document(name: str, page: Page, picture: PicturePage | None = None) -> Document:
    """Return a page as JSON stores it, with the boxes in pixels of the file.  picture: where the page was read.

    ``{"path", "text", "digits": [{"label", "probability", "probabilities", "sure", "box", "line"}]}``; a page with
    exactly one digit also has that digit's label, probability, sure and probabilities beside its path.
    """
    digits: list[Document] = [
        {
            "label": digit.label,
            "probability": float(digit.probability),
            "probabilities": [float(value) for value in digit.probabilities],
            "sure": bool(digit.sure),
            "box": [int(value) for value in (picture.box_in_file(digit.box) if picture else digit.box)],
            "line": digit.line,
        }
        for digit in page
    ]
    found: Document = {"path": name, "text": page.text, "digits": digits}
    if len(digits) == 1:
        found |= {key: digits[0][key] for key in ("label", "probability", "sure", "probabilities")}
    return found


def json_line(found: Document) -> str:
    """Return a document as one line, without its end."""
    return json.dumps(found, allow_nan=False)


def csv_line(found: Document) -> str:
    """Return a document as a row of CSV, without the line's end: see ``COLUMNS``.

    sure: whether all digits are; probability: that all are right, the product of theirs; both empty without digits.
    """
    digits: list[Document] = found["digits"]
    sure = str(all(digit["sure"] for digit in digits)).lower() if digits else ""
    probability = f"{math.prod(digit['probability'] for digit in digits):.6f}" if digits else ""
    return csv_row((found["path"], found["text"], sure, probability, len(digits)))


def csv_row(values: tuple[object, ...]) -> str:
    """Return values as a row of CSV, without the line's end."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerow(values)  # which it needs to know to quote what has either
    return file.getvalue()[:-2]


def text_lines(found: Document, width: int, verbose: bool = False) -> str:
    """Return a document as people read it: the path, ``width`` characters wide, and the text.

    A single digit has its probability and two runners-up.  verbose: a line for each digit as well.
    """
    digits: list[Document] = found["digits"]
    path = f"{plain(found['path']):<{width}}  "
    if not digits:
        return f"{path}no digits"
    if len(digits) == 1:
        return path + _answer(digits[0]) + (f"   {_place(digits[0])}" if verbose else "")
    first, *others = found["text"].split("\n")
    unsure = sum(not digit["sure"] for digit in digits)
    note = f"   not sure of {unsure} of {len(digits)} digits" if unsure else ""
    lines = [path + first + (note if not others else "")]
    lines += [" " * len(path) + line for line in others]
    if others:
        lines[-1] += note
    if verbose:
        lines += [f"  {_answer(digit)}   {_place(digit)}" for digit in digits]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return text for one line of a terminal: control characters, which a file's name may hold, as \\n or \\x1b."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _answer(digit: Mapping[str, Any]) -> str:
    """Return the label with its probability, or that the network isn't sure, then the runners-up."""
    probabilities: list[float] = digit["probabilities"]
    order = sorted(range(len(probabilities)), key=lambda label: -probabilities[label])
    first, *others = (f"{label} ({percent(probabilities[label])})" for label in order[: 1 + RUNNERS_UP])
    if not digit["sure"]:
        return f"not sure (maybe a {digit['label']}: {percent(digit['probability'])})   then {', '.join(others)}"
    return f"{first}   then {', '.join(others)}"


def _place(digit: Mapping[str, Any]) -> str:
    x, y, width, height = digit["box"]
    return f"line {digit['line'] + 1}, {width}x{height} at {x},{y}"
