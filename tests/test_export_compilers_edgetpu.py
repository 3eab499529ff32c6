"""Running `edgetpu_compiler`: its output and log in the shapes that were recorded, a stand-in for what can go wrong.
The real compiler is asked where there is one (EDGETPU_COMPILER, or on PATH)."""

import os
import shutil

import pytest
from checking_files import converted
from tfeff.export.compilers.edgetpu import VARIABLE, compile, find_compiler
from tfeff.export.compilers.edgetpu_output import (
    Report,
    confirmed,
    failure_mend,
    parse_output,
    parse_rows,
    parse_size,
    parse_version,
)

from tfeff.errors import GateFailed, TfeffError

pytest_plugins = ["bench_models"]

HEADER = "Edge TPU Compiler version 16.0.384591198\nStarted a compilation timeout timer of 180 seconds.\n\n"
WHOLE = """Model compiled successfully in 96 ms.

Input model: m.tflite
Input size: 7.02MiB
Output model: m_edgetpu.tflite
Output size: 7.14MiB
On-chip memory used for caching model parameters: 80.00KiB
On-chip memory remaining for caching model parameters: 6.04MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: m_edgetpu.log

"""
PARTLY = """Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the \
model will instead run on the CPU, which is slower. If possible, consider updating your model to use only operations \
supported by the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 1
Number of operations that will run on CPU: 2
See the operation log file for individual operation details.
"""
DONE = "Compilation child process completed within timeout period.\nCompilation succeeded! \n"
TABLE = """Operator                       Count      Status

QUANTIZE                       2          Mapped to Edge TPU
DEPTHWISE_CONV_2D              1          Mapped to Edge TPU
"""
LOG = "Edge TPU Compiler version 16.0.384591198\nInput: test/m.tflite\nOutput: test/m_edgetpu.tflite\n\n" + TABLE
MIXED = """Operator                       Count      Status

CONV_2D                        4          Mapped to Edge TPU
CONV_2D                        30         More than one subgraph is not supported
HARD_SWISH                     2          Operation not supported
TRANSPOSE                      1          Operation is otherwise supported, but not mapped due to some unspecified \
limitation
DEQUANTIZE                     1          Operation is working on an unsupported data type
FULLY_CONNECTED                1          Operation version not supported
RESHAPE                        3          Tensor has unsupported rank (up to 3 innermost dimensions mapped)
CUSTOM                         1          A status nobody has seen: yet
"""
TOO_NEW = """ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'. An older version of this builtin might be \
supported. Are you using an old TFLite binary with a newer model?

ERROR: Registration failed.

Invalid model: m.tflite
Model could not be parsed
"""
OUT_OF_RANGE = (
    "ERROR: Op builtin_code out of range: 150. Are you using old TFLite binary with newer model?\n"
    "ERROR: Registration failed.\n\nInvalid model: m.tflite\nModel could not be parsed\n"
)
DYNAMIC = (
    "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has dynamic-sized "
    "tensors.\nCompilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\nCompilation child process completed within timeout period.\nCompilation failed! \n"
)
GROUPS = (
    "ERROR: :349 input->dims->data[3] != filter->dims->data[3] (128 != 1)\n"
    "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\nCompilation failed! \n"
)
TOO_LARGE = (
    "ERROR: Restored original execution plan after delegate application failure.\n"
    "Compilation failed: Compilation failed due to large activation tensors in model.\n"
    "Compilation child process completed within timeout period.\nCompilation failed! \n"
)
OLD_FAILURE = "Edge TPU Compiler version 15.0.340273435\nInternal compiler error. Aborting! \n"
SEARCH = (
    "Searching for valid delegate with step 30\nTry to compile segment with 191 ops\n"
    f"Intermediate tensors: a\n{TOO_LARGE}Try to compile segment with 161 ops\nIntermediate tensors: b,c\n"
)


def test_version():
    assert parse_version(HEADER) == parse_version(LOG) == "16.0.384591198"
    assert parse_version("usage: something else") is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("0.00B", 0), ("80.00KiB", 81920), ("7.02MiB", 7361004), ("512.00B", 512), ("1.50GiB", 3 * 2**29)],
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "7.02", "MiB", "7.02MB", "1,5MiB"])
def test_other_sizes_are_none(text):
    with pytest.raises(ValueError):
        parse_size(text)


def test_all_mapped():
    (report,) = parse_output(HEADER + WHOLE + DONE)
    assert report == Report(
        "m.tflite", "m_edgetpu.tflite", 7361004, 7486833, 81920, 6333399, 0, subgraphs=1, total=3,
    )  # fmt: skip


