"""The benchmark's report: one document that JSON can hold, and its tables as text and Markdown."""

import datetime
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from numcnn.benchmark.contestants import AUGMENTED, CONTESTANTS, NUMCNN, ONE_THREAD, UNFUSED
from numcnn.benchmark.kernel_table import kernel_table
from numcnn.benchmark.machine import DISTURBED, describe, is_busy
from numcnn.benchmark.measure import Contest, Figures
from numcnn.data import Dataset, title_of
from numcnn.training.run_folder import versions

# Of a peer's variants the best by these keys stands for it.
BEST_BY = {"training": "images_per_second", "inference": "batch_images_per_second"}

COLUMNS = 80  # of a terminal

Document: TypeAlias = dict[str, Any]
Row: TypeAlias = tuple[str, ...]
Table: TypeAlias = tuple[str, Row, Sequence[Row]]  # title, header, rows of texts


def new_document(command: str, dataset: Dataset, threads: int) -> Document:
    """Return the document with everything that is known before the measurements."""
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command,
        "dataset": dataset.name,
        "machine": describe(threads),
        "versions": versions(),
        "rounds": {},
        "peers": {},
        "missing": {},
        "failed": {},
    }


def add_contest(document: Document, part: str, contest: Contest, figures: Figures) -> None:
    """Enter the results of the training or the inference contest."""
    document["versions"].update(contest.versions)
    document["failed"].update({f"{part}: {name}": reason for name, reason in contest.failed.items()})
    rounds = {"kept": len(contest.bursts.get(NUMCNN, ())), "disturbed": contest.disturbed, "left_out": contest.left_out}
    document["rounds"][part] = rounds
    document[part] = figures[NUMCNN]
    document[part] |= {"settled_on": contest.variants.get(NUMCNN, {}), "agreement": contest.agreement}
    for contestant in CONTESTANTS:
        if contestant.part == part and contestant.peer and contestant.name in figures:
            variant = {
                "label": contestant.label,
                "settled_on": contest.variants[contestant.name],
                **figures[contestant.name],
                "agreement": contest.agreement[contestant.name],
            }
            peer = document["peers"].setdefault(contestant.peer, {})
            peer.setdefault("variants", {})[f"{part}: {contestant.name}"] = variant
            best = peer.get(part)
            if best is None or variant[BEST_BY[part]] > best[BEST_BY[part]]:
                peer[part] = variant


# ----------------------------------------------------------------------------------------------------------- the tables


def rows_of(document: Document) -> list[Table]:
    """Return the document as tables, for the terminal and for Markdown."""
    makers: dict[str, Callable[[Document], list[Table]]] = {
        "training": _training_rows,
        "inference": _inference_rows,
        "kernels": lambda document: [kernel_table(document["kernels"])],
        "scan": _scan_rows,
        "start_up": _start_up_rows,
        "pad": _pad_rows,
        "live": _live_rows,
        "time_to_99": _time_to_99_rows,
        "ocr": _ocr_rows,
        "photo": _photo_rows,
    }
    return [table for part, maker in makers.items() if part in document for table in maker(document)]


def _variants(document: Document, part: str) -> list[dict[str, Any]]:
    """Return the figures of all peers' variants in a part, the fastest first."""
    rows = [
        variant
        for peer in document["peers"].values()
        for name, variant in peer.get("variants", {}).items()
        if name.startswith(f"{part}: ")
    ]
    return sorted(rows, key=lambda row: -row[BEST_BY[part]])


def _training_rows(document: Document) -> list[Table]:
    own = document["training"]
    rows = [("numcnn", _count(own["images_per_second"]), _span(own["images_per_second_quartiles"]), "")]
    ways = ((ONE_THREAD, "one_thread", "scaling"), (UNFUSED, "unfused", "fusion_ratio"))
    for name, key, times in (*ways, (AUGMENTED, "augmented", "augmentation_ratio")):
        if times in own:
            label = next(c.label for c in CONTESTANTS if c.name == name)
            rows.append((label, _count(own[f"{key}_images_per_second"]), "", _times(own, times)))
    rows += [
        (
            _label(row, "step"),
            _count(row["images_per_second"]),
            _span(row["images_per_second_quartiles"]),
            _times(row, "ratio"),
        )
        for row in _variants(document, "training")
    ]
    rows.append(
        (
            f"dense roofline: sgemm at {own['sgemm_gflops']:.0f} GFLOP/s",
            _count(own["roofline_images_per_second"]),
            "",
            f"{own['roofline_ratio']:.2f}x",
        )
    )
    return [(f"training, batches of {own['batch_size']}", ("", "images/s", "quartiles", "numcnn is"), rows)]


