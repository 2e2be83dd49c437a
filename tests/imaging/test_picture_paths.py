"""Files, folders and patterns: each picture once, in order, whatever it is called."""

import os
import sys

import pytest

from numcnn.imaging.picture_paths import copies, find_pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("scans/b.png", "scans/a.JPG", "scans/notes.txt", "scans/.hidden.png", "scans/more/c.tiff", "7.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_means_its_pictures_and_those_below(folder):
    found = find_pictures(["scans", "7.png"])
    assert found.paths == [os.path.join("scans", "a.JPG"), os.path.join("scans", "b.png"),
                           os.path.join("scans", "more", "c.tiff"), "7.png"]  # fmt: skip
    assert found.places == ["a.JPG", "b.png", os.path.join("more", "c.tiff"), "7.png"]
    assert found.problems == []


def test_a_pattern_means_what_matches(folder):
    assert find_pictures([os.path.join("scans", "*.png")]).paths == [os.path.join("scans", "b.png")]
    assert find_pictures([os.path.join("**", "*.tiff")]).paths == [os.path.join("scans", "more", "c.tiff")]
    assert find_pictures([os.path.join("scans", "*.txt")]).paths == [os.path.join("scans", "notes.txt")]
    assert os.path.join("scans", "more", "c.tiff") in find_pictures(["s*"]).paths  # a pattern may match a folder
    assert find_pictures(["*.gif"]).problems == ["*.gif: no file matches; check the pattern"]


def test_a_name_that_exists_is_no_pattern(folder):
    (folder / "scan[1].png").touch()
    (folder / "scan1.png").touch()
    assert find_pictures(["scan[1].png"]).paths == ["scan[1].png"]


def test_each_picture_counts_once(folder):
    assert find_pictures(["7.png", "scans", "*.png", os.path.join("scans", "b.png")]).paths.count("7.png") == 1
    assert len(find_pictures(["scans", "scans"]).paths) == 3
    assert find_pictures(["scans", "scans"]).problems == []


def test_a_file_that_is_named_in_two_ways_counts_once(folder):
    ways = ["7.png", os.path.join(".", "7.png"), os.path.join(".", "scans"), os.path.join("scans", ".", "b.png")]
    found = find_pictures([*ways, "scans"])
    inside = [os.path.join(".", "scans", name) for name in ("a.JPG", "b.png", os.path.join("more", "c.tiff"))]
    assert found.paths == ["7.png", *inside]
    assert found.places == ["7.png", "a.JPG", "b.png", os.path.join("more", "c.tiff")] and not found.problems
    (folder / "scans" / "more" / "up").symlink_to(folder)  # so that up/.. is not where it seems to be
    assert len(find_pictures(["7.png", os.path.join("scans", "more", "up", "..", "7.png")]).paths) == 2


def test_what_is_named_is_read_whatever_its_name(folder):
    assert find_pictures(["missing.png", os.path.join("scans", "notes.txt")]).paths == [
        "missing.png",
        os.path.join("scans", "notes.txt"),
    ]


def test_a_folder_without_pictures_is_a_problem(folder):
    (folder / "empty").mkdir()
    (problem,) = find_pictures(["empty"]).problems
    assert problem.startswith("empty: no pictures in this folder; they end in .apng, .avif")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may list every folder")
def test_a_folder_that_cannot_be_listed_is_a_problem(folder):
    os.chmod("scans/more", 0)
    try:
        found = find_pictures(["scans"])
    finally:
        os.chmod("scans/more", 0o755)
    assert len(found.paths) == 2 and "scans/more: the folder can't be listed" in found.problems[0]


def test_copies_get_names_of_their_own():
    assert list(copies(["7.png", "7.jpg", "7.png", "more/7.png", "A.png", "a.png", "none"])) == [
        "7",
        "7.jpg",
        "7.png",
        "more/7",
        "A",
        "a.png",
        "none",
    ]
