"""The worker: its protocol, which kernels it finds, and that it runs where tfeff is not."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tfeff.bench import kernel_words
from tfeff.bench.client import WORKER, packed, unpacked
from tfeff.bench.devices import find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.bench.worker import delegation, kernels_of
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels, Port

pytest_plugins = ["bench_models", "phone_files"]


def op(name, inputs, outputs):
    return {"op_name": name, "inputs": inputs, "outputs": outputs}


def load(handle, path, **options):
    return handle.load(path, **{"threads": 1, "xnnpack": True, "seed": 0, "core": None, **options})


def converse(*requests):
    """The replies of a worker process to requests, as they stand on its stdout."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([sys.executable, WORKER], input=lines, capture_output=True, text=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def handle():
    with find_device("local").start() as started:
        yield started


def test_the_worker_is_python_3_7():
    source = WORKER.read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_the_protocol_as_it_stands_on_the_wire(models):
    load_request = {"command": "load", "path": str(models["int8"]), "threads": 1, "xnnpack": True, "seed": 0}
    code, replies = converse({"command": "hello"}, load_request, {"command": "run", "count": 3}, {"command": "quit"})
    assert code == 0
    environment, loaded, ran = replies
    assert environment["numpy"] == np.__version__
    assert environment["runtime"] == "ai-edge-litert"
    assert environment["cores"] >= 1
    assert environment["cpu"]
    assert loaded["inputs"][0]["shape"] == [1, 24, 24, 3]
    assert loaded["inputs"][0]["dtype"] == "int8"
    assert len(ran["times_ns"]) == 3
    assert min(ran["times_ns"]) > 0


def test_a_wrong_request_is_answered_and_the_worker_goes_on(models):
    hello = {"command": "hello"}
    wrong = [{"command": "fly"}, {"command": "run", "count": 1}, {"command": "load"}, [], hello]
    code, replies = converse({"command": "load"}, *wrong)
    assert code == 0  # and the end of stdin ended it
    assert [reply.get("error") for reply in replies] == ["request"] * 5 + [None]


def test_what_a_runtime_prints_does_not_disturb_the_protocol(stand_in, tmp_path):
    for name in ("numpy", "ai_edge_litert"):
        (tmp_path / "stub" / name).mkdir(parents=True)
        (tmp_path / "stub" / name / "__init__.py").write_text("print('hey')\n__version__ = '9'\n")
    (tmp_path / "stub" / "ai_edge_litert" / "interpreter.py").write_text(
        "os = __import__('os')\nos.system('echo hey')\n"
    )
    path = stand_in(f'PYTHONPATH={tmp_path}/stub exec "$PYTHON" -S "$@"')
    with find_device(f"python:{path}").start() as started:
        assert started.environment["version"] == "9"


def test_all_of_a_plain_network_goes_to_xnnpack(handle, models):
    for name in ("float", "int8"):
        kernels = load(handle, models[name]).kernels
        assert kernels == Kernels(xnnpack="all", delegated=3, total=3)
        assert kernel_words(kernels) == "XNNPACK"


def test_an_operation_that_xnnpack_does_not_take_is_named(handle, models):
    kernels = load(handle, models["mixed"]).kernels
    assert kernels == Kernels(xnnpack="partly", delegated=3, total=4, left=[{"op": "CUMSUM", "count": 1}])
    assert kernel_words(kernels) == "XNNPACK 3 of 4"


def test_no_operation_for_xnnpack(handle, models):
    kernels = load(handle, models["gather"]).kernels
    assert kernels == Kernels(xnnpack="none", delegated=0, total=1, left=[{"op": "GATHER", "count": 1}])
    assert kernel_words(kernels) == "built-in"


def test_xnnpack_can_be_left_out(handle, models):
    kernels = load(handle, models["float"], xnnpack=False).kernels
    assert (kernels.xnnpack, kernels.delegated, kernels.total) == ("none", 0, 3)
    assert kernels.left == [{"op": "CONV_2D", "count": 2}, {"op": "MEAN", "count": 1}]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not keep processes on cores")
