"""Files of several inputs and outputs, of any rank and type: figures against NumPy, and what is refused."""

import hashlib

import numpy as np
import pytest
from checking_files import edit
from cli_runner import assert_refused, tfeff
from compare_models import convert
from port_models import CLASSES, LAYERS, ROWS, WIDTH, WORDS, inputs, run_numpy, write_pair
from small_files import Part, Step, Values, constant, write_file

from tfeff.artifact import Artifact, open_artifact, write_record
from tfeff.compare import Runner
from tfeff.debug import Options, debug
from tfeff.debug.file import LayeredFile
from tfeff.debug.outputs import Reference
from tfeff.debug.record import record_debug
from tfeff.debug.samples import Pixels, find_ports, load_samples
from tfeff.errors import TfeffError
from tfeff.record import build

COUNT = 400


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """int8 and float file of `port_models`, and samples: an array an input, in another order than the file's."""
    folder = tmp_path_factory.mktemp("pair")
    int8, twin = write_pair(folder)
    np.savez(folder / "inputs.npz", **dict(reversed(inputs(COUNT).items())))
    return int8, twin, str(folder / "inputs.npz")


@pytest.fixture(scope="module")
def found(pair):
    int8, twin, samples = pair
    return debug(int8, float_file=twin, images=samples, samples=COUNT)


def relative(given, real, names=("scores", "size")):
    """Energy of the error over that of the output, mean over ports."""
    return np.mean([np.sum((given[name] - real[name]) ** 2) / np.sum(real[name] ** 2) for name in names])


def test_every_output_against_numpy(found):
    real, given = run_numpy(inputs(COUNT), rounded=False), run_numpy(inputs(COUNT))
    scores, size, best = found.ports
    assert (scores.name, size.name, best.name) == ("scores", "size", "best")
    for port in (scores, size):
        assert port.sqnr_db == pytest.approx(-10 * np.log10(relative(given, real, (port.name,))), abs=0.01)
        assert port.max_abs_error == pytest.approx(np.abs(given[port.name] - real[port.name]).max(), rel=1e-4)
        assert (port.reference, port.samples, port.equal_share) == ("float file", COUNT, None)
    assert best.equal_share == np.mean(given["best"] == real["best"])
    assert 0.9 < best.equal_share < 1
    assert best.sqnr_db is None


def test_all_outputs_count_alike(found):
    """`size` has values a hundred times as large, and no more weight."""
    real = run_numpy(inputs(COUNT), rounded=False)
    whole = relative(run_numpy(inputs(COUNT)), real)
    assert found.output_sqnr_db == pytest.approx(-10 * np.log10(whole), abs=0.01)
    assert found.output_mse is None  # of several units
    assert {row.layer for row in found.layers} == set(LAYERS)
    for row in found.layers:
        left = relative(run_numpy(inputs(COUNT), floats=(row.layer,)), real)
        assert row.error_share == pytest.approx(1 - left / whole, abs=1e-3), row.layer
    assert found.simulation.agrees
    assert found.simulation.max_lsb < 1.01  # halves, which kernels round away from zero
    assert found.simulation.mean_lsb < 0.01
    assert (found.weights.rounded, found.weights.found, found.notes) == (3, 3, [])


@pytest.mark.parametrize("name", ["scores", "size"])
def test_one_output_alone(pair, name):
    int8, twin, samples = pair
    result = debug(int8, float_file=twin, images=samples, samples=COUNT, output=name)
    real = run_numpy(inputs(COUNT), rounded=False)
    whole = relative(run_numpy(inputs(COUNT)), real, (name,))
    assert result.output == name
    assert result.output_mse == pytest.approx(whole * np.mean(real[name] ** 2), rel=1e-3)
    for row in result.layers:
        left = relative(run_numpy(inputs(COUNT), floats=(row.layer,)), real, (name,))
        assert row.error_share == pytest.approx(1 - left / whole, abs=1e-3), row.layer
    others = {"scores": ("size",), "size": ("vector", "left", "right", "scores")}
    assert all(row.error_share == 0 for row in result.layers if row.layer in others[name])


def test_an_output_of_whole_numbers(pair):
    """Its error is the share of values that differ."""
    int8, twin, samples = pair
    result = debug(int8, float_file=twin, images=samples, samples=COUNT, output="best")
    real = run_numpy(inputs(COUNT), rounded=False)["best"]
    whole = np.mean(run_numpy(inputs(COUNT))["best"] != real)
    assert result.output_sqnr_db == pytest.approx(-10 * np.log10(whole))
    assert (result.output_mse, result.simulation.mean_lsb) == (None, None)
    for row in result.layers:
        left = np.mean(run_numpy(inputs(COUNT), floats=(row.layer,))["best"] != real)
        assert row.error_share == pytest.approx(1 - left / whole), row.layer