def test_partly_mapped():
    (report,) = parse_output(HEADER + WHOLE + PARTLY + DONE)
    assert (report.total, report.on_edgetpu, report.on_cpu, report.rows) == (3, 1, 2, ())


def test_table_on_demand():
    (report,) = parse_output(HEADER + WHOLE + PARTLY.rpartition("See")[0] + "\n" + MIXED + DONE)
    assert sum(count for _, count, _ in report.rows) == 43
    assert report.rows[-1] == ("CUSTOM", 1, "A status nobody has seen: yet")


def test_log():
    assert parse_rows(LOG) == (("QUANTIZE", 2, "Mapped to Edge TPU"), ("DEPTHWISE_CONV_2D", 1, "Mapped to Edge TPU"))
    assert parse_rows("Edge TPU Compiler version 16.0\nInput: 3 4 5\n") == ()


def test_several_subgraphs():
    (report,) = parse_output(HEADER + WHOLE.replace("subgraphs: 1", "subgraphs: 3") + DONE)
    assert report.subgraphs == 3


def test_several_models():
    first, second = WHOLE, WHOLE.partition("\n\n")[2].replace("m.tflite", "n.tflite").replace("80.00KiB", "0.00B")
    reports = parse_output(HEADER + first.replace("Model compiled", "Models compiled") + second + DONE)
    assert [(report.input, report.on_chip_bytes) for report in reports] == [("m.tflite", 81920), ("n.tflite", 0)]


def test_older_compilers_say_less():
    text = "Edge TPU Compiler version 14.1.317412892\n\n" + WHOLE
    (report,) = parse_output(text)
    assert report.subgraphs == 1
    assert parse_output(OLD_FAILURE) == ()


def test_last_attempt_counts():
    (report,) = parse_output(HEADER + SEARCH + WHOLE + PARTLY + DONE)
    assert report.on_edgetpu == 1
    assert parse_output(HEADER + WHOLE + DONE + TOO_LARGE) == ()
    two = WHOLE.replace("subgraphs: 1", "subgraphs: 9")
    (report,) = parse_output(HEADER + two + DONE + TOO_LARGE + WHOLE + DONE)
    assert report.subgraphs == 1


@pytest.mark.parametrize("text", ["", HEADER, TOO_NEW, OUT_OF_RANGE, DYNAMIC, TOO_LARGE, GROUPS, "\0\xff nonsense"])
def test_no_success_no_report(text):
    assert parse_output(text) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOO_NEW, ["CONV_2D", "version 6", "--target edgetpu"]),
        (OUT_OF_RANGE, ["150", "tfeff check"]),
        (DYNAMIC, ["fixed batch"]),
        (GROUPS, ["group convolution"]),
        (TOO_LARGE, ["smaller input"]),
        (OLD_FAILURE, ["smaller input"]),
        ("something new", ["tfeff check"]),
    ],
)
def test_failures_name_the_mend(text, words):
    for word in words:
        assert word in failure_mend(HEADER + text)


def test_confirmed_verdict():
    verdict = confirmed(Report(), parse_rows(MIXED), {"subgraphs": 1})
    assert (verdict.basis, verdict.mapped, verdict.total, verdict.ok) == ("confirmed", 4, 43, False)
    found = {(row["op"], row["status"]): row for row in verdict.rows()}
    assert found["CONV_2D", "stranded"]["count"] == 30
    assert "relu6" in found["HARD_SWISH", "refused"]["mend"]
    assert found["RESHAPE", "refused"]["reason"].startswith("Tensor has unsupported rank")
    assert found["CUSTOM", "cpu"]["reason"] == "A status nobody has seen: yet"  # passed on as it is
    assert verdict.first_break.name == "HARD_SWISH"


def test_confirmed_by_counts_alone():
    verdict = confirmed(Report(total=191, on_edgetpu=1, on_cpu=190), (), {})
    assert (verdict.mapped, verdict.total) == (1, 191)
    assert confirmed(Report(total=3), (), {}).ok


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.int8.tflite"
    path.write_bytes(converted("conv"))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def compiler(stand_in, tmp_path):
    """Makes a stand-in for the compiler out of shell text that runs when it is to compile.

    In the text `$out` is the folder for output, `$in` the file, `$stem` its name without the ending; `$*` are the
    arguments, and `say NAME` prints a recorded text.
    """

    def make(text, version="16.0.384591198", **recorded):
        for name, words in recorded.items():
            (tmp_path / f"{name}.txt").write_text(words)
        return stand_in(
            f'case "$1" in --version) echo "Edge TPU Compiler version {version}"; exit 0;; esac\n'
            f'echo "$@" >> "{tmp_path}/calls"\n'
            f'say() {{ cat "{tmp_path}/$1.txt"; }}\n'
            'for in; do :; done; stem=$(basename "$in" .tflite)\n'
            'while [ $# -gt 0 ]; do case "$1" in --out_dir) out="$2"; shift;; *) rest="$rest $1";; esac; shift; done\n'
            f"{text}"
        )

    return make