def test_a_worker_is_kept_on_the_core_it_is_told(handle, models):
    allowed = os.sched_getaffinity(0)
    assert set(handle.environment["fast_cores"]) <= allowed
    core = handle.environment["fast_cores"][-1]
    assert load(handle, models["int8"]).pinned is False
    assert load(handle, models["int8"], core=core).pinned is True
    assert os.sched_getaffinity(handle._process.pid) == {core}


def test_delegation_stops_at_a_regions_inputs():
    # a -> b -> c -> d, where only c was taken: b lies behind the region's input.
    chain = [op("A", [0], [1]), op("B", [1, 9], [2]), op("C", [2], [3]), op("D", [3], [4])]
    found = delegation([*chain, op("DELEGATE", [2], [3])])
    assert (found["xnnpack"], found["delegated"]) == ("partly", 1)
    assert [one["op"] for one in found["left"]] == ["A", "B", "D"]


def test_delegation_follows_every_output_and_branch():
    # One region with two outputs; SPLIT feeds both branches; optional inputs are -1.
    graph = [op("SPLIT", [0], [1, 2]), op("A", [1, -1], [3]), op("B", [2], [4]), op("X", [4], [5]), op("X", [3], [6])]
    found = delegation([*graph, op("DELEGATE", [0], [3, 4])])
    assert (found["delegated"], found["total"], found["left"]) == (3, 5, [{"op": "X", "count": 2}])


def test_kernels_are_unknown_where_the_runtime_does_not_list_its_nodes():
    kernels = kernels_of(object())
    assert kernels["xnnpack"] == "unknown"
    assert kernel_words(Kernels(**kernels)) == "unknown"


@pytest.mark.parametrize("name", ["float", "int8"])
def test_outputs_are_those_of_the_runtime(handle, models, name):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(models[name]))
    interpreter.allocate_tensors()
    shape, random = (1, 24, 24, 3), np.random.default_rng(0)
    image = random.normal(size=shape).astype("f4") if name == "float" else random.integers(-128, 128, shape, "i1")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    (port,) = load(handle, models[name]).inputs
    (output,) = handle.outputs({port.name: image}).values()
    assert output.dtype == detail["dtype"]
    np.testing.assert_array_equal(output, interpreter.get_tensor(detail["index"]))


def test_an_input_that_does_not_fit_is_refused(handle, models):
    (port,) = load(handle, models["int8"]).inputs
    image = np.zeros((1, 24, 24, 3), np.int8)
    for wrong in (image.astype(np.float32), image[:, :20]):
        with pytest.raises(TfeffError, match=r"wants .*\[1, 24, 24, 3\] int8; given is .*\[1, 2"):
            handle.outputs({port.name: wrong})
    with pytest.raises(TfeffError, match="given is nothing"):
        handle.outputs({})
    with pytest.raises(TfeffError, match="given is another"):
        handle.outputs({"another": image})
    assert handle.outputs({port.name: image})  # and the worker goes on


def random_of(port, seed):
    """Values for a port, by a generator that is not the worker's."""
    random = np.random.default_rng(seed)
    values = random.normal(size=port.shape) if port.dtype == "float32" else random.integers(0, 2, port.shape)
    return values.astype(port.dtype)


def assert_every_port(handle, path):
    """A device computes what the operations of `ports_file` mean, by the signature's names, whatever the inputs."""
    from phone_files import PORTS, ports_answer  # a plugin of pytest, so not before it is loaded

    loaded = load(handle, path)
    for side in ("inputs", "outputs"):
        found = {port.name: (tuple(port.shape), port.dtype) for port in getattr(loaded, side)}
        assert found == PORTS[side]
    assert [port.name for port in loaded.outputs] == list(PORTS["outputs"])  # the file's order, not the signature's
    assert [port.scale for port in loaded.outputs] == pytest.approx([0, 0, 0.05, 0])
    for seed in (0, 1):
        inputs = {port.name: random_of(port, seed) for port in loaded.inputs}
        outputs = handle.outputs(inputs)
        for name, expected in ports_answer(**inputs).items():
            assert outputs[name].dtype == expected.dtype
            np.testing.assert_array_equal(outputs[name], expected, err_msg=name)
    assert len(handle.run(3)) == 3  # its own inputs are back, and each index is one of the table's


