"""What is switched to float together: the operations of one Keras layer, as far as the names of tensors tell."""

from collections import Counter
from dataclasses import dataclass

from tfeff.debug.network import Network
from tfeff.tflite.file import Operator

INPUT = -1  # the number of the operation that puts the input on its grid: none of the file's
# Operations that hand on values as they are. Between equal grids they add no error, and a value that their neighbour
# left off its grid stays off it.
_MOVES = {
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "PACK", "UNPACK",
    "GATHER", "GATHER_ND", "CONCATENATION", "MAX_POOL_2D", "PAD", "PADV2", "MIRROR_PAD", "TILE", "BROADCAST_TO",
    "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_NEAREST_NEIGHBOR",
    "REVERSE_V2", "RELU", "MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN", "QUANTIZE", "DEQUANTIZE",
}  # fmt: skip
# Operations that must have their input's grid and round on it: it goes with the layer that the grid is made for.
_FOLLOWS = {"AVERAGE_POOL_2D", "RESIZE_BILINEAR"}
_NO_CEILING = (0, 1)  # activations none and ReLU: zero is on every grid, a ceiling such as 6 may not be
_SHARE, _COUNT = 0.2, 8  # a name that more of the operations have is no layer's


@dataclass(frozen=True)
class Layer:
    """One or more operations.

    Attributes:
        position: along the network, from 0.
        names: of the Keras layers that were fused into it, the one it ends in first.
        op: TFLite's names, joined by "+"; "INPUT" for the input's own grid.
        operations: numbers of the operations, ascending; INPUT for the input.
        tensors: numbers of their quantized outputs.
        followers: operations that have the layer's grid because they must, such as average pooling: their values leave
            it when the layer's do.
    """

    position: int
    names: tuple[str, ...]
    op: str
    operations: tuple[int, ...]
    tensors: tuple[int, ...]
    followers: tuple[int, ...] = ()

    @property
    def switched(self) -> tuple[int, ...]:
        """The operations whose values are in float when the layer is."""
        return (*self.operations, *self.followers)

    @property
    def tensor(self) -> int:
        """The last of its quantized outputs."""
        return self.tensors[-1]


def converts(op: Operator) -> bool:
    """Whether an operation only changes how a value is stored: it has no counterpart in float."""
    return op.name in ("QUANTIZE", "DEQUANTIZE")


def is_exact(network: Network, number: int) -> bool:
    """Whether an operation hands on values between equal grids, so that it cannot add an error."""
    op = network.operations[number]
    if op.name not in _MOVES or op.activation not in _NO_CEILING:
        return False
    outputs = [network.grid(tensor) for tensor in op.outputs]
    inputs = [network.grid(tensor) for tensor in op.inputs if tensor >= 0 and not network.is_constant(tensor)]
    if op.name == "QUANTIZE" and None in inputs:
        return False  # float values are put on a grid here
    filled = [i for i in op.inputs if i >= 0 and network.is_constant(i) and network.steps(i) is not None]
    grids = [grid for grid in (*inputs, *outputs) if grid is not None]
    return bool(grids) and not filled and None not in outputs and all(grids[0].same_values(grid) for grid in grids)


def find_layers(network: Network) -> list[Layer]:
    """The layers that quantize something, in the order in which they end; the input first.

    Operations that hand on values between equal grids are in none.
    """
    found: dict[str, list[int]] = {}
    names = {n: network.layers(n) for n, op in enumerate(network.operations) if _quantizes(network, n)}
    counted = Counter(layers[0] for layers in names.values())
    for number, layers in names.items():
        key = layers[0]
        if counted[key] > max(_COUNT, _SHARE * len(network.operations)):
            names[number] = (network.name(network.operations[number].outputs[0]).partition(";")[0],)
            key = f"{number}"
        if _is_door(network, number):
            names[number], key = (network.input_layer(),), f"{number}"
        found.setdefault(key, []).append(number)
    layers = [_layer(network, names, numbers) for numbers in sorted(found.values(), key=lambda numbers: numbers[-1])]
    if network.grid(network.input):
        layers.insert(0, ((network.input_layer(),), "INPUT", (INPUT,), (network.input,)))
    return [Layer(position, *layer, _followers(network, layer[2])) for position, layer in enumerate(layers)]


def _followers(network, members):
    """What stands behind these operations, straight or behind others that hand on their values."""
    found = []
    sources = {network.input} if members == (INPUT,) else {t for n in members for t in network.operations[n].outputs}
    for number, op in enumerate(network.operations):
        behind = any(tensor in sources for tensor in op.inputs)
        if behind and is_exact(network, number):
            sources.update(op.outputs)
        elif behind and op.name in _FOLLOWS and _same_grid(network, op):
            sources.update(op.outputs)
            found.append(number)
    return tuple(number for number in found if number not in members)


def _same_grid(network, op):
    grid = network.grid(op.outputs[0])
    return grid is not None and grid.same_values(network.grid(op.inputs[0]))


def _layer(network, names, numbers):
    tensors = [t for n in numbers for t in network.operations[n].outputs if network.grid(t)]
    kinds = dict.fromkeys(network.operations[n].name for n in numbers)
    op = "INPUT" if _is_door(network, numbers[0]) else "+".join(kinds)
    return names[numbers[-1]], op, tuple(numbers), tuple(tensors)


def _quantizes(network, number):
    op = network.operations[number]
    return any(network.grid(t) for t in op.outputs) and not is_exact(network, number)


def _is_door(network, number):
    """Whether an operation is the QUANTIZE behind a float input."""
    op = network.operations[number]
    return op.name == "QUANTIZE" and op.inputs[0] == network.input and network.grid(network.input) is None