GOOD = 'say output; cp "$in" "$out/${stem}_edgetpu.tflite"; say log > "$out/${stem}_edgetpu.log"'


def test_compiles(compiler, model, folder, tmp_path):
    before = model.read_bytes()
    binary = compiler(GOOD, output=HEADER + WHOLE + DONE, log=LOG)
    result = compile(model, folder, compiler=binary)
    assert result.path.name == "net.int8_edgetpu.tflite"
    assert result.path.is_relative_to(folder)
    assert result.path.read_bytes() == before == model.read_bytes()
    assert (result.version, result.subgraphs, result.searched) == ("16.0.384591198", 1, False)
    assert (result.on_chip_bytes, result.on_chip_free_bytes, result.off_chip_bytes) == (81920, 6333399, 0)
    assert result.statuses == {"Mapped to Edge TPU": 3}
    assert result.verdict.ok
    assert result.verdict.basis == "confirmed"
    assert result.as_dict()["operations"] == {"Mapped to Edge TPU": 3}
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--show_operations --timeout_sec 180" in call
    assert call.endswith(str(model))


def test_partly_mapped_is_a_result(compiler, model, folder):
    result = compile(model, folder, compiler=compiler(GOOD, output=HEADER + WHOLE + PARTLY + DONE, log=MIXED))
    assert not result.verdict.ok
    assert result.statuses["More than one subgraph is not supported"] == 30


def test_table_is_taken_from_the_output_where_there_is_no_log(compiler, model, folder):
    text = 'say output; cp "$in" "$out/${stem}_edgetpu.tflite"'
    result = compile(model, folder, compiler=compiler(text, output=HEADER + WHOLE + "\n" + TABLE + DONE))
    assert result.statuses == {"Mapped to Edge TPU": 3}


def test_searches_for_a_cut_when_the_whole_does_not_compile(compiler, model, folder, tmp_path):
    binary = compiler(
        f'case "$rest" in *--search_delegate*) {GOOD};; *) say failure; exit 1;; esac',
        failure=HEADER + TOO_LARGE, output=HEADER + SEARCH + WHOLE + PARTLY + DONE, log=MIXED,
    )  # fmt: skip
    result = compile(model, folder, compiler=binary)
    assert result.searched
    assert result.verdict.mapped == 4
    assert len((tmp_path / "calls").read_text().splitlines()) == 2
    with pytest.raises(TfeffError, match="large activation") as failed:
        compile(model, folder, compiler=binary, search=False)
    assert failed.value.exit_code == 2


def test_options_reach_the_compiler(compiler, model, folder, tmp_path):
    binary = compiler(GOOD, output=HEADER + WHOLE + DONE, log=LOG)
    compile(model, folder, compiler=binary, min_runtime=13, several_subgraphs=True, timeout_s=7)
    call = (tmp_path / "calls").read_text()
    for option in ("--min_runtime_version 13", "--enable_multiple_subgraphs", "--timeout_sec 7"):
        assert option in call


def test_older_compiler_gets_no_option_that_it_lacks(compiler, model, folder, tmp_path):
    binary = compiler("say failure; exit 1", version="15.0.340273435", failure=OLD_FAILURE)
    with pytest.raises(TfeffError, match=r"Internal compiler error. Aborting!"):
        compile(model, folder, compiler=binary)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--timeout_sec" not in call
    assert "--search_delegate" not in call


def refused(model, folder, **options):
    """The TfeffError of a compilation that fails, which leaves nothing but its scratch and the file as it was."""
    before = model.read_bytes()
    with pytest.raises(TfeffError) as failed:
        compile(model, folder, **options)
    assert model.read_bytes() == before
    assert sorted(path.name for path in model.parent.glob("*.tflite")) == [model.name]
    return failed.value


def test_file_that_the_compiler_cannot_read(compiler, model, folder, tmp_path):
    error = refused(model, folder, compiler=compiler("say failure; exit 1", failure=HEADER + TOO_NEW))
    assert "Model could not be parsed" in error.what
    assert "exit 1" in error.what
    assert "CONV_2D of version 6" in error.mend
    assert len((tmp_path / "calls").read_text().splitlines()) == 1  # a cut would not help