def _inference_rows(document: Document) -> list[Table]:
    own = {"label": "numcnn", **document["inference"]}
    others = _variants(document, "inference")
    batches, singles = [], []
    for label, row in ((_label(row, "batch"), row) for row in (own, *others)):
        speed = (_count(row["batch_images_per_second"]), _span(row["batch_images_per_second_quartiles"]))
        batches.append((label, *speed, _times(row, "batch_ratio")))
    for label, row in ((_label(row, "single"), row) for row in (own, *others)):
        times = (f"{row['single_us_p50']:.1f}", f"{row['single_us_p95']:.1f}")
        singles.append((label, *times, _times(row, "single_ratio")))
    return [
        (f"inference, batches of {own['batch_size']:,}", ("", "images/s", "quartiles", "numcnn is"), batches),
        ("inference, one image", ("", "p50 us", "p95 us", "numcnn is"), singles),
    ]


def _scan_rows(document: Document) -> list[Table]:
    scan = document["scan"]
    batches = [
        (f"{row['batch_size']:,}", f"{row['training_us']:.1f}", f"{row['inference_us']:.1f}")
        for row in scan["batch_sizes"]
    ]
    sets = [(f"{row['images']:,}", f"{row['epoch_us']:.1f}") for row in scan["data_sets"]]
    return [
        ("numcnn, us for an image by batch size", ("images in a batch", "training", "inference"), batches),
        ("numcnn, us for an image by size of the data set", ("images", "one epoch"), sets),
    ]


def _start_up_rows(document: Document) -> list[Table]:
    own, peer = document["start_up"], document["peers"].get("pytorch", {}).get("start_up")
    header, columns = ("", "numcnn"), [own]
    if peer:
        header, columns = (*header, "PyTorch"), [own, peer]
    lines = (
        ("process start to the second step, the first time ever (s)", "first_run_s", "{:.2f}"),
        ("process start to the second step, later (s)", "later_run_s", "{:.2f}"),
        ("peak memory of one epoch, the first time ever (MB)", "peak_memory_first_mb", "{:.0f}"),
        ("peak memory of one epoch, later (MB)", "peak_memory_mb", "{:.0f}"),
    )
    rows = [
        (text, *(form.format(column[key]) if column.get(key) else "" for column in columns))
        for text, key, form in lines
    ]
    return [("start-up and memory", header, rows)]


def _pad_rows(document: Document) -> list[Table]:
    cases = []
    for case in document["pad"]["cases"]:
        panels = "".join(f", {panel}" for panel in case["panels"])
        times = (f"{case[key]:.1f}" for key in ("latency_ms_p50", "latency_ms_p95", "latency_ms_max", "work_ms_p50"))
        name = f"{case['size']}, {case['events_per_second']} Hz{panels}"
        cases.append((name, *times, f"{case['frames_per_second']:.0f}"))
    first = document["pad"]["first_frame_s"]
    rows = [
        ("process start to the first frame, the fastest (s)", f"{min(first):.2f}"),
        ("process start to the first frame, the slowest (s)", f"{max(first):.2f}"),
        ("share of a processor while idle", f"{document['pad']['idle_cpu']:.1%}"),
    ]
    header = ("", "p50 ms", "p95 ms", "max ms", "work ms", "frames/s")
    return [("pad, from mouse events to new bars", header, cases), ("pad", ("", "numcnn"), rows)]


def _live_rows(document: Document) -> list[Table]:
    rows = []
    for run in document["live"]["runs"]:
        name = f"seed {run['seed']}, {run['size']}, drawing {run['drawing']}"
        speeds = (_count(run["alone_images_per_second"]), _count(run["images_per_second"]))
        processor_time = run["processor_seconds"] / max(run["alone_processor_seconds"], 1e-9)
        shares = (f"{run['share_of_speed']:.0%}", f"{processor_time:.0%}")
        frames = (f"{run['frame_ms_p95']:.1f}", f"{run['work_ms_p95']:.1f}")
        to_99 = "-" if run["seconds_to_99"] is None else f"{run['seconds_to_99']:.1f}"
        rows.append((name, *speeds, *shares, *frames, to_99, f"{run['validation_accuracy']:.2%}"))
    header = (
        "",
        "images/s alone",
        "in the pad",
        "share",
        "processor time",
        "frame ms p95",
        "work ms p95",
        "s to 99%",
        "validation",
    )
    shares = document["live"]["share_of_speed"].items()
    medians = [(f"drawing {drawing}", f"{share:.0%}") for drawing, share in shares]
    return [("training watched in the pad", header, rows), ("share of the speed, medians", ("", "numcnn"), medians)]


