"""Which tensor of the float file is a layer's value, where the two files are not the same function."""

import numpy as np

from tfeff.debug.layers import Layer
from tfeff.debug.network import Network
from tfeff.debug.running import Running
from tfeff.debug.simulation import Alone
from tfeff.tflite.writer import with_outputs

_ENERGY = 0.25  # a counterpart's difference from the simulation in float, as a share of its energy


def find_counterparts(
    network: Network, floats: Network, alone: Alone, layers: list[Layer], inputs: np.ndarray
) -> tuple[dict[int, int], Running]:
    """Tensors of the float file by those of the int8 file, and the float file with all its tensors as outputs.

    A counterpart has as many elements, comes from one of the same Keras layers, and is the one nearest in value to the
    simulation in float; where none is near there is none.

    Args:
        inputs: a few, float32 (n, h, w, c).
    """
    computed = [
        tensor
        for op in floats.operations
        for tensor in op.outputs
        if floats.dtype(tensor) == "FLOAT32" and not floats.is_constant(tensor)
    ]
    names = {tensor: set(floats.layers(floats.producers[tensor])) for tensor in computed}
    sizes = {tensor: int(np.prod(floats.shape(tensor))) for tensor in computed}
    file = Running(with_outputs(floats, list(dict.fromkeys([floats.output, *computed]))), str(floats.path))
    beside = Running(alone.file, f"{network.path} in float")
    candidates = {
        layer.tensor: [
            tensor
            for tensor in computed
            if sizes[tensor] == int(np.prod(network.shape(layer.tensor))) and names[tensor] & set(layer.names)
        ]
        for layer in layers
        if layer.tensor != network.input
    }
    differences = {tensor: np.zeros(len(found)) for tensor, found in candidates.items()}
    energies = dict.fromkeys(candidates, 0.0)
    for value in inputs:
        beside.run(value)
        file.run(value)
        for tensor, found in candidates.items():
            own = beside.value(alone.floats[tensor]).reshape(-1)
            energies[tensor] += float(np.sum(np.square(own, dtype=np.float64)))
            for place, other in enumerate(found):
                differences[tensor][place] += float(np.sum(np.square(file.value(other).reshape(-1) - own)))
    nearest = {
        tensor: found[int(np.argmin(differences[tensor]))]
        for tensor, found in candidates.items()
        if found and differences[tensor].min() <= _ENERGY * energies[tensor]
    }
    return nearest, file
