"""`--on adb`, spoken through the real adb to a phone in this process."""
# ruff: noqa: E501

import json
import os
import shutil
import time

import numpy as np
import pytest
from cli_runner import tfeff

from tfeff.artifact import check_tflite, open_artifact, record_path
from tfeff.bench import Settings, bench
from tfeff.bench.adb import protocol
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.devices import find_device
from tfeff.errors import GateFailed, TfeffError

pytest_plugins = ["phone_files", "adb_daemon"]

# A tool of which each run takes as long as the next line of a file says, in us; it knows no outputs.
SCRIPTED = """#!/bin/sh
here=$(dirname "$0")/../..
if [ "$1" = --help ]; then echo '--graph --num_threads --num_runs --min_secs --use_xnnpack --use_gpu'; exit 1; fi
echo "$@" >>$here/runs
name=float; case "$*" in *use_gpu*) echo 'Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 2 delegate kernels.';; esac
number=$(wc -l <$here/runs)
[ -f $here/hook ] && . $here/hook
us=$(sed -n ${number}p $here/times); us=${us:-5000}
echo "count=3 first=9000 curr=9000 min=9000 max=9000 avg=9000 std=1"
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=1 p5=$us median=$us p95=$us"
echo "Inference timings in us: Init: 800, First inference: 9000, Warmup (avg): 9000, Inference (avg): $us"
"""


@pytest.fixture
def scripted(tmp_path):
    path = tmp_path / "scripted"
    path.write_text(SCRIPTED)
    return path


def on_phone(tool, *files, **options):
    names = ("delegate", "require_full_delegation", "cores", "cool_down_s", "inputs")
    given = {name: options.pop(name) for name in names if name in options}
    phone = PhoneOptions(benchmark_binary=str(tool), **{"cool_down_s": 0.0, **given})
    return bench(files, ["adb"], Settings(**{"max_seconds": 0.1, **options}), phone=phone).as_dict()


def with_record(path):
    """A record as tfeff 0.1 left it, of a file that nobody measured."""
    record = {"schema_version": 1, "file": path.name, "sha256": check_tflite(path)}
    record_path(path).write_text(json.dumps(record))
    return path


def test_real_files_are_timed_compared_and_nothing_stays(phone, files, benchmark_tool):
    values = np.random.default_rng(3).integers(-128, 128, (1, 12, 12, 8), np.int8)
    inputs = {check_tflite(files["int8"]): {"image:0": values}}
    outcome = on_phone(benchmark_tool, files["float"], files["int8"], inputs=inputs)
    for one, name in zip(outcome["results"], ("float", "int8"), strict=True):
        assert one["sha256"] == check_tflite(files[name])
        assert (one["answer"]["ok"], one["answer"]["equal"], one["answer"]["family"]) == (True, True, "XNNPACK")
        assert one["kernels"]["xnnpack"] == "all"
        assert one["rounds"] >= protocol.MIN_ROUNDS
        assert len(one["blocks"]) == one["rounds"]
        assert one["runs"] >= 5 * one["rounds"]
        assert one["median_ms"] > 0
        assert one["init_ms"] > 0
        assert one["first_ms"] > 0
        assert one["memory_mb"]["peak"] > 1
        assert (one["environment"]["cpu"], one["environment"]["machine"]) == ("Pretended", "x86_64")
        assert (one["core_class"], one["pinned_cores"]) == ("big", [6, 7])
    assert (phone.root / "masks").read_text().split() == ["c0"] * len((phone.root / "masks").read_text().split())
    assert phone.left == []
    assert phone.running == []


def test_built_in_kernels_and_several_threads(phone, files, benchmark_tool, monkeypatch):
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 2)
    outcome = on_phone(benchmark_tool, files["int8"], threads=(1, 4), xnnpack=False)
    assert [one["threads"] for one in outcome["results"]] == [1, 4]
    assert [one["core_class"] for one in outcome["results"]] == ["big", "big and middle"]
    for one in outcome["results"]:
        assert (one["kernels"]["xnnpack"], one["answer"]["family"], one["answer"]["equal"]) == (
            "none",
            "built-in",
            True,
        )
    assert set((phone.root / "masks").read_text().split()) == {"c0", "f0"}


