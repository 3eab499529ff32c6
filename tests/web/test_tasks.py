"""What the page makes of outputs is what Python makes of them. The app's `DecodeTest.java` reads the same file."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from decode_vectors import FILE, vectors

from tfeff.tasks import list_tasks

SUPPORT = Path(__file__).parents[1] / "support"
NUMBERS = {"segmentation"}  # the page shows its outputs as numbers, as those of `tensors`
SOURCES = Path(__file__).parents[2] / "tfeff/web/page/src/tasks"


def recorded():
    return json.loads(FILE.read_text(encoding="utf-8"))


def check_alike(found, expected, where):
    """Equal but for the last digits of exponentials, which libraries compute differently."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            check_alike(found[key], expected[key], f"{where}, {key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for one, other in zip(found, expected, strict=True):
            check_alike(one, other, where)
    else:
        wanted = pytest.approx(expected, rel=1e-12, abs=1e-15) if isinstance(expected, float) else expected
        assert found == wanted, where


def test_the_file_is_what_python_says():
    """`python tests/support/decode_vectors.py` writes it."""
    expected = recorded()
    check_alike(json.loads(json.dumps(vectors())), expected, "decode_vectors.json")
    assert {vector["task"]["name"] for vector in expected} == set(list_tasks()) - NUMBERS


@pytest.fixture(scope="module")
def in_javascript():
    if shutil.which("node") is None:
        pytest.skip("no node")
    ran = subprocess.run(["node", SUPPORT / "decode_vectors.mjs", FILE], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_javascript_decodes_as_python(in_javascript):
    for expected, found in zip(recorded(), in_javascript, strict=True):
        for key in ("decoded", "lines"):
            check_alike(found[key], expected[key], expected["name"])


def test_the_table_of_two_files_has_the_lines_of_both(in_javascript):
    """Its rows are built apart from the lines, so they could part."""
    for expected, found in zip(recorded(), in_javascript, strict=True):
        rows = {row["name"]: row["values"] for row in found["rows"] if row["values"]}
        assert all(len(values) == 2 and values[0] == values[1] for values in rows.values()), expected["name"]
        for text, score in expected["lines"]:
            if score is not None:
                assert rows[text][0] == pytest.approx(score, rel=1e-12), expected["name"]


def test_answers_in_a_few_words(in_javascript):
    said = {expected["name"]: found["answer"] for expected, found in zip(recorded(), in_javascript, strict=True)}
    assert said["logits"] == "Sandal"
    assert said["equal logits"] == "class 1"
    assert (said["binary logit 2"], said["binary logit 3"]) == ("cat", "dog")
    assert (said["binary at its threshold"], said["binary probability"]) == ("no", "yes")
    assert said["labels"] == "Trouser, Pullover, Dress, Sandal"
    assert said["no label"] == "none of the labels"
    assert said["one number"] == "31.42"
    assert said["a pose"] is None
    assert said["several outputs"] is None
    assert said["boxes"].count("×") >= 1
    assert said["no box"] == "nothing found"


def test_every_task_is_a_file_of_the_page():
    assert {path.stem for path in SOURCES.glob("*.js")} - {"index", "numbers"} == set(list_tasks()) - NUMBERS


def test_a_task_that_the_page_does_not_know_is_shown_as_numbers(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no node")
    (vector,) = (one for one in recorded() if one["name"] == "without labels")
    (tmp_path / "one.json").write_text(json.dumps([{**vector, "task": {**vector["task"], "name": "dreaming"}}]))
    command = ["node", SUPPORT / "decode_vectors.mjs", tmp_path / "one.json"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["lines"][0][0].startswith("logits [3]: 2.087, ")
