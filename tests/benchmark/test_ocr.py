"""Reading beside OCR engines: all get the same pictures, each engine's best way counts, and who fails is named."""

import re
from pathlib import Path

import numpy as np
import pytest

from numcnn.benchmark import BenchmarkError, ocr, report
from numcnn.benchmark.contestants import CONTESTANTS, NUMCNN, OCR_PEERS, Contestant
from numcnn.benchmark.measure import Settings
from numcnn.cli import main
from numcnn.commands.bench import _concerned
from numcnn.data.hands import Generated

pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[1]
QUICK = Settings(threads=1, peers=(), quick=True)


def contestant(name, kind, **options):
    peer = None if name == NUMCNN else name
    return Contestant(name, name.title(), "ocr", f"odd_contestants:{kind}", peer, options=options)


@pytest.fixture
def who(monkeypatch):
    """Return a function that says who takes part."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return lambda *contestants: monkeypatch.setattr(ocr, "contestants_for", lambda part, settings: [*contestants])


def test_pictures_survive_their_file_in_order(tmp_path):
    drawn = ocr.draw(Generated(), 12)
    pictures = {task: [sheet.picture for sheet in sheets] for task, sheets in drawn.items()}
    ocr.save(pictures, tmp_path)
    again = ocr.Engine.load_workload(tmp_path)
    assert list(again) == [task.name for task in ocr.TASKS] == list(pictures)
    for task, some in pictures.items():
        for picture, read in zip(some, again[task], strict=True):
            np.testing.assert_array_equal(read, picture)


def test_tasks_are_single_digits_and_rows_of_four_on_clean_and_hard_pictures():
    for task, sheets in zip(ocr.TASKS, ocr.draw(Generated(), 3).values(), strict=True):
        assert [sheet.condition for sheet in sheets] == ["clean"] * 3 or task.name.endswith("hard")
        assert all(len(sheet.text) == (1 if task.kind == "digit" else 4) for sheet in sheets)


def test_all_read_the_same_and_an_engines_best_way_counts(who, tmp_path):
    who(contestant(NUMCNN, "ReadsAll"), contestant("engine", "ReadsAll", wrong=True), contestant("dead", "CannotRead"))
    found = ocr.measure(Generated(), QUICK, tmp_path, lambda line: None, count=3)
    assert found["failed"] == {"dead": "RuntimeError: no language data"} and found["versions"] == {"reads-all": "1.0"}
    assert [task["task"] for task in found["tasks"]] == [task.name for task in ocr.TASKS]
    for task in found["tasks"]:
        own, engine = task["rows"]
        assert own["way"] == "right" and own["strings"] == own["pictures"] == 3 and own["right"] == own["written"]
        assert engine["way"] == "HALF" and engine["seconds"] >= 0
        single = task["kind"] == "digit"
        assert (engine["strings"], engine["right"]) == ((3, 3) if single else (0, 6))
    tables = report.rows_of({"ocr": found, "peers": {}})
    assert len(tables) == 4 and all(len(report._table_lines(*table)[-1]) <= 80 for table in tables)
    assert tables[3][2][1][:2] == ("Engine, half", "3") and tables[3][2][1][2].startswith("0.0% (")


def test_without_numcnn_there_is_no_comparison(who, tmp_path):
    who(contestant(NUMCNN, "CannotRead"), contestant("engine", "ReadsAll", wrong=True))
    with pytest.raises(BenchmarkError, match="the worker of numcnn failed"):
        ocr.measure(Generated(), QUICK, tmp_path, lambda line: None, count=2)


def test_of_what_an_engine_reads_the_digits_count():
    assert ocr.only_digits("2O26\n\n a1.5-\n") == "22615"
    assert ocr.only_digits("²٣") == "" and ocr.only_digits("") == ""


def test_engines_are_asked_for_only_where_they_take_part():
    assert OCR_PEERS == ("tesseract", "rapidocr")
    peers = ("pytorch", "jax", *OCR_PEERS)
    assert _concerned(("training", "ocr"), peers) == peers
    assert _concerned(("ocr",), peers) == OCR_PEERS
    assert _concerned(("training", "pad"), peers) == ("pytorch", "jax")
    assert [c.name for c in CONTESTANTS if c.part == "ocr"] == [NUMCNN, *OCR_PEERS]


def test_the_real_ones_read_people_on_the_command_line(real_pens, capsys, monkeypatch):
    pytest.importorskip("numcnn.recognition.page")
    monkeypatch.setattr(ocr, "QUICK_COUNT", 6)
    assert main(["bench", "--parts", "ocr", "--quick", "--no-peers", "--dataset", "generated"]) == 0
    printed = capsys.readouterr().out
    # A wide table's header takes two lines.
    assert printed.count("\nreading ") == len(re.findall(r"s a( picture|\n.* picture)\n", printed)) == 4
