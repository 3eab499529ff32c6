"""Vela: the real one on small files, and a stand-in for all that can go wrong."""

import re
import subprocess
import sys

import pytest
from custom_operator import put_custom_operator

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.export.targets import CompilerOptions, get_target
from tfeff.export.targets.ethos_u import compiler as vela
from tfeff.tflite.graph import read_graph

pytest_plugins = ["bench_models", "ethos_u_files"]


def ask(*arguments):
    return subprocess.run([vela.find_vela(), *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_accelerators_are_those_that_vela_takes():
    assert sorted(set(re.findall(r"ethos-u\d+-\d+", ask("--help")))) == sorted(vela.ACCELERATORS)


def test_systems_and_memory_modes_are_vela_s():
    listed = ask("--list-configs", "Arm/vela.ini")
    for _, system, memory in vela.FAMILIES.values():
        assert re.search(rf"\b{system}\b", listed)
        assert re.search(rf"\b{memory}\b", listed)


@pytest.mark.parametrize("accelerator", vela.ACCELERATORS)
def test_every_accelerator(ethos_u_file, folder, accelerator):
    made = vela.compile(ethos_u_file("global_pool"), folder, accelerator)
    assert made.accelerator == accelerator
    assert made.cpu_operators == 0
    assert made.estimates["cycles"] >= made.estimates["cycles_npu"] > 0


def test_what_the_npu_takes_whole(ethos_u_file, folder):
    path = ethos_u_file("group_conv")
    made = vela.compile(path, folder)
    assert (made.cpu_operators, made.on_cpu) == (0, ())
    assert [op.name for op in read_graph(made.path).operations] == ["CUSTOM ethos-u"]
    assert made.path == folder / "group_conv_vela.tflite"
    assert list(folder.iterdir()) == [made.path]  # nothing else is left
    assert made.sha256 == check_tflite(made.path)
    # 3x3 from 3 to 32 channels, then 3x3 from 8 to 32, on 24x24
    assert made.estimates["macs"] == 24 * 24 * 32 * (9 * 3 + 9 * 8)
    assert made.estimates["inference_ms"] == pytest.approx(
        1e3 * made.estimates["cycles"] / made.estimates["core_clock_hz"], rel=1e-3
    )
    assert made.estimates["sram_bytes"] >= 24 * 24 * (32 + 32)  # both maps at once


@pytest.mark.parametrize(
    ("name", "left", "reason"),
    [
        ("gather", "GATHER", "Unsupported opType"),
        ("every_second_channel", "STRIDED_SLICE", "unsupported stride axis"),
        ("large_shuffle", "TRANSPOSE", "shape out of range"),
    ],
)
def test_what_stays_on_the_cpu_and_why(ethos_u_file, folder, name, left, reason):
    made = vela.compile(ethos_u_file(name), folder)
    assert made.cpu_operators == 1
    assert [op.name for op in made.on_cpu] == [left]
    assert reason in made.on_cpu[0].reason


def test_a_float_island_stays_on_the_cpu_with_its_fence(ethos_u_file, folder):
    made = vela.compile(ethos_u_file("float_island"), folder)
    assert [op.name for op in made.on_cpu] == ["DEQUANTIZE", "SIN", "QUANTIZE"]


def test_nothing_for_the_npu_gives_no_figures(models, folder):
    made = vela.compile(models["float"], folder)
    assert made.npu_operators == 0
    assert made.cpu_operators == 3
    assert made.estimates["inferences_per_second"] is None


def test_split_group_convolution_costs_what_the_native_one_does(ethos_u_file, folder):
    native, split = (vela.compile(ethos_u_file(name), folder).estimates for name in ("group_conv", "split_group_conv"))
    assert split["cycles"] == pytest.approx(native["cycles"], rel=0.02)


def test_one_slope_costs_less_than_many(ethos_u_file, folder):
    many, one = (vela.compile(ethos_u_file(n), folder).estimates["cycles"] for n in ("prelu", "prelu_one_slope"))
    assert one < many


def test_the_same_file_gives_the_same_bytes(ethos_u_file, folder):
    path = ethos_u_file("hard_swish")
    assert vela.compile(path, folder) == vela.compile(path, folder)


def test_record_labels_figures_as_estimates(ethos_u_file, folder):
    entry = vela.compile(ethos_u_file("gather"), folder, "ethos-u65-256").as_dict()
    assert entry["compiler"] == "vela"
    assert entry["version"] == ask("--version").strip()
    assert entry["memory_mode"] == "Dedicated_Sram_384KB"
    assert entry["size_bytes"] == (folder / entry["file"]).stat().st_size
    assert entry["on_cpu"][0]["op"] == "GATHER"
    assert "estimate" in " ".join(entry)
    assert "nothing was run on hardware" in entry["estimated_by"]
    figures = {"cycles", "inference_ms", "inferences_per_second", "sram_bytes", "dram_bytes", "macs"}
    assert figures <= set(entry["estimates"])
    assert not figures & set(entry)


def test_the_target_asks_vela(ethos_u_file, folder):
    target = get_target("ethos-u")
    made = target.compile(ethos_u_file("gather"), folder, CompilerOptions(accelerator="ethos-u55-256"))
    assert made.path.name.endswith(made.suffix)
    assert made.suffix == target.compiled_suffix
    assert made.verdict.basis == "confirmed"
    assert [op.status for op in made.verdict.operations] == ["mapped", "cpu"]
    assert made.about["accelerator"] == "ethos-u55-256"
    with pytest.raises(TfeffError, match="ethos-u55-128"):
        target.check_compiler(CompilerOptions(accelerator="ethos-u55-12"))


@pytest.mark.parametrize("name", ["u55-128", "ethos-u55", "ethos-u85-4096", "Ethos-U55-128", ""])
def test_unknown_accelerator_names_near_ones(ethos_u_file, folder, name):
    with pytest.raises(TfeffError, match=re.escape(repr(name))) as refused:
        vela.compile(ethos_u_file("gather"), folder, name)
    assert any(known in refused.value.mend for known in vela.ACCELERATORS)


def test_files_that_it_would_not_read(ethos_u_file, folder, tmp_path):
    path = ethos_u_file("gather")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(TfeffError, match="cut short or damaged"):
        vela.compile(cut, folder)
    with pytest.raises(TfeffError, match="no such file"):
        vela.compile(tmp_path / "none.tflite", folder)
    with pytest.raises(TfeffError, match="compiled already"):
        vela.compile(put_custom_operator(path, "ethos-u"), folder)
    assert list(folder.iterdir()) == []


def test_not_installed(ethos_u_file, folder, monkeypatch, tmp_path):
    monkeypatch.delenv("VELA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TfeffError, match="not installed") as refused:
        vela.compile(ethos_u_file("gather"), folder)
    assert "pip install 'tfeff[ethos-u]'" in refused.value.mend
    with pytest.raises(TfeffError, match="not installed"):
        get_target("ethos-u").check_compiler(CompilerOptions())


def test_named_executable(stand_in, monkeypatch, tmp_path):
    path = stand_in("echo 5.2.0")
    monkeypatch.setenv("VELA", str(path))
    assert vela.find_vela() == path
    monkeypatch.setenv("VELA", str(tmp_path / "none"))
    with pytest.raises(TfeffError, match=r"VELA=.*none: no such program"):
        vela.find_vela()
    assert vela.find_vela(path) == path  # what is given comes first
    with pytest.raises(TfeffError, match="gone: no such program"):
        vela.find_vela(tmp_path / "gone")


VERSION = '[ "$1" = --version ] && { echo 5.2.0; exit; }\n'  # then "$3" is the output folder
COUNTS = "echo 'CPU operators = 0 (0.0%)'; echo 'NPU operators = 2 (100.0%)'\n"
FILES = 'cp "$1" "$3/x_vela.tflite"; echo a,b > "$3/x_summary_y.csv"; echo 1,2 >> "$3/x_summary_y.csv"\n'


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "failed .exit code 3."),
        (VERSION + "echo 'RuntimeError: no such thing' >&2; exit 1", "exit code 1.: RuntimeError: no such thing"),
        (VERSION + "kill -SEGV $$", "SIGSEGV"),
        (VERSION + COUNTS, "left 0 files"),
        (VERSION + FILES + "echo hello", "does not say how many CPU operators"),
        (VERSION + FILES + COUNTS, "0 operators stay on the CPU, its file holds 2"),
        (VERSION + FILES + COUNTS.replace("= 0", "= 2"), "summary is not understood"),
        (VERSION + FILES.replace('"$1"', "/bin/sh") + COUNTS, "not a TFLite file"),
        (VERSION + FILES + 'cp "$1" "$3/y_vela.tflite"', "left 2 files"),
    ],
)
def test_what_can_go_wrong(ethos_u_file, folder, stand_in, script, said):
    with pytest.raises(TfeffError, match=said) as refused:
        vela.compile(ethos_u_file("gather"), folder, compiler=stand_in(script))
    assert refused.value.exit_code == 2
    assert list(folder.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize("script", ["sleep 60", VERSION + "sleep 60 & sleep 60"])
def test_too_slow(ethos_u_file, folder, stand_in, left_behind, script):
    with pytest.raises(TfeffError, match=r"not done within 0\.5 s"):
        vela.compile(ethos_u_file("gather"), folder, compiler=stand_in(script), timeout_s=0.5)
    assert left_behind(5) == 0
    assert list(folder.iterdir()) == []


def test_not_a_program(ethos_u_file, folder, tmp_path):
    path = tmp_path / "vela"
    path.write_bytes(b"\x7fELF and nothing")
    path.chmod(0o755)
    with pytest.raises(TfeffError, match="cannot be started"):
        vela.compile(ethos_u_file("gather"), folder, compiler=path)