def _time_to_99_rows(document: Document) -> list[Table]:
    own, peer = document["time_to_99"], document["peers"].get("pytorch", {}).get("time_to_99")
    rows = []
    for label, row in (("numcnn", own), ("PyTorch, the same recipe", peer)):
        if row:
            seconds = f"{row['seconds']:.2f}" + (
                f" ± {row['seconds_std']:.2f}" if row["seconds_std"] is not None else ""
            )
            rows.append((label, seconds, _accuracy(row), str(len(row["runs"]))))
    if peer:
        rows.append(("numcnn's share of PyTorch's time", f"{own['share_of_pytorch']:.3f}", "", ""))
    title = "whole runs: process start to test accuracy, kernels compiled already"
    return [(title, ("", "seconds", "test accuracy", "seeds"), rows)]


def _ocr_rows(document: Document) -> list[Table]:
    header = ("", "n", "strings right", "digits right", "s a picture")
    return [
        (f"reading {task['task']}", header, [_ocr_row(row) for row in task["rows"]])
        for task in document["ocr"]["tasks"]
    ]


def _ocr_row(row: dict[str, Any]) -> Row:
    label = row["label"] if row["name"] == NUMCNN else f"{row['label']}, {row['way'].replace('_', ' ').lower()}"
    shares = []
    for right in (row["strings_right"], row["digits_right"]):
        low, high = right["interval"]
        shares.append(f"{right['share']:.1%} ({100 * low:.0f} to {100 * high:.0f})")
    return (label, str(row["pictures"]), *shares, f"{row['seconds']:.3f}")


def _photo_rows(document: Document) -> list[Table]:
    rows = []
    for photo in document["photo"]["photos"]:
        times = (f"{photo[key]:.2f}" for key in ("first_s", "median_s", "best_s", "processor_s"))
        memory = photo["peak_memory_mb"]
        right = f"{photo['digits_right']} of {photo['digits']}"
        rows.append((photo["condition"], right, *times, "" if memory is None else f"{memory:.0f}"))
    title = f"a page of {document['photo']['pixels'] / 1e6:g} million pixels"
    header = ("", "digits right", "s at first", "s median", "s best", "s of processor", "peak MB")
    return [(title, header, rows)]


def _accuracy(row: dict[str, Any]) -> str:
    several = row["test_accuracy_std"] is not None
    return f"{row['test_accuracy']:.2%}" + (f" ± {100 * row['test_accuracy_std']:.2f}" if several else "")


def _label(row: dict[str, Any], action: str) -> str:
    """Return a contestant's label, with the variant it settled on where that adds something."""
    chosen = row["settled_on"].get(action, "")
    known = chosen in ("", "run", "jit", "logits") or chosen in row["label"]
    return row["label"] if known else f"{row['label']}, {chosen}"


def _count(value: float) -> str:
    """Return a number of images with three significant digits."""
    return f"{float(f'{value:.3g}'):,.0f}"


def _span(quartiles: Sequence[float]) -> str:
    return f"{_count(quartiles[0])} to {_count(quartiles[1])}"


def _times(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.2f}x" if key in row else ""


