"""`tfeff bench` as a user calls it."""

import json
import subprocess
import sys

import pytest

from tfeff.artifact import check_tflite, open_artifact, record_path
from tfeff.cli import main

pytest_plugins = ["bench_models", "phone_files"]

QUICK = ("--max-seconds", "0.5")


def call(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *map(str, arguments)])
    return stop.value.code


def with_record(path):
    """A record as tfeff 0.1 left it."""
    record = {"schema_version": 1, "file": path.name, "sha256": check_tflite(path)}
    record_path(path).write_text(json.dumps(record))
    return path


def test_json_is_one_object_and_the_table_is_for_people(models, capsys):
    assert call(models["float"], models["mixed"], *QUICK, "--json") == 0
    out, err = capsys.readouterr()
    outcome = json.loads(out)
    assert outcome.keys() == {"schema_version", "results", "ratios", "warnings"}
    assert [one["file"] for one in outcome["results"]] == [str(models["float"]), str(models["mixed"])]
    assert "float.tflite" in err
    assert "XNNPACK 3 of 4" in err
    assert (
        "warning: local: mixed.tflite: XNNPACK took only 3 of 4 operations; left to built-in kernels: 1 CUMSUM" in err
    )


def test_without_json_stdout_is_empty_and_quiet_is_quiet(models, capsys):
    assert call(models["gather"], *QUICK) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "built-in" in err
    assert call(models["gather"], *QUICK, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_records_are_updated_unless_told_not_to(models, capsys):
    path = with_record(models["int8"])
    assert call(path, *QUICK, "--no-record") == 0
    assert open_artifact(path).record.latency == []
    assert call(record_path(path), *QUICK, "--threads", 2) == 0
    (entry,) = open_artifact(path).record.latency
    assert (entry.device, entry.threads, entry.sha256) == ("local", 2, check_tflite(path))
    assert call(path, models["gather"], *QUICK, "--no-xnnpack") == 0
    assert not record_path(models["gather"]).exists()
    assert [one.kernels.xnnpack for one in open_artifact(path).record.latency] == ["all", "none"]
    assert json.loads(record_path(path).read_text())["schema_version"] == 2


def test_a_file_with_several_inputs_and_outputs(files, capsys):
    path = with_record(files["ports"])
    assert call(path, *QUICK, "--json") == 0
    out, err = capsys.readouterr()
    (result,) = json.loads(out)["results"]
    assert result["median_ms"] > 0
    assert "XNNPACK 2 of 4" in err
    assert len(open_artifact(path).record.latency) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing argument"),
        (("none.tflite",), "none.tflite: no such file"),
        (("INT8", "--on", "lokal"), "did you mean local?"),
        (("INT8", "--threads", "0"), "--threads"),
        (("INT8", "--max-seconds", "0"), "--max-seconds"),
        (("TOO_NEW",), "version '99'"),
    ],
)
def test_errors_are_exit_code_2_in_a_few_lines(models, capsys, arguments, says):
    paths = {"INT8": models["int8"], "TOO_NEW": models["too_new"]}
    assert call(*(paths.get(one, one) for one in arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) <= 4


def test_benching_needs_no_tensorflow(models):
    code = (
        "import sys\nfrom tfeff.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    print(stop.code, {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, "bench", str(models["gather"]), *QUICK, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0 set()"


def test_files_of_one_name_are_told_apart_by_their_folders(models, tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.tflite").write_bytes(models["gather"].read_bytes())
    assert call(tmp_path / "a/m.tflite", tmp_path / "b/m.tflite", *QUICK) == 0
    words = "".join(capsys.readouterr().err.split())  # long cells are folded
    assert "a/m.tflite" in words
    assert "b/m.tflite" in words


def test_two_devices_get_a_table_each(models, tflite_runtime_python, capsys):
    spec = f"python:{tflite_runtime_python}"
    assert call(models["float"], models["int8"], *QUICK, "--on", "local", "--on", spec, "--json") == 0
    out, err = capsys.readouterr()
    outcome = json.loads(out)
    assert [one["device"] for one in outcome["results"]] == ["local", "local", spec, spec]
    assert [one["device"] for one in outcome["ratios"]] == ["local", spec]
    assert "tflite-runtime 2.14.0 ran int8.tflite without XNNPACK, the rest with it" in err


def test_an_open_size_is_timed_only_where_it_was_said(tmp_path, capsys):
    from part_files import open_sized

    path = with_record(open_sized(tmp_path / "open.tflite"))
    assert call(path, *QUICK) == 2
    err = capsys.readouterr().err
    assert "its input image has the open shape (?, ?, ?, 3)" in err
    assert "--input-shape image=1x224x224x3" in err
    medians = []
    for size in (8, 512):
        assert call(path, *QUICK, "--input-shape", f"1x{size}x{size}x3", "--json") == 0
        out, err = capsys.readouterr()
        assert f"warning: open.tflite: image 1x{size}x{size}x3 is timed" in err
        (result,) = json.loads(out)["results"]
        assert (result["file"], result["sha256"]) == (str(path), check_tflite(path))
        medians.append(result["median_ms"])
    assert medians[1] > 10 * medians[0]  # 4096 times the pixels
    assert open_artifact(path).record.latency == []  # a record is of the whole file


def test_a_signature_is_chosen(tmp_path, capsys):
    from part_files import several

    path = several(tmp_path / "m.tflite")
    for options, said in (
        ((), "m.tflite: has 3 signatures (tripled, looped, halved): tripled is timed; --signature chooses one"),
        (("--signature", "looped"), "m.tflite: signature looped is timed, of its signatures tripled, looped, halved"),
    ):
        assert call(path, *QUICK, *options, "--json") == 0
        out, err = capsys.readouterr()
        assert f"warning: {said}" in err
        outcome = json.loads(out)
        assert outcome["warnings"][0] == said
        operations = [one["op"] for one in outcome["results"][0]["kernels"]["left"]]
        assert ("WHILE" in operations) == bool(options)
    assert call(path, *QUICK, "--signature", "train") == 2
    assert "choose one of tripled, looped, halved" in capsys.readouterr().err