def test_a_layer_that_only_one_output_reads(tmp_path, pair):
    ruined, twin = write_pair(tmp_path, size=40.0)
    result = debug(ruined, float_file=twin, images=pair[2], samples=COUNT)
    assert (result.layers[0].layer, result.layers[0].error_share > 0.8) == ("size", True)
    assert result.ports[1].sqnr_db < result.ports[0].sqnr_db


def test_the_float_file_may_call_its_ports_otherwise(tmp_path, pair, found):
    """Those of one shape are the same."""
    int8, twin, samples = pair

    def rename(model):
        (signature,) = model.signatureDefs
        for entry in (*signature.inputs, *signature.outputs):
            entry.name = b"their_" + entry.name
        signature.outputs.reverse()
        model.subgraphs[0].outputs = list(reversed(model.subgraphs[0].outputs))

    other = tmp_path / "other.tflite"
    other.write_bytes(edit(twin.read_bytes(), rename))
    result = debug(int8, float_file=other, images=samples, samples=COUNT)
    assert (result.ports, result.layers) == (found.ports, found.layers)


def write_tasks(int8, twin, tasks, source=None, **changes):
    """A record of schema 2."""

    def sha256(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    record = build(
        {
            "file": int8.name, "sha256": sha256(int8), "tasks": tasks,
            "float_twin": {"file": twin.name, "sha256": sha256(twin)},
            "inputs": [
                {"name": "vector", "shape": [1, WIDTH], "dtype": "int8", "scale": 0.02},
                {"name": "words", "shape": [1, WORDS], "dtype": "int32"},
            ],
            "outputs": [
                {"name": "scores", "shape": [1, CLASSES], "dtype": "int8", "scale": 0.05},
                {"name": "size", "shape": [1, 1], "dtype": "int8", "scale": 3.0},
                {"name": "best", "shape": [1], "dtype": "int64"},
            ],
            "calibration": {"source": source} if source else None, **changes,
        }
    )  # fmt: skip
    write_record(int8.with_suffix(".json"), record)


SCORES = {"name": "classification", "outputs": ["scores"], "decode": {"kind": "classes", "scores": "logits"}}
SIZE = {"name": "regression", "outputs": ["size"]}


def test_answers_are_those_of_the_records_tasks(tmp_path, pair):
    int8, twin = write_pair(tmp_path)
    for tasks, same in (([SCORES, SIZE], 1.0), ([SIZE], None), ([{"name": "tensors", "outputs": ["best"]}], None)):
        write_tasks(int8, twin, tasks, source=pair[2])
        result = debug(int8, samples=8)
        assert result.simulation.same_answers == same
        assert result.simulation.agrees
    artifact = open_artifact(int8)
    assert record_debug(artifact, debug(int8, samples=8, output="size"))
    kept = open_artifact(int8).record.debug
    assert [port.name for port in kept.ports] == ["scores", "size", "best"]
    assert (kept.output, kept.samples, kept.reference) == ("size", 8, "float file")


def test_what_the_record_calls_the_inputs(tmp_path, pair):
    """By name, or in the file's order where the names are others; never of another shape."""
    int8, twin = write_pair(tmp_path)
    write_tasks(int8, twin, [SIZE])
    artifact, file = open_artifact(int8), LayeredFile(int8)
    for port, name in zip(artifact.record.inputs, ("first", "second"), strict=True):
        port.name = name
    assert [port.name for port in find_ports(artifact, file, Pixels(), [])] == ["vector", "words"]
    artifact.record.inputs[0].shape = [1, 9]
    with pytest.raises(TfeffError, match=r"takes vector \(4,\), words \(3,\), its record prepares first \(9,\)"):
        find_ports(artifact, file, Pixels(), [])


def test_noise_where_nothing_says_what_it_takes(pair):
    """Numbers of rows lie in the table; the same at every run."""
    int8, twin, _ = pair
    result = debug(int8, float_file=twin, samples=40)
    assert result.images == "seeded noise"
    assert any("seeded noise" in note for note in result.notes)
    file = LayeredFile(int8)
    artifact = Artifact(int8, None, file.sha256)
    ports = find_ports(artifact, file, Pixels(), [])
    _, samples = load_samples(artifact, file, ports, None, 40, 0, [])
    words = np.stack([sample["words"] for sample in samples])
    assert (words.min(), words.max(), words.dtype) == (0, ROWS - 1, np.int32)
    again = load_samples(artifact, file, ports, None, 40, 0, [])[1]
    assert all(np.array_equal(one["vector"], other["vector"]) for one, other in zip(samples, again, strict=True))
    other = load_samples(artifact, file, ports, None, 40, 1, [])[1]
    assert not np.array_equal(samples[0]["vector"], other[0]["vector"])


def test_what_is_refused(pair, tmp_path, capfd):
    int8, twin, samples = pair
    only = tmp_path / "only.npz"
    np.savez(only, words=inputs(3)["words"])
    run = ("debug", int8, "--float", twin)
    assert_refused(tfeff(capfd, *run, "--images", only), "vector is missing", "one array")
    np.savez(only, vector=inputs(3)["vector"], words=np.float32([[0.5, 1, 2]] * 3))
    assert_refused(tfeff(capfd, *run, "--images", only), "words", "float32", "int32")
    assert_refused(tfeff(capfd, *run, "--images", samples, "--output", "no"), "no output 'no'", "scores, size, best")
    pixels = ("--images", samples, "--mean", "0", "--std", "1")
    assert_refused(tfeff(capfd, *run, *pixels), "no image of 1 or 3 channels", "vector (4,)")


def test_the_table_names_every_output(pair, capfd):
    int8, twin, samples = pair
    run = ("debug", int8, "--float", twin, "--images", samples)
    shown = tfeff(capfd, *run).err
    assert "dB, all together" in shown
    for name in ("scores", "size"):
        assert f"SQNR of {name}" in shown
    assert "% of the values are equal" in shown
    ran = tfeff(capfd, *run, "--output", "size", "--json")
    assert "the error of size only" in ran.err
    assert ran.json["output"] == "size"
    assert [port["name"] for port in ran.json["ports"]] == ["scores", "size", "best"]


def test_sound(tmp_path):
    """A 1-D convolution of the converter: (1, 64, 1) in, and a RESHAPE to an image inside."""
    import keras

    sound = keras.Input((64, 1), batch_size=1, name="sound")
    wave = keras.layers.Conv1D(8, 5, activation="relu", name="wave")(sound)
    model = keras.Model(sound, keras.layers.Dense(2, name="loud")(keras.layers.GlobalAveragePooling1D()(wave)))
    random = np.random.default_rng(0)
    model.get_layer("wave").set_weights([random.normal(0, 0.5, (5, 1, 8)), random.normal(0, 0.1, 8)])
    sounds = random.normal(0, 1, (30, 64, 1)).astype(np.float32)
    int8 = convert(model, tmp_path / "sound.int8.tflite", sounds, "int8")
    twin = convert(model, tmp_path / "sound.tflite")
    np.savez(tmp_path / "sounds.npz", sound=sounds)
    result = debug(int8, float_file=twin, images=str(tmp_path / "sounds.npz"))
    assert {"sound", "wave"} <= {row.layer for row in result.layers}
    assert result.simulation.agrees
    given, real = (np.array([next(iter(run(each).values())) for each in sounds]) for run in map(Runner, (int8, twin)))
    assert result.output_mse == pytest.approx(np.mean((given - real) ** 2), rel=1e-4)


def body(name, op, options):
    """A subgraph that an IF runs: x + x, or x * x, on int8."""
    tensors = {"x": Values((1, 4), "int8", 0.05), name: Values((1, 4), "int8", 0.2)}
    return Part(tensors, [Step(op, ["x", "x"], [name], options)], {"x": "x"}, {name: name})


def write_branches(path):
    """int8 x and a flag -> x + x or x * x, by an IF -> scores."""
    weights = np.random.default_rng(1).integers(-127, 128, (2, 4))
    tensors = {
        "x": Values((1, 4), "int8", 0.05),
        "flag": Values((1,), "bool"),
        "net/double/mul": Values((1, 4), "int8", 0.05),
        "two": constant([2], "int8", 0.5),
        "net/branch/cond": Values((1, 4), "int8", 0.2),
        "weights": constant(weights, "int8", 0.01),
        "net/scores/MatMul": Values((1, 2), "int8", 0.3),
    }
    steps = [
        Step("MUL", ["x", "two"], ["net/double/mul"], "MulOptions"),
        Step("IF", ["flag", "net/double/mul"], ["net/branch/cond"], "IfOptions",
             {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}),
        Step("FULLY_CONNECTED", ["net/branch/cond", "weights", None], ["net/scores/MatMul"], "FullyConnectedOptions"),
    ]  # fmt: skip
    first = Part(tensors, steps, {"x": "x", "flag": "flag"}, {"scores": "net/scores/MatMul"})
    return write_file(path, first, body("sum", "ADD", "AddOptions"), body("square", "MUL", "MulOptions"))


def test_control_flow_runs_as_it_is(tmp_path):
    path = write_branches(tmp_path / "branches.tflite")
    random = np.random.default_rng(2)
    np.savez(
        tmp_path / "in.npz", x=random.uniform(-5, 5, (20, 4)).astype(np.float32), flag=random.random((20, 1)) > 0.5
    )
    result = debug(path, images=str(tmp_path / "in.npz"))
    assert {row.layer for row in result.layers} == {"x", "double", "scores"}
    assert any("run as they are" in note and "IF (branch)" in note for note in result.notes)
    assert result.simulation.agrees
    assert (result.simulation.sqnr_db, result.simulation.max_lsb) == (None, pytest.approx(0, abs=1e-3))


def test_an_operation_without_a_kernel_for_float(tmp_path):
    """BITWISE_XOR is for integers only; it stays what it is, and the others are simulated."""
    weights = np.random.default_rng(1).integers(-127, 128, (2, 4))
    tensors = {
        "x": Values((1, 4), "int8", 0.05),
        "mask": constant([[1, 2, 4, 8]], "int8", 0.05),
        "net/odd/xor": Values((1, 4), "int8", 0.05),
        "weights": constant(weights, "int8", 0.01),
        "net/scores/MatMul": Values((1, 2), "int8", 0.3),
    }
    steps = [
        Step("BITWISE_XOR", ["x", "mask"], ["net/odd/xor"]),
        Step("FULLY_CONNECTED", ["net/odd/xor", "weights", None], ["net/scores/MatMul"], "FullyConnectedOptions"),
    ]
    path = write_file(tmp_path / "odd.tflite", Part(tensors, steps, {"x": "x"}, {"scores": "net/scores/MatMul"}))
    result = debug(path, samples=10)
    assert {row.layer for row in result.layers} == {"x", "scores"}
    assert any("BITWISE_XOR (odd)" in note for note in result.notes)
    assert result.simulation.agrees


def write_state(path):
    """int8 sound -> SVDF, which keeps what it saw -> scores."""
    random = np.random.default_rng(4)
    tensors = {
        "x": Values((1, 4), "int8", 0.02),
        "features": constant(random.integers(-127, 128, (6, 4)), "int8", 0.01),
        "times": constant(random.integers(-3000, 3000, (6, 5)), "int16", 0.0002),
        "bias": constant(random.integers(-500, 500, 6), "int32", 1e-6),
        "state": Values((1, 30), "int16", 0.005, kept=True),
        "net/heard/svdf": Values((1, 6), "int8", 0.05),
        "weights": constant(random.integers(-127, 128, (2, 6)), "int8", 0.01),
        "net/scores/MatMul": Values((1, 2), "int8", 0.1),
    }
    steps = [
        Step(
            "SVDF",
            ["x", "features", "times", "bias", "state"],
            ["net/heard/svdf"],
            "SVDFOptions",
            {"rank": 1, "fusedActivationFunction": 1},
        ),
        Step("FULLY_CONNECTED", ["net/heard/svdf", "weights", None], ["net/scores/MatMul"], "FullyConnectedOptions"),
    ]
    return write_file(path, Part(tensors, steps, {"x": "x"}, {"scores": "net/scores/MatMul"}))


def test_a_state_is_forgotten_from_sample_to_sample(tmp_path):
    """In `Runner` as well: a sample's answer does not depend on those before it."""
    path = write_state(tmp_path / "state.tflite")
    samples = np.random.default_rng(5).uniform(-2.5, 2.5, (12, 4)).astype(np.float32)
    runner = Runner(path)
    first = runner(samples[3])["scores"]
    runner(samples[0])
    np.testing.assert_array_equal(runner(samples[3])["scores"], first)
    assert np.abs(first).max() > 0
    results = []
    for order in (slice(None), slice(None, None, -1)):
        np.savez(tmp_path / "in.npz", x=samples[order])
        results.append(debug(path, images=str(tmp_path / "in.npz"), options=Options(threads=2)))
    one, other = results
    assert any("SVDF (heard)" in note for note in one.notes)
    assert one.simulation.agrees
    assert one.simulation.sqnr_db is None
    assert one.output_mse == pytest.approx(other.output_mse)


def test_outputs_of_other_sizes_are_refused():
    reference = Reference([{"a": np.ones(3, np.float32), "b": np.ones(2, np.int64)}], None)
    assert reference.errors([{"a": np.ones(3, np.float32), "b": np.zeros(2, np.int64)}]) == 0  # floats alone count
    with pytest.raises(TfeffError, match="output b: 5 numbers against 2"):
        reference.errors([{"a": np.ones(3, np.float32), "b": np.ones(5, np.int64)}])