def notes(document: Document) -> list[str]:
    """Return the lines below the tables: who is missing or failed, how well results agree, what was disturbed."""
    lines = [f"{peer}: not installed ({', '.join(packages)})" for peer, packages in document["missing"].items()]
    lines += [f"{name} failed: {reason}" for name, reason in document["failed"].items()]
    worst = [max(document[part]["agreement"].values()) for part in BEST_BY if document.get(part, {}).get("agreement")]
    if worst:
        lines.append(f"all results agree with numcnn's to {max(worst):.1e} of an array's largest value")
    for part, rounds in document["rounds"].items():
        if rounds["left_out"]:
            more = "1 more round was" if rounds["left_out"] == 1 else f"{rounds['left_out']} more rounds were"
            lines.append(f"{part}: {more} disturbed by other processes, and left out")
        if rounds["disturbed"]:
            count = f"{rounds['disturbed']} of {rounds['kept']}"
            lines.append(f"{part}: disturbed rounds: {count}; measure again on a quiet machine")
    whole = [document.get("time_to_99"), document["peers"].get("pytorch", {}).get("time_to_99")]
    for name, part in zip(("numcnn", "PyTorch"), whole, strict=True):
        if part:
            seeds = "1 seed" if len(part["runs"]) == 1 else f"{len(part['runs'])} seeds"
            lines.append(f"{name}: {part['reached_99']} of {seeds} reached 99%")
    runs = [run for part in whole if part for run in part["runs"]]
    disturbed = sum((run.get("other_work") or 0) > DISTURBED for run in runs)
    if disturbed:
        lines.append(f"whole runs: other processes disturbed {disturbed} of {len(runs)}")
    if is_busy(document["machine"]):
        load = document["machine"]["load_average"]
        lines.append(f"other processes were busy: the load average was {load} at the start")
    others = document["machine"].get("other_work") or 0
    if others > DISTURBED and {"scan", "start_up"} & set(document):
        lines.append(f"other processes took {others:.0%} of the machine meanwhile; measure again on a quiet one")
    return lines


def heading(document: Document) -> list[str]:
    """Return the lines above the tables: machine, versions, date, data, rounds."""
    computer, found = document["machine"], document["versions"]
    vectors = f", {computer['vectors']}" if computer["vectors"] else ""
    of = f"{computer['threads']} of {computer['processors']} processors"
    counts = sorted({rounds["kept"] for rounds in document["rounds"].values()})
    rounds = f"; medians of {' and '.join(map(str, counts))} {_rounds(counts[-1])} in turn" if counts else ""
    seeds = {document[part]["seed"] for part in ("ocr", "photo") if part in document}
    drawn = "".join(f"; pictures drawn with the seed {seed}" for seed in seeds)
    return [
        f"{computer['cpu']}{vectors}, {of}, {computer['system']}, {document['date'][:10]}",
        ", ".join(f"{name} {version}" for name, version in found.items()),
        f"data: {document['dataset']}{rounds}{drawn}",
    ]


def to_text(document: Document) -> str:
    """Return the document as tables for the terminal."""
    lines = _folded(heading({**document, "dataset": title_of(document["dataset"])}))
    for table in rows_of(document):
        lines += ["", *_table_lines(*table)]
    return "\n".join([*lines, "", *_folded(notes(document))])


def _table_lines(title: str, header: Row, rows: Sequence[Row]) -> list[str]:
    """Return a table's lines.  A table that would be too wide has its title on a line and its column names folded."""
    lines, heads = [], [(title, *header[1:])]
    widths = _widths([*heads, *rows])
    if sum(widths) + 2 * len(widths[1:]) > COLUMNS:
        halves = [name.rpartition(" ") for name in header[1:]]
        lines, heads = [title], [("", *(upper for upper, _, _ in halves)), ("", *(lower for _, _, lower in halves))]
        widths = _widths([*heads, *rows])
    rule = "-" * (sum(widths) + 2 * len(widths[1:]))
    return [*lines, *(_aligned(row, widths) for row in heads), rule, *(_aligned(row, widths) for row in rows)]


def _widths(rows: Iterable[Row]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _aligned(row: Row, widths: Sequence[int]) -> str:
    cells = [f"{row[0]:<{widths[0]}}", *(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def _folded(lines: Iterable[str]) -> list[str]:
    wrapper = textwrap.TextWrapper(COLUMNS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [part for line in lines for part in wrapper.wrap(line)]


def _rounds(count: int) -> str:
    return "round" if count == 1 else "rounds"


def to_markdown(document: Document) -> str:
    """Return the document as Markdown."""
    lines = []
    for title, header, rows in rows_of(document):
        lines += [f"| {' | '.join((title, *header[1:]))} |", "|---" + "|---:" * (len(header) - 1) + "|"]
        lines += [f"| {' | '.join(_bold(row))} |" for row in rows]
        lines.append("")
    return "\n".join([*lines, " · ".join([*heading(document), *notes(document)])])


def _bold(row: Row) -> Row:
    return tuple(f"**{text}**" if text else "" for text in row) if row[0] in ("numcnn", "numcnn, reader") else row
