"""`tfeff debug` as a user runs it."""

import shutil
import subprocess
import sys

from cli_runner import assert_refused, tfeff, tfeff_process
from PIL import Image

pytest_plugins = ["debug_fixtures"]


def test_table(artifact, capfd):
    ran = tfeff(capfd, "debug", artifact, "--top", 3)
    assert ran.code == 0, ran.err
    lines = ran.err.splitlines()
    header = next(n for n, line in enumerate(lines) if line.startswith("layer"))
    assert lines[header + 1].split()[:2] == ["wide", "CONV_2D"]
    assert "agrees with the file, 100.0 % the same answer" in ran.err
    assert "8 of 8 constants found" in ran.err
    assert "and 4 more layers" in ran.err
    assert ran.out == ""


def test_json_and_picture(artifact, tmp_path, capfd):
    picture = tmp_path / "layers.png"
    ran = tfeff(capfd, "debug", artifact, "--json", "--picture", picture, "--samples", 10)
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["layers"][0]["layer"], found["samples"], found["picture"]) == ("wide", 10, str(picture))
    assert found["layers"][0]["error_share"] > 0.8
    assert found["float_file"] == "net.int8.twin.tflite"
    assert Image.open(picture).format == "PNG"
    assert not list(tmp_path.glob(".*tmp"))
    assert_refused(tfeff(capfd, "debug", artifact, "--picture", picture), "exists", "--force")
    assert tfeff(capfd, "debug", artifact, "--picture", picture, "--force", "--samples", 2).code == 0


def test_by_its_record(artifact, capfd):
    ran = tfeff(capfd, "debug", artifact.with_suffix(".json"), "--json", "--quiet", "--samples", 4)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["layers"][0]["layer"] == "wide"


def test_a_file_of_somebody_else(artifact, debug_files, tmp_path, capfd):
    pixels = tmp_path / "pixels.npz"
    foreign = tmp_path / "foreign.tflite"
    shutil.copy(artifact, foreign)
    foreign.with_suffix(".json").write_text('{"not": "a record"}', encoding="utf-8")
    assert_refused(tfeff(capfd, "debug", foreign), "no record", "--images")
    assert_refused(tfeff(capfd, "debug", foreign, "--images", pixels), "preprocessing", "--mean and --std")
    options = ("--images", pixels, "--mean", "127.5", "--std", "127.5", "--json")
    alone = tfeff(capfd, "debug", foreign, *options).json
    assert (alone["reference"], alone["layers"][0]["layer"]) == ("simulation", "wide")
    against = tfeff(capfd, "debug", foreign, *options, "--float", debug_files.float).json
    with_record = tfeff(capfd, "debug", artifact, "--json").json
    assert [row["error_share"] for row in against["layers"]] == [row["error_share"] for row in with_record["layers"]]


def test_the_record_decides(artifact, capfd):
    assert_refused(tfeff(capfd, "debug", artifact, "--mean", "1", "--std", "2"), "its record says the preprocessing")


def test_a_missing_twin_is_told(artifact, capfd):
    artifact.with_name("net.int8.twin.tflite").unlink()
    ran = tfeff(capfd, "debug", artifact, "--json")
    assert ran.json["reference"] == "simulation"
    assert any("is not beside it" in note for note in ran.json["notes"])


def test_bad_input(artifact, debug_files, tmp_path, capfd):
    assert_refused(tfeff(capfd, "debug", tmp_path / "none.tflite"), "no such file")
    assert_refused(tfeff(capfd, "debug", debug_files.float, "--images", debug_files.images), "is a float file")
    assert_refused(tfeff(capfd, "debug", artifact, "--picture", "layers.jpg"), ".png or .svg")
    assert_refused(tfeff(capfd, "debug", artifact, "--picture", tmp_path / "no" / "p.png"), "folder does not exist")
    assert_refused(tfeff(capfd, "debug", artifact, "--mean", "much"), "not a list of numbers")
    assert_refused(tfeff(capfd, "debug", artifact, "--images", tmp_path / "nothing"), "not found")


def test_it_runs_without_tensorflow(artifact):
    code = (
        "import sys\n"
        "from tfeff.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, "debug", str(artifact), "--samples", "2"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_runtime_says_nothing(artifact):
    ran = tfeff_process("debug", artifact, "--samples", 2, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
