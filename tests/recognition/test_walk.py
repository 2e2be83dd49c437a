"""The walk through the finder's steps: the README's picture exists, is small, and shows what the finder does now."""

import subprocess
import sys

from PIL import Image
from processes import ROOT

README = ROOT / "numcnn" / "recognition" / "README.md"
PICTURE = ROOT / ".github" / "pictures" / "walk.png"
COMMAND = "python -m numcnn.recognition.walk .github/pictures/walk.png"


def test_the_picture_in_the_readme_is_what_the_command_makes_now(tmp_path):
    text = README.read_text(encoding="utf-8")
    assert f"](../../.github/pictures/{PICTURE.name})" in text and COMMAND in text
    assert PICTURE.stat().st_size < 200_000
    made = tmp_path / "walk.png"
    subprocess.run([sys.executable, *COMMAND.split()[1:-1], made], cwd=ROOT, check=True)
    with Image.open(PICTURE) as kept, Image.open(made) as new:
        assert kept.size == new.size
        assert all(kept.info[name] == new.info[name] for name in ("steps", "text")), (
            f"the finder's steps or answers changed; run: {COMMAND}"
        )
        assert new.info["text"].isdecimal() and new.info["steps"].startswith("original, paper, light divided out, ink")


def test_where_it_cannot_be_written_it_says_so(tmp_path):
    command = [sys.executable, "-m", "numcnn.recognition.walk", tmp_path / "no" / "walk.png"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("cannot write ") and len(done.stderr.splitlines()) == 1
