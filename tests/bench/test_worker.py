"""The worker: its protocol, which kernels it finds, and that it runs where tfeff is not."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tfeff.bench import kernel_words
from tfeff.bench.client import WORKER
from tfeff.bench.devices import find_device
from tfeff.bench.worker import delegation, kernels_of
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models"]


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
        kernels = load(handle, models[name])["kernels"]
        assert kernels == {"xnnpack": "all", "delegated": 3, "total": 3, "left": []}
        assert kernel_words(kernels) == "XNNPACK"


def test_an_operation_that_xnnpack_does_not_take_is_named(handle, models):
    kernels = load(handle, models["mixed"])["kernels"]
    assert kernels == {"xnnpack": "partly", "delegated": 3, "total": 4, "left": [{"op": "CUMSUM", "count": 1}]}
    assert kernel_words(kernels) == "XNNPACK 3 of 4"


def test_no_operation_for_xnnpack(handle, models):
    kernels = load(handle, models["gather"])["kernels"]
    assert kernels == {"xnnpack": "none", "delegated": 0, "total": 1, "left": [{"op": "GATHER", "count": 1}]}
    assert kernel_words(kernels) == "built-in"


def test_xnnpack_can_be_left_out(handle, models):
    kernels = load(handle, models["float"], xnnpack=False)["kernels"]
    assert (kernels["xnnpack"], kernels["delegated"], kernels["total"]) == ("none", 0, 3)
    assert kernels["left"] == [{"op": "CONV_2D", "count": 2}, {"op": "MEAN", "count": 1}]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not keep processes on cores")
def test_a_worker_is_kept_on_the_core_it_is_told(handle, models):
    allowed = os.sched_getaffinity(0)
    assert set(handle.environment["fast_cores"]) <= allowed
    core = handle.environment["fast_cores"][-1]
    assert load(handle, models["int8"])["pinned"] is False
    assert load(handle, models["int8"], core=core)["pinned"] is True
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
    assert kernel_words(kernels) == "unknown"


@pytest.mark.parametrize("name", ["float", "int8"])
def test_outputs_are_those_of_the_runtime(handle, models, tmp_path, name):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(models[name]))
    interpreter.allocate_tensors()
    shape, random = (1, 24, 24, 3), np.random.default_rng(0)
    image = random.normal(size=shape).astype("f4") if name == "float" else random.integers(-128, 128, shape, "i1")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    np.save(tmp_path / "image.npy", image)
    load(handle, models[name])
    (output,) = handle.outputs(tmp_path / "image.npy").values()
    assert output.dtype == detail["dtype"]
    np.testing.assert_array_equal(output, interpreter.get_tensor(detail["index"]))


def test_an_input_that_does_not_fit_is_refused(handle, models, tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((1, 24, 24, 3), np.float32))
    load(handle, models["int8"])
    with pytest.raises(TfeffError, match=r"wants .* int8, the file holds \[1, 24, 24, 3\] float32"):
        handle.outputs(tmp_path / "image.npy")
    with pytest.raises(TfeffError, match=r"none\.npy"):
        handle.outputs(tmp_path / "none.npy")


def test_tflite_runtime_runs_int8_without_xnnpack(models, tflite_runtime_python, tmp_path):
    image = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    found = []
    for spec in (f"python:{tflite_runtime_python}", "local"):
        with find_device(spec).start() as handle:
            kernels = {name: load(handle, models[name])["kernels"]["xnnpack"] for name in ("int8", "mixed", "float")}
            found.append((handle.environment["runtime"], kernels, *handle.outputs(tmp_path / "image.npy").values()))
    (name, kernels, output), (_, _, reference) = found
    assert name == "tflite-runtime"
    assert kernels == {"int8": "none", "mixed": "partly", "float": "all"}
    np.testing.assert_allclose(output, reference, rtol=1e-4, atol=1e-5)
