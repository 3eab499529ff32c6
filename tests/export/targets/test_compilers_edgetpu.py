"""Running `edgetpu_compiler`: a stand-in for what can go right and wrong. The real compiler is asked where there is one
(EDGETPU_COMPILER, or on PATH)."""

import os
import shutil

import pytest
from checking_files import converted
from edgetpu_recordings import DONE, HEADER, LOG, MIXED, OLD_FAILURE, PARTLY, SEARCH, TABLE, TOO_LARGE, TOO_NEW, WHOLE

from tfeff.errors import GateFailed, TfeffError
from tfeff.export.targets.edgetpu.compiler import VARIABLE, compile, find_compiler

pytest_plugins = ["bench_models"]


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
    monkeypatch.setattr("tfeff.export.targets.edgetpu.compiler._GRACE_S", 0.5)
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
    from tfeff.export.targets.edgetpu.rules import check
    from tfeff.tflite.graph import read_graph

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
