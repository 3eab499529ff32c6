"""Operations that the simulation cannot write in float."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfeff.debug.file import LayeredFile
from tfeff.debug.layers import converts
from tfeff.debug.running import Running
from tfeff.debug.simulation import Simulation
from tfeff.errors import TfeffError
from tfeff.tflite.file import LEFT_OUT, NUMPY
from tfeff.tflite.writer import FileWriter

# Operations that run other subgraphs, and those that work on the stored numbers whatever these stand for.
_BODIES = {"WHILE", "IF", "CALL", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"}
_STORED = {"CAST", "BITCAST"}


def simulate(
    file: LayeredFile, exact: Mapping[int, np.ndarray], inputs: Sequence[np.ndarray]
) -> tuple[Simulation, frozenset[int]]:
    """The simulation of a file, and the operations that run in it as they are.

    Those have no counterpart in float: they run other subgraphs; or they work on quantized tensors and keep a state
    (LSTM), read the stored numbers, are nobody's but their author's, or have no kernel for float.

    Args:
        exact: see `Simulation`.
        inputs: of a sample, real numbers in the file's order.
    """
    found = frozenset(number for number in range(len(file.operators)) if _is_bound(file, number))
    simulation = Simulation(file, exact, found)
    if not _runs(simulation.bytes_with(()), inputs):
        more = {number for number in range(len(file.operators)) if number not in found and _fails(file, number)}
        found, simulation = found | more, Simulation(file, exact, found | more)
    return simulation, found


def _is_bound(file: LayeredFile, number: int) -> bool:
    op, computed = file.operators[number], _computed(file, number)
    if op.name in _BODIES:
        return True
    bound = op.name in _STORED or op.name.startswith("CUSTOM") or any(map(file.is_state, computed))
    return bound and any(file.grid(tensor) for tensor in computed)


def _fails(file: LayeredFile, number: int) -> bool:
    """Whether an operation on quantized tensors alone in a file, in float and on zeros, cannot be run."""
    op = file.operators[number]
    if converts(op) or not any(file.grid(tensor) for tensor in _computed(file, number)):
        return False
    writer, entries, inputs = FileWriter(file), dict[int, int](), []
    for tensor in op.inputs:
        if tensor == LEFT_OUT:
            inputs.append(tensor)
        elif file.is_constant(tensor):
            real = file.real(tensor)
            inputs.append(writer.same_tensor(tensor) if real is None else writer.constant(tensor, real))
        else:
            if tensor not in entries:
                entries[tensor] = writer.float_tensor(tensor) if file.grid(tensor) else writer.same_tensor(tensor)
            inputs.append(entries[tensor])
    outputs = [writer.float_tensor(t) if file.grid(t) else writer.same_tensor(t) for t in op.outputs]
    writer.operation(number, inputs, outputs)
    if any(file.dtype(tensor) not in NUMPY for tensor in entries):
        return True  # nothing of ours can be put in
    zeros = [np.zeros(file.shape(t), np.float32 if file.grid(t) else NUMPY[file.dtype(t)]) for t in entries]
    return not _runs(writer.pack(list(entries.values()), outputs), zeros)


def _computed(file: LayeredFile, number: int) -> list[int]:
    op = file.operators[number]
    return [tensor for tensor in (*op.inputs, *op.outputs) if tensor >= 0 and not file.is_constant(tensor)]


def _runs(data: bytes | bytearray, inputs: Sequence[np.ndarray]) -> bool:
    try:
        Running(data, "the simulation").run(inputs)
    except TfeffError:
        return False
    return True
