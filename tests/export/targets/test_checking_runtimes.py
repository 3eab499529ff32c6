"""The checks of LiteRT, tflite-runtime and the web, against those runtimes: what they load, what XNNPACK takes."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
from checking_files import CODES, chain, converted, edit, names, only_code, operation, tensor

from tfeff.bench.worker import kernels_of
from tfeff.export.targets.common.op_versions import LITERT_2_3, TFLITE_RUNTIME_2_14
from tfeff.export.targets.litert import rules as litert
from tfeff.export.targets.tflite_runtime import rules as tflite_runtime
from tfeff.export.targets.web import rules as web
from tfeff.tflite.graph import read_graph

pytest_plugins = ["bench_models"]

_LOAD = """
import json, sys
from importlib import import_module
from pathlib import Path
Interpreter = import_module(sys.argv[1]).Interpreter
loads = {}
for path in Path(sys.argv[2]).iterdir():
    try:
        Interpreter(model_path=str(path))
        loads[path.stem] = True
    except (ValueError, RuntimeError):
        loads[path.stem] = False
print(json.dumps(loads))
"""


def loads(python, module, folder, newest):
    """What a runtime says of the newest version of each operation and of the next: (name, version) -> it loads."""
    for name, code in CODES.items():
        if name != "CUSTOM":
            for number in (newest.get(name, 0), newest.get(name, 0) + 1):
                if number:
                    (folder / f"{name}-{number}.tflite").write_bytes(only_code(code, number))
    done = subprocess.run(
        [python, "-c", _LOAD, module, str(folder)], capture_output=True, text=True, check=True, timeout=300
    )
    return {
        (stem.rpartition("-")[0], int(stem.rpartition("-")[2])): good for stem, good in json.loads(done.stdout).items()
    }


def assert_table(found, newest):
    wrong = {key for key, good in found.items() if good != (key[1] <= newest.get(key[0], 0))}
    assert wrong == set()
    assert len(found) > 300


def test_versions_of_tflite_runtime(tflite_runtime_python, tmp_path):
    assert_table(
        loads(tflite_runtime_python, "tflite_runtime.interpreter", tmp_path, TFLITE_RUNTIME_2_14), TFLITE_RUNTIME_2_14
    )


def test_versions_of_litert(tmp_path):
    if version("ai-edge-litert") != "2.3.0":
        pytest.skip("the table is of ai-edge-litert 2.3.0")
    assert_table(loads(sys.executable, "ai_edge_litert.interpreter", tmp_path, LITERT_2_3), LITERT_2_3)


def graph_of(data, tmp_path, name="x"):
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(data)
    return read_graph(path)


@pytest.mark.parametrize("name", names())
def test_what_xnnpack_leaves(name, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=converted(name))
    interpreter.allocate_tensors()
    left = sorted((entry["op"], entry["count"]) for entry in kernels_of(interpreter)["left"])

    verdict = litert.check(graph_of(converted(name), tmp_path))
    assert verdict.ok
    said = {row["op"]: row["count"] for row in verdict.rows() if "XNNPACK" in row["reason"]}
    assert sorted(said.items()) == left
    assert verdict.facts["xnnpack_left"] == sum(said.values())


@pytest.mark.parametrize("door", ["uint8", "float32"])
def test_what_xnnpack_leaves_at_the_door(door, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=converted("conv", door=door))
    interpreter.allocate_tensors()
    verdict = litert.check(graph_of(converted("conv", door=door), tmp_path))
    assert verdict.facts["xnnpack_left"] == sum(entry["count"] for entry in kernels_of(interpreter)["left"])


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
@pytest.mark.parametrize("ratio", [2**-17, 2**-15, 2**-11, 2**-10, 1, 2**7.9, 2**8], ids=lambda ratio: f"{ratio:.1e}")
def test_scales_that_xnnpack_takes(name, ratio, tmp_path):
    """One input's step against the output's; the other input's step is the output's."""
    from ai_edge_litert.interpreter import Interpreter

    def rescale(model):
        graph = model.subgraphs[0]
        op = graph.operators[-1]
        for number, scale in ((op.inputs[0], ratio), (op.inputs[1], 1.0), (op.outputs[0], 1.0)):
            graph.tensors[number].quantization.scale = [scale]

    data = edit(converted(name), rescale)
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    left = [entry["op"] for entry in kernels_of(interpreter)["left"]]
    last = litert.check(graph_of(data, tmp_path)).operations[-1]
    assert (last.name in left) == ("XNNPACK" in last.reason)


TOO_NEW = [
    (operation("CONV_2D", [tensor(1, 8, 8, 8), tensor(8, 3, 3, 8, constant=True)], [tensor(1, 8, 8, 8)], 8), "up to 7"),
    (operation("DILATE", [tensor(1, 8, 8, 8)], [tensor(1, 8, 8, 8)]), "not in tflite-runtime"),
    (operation("CUSTOM FlexErf", [tensor(8)], [tensor(8)]), "Flex"),
    (operation("CUSTOM mine", [tensor(8)], [tensor(8)]), "custom operation"),
    (operation("CUSTOM edgetpu-custom-op", [tensor(8)], [tensor(8)]), "Edge TPU"),
    (operation("CUSTOM ethos-u", [tensor(8)], [tensor(8)]), "Ethos-U"),
]


@pytest.mark.parametrize(("op", "word"), TOO_NEW, ids=[op.name for op, _ in TOO_NEW])
def test_what_tflite_runtime_lacks(op, word):
    (refused,) = tflite_runtime.check(chain(op)).operations
    assert refused.status == "refused"
    assert word in refused.reason
    assert refused.mend
    if not op.name.startswith("CUSTOM"):
        assert litert.check(chain(op)).ok


def test_custom_operation_that_runtimes_bring_along():
    op = operation("CUSTOM TFLite_Detection_PostProcess", [tensor(8)], [tensor(8)])
    assert tflite_runtime.check(chain(op)).ok
    assert litert.check(chain(op)).ok


def test_slow_group_convolution_is_told(tmp_path):
    verdict = tflite_runtime.check(graph_of(converted("group"), tmp_path))
    assert verdict.ok
    assert ["reference kernel" in op.reason for op in verdict.operations] == [False, True, False]


def test_file_for_a_newer_runtime():
    op = operation("ADD", [tensor(8)], [tensor(8)])
    assert tflite_runtime.check(chain(op, version="2.14.0")).ok
    (problem,) = tflite_runtime.check(chain(op, version="2.15.0")).problems
    assert "2.15.0" in problem.reason


def test_dynamic_shape_is_a_note(tmp_path):
    graph = graph_of(converted("conv", batch=None), tmp_path)
    for check in (litert.check, tflite_runtime.check, web.check):
        assert any("fixed shape" in note for note in check(graph).notes)


@pytest.mark.parametrize(("door", "taken"), [("float32", True), ("uint8", True), ("int8", False)])
def test_door_of_the_web(door, taken, tmp_path):
    """LiteRT.js: "Element type INT8 is not supported"; its typed arrays are of float32, int32 and uint8."""
    verdict = web.check(graph_of(converted("conv", door=door), tmp_path))
    assert verdict.ok == taken
    assert len(verdict.problems) == (0 if taken else 2)
    assert verdict.target == "web"
    assert all("--target web" in problem.mend for problem in verdict.problems)


def test_float_file_runs_everywhere_on_a_cpu(tmp_path):
    graph = graph_of(converted("hard_swish", precision="float32"), tmp_path)
    for check in (litert.check, tflite_runtime.check, web.check):
        assert check(graph).ok
