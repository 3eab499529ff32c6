"""What is switched to float together: the operations of one Keras layer, as far as the names of tensors tell."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tfeff.debug.file import LayeredFile
from tfeff.tflite.file import Operator

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
        op: TFLite's names, joined by "+"; "INPUT" for an input's own grid.
        operations: numbers of the operations, ascending; negative for an input's own grid (`LayeredFile.source`).
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


def is_exact(file: LayeredFile, number: int) -> bool:
    """Whether an operation hands on values between equal grids, so that it cannot add an error."""
    op = file.operators[number]
    if op.name not in _MOVES or op.activation not in _NO_CEILING:
        return False
    outputs = [file.grid(tensor) for tensor in op.outputs]
    inputs = [file.grid(tensor) for tensor in op.inputs if tensor >= 0 and not file.is_constant(tensor)]
    if op.name == "QUANTIZE" and None in inputs:
        return False  # float values are put on a grid here
    filled = [i for i in op.inputs if i >= 0 and file.is_constant(i) and file.steps(i) is not None]
    grids = [grid for grid in (*inputs, *outputs) if grid is not None]
    return bool(grids) and not filled and None not in outputs and all(grids[0].same_values(grid) for grid in grids)


def find_layers(file: LayeredFile, unsimulated: Collection[int] = ()) -> list[Layer]:
    """The layers that quantize something, in the order in which they end; the inputs first.

    Operations that hand on values between equal grids are in none, and neither are the `unsimulated` ones.
    """
    found: dict[str, list[int]] = {}
    names = {
        n: file.layers(n) for n in range(len(file.operators)) if n not in unsimulated and _quantizes(file, n)
    }  # fmt: skip
    counted = Counter(named[0] for named in names.values())
    for number, named in names.items():
        op, key = file.operators[number], named[0]
        if counted[key] > max(_COUNT, _SHARE * len(file.operators)):
            names[number] = (file.name(op.outputs[0]).partition(";")[0],)
            key = f"{number}"
        if _quantizes_an_input(file, number):
            names[number], key = (file.input_layer(op.inputs[0]),), f"{number}"
        found.setdefault(key, []).append(number)
    ordered = sorted(found.values(), key=lambda numbers: numbers[-1])
    own_grids = [(-1 - place, tensor) for place, tensor in enumerate(file.inputs) if file.grid(tensor)]
    layers = [Layer(0, (file.input_layer(tensor),), "INPUT", (number,), (tensor,)) for number, tensor in own_grids]
    layers += [Layer(0, names[numbers[-1]], *_operations(file, numbers)) for numbers in ordered]
    return [
        replace(layer, position=position, followers=_followers(file, layer.operations))
        for position, layer in enumerate(layers)
    ]


def _operations(file: LayeredFile, numbers: Sequence[int]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """What they are called, their numbers, and their quantized outputs."""
    tensors = [t for n in numbers for t in file.operators[n].outputs if file.grid(t)]
    kinds = dict.fromkeys(file.operators[n].name for n in numbers)
    op = "INPUT" if _quantizes_an_input(file, numbers[0]) else "+".join(kinds)
    return op, tuple(numbers), tuple(tensors)


def _followers(file: LayeredFile, members: Collection[int]) -> tuple[int, ...]:
    """What stands behind these operations, straight or behind others that hand on their values."""
    found = []
    sources = {tensor for tensor in file.inputs if file.source(tensor) in members}
    sources |= {tensor for n in members if n >= 0 for tensor in file.operators[n].outputs}
    for number, op in enumerate(file.operators):
        behind = any(tensor in sources for tensor in op.inputs)
        if behind and is_exact(file, number):
            sources.update(op.outputs)
        elif behind and op.name in _FOLLOWS and _same_grid(file, op):
            sources.update(op.outputs)
            found.append(number)
    return tuple(number for number in found if number not in members)


def _same_grid(file: LayeredFile, op: Operator) -> bool:
    grid = file.grid(op.outputs[0])
    return grid is not None and grid.same_values(file.grid(op.inputs[0]))


def _quantizes(file: LayeredFile, number: int) -> bool:
    op = file.operators[number]
    return any(file.grid(t) for t in op.outputs) and not is_exact(file, number)


def _quantizes_an_input(file: LayeredFile, number: int) -> bool:
    """Whether an operation is the QUANTIZE behind a float input."""
    op = file.operators[number]
    return op.name == "QUANTIZE" and op.inputs[0] in file.inputs and file.grid(op.inputs[0]) is None
