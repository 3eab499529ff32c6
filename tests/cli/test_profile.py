"""`tfeff profile` as a user calls it, on a phone in this process."""

import pytest
from cli_runner import assert_refused, tfeff

pytest_plugins = ["phone_files", "adb_daemon"]

# It tells the one operation of the file, in the tool's own form.
TOOL = """#!/bin/sh
if [ "$1" = --help ]; then echo '--graph --num_threads --num_runs --use_xnnpack --enable_op_profiling'; exit 1; fi
case "$*" in *enable_op_profiling=true*) ;; *) exit 1;; esac
echo 'count=50 first=2100 curr=2100 min=2000 max=2200 avg=2100 std=1'
echo 'Inference timings in us: Init: 800, First inference: 9000, Warmup (avg): 9000, Inference (avg): 2100'
echo 'Operator-wise Profiling Info for Regular Benchmark Runs:'
echo '============================== Run Order =============================='
printf '\\t[node type]\\t[first]\\t[avg ms]\\t[%%]\\t[cdf%%]\\t[mem KB]\\t[times called]\\t[Name]\\n'
printf '\\tCONV_2D\\t2.1\\t2.000\\t100.0%%\\t100.0%%\\t0.000\\t1\\t[logits]:0\\n'
"""


@pytest.fixture
def tool(tmp_path):
    path = tmp_path / "benchmark_model"
    path.write_text(TOOL)
    return path


def test_table_picture_and_json(phone, files, tool, capfd, tmp_path):
    picture = tmp_path / "p.svg"
    arguments = ["profile", files["int8"], "--on", "adb", "--benchmark-binary", tool, "--no-xnnpack"]
    ran = tfeff(capfd, *arguments, "--picture", picture, "--json")
    assert ran.code == 0, ran.err
    (layer,) = ran.json["layers"]
    assert (layer["layer"], layer["ms"], layer["madds"]) == ("logits", 2.0, 12 * 12 * 16 * 8)
    assert ran.json["mean_ms"] == 2.1
    assert "int8.tflite on adb" in ran.err
    assert "18.43 k" in ran.err
    assert b"logits" in picture.read_bytes()
    assert phone.left == []
    assert_refused(tfeff(capfd, *arguments, "--picture", picture), "exists", "--force")


def test_what_cannot_be_profiled(phone, files, tool, capfd, tmp_path):
    assert_refused(tfeff(capfd, "profile", files["int8"], "--on", "local"), "local: cannot be profiled", "--on adb")
    assert_refused(tfeff(capfd, "profile", files["int8"], "--on", "adb", "--picture", "x.jpg"), ".png or .svg")
    tool.write_text(TOOL.replace(" --enable_op_profiling'", "'"))
    arguments = ["profile", files["int8"], "--on", "adb", "--benchmark-binary", tool]
    assert_refused(tfeff(capfd, *arguments), "does not profile")
    tool.write_text(TOOL.replace("Run Order", "Something"))
    assert_refused(tfeff(capfd, *arguments), "told no operations")
    assert phone.left == []


def test_a_file_with_several_inputs_and_signatures(phone, tool, capfd, tmp_path):
    """The tool is given every input: what it draws itself may be an index that no table of the file has."""
    from phone_files import ports_file  # a plugin of pytest, so not before it is loaded

    path = tmp_path / "ports.tflite"
    path.write_bytes(ports_file(signatures=("serving_default", "train")))
    wanted = "--input_layer=input0,input1 --input_layer_shape=1,6,6,3:1,5 --input_layer_value_files=input0:"
    flags = "--enable_op_profiling --input_layer --input_layer_shape --input_layer_value_files"
    text = TOOL.replace("--enable_op_profiling", flags, 1).replace("CONV_2D", "GATHER").replace("[logits]:0", "[x]:2")
    tool.write_text(text.replace('case "$*" in', f'case "$*" in *"{wanted}"*) ;; *) exit 1;; esac\ncase "$*" in', 1))
    ran = tfeff(capfd, "profile", path, "--on", "adb", "--benchmark-binary", tool, "--by", "operation", "--json")
    assert ran.code == 0, ran.err
    assert "note: ports.tflite: has 2 signatures (serving_default, train): serving_default is profiled" in ran.err
    (operation,) = ran.json["operations"]
    assert (operation["op"], operation["output"], operation["overhead"]) == ("GATHER", [1, 5, 4], "move")
    assert phone.left == []


def test_an_open_size_is_said(phone, tool, capfd, tmp_path):
    from part_files import open_sized

    tool.write_text(TOOL.replace("CONV_2D", "AVERAGE_POOL_2D").replace("logits", "pooled"))
    path = open_sized(tmp_path / "open.tflite")
    arguments = ["profile", path, "--on", "adb", "--benchmark-binary", tool, "--no-xnnpack", "--json"]
    assert_refused(tfeff(capfd, *arguments), "open shape (?, ?, ?, 3)", "--input-shape image=1x224x224x3")
    found = [tfeff(capfd, *arguments, "--input-shape", f"1x{size}x{size}x3") for size in (8, 64)]
    assert [ran.json["layers"][0]["bytes"] for ran in found] == [4 * 3 * n * n * 5 // 4 for n in (8, 64)]
    assert found[1].json["notes"] == ["open.tflite: image 1x64x64x3 is profiled"]
    assert phone.left == []