@pytest.mark.parametrize("death", ["kill -SEGV $$", "exit 139"])  # Coral's package starts the binary from a script
def test_crash(compiler, model, folder, death):
    error = refused(model, folder, compiler=compiler(f"echo 'Model looks odd'; {death}"))
    assert "SIGSEGV" in error.what
    assert "Model looks odd" in error.what


def test_timeout_ends_all_that_was_started(compiler, model, folder, left_behind, monkeypatch):
    monkeypatch.setattr("tfeff.export.compilers.edgetpu._GRACE_S", 0.5)
    error = refused(model, folder, compiler=compiler("sleep 60 & sleep 60"), timeout_s=0.5)
    assert "killed" in error.what
    assert "more time" in error.mend
    assert left_behind(10) == 0


def test_child_that_stays_behind_a_success_is_ended(compiler, model, folder, left_behind):
    binary = compiler(f"sleep 60 & {GOOD}", output=HEADER + WHOLE + DONE, log=LOG)
    assert compile(model, folder, compiler=binary).verdict.ok
    assert left_behind(10) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 0", "left no compiled file"),
        ("say output", "left no compiled file"),
        ('say output; echo half > "$out/${stem}_edgetpu.tflite"', "left no compiled file"),
        ('cp "$in" "$out/${stem}_edgetpu.tflite"', "printed nothing"),
        (f"{GOOD}; exit 3", "exit 3"),
    ],
)
def test_success_that_is_none(compiler, model, folder, text, words):
    error = refused(model, folder, compiler=compiler(text, output=HEADER + WHOLE + DONE, log=LOG))
    assert words in error.what


def test_no_subgraph_is_a_gate_that_failed(compiler, model, folder):
    output = HEADER + WHOLE.replace("subgraphs: 1", "subgraphs: 0") + DONE
    log = TABLE.replace("Mapped to Edge TPU", "Operation version not supported")
    binary = compiler(GOOD, output=output, log=log)
    with pytest.raises(GateFailed, match="no operation on the Edge TPU") as failed:
        compile(model, folder, compiler=binary)
    assert failed.value.exit_code == 1
    assert "version not supported" in failed.value.what


def test_program_that_is_another(stand_in, model, folder):
    error = refused(model, folder, compiler=stand_in("echo cc: unknown argument; exit 1"))
    assert "is not edgetpu_compiler (cc: unknown argument)" in error.what


def test_program_that_cannot_be_started(model, folder, tmp_path):
    path = tmp_path / "edgetpu_compiler"
    path.write_bytes(b"\x7fELF of another machine")
    path.chmod(0o755)
    assert "cannot be started" in refused(model, folder, compiler=path).what


def test_where_it_is_looked_for(compiler, model, folder, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if shutil.which("edgetpu_compiler") is None:
        error = refused(model, folder)
        assert "coral.ai" in error.mend
        assert "edgetpu-compiler" in error.mend
        assert VARIABLE in error.mend
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert f"{VARIABLE}={tmp_path / 'nowhere'}" in refused(model, folder).what
    binary = compiler(GOOD, output=HEADER + WHOLE + DONE, log=LOG)
    monkeypatch.setenv(VARIABLE, str(binary))
    assert compile(model, folder).verdict.ok
    monkeypatch.delenv(VARIABLE)
    binary.rename(tmp_path / "edgetpu_compiler")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_compiler() == tmp_path / "edgetpu_compiler"
    assert find_compiler(tmp_path / "edgetpu_compiler") == tmp_path / "edgetpu_compiler"
    with pytest.raises(TfeffError, match="no such program"):
        find_compiler(tmp_path / "gone")


@pytest.mark.parametrize("name", ["conv", "hard_swish", "group"])
def test_the_real_compiler(name, tmp_path, folder):
    """Predicted against confirmed, where Coral's compiler is installed."""
    from tfeff.export.checking.edgetpu import check
    from tfeff.export.flatbuffer import read_graph

    try:
        find_compiler()
    except TfeffError:
        pytest.skip("no edgetpu_compiler: neither EDGETPU_COMPILER nor PATH has one")
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(converted(name))
    predicted = check(read_graph(path))
    if predicted.problems:
        refused(path, folder)
        return
    result = compile(path, folder)
    assert (result.verdict.mapped, result.verdict.total) == (predicted.mapped, predicted.total)
