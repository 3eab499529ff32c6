"""Which tensor of the float file is a layer's value, where the two files are not the same function."""

from collections.abc import Sequence

import numpy as np

from tfeff.debug.file import LayeredFile
from tfeff.debug.layer_values import Counterparts
from tfeff.debug.layers import Layer
from tfeff.debug.running import Running
from tfeff.debug.samples import Sample, values
from tfeff.debug.simulation import Alone
from tfeff.debug.twin import Twin
from tfeff.tflite.writer import with_outputs

_ENERGY = 0.25  # a counterpart's difference from the simulation in float, as a share of its energy


def find_counterparts(
    file: LayeredFile, twin: Twin, alone: Alone, layers: Sequence[Layer], samples: Sequence[Sample]
) -> Counterparts:
    """Tensors of the float file by those of the int8 file.

    A counterpart has as many elements, comes from one of the same Keras layers, and is the one nearest in value to the
    simulation in float; where none is near there is none.

    Args:
        samples: a few.
    """
    computed, candidates = _candidates(file, twin.file, layers)
    running = Running(
        with_outputs(twin.file, list(dict.fromkeys([*twin.file.outputs, *computed]))), str(twin.file.path)
    )
    beside = Running(alone.data, f"{file.path} in float")
    differences = {tensor: np.zeros(len(found)) for tensor, found in candidates.items()}
    energies = dict.fromkeys(candidates, 0.0)
    for sample in samples:
        floats = beside.run(values(file, sample), list(alone.floats.values()))
        of_twin = running.run(twin.values(sample))
        for tensor, found in candidates.items():
            own = floats[alone.floats[tensor]].reshape(-1)
            energies[tensor] += float(np.sum(np.square(own, dtype=np.float64)))
            for place, other in enumerate(found):
                differences[tensor][place] += float(np.sum(np.square(of_twin[other].reshape(-1) - own)))
    nearest = {
        tensor: found[int(np.argmin(differences[tensor]))]
        for tensor, found in candidates.items()
        if found and differences[tensor].min() <= _ENERGY * energies[tensor]
    }
    return Counterparts(nearest, twin, running)


def _candidates(
    file: LayeredFile, twin: LayeredFile, layers: Sequence[Layer]
) -> tuple[list[int], dict[int, list[int]]]:
    """All tensors that the float file computes, and those that may be a layer's, by tensors of the int8 file."""
    computed = [t for t in twin.producers if twin.dtype(t) == "FLOAT32" and not twin.is_constant(t)]
    names = {tensor: set(twin.layers(twin.producers[tensor])) for tensor in computed}
    sizes = {tensor: int(np.prod(twin.shape(tensor))) for tensor in computed}
    return computed, {
        layer.tensor: [
            tensor
            for tensor in computed
            if sizes[tensor] == int(np.prod(file.shape(layer.tensor))) and names[tensor] & set(layer.names)
        ]
        for layer in layers
        if layer.tensor not in file.inputs
    }