def test_every_input_is_given_and_every_output_compared(phone, files, benchmark_tool, capfd):
    """The tool draws indices that no table has, were it not given values."""
    ran = tfeff(capfd, "bench", with_record(files["ports"]), "--on", "adb", "--benchmark-binary", benchmark_tool,
                "--max-seconds", "0.1", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    (one,) = ran.json["results"]
    assert (one["answer"]["ok"], one["answer"]["equal"], one["answer"]["family"]) == (True, True, "mixed")
    assert [output["name"] for output in one["answer"]["outputs"]] == ["best", "active", "small", "vectors"]
    assert one["median_ms"] > 0
    assert len(open_artifact(files["ports"]).record.latency) == 1
    assert phone.left == []


def test_a_wrong_answer_names_the_output(phone, files, benchmark_tool, tmp_path, capfd):
    broken = tmp_path / "broken"
    size = 4 * 5 + 4 * 108  # `best` and `active` stand before `small` in what the tool writes
    broken.write_text(
        benchmark_tool.read_text().replace("exec ", "")
        + 'for flag; do case "$flag" in --output_filepath=*) file=${flag#*=}\n'
        + f"printf '\\x7f\\x80' | dd of=$file bs=1 seek={size} conv=notrunc 2>/dev/null;; esac; done\n"
    )
    ran = tfeff(capfd, "bench", files["ports"], "--on", "adb", "--benchmark-binary", broken, "--max-seconds", "0.1")
    assert ran.code == 1
    assert "ports.tflite: output small is up to" in " ".join(ran.err.split())
    for right in ("best", "active", "vectors"):
        assert f"output {right}" not in ran.err
    assert phone.left == []


def test_a_wrong_answer_has_no_time_and_ends_as_a_missed_gate(phone, files, benchmark_tool, tmp_path, capfd):
    # The tool of a phone whose arithmetic is broken: it runs the right file and spoils one value of the output.
    broken = tmp_path / "broken"
    broken.write_text(
        benchmark_tool.read_text().replace("exec ", "")
        + 'for flag; do case "$flag" in --output_filepath=*) file=${flag#*=}\n'
        + "printf '\\x55' | dd of=$file bs=1 seek=7 conv=notrunc 2>/dev/null;; esac; done\n"
    )
    with_record(files["int8"])
    ran = tfeff(capfd, "bench", files["int8"], files["float"], "--on", "adb", "--benchmark-binary", broken,
                "--max-seconds", "0.1", "--json")  # fmt: skip
    assert ran.code == 1
    wrong, right = ran.json["results"]
    assert "steps off this machine's (1 allowed within one family of kernels)" in wrong["void"]
    assert "median_ms" not in wrong
    assert "WRONG" in ran.err
    assert open_artifact(files["int8"]).record.latency == []
    assert ran.json["ratios"] == []
    assert "void" in right or right["answer"]["ok"]
    assert phone.left == []


def test_phone_and_this_machine_in_one_command(phone, files, benchmark_tool, capfd, monkeypatch):
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 2)
    with_record(files["int8"])
    ran = tfeff(capfd, "bench", files["int8"], "--on", "local", "--on", "adb", "--benchmark-binary", benchmark_tool,
                "--max-seconds", "0.2", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert [one["device"] for one in ran.json["results"]] == ["local", "adb"]
    local, there = open_artifact(files["int8"]).record.latency
    assert (local.device, there.device, there.runtime, there.cpu) == ("local", "adb", "benchmark_model", "Pretended")
    assert there.sha256 == check_tflite(files["int8"])
    assert "equal bytes" in ran.err
    json.dumps(ran.json, allow_nan=False)


def test_the_ratio_is_of_paired_blocks_in_shuffled_order(phone, files, scripted):
    outcome = on_phone(scripted, files["float"], files["int8"], seed=5)
    runs = (phone.root / "runs").read_text().splitlines()[2:]  # the first two are compared, not timed
    order = [check_tflite(files["int8"]) in run for run in runs]
    rounds = [tuple(order[n : n + 2]) for n in range(0, len(order), 2)]
    assert all(set(one) == {True, False} for one in rounds)
    assert len(set(rounds)) == 2
    assert outcome["ratios"][0]["verdict"] == "no difference"
    # 20 % slower in each of its blocks, while the phone drifts by more than that
    times = ["1", "1"]
    for number, (first, _) in enumerate(rounds):
        base = 5000 + 700 * number
        times += [str(int(base * 1.2)) if first == int8 else str(base) for int8 in (True, False)] if first else [
            str(base), str(int(base * 1.2))]  # fmt: skip
    (phone.root / "times").write_text("\n".join(times) + "\n")
    (phone.root / "runs").unlink()
    ratio = on_phone(scripted, files["float"], files["int8"], seed=5)["ratios"][0]
    assert ratio["ratio"] == pytest.approx(1.2, rel=1e-3)
    assert ratio["verdict"] == "slower"


def test_a_microsecond_of_rounding_is_no_difference(phone, files, scripted):
    (phone.root / "hook").write_text(
        f"case $* in *{check_tflite(files['int8'])}*) echo 37;; *) echo 36;; esac >$here/times\nnumber=1\n"
    )
    outcome = on_phone(scripted, files["float"], files["int8"])
    assert [one["median_ms"] for one in outcome["results"]] == [0.036, 0.037]
    assert outcome["ratios"][0]["verdict"] == "no difference"
    assert "differences below 2.8 % cannot be seen" in "\n".join(outcome["warnings"])


def test_throttled_rounds_are_marked_and_left_out(phone, files, scripted):
    # While the 4th run lasts, the phone gets hot and slow; it is cool again with the 6th.
    hot, cool = (f'sed -i "s/Status: ./Status: {status}/" $here/thermalservice' for status in (2, 0))
    (phone.root / "hook").write_text(f"[ $number = 4 ] && {hot}\n[ $number = 6 ] && {cool}\n")
    (phone.root / "times").write_text("5000\n5000\n5000\n90000\n90000\n90000\n")
    (one,) = on_phone(scripted, files["float"])["results"]
    marked = [block["throttled"] for block in one["blocks"]]
    assert marked[:6] == [[], [], ["thermal status 2 (moderate)"], ["thermal status 2 (moderate)"],
                          ["thermal status 2 (moderate)"], []]  # fmt: skip
    assert (one["median_ms"], one["ci95_ms"], one["throttled_rounds"]) == (5.0, (5.0, 5.0), 3)
    assert one["blocks"][2]["after"]["thermal_status"] == 2


def test_a_lowered_clock_is_throttling_too(phone, files, scripted):
    path = phone.root / "sys/devices/system/cpu/cpufreq/policy6/scaling_max_freq"
    (phone.root / "hook").write_text(
        f"[ $number = 3 ] && echo 900000 >{path}\n[ $number = 4 ] && echo 1800000 >{path}\n"
    )
    (one,) = on_phone(scripted, files["float"])["results"]
    assert one["blocks"][1]["throttled"] == ["core 6 limited to 900 of 1800 MHz"]
    assert one["throttled_rounds"] == 2  # the one in which it came and the one before which it stood


def test_it_waits_for_a_phone_to_cool_down(phone, files, scripted, monkeypatch):
    looks = []

    def wait(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            phone.heat(0)

    phone.heat(3)
    monkeypatch.setattr(protocol, "pause", wait)
    (one,) = on_phone(scripted, files["float"], cool_down_s=60.0)["results"]
    assert one["throttled_rounds"] == 0
    assert one["blocks"][0]["waited_s"] == 3 * protocol.COOLING_S == sum(looks)


def test_a_phone_that_stays_hot_is_given_up(phone, files, scripted, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_BAD_ROUNDS", 2)
    phone.heat(4)
    with pytest.raises(TfeffError, match=r"stays throttled \(thermal status 4 \(critical\)\)"):
        on_phone(scripted, files["float"])
    assert phone.left == []


def test_delegates_and_whether_they_took_it_all(phone, files, scripted, benchmark_tool):
    (one,) = on_phone(scripted, files["float"], delegate="gpu")["results"]
    assert one["kernels"]["delegate"] == "GPU"
    assert one["kernels"]["taken"] == "partly"
    with pytest.raises(GateFailed, match=r"float.tflite: GPU took only a part of the graph") as caught:
        on_phone(scripted, files["float"], delegate="gpu", require_full_delegation=True)
    assert caught.value.exit_code == 1
    with pytest.raises(GateFailed, match="XNNPACK took an unknown part"):
        on_phone(scripted, files["float"], require_full_delegation=True)
    with pytest.raises(TfeffError, match="no nnapi delegate"):
        on_phone(scripted, files["float"], delegate="nnapi")
    assert phone.left == []


def test_files_are_told_apart_by_their_bytes_never_by_their_size(phone, files):
    first = files["float"].read_bytes()
    other = bytearray(first)
    other[-1] ^= 1
    with find_device("adb").connect() as connected:
        there = connected.push(files["float"])
        files["float"].write_bytes(other)
        assert connected.push(files["float"]) != there
        assert connected.pull(there) == first
        pushes = len(phone.commands)
        assert connected.pull(connected.push(files["float"])) == bytes(other)
        assert len(phone.commands) == pushes + 1  # its sha256 was asked for; nothing was copied
    assert phone.left == []


def test_folders_of_commands_that_were_killed_go_after_a_day(phone):
    for name, age_s in {"tfeff-old": 3 * 86400, "tfeff-young": 3600, "else": 3 * 86400}.items():
        (phone.root / "tmp" / name).mkdir()
        (phone.root / "tmp" / name / "model").write_text("x")
        os.utime(phone.root / "tmp" / name, (time.time() - age_s,) * 2)
    find_device("adb").connect().close()
    assert phone.left == ["else", "tfeff-young"]


def test_old_phones_tell_neither_exit_codes_nor_sha256(phone, files, scripted):
    phone.shell_v2 = False
    phone.program("sha256sum", "echo sha256sum: not found; exit 127")
    phone.break_off()
    shutil.rmtree(phone.root / "sys")
    with find_device("adb").connect() as connected:
        assert connected.shell("exit 3")[0] == 3
    (one,) = on_phone(scripted, files["float"])["results"]
    assert one["median_ms"] == 5.0
    assert one["pinned"] is False
    assert one["environment"]["cores"] == 0


def test_what_is_odd_about_a_phone_is_said(phone, files, scripted):
    (phone.root / "battery").write_text("  USB powered: true\n  level: 12\n  temperature: 250\n")
    said = "\n".join(on_phone(scripted, files["float"])["warnings"])
    assert "its answer was not compared" in said
    assert "is charging" in said
    assert "battery is at 12 %" in said
    assert "XNNPACK does not tell what it took" in said


LITERT = """#!/bin/sh
if [ "$1" = --help ]; then echo 'Flags: --graph --num_threads --num_runs --use_cpu --use_gpu --use_npu'; exit 1; fi
[ -f "$LD_LIBRARY_PATH/libLiteRtGpu.so" ] || exit 9
[ -f "$LD_LIBRARY_PATH/other.so" ] && exit 8
echo "$@" >>$(dirname "$0")/../../runs
echo '========== BENCHMARK RESULTS =========='
echo 'INFO: [benchmark_litert_model.h:94] Model initialization: 268.54 ms'
echo 'INFO: [benchmark_litert_model.h:96] Warmup (first):       9.50 ms'
echo 'INFO: [benchmark_litert_model.h:100] Inference (avg):      8.25 ms (10 runs)'
"""


def test_litert_s_own_tool_with_its_libraries(phone, files, tmp_path):
    (tmp_path / "litert").mkdir()
    for name, text in {"benchmark_model": LITERT, "libLiteRtGpu.so": "1", "other.so": "2"}.items():
        (tmp_path / "litert" / name).write_text(text)
    outcome = on_phone(tmp_path / "litert/benchmark_model", files["float"], delegate="gpu")
    (one,) = outcome["results"]
    assert (one["runtime"], one["median_ms"], one["statistic"]) == (
        "litert benchmark_model", 8.25, "median of blocks' means",
    )  # fmt: skip
    assert one["answer"]["ok"] is None
    runs = (phone.root / "runs").read_text()
    assert "--use_gpu=true --use_cpu=false" in runs
    assert "xnnpack" not in runs  # it does not know that flag
    said = "\n".join(outcome["warnings"])
    assert "takes no input and writes no output" in said
    assert "GPU does not tell what it took" in said
    assert phone.left == []
