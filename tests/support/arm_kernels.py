"""Which operations of a file two runtimes compute differently, each judged on equal inputs.

A difference of one step grows on its way to the logits, so these say little of where it came from. Here every
operation's result is made an output of the file; an operation is the origin of a difference where all its inputs are
equal byte for byte in both runs and its result is not.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.bench.client import WORKER, WorkerHandle


@dataclass(frozen=True)
class Opened:
    """A file with all results as outputs.

    Attributes:
        path: where it is.
        operations: name, input tensors, output tensors; tensors are named `t` and their number.
        last: the tensor that was the file's own output.
    """

    path: Path
    operations: tuple
    last: str


def open_up(path, folder):
    """Writes `path` with every operation's result as an output into `folder`: Opened."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = flatbuffer_utils.read_model(str(path))
    (graph,) = model.subgraphs
    (last,) = graph.outputs
    operations = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [f"t{tensor}" for tensor in operator.inputs if tensor >= 0]
        operations.append((name, inputs, [f"t{tensor}" for tensor in operator.outputs]))
    graph.outputs = np.array([tensor for operator in graph.operators for tensor in operator.outputs], np.int32)
    for number, tensor in enumerate(graph.tensors):
        tensor.name = f"t{number}".encode()
    model.signatureDefs = None
    opened = folder / Path(path).name
    flatbuffer_utils.write_model(model, str(opened))
    return Opened(opened, tuple(operations), f"t{last}")


def origins(opened, ours, theirs):
    """Largest difference, in steps, that each kind of operation made by itself: dict of name -> steps.

    Args:
        ours, theirs: results by tensor name, of the two runs on the same input.
    """
    found = {}

    def same(tensor):  # a constant is in neither
        return tensor not in ours or np.array_equal(ours[tensor], theirs[tensor])

    for name, inputs, outputs in opened.operations:
        if all(map(same, inputs)) and not all(map(same, outputs)):
            apart = max(np.abs(ours[one].astype(int) - theirs[one].astype(int)).max() for one in outputs)
            found[name] = max(found.get(name, 0), int(apart))
    return found


class PhoneWorker(WorkerHandle):
    """The bench worker under the phone's own Python, through `adb shell`.

    Args:
        address: adb's name of the phone.
        runtime: folder under the phone's /opt.
    """

    HOME = "/data/local/tmp"

    def __init__(self, address, runtime, env):
        self.address = address
        self._adb("push", WORKER, f"{self.HOME}/worker.py")
        script = f"PYTHONPATH=/opt/{runtime} exec python3.11 {self.HOME}/worker.py"
        super().__init__(f"phone {runtime}", ["adb", "-s", address, "shell", "-T", script], dict(env), 300)

    def _there(self, path):
        there = f"{self.HOME}/{Path(path).name}"
        self._adb("push", path, there)
        return there

    def _adb(self, *arguments):
        command = ["adb", "-s", self.address, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