def test_every_port_of_a_file_with_several(handle, files):
    assert_every_port(handle, files["ports"])


def test_every_port_in_tflite_runtime(files, tflite_runtime_python):
    with find_device(f"python:{tflite_runtime_python}").start() as other:
        assert other.environment["runtime"] == "tflite-runtime"
        assert_every_port(other, files["ports"])


def test_ports_are_called_as_everywhere_else(handle, files):
    """`Runner`, which `compare` reads files with, finds their names another way."""
    for path in files.values():
        loaded, runner = load(handle, path), Runner(path)
        assert [port.name for port in loaded.inputs] == [port.name for port in runner.inputs]
        assert [port.name for port in loaded.outputs] == [port.name for port in runner.outputs]


def test_what_a_file_is_timed_with_makes_sense():
    def values(dtype, scale=0.0, shape=(1, 400)):
        return seeded_inputs([Port(name="x", shape=list(shape), dtype=dtype, scale=scale)], 0)["x"]

    for dtype in ("int32", "int64", "bool", "int16"):  # they may be indices
        assert (values(dtype).dtype.name, set(values(dtype).ravel())) == (dtype, {0, 1})
    assert values("int8", 0.1).min() < -120 < 120 < values("int8", 0.1).max()
    assert values("uint8").max() > 240
    assert np.abs(values("int16", 0.1)).max() > 30000
    assert values("float32").std() == pytest.approx(1, abs=0.1)
    assert values("float32", shape=()).shape == values("int32", shape=()).shape == ()
    with pytest.raises(TfeffError, match="input x: type bytes cannot be filled"):
        values("bytes")


def test_a_worker_is_timed_with_the_seeded_inputs(handle, files, monkeypatch):
    """What phones and browsers are given is what a worker draws."""
    from tfeff.bench.worker import Worker

    worker = Worker()
    worker.hello({})
    told = worker.load({"path": str(files["ports"]), "threads": 1, "xnnpack": True, "seed": 7})
    expected = seeded_inputs([Port(**port) for port in told["inputs"]], 7)
    for drawn, values in zip(worker.timing_input, expected.values(), strict=True):
        np.testing.assert_array_equal(drawn, values)


def test_tensors_that_share_a_name_are_told_apart(handle, tmp_path):
    """Without a signature ports are called by their tensors, and two outputs of this file by one name."""
    from phone_files import ports_file

    (tmp_path / "bare.tflite").write_bytes(ports_file(signatures=()))
    loaded = load(handle, tmp_path / "bare.tflite")
    assert [port.name for port in loaded.inputs] == ["serving_default_pixels:0", "words,x:0"]
    assert [port.name for port in loaded.outputs] == ["Identity_2", "Identity", "Identity_1", "Identity_2 (2)"]
    assert len(handle.outputs(seeded_inputs(loaded.inputs, 0))) == 4


def test_arrays_go_through_json_as_they_are():
    for values in (np.float32(3.5), np.array(True), np.zeros((0, 2), np.int64), np.arange(6.0).reshape(2, 3).T):
        one = json.loads(json.dumps(packed(np.asarray(values))))
        back = unpacked(one).reshape(one["shape"])
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values)


def test_tflite_runtime_runs_int8_without_xnnpack(models, tflite_runtime_python):
    image = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    found = []
    for spec in (f"python:{tflite_runtime_python}", "local"):
        with find_device(spec).start() as handle:
            loaded = {name: load(handle, models[name]) for name in ("int8", "mixed", "float")}
            kernels = {name: one.kernels.xnnpack for name, one in loaded.items()}
            (output,) = handle.outputs({loaded["float"].inputs[0].name: image}).values()
            found.append((handle.environment["runtime"], kernels, output))
    (name, kernels, output), (_, _, reference) = found
    assert name == "tflite-runtime"
    assert kernels == {"int8": "none", "mixed": "partly", "float": "all"}
    np.testing.assert_allclose(output, reference, rtol=1e-4, atol=1e-5)
