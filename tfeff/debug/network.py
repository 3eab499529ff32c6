"""An int8 `.tflite` file as a graph: operations, the grid of every quantized tensor, constants as real numbers."""

from pathlib import Path

import numpy as np

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.tensor_names import find_scope, layer_names, names_a_layer
from tfeff.tflite.file import DAMAGE, NUMPY, Grid, Scales, TfliteFile, damaged

_GRIDS = ("INT8", "UINT8", "INT16")
# Places of input, weights and bias.
_BIASED = {
    "CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1, 2), "FULLY_CONNECTED": (0, 1, 2), "TRANSPOSE_CONV": (2, 1, 3),
}  # fmt: skip


class Network(TfliteFile):
    """A file with one subgraph, one input and one output that matters.

    Attributes:
        path, sha256: of the file.
        operations: in the order in which they run.
        input, output: numbers of the tensors at the doors.
    """

    def __init__(self, path: Path):
        """Reads a file.

        Raises:
            TfeffError: missing, damaged, several subgraphs, inputs or outputs, sizes that are known only at run time,
                or constants of a kind that cannot be read here (packed 4-bit, sparse).
        """
        self.path, self.sha256 = Path(path), check_tflite(Path(path))
        super().__init__(self.path.read_bytes(), path)
        if self.bodies:
            raise TfeffError(f"{self.path}: has {1 + len(self.bodies)} subgraphs", "give a file with one")
        self.operations = self.operators
        try:
            self.input, self.output = self._doors()
            self._scope = find_scope(self.name(i) for i in self.producers)
            self._check_shapes()
        except DAMAGE as error:
            raise damaged(path, error) from None

    def _doors(self):
        if len(self.inputs) != 1:
            names = ", ".join(map(self.name, self.inputs))
            raise TfeffError(
                f"{self.path}: has {len(self.inputs)} inputs ({names})", "give a file that takes one image"
            )
        outputs = self.outputs
        if len(outputs) > 1:
            _, named = self.signature()
            outputs = (named["logits"],) if "logits" in named else ()
        if len(outputs) != 1:
            names = ", ".join(map(self.name, self.outputs))
            raise TfeffError(
                f"{self.path}: has {len(self.outputs)} outputs ({names}), and no signature says which are the logits",
                "give a file with one output, or one whose signature names it `logits`",
            )
        return self.inputs[0], outputs[0]

    def _check_shapes(self):
        for number in (self.input, *self.producers):
            signature = self.shape_signature(number)
            if any(size < 0 for size in signature[1:]) or any(size < 0 for size in self.shape(number)):
                raise TfeffError(
                    f"{self.path}: the sizes of {self.name(number)[:80]} are known only at run time "
                    f"({list(signature)})",
                    "convert it with a fixed input shape (1, height, width, channels)",
                )
        shape = self.shape(self.input)
        if len(shape) != 4 or shape[0] != 1:
            raise TfeffError(
                f"{self.path}: its input has shape {shape}", "convert it with the shape (1, height, width, channels)"
            )

    def grid(self, number: int) -> Grid | None:
        """The grid of a computed tensor or the input; None for one that is not quantized."""
        found = self.scales(number)
        if self.dtype(number) not in _GRIDS or found is None or self.is_constant(number):
            return None
        if len(found.scales) != 1 or not found.scales[0] > 0:
            raise TfeffError(
                f"{self.path}: the computed tensor {self.name(number)[:80]} has {len(found.scales)} scales, "
                f"the first {found.scales[0]:g}",
                "give a file with one positive scale for each computed tensor",
            )
        return Grid(float(found.scales[0]), int(found.zero_points[0]), NUMPY[self.dtype(number)])

    def constants(self) -> list[int]:
        """Numbers of the constants that operations read."""
        read = (i for op in self.operations for i in op.inputs)
        return [i for i in dict.fromkeys(read) if i >= 0 and self.is_constant(i)]

    def constant(self, number: int) -> np.ndarray | None:
        """The numbers of a constant as they are stored, in its shape; None for a computed tensor."""
        if not self.is_constant(number):
            return None
        values = self.stored(number)
        if values is None:
            kind = "sparse" if self.tree.tensors[number].sparsity is not None else self.dtype(number)
            held = f"{kind}, {len(self.raw(number)):,} bytes for the shape {self.shape(number)}"
            raise TfeffError(
                f"{self.path}: the constant {self.name(number)[:80]} is {held}", "give a file with plain 8-bit weights"
            )
        return values

    def steps(self, number: int) -> np.ndarray | None:
        """The quantization step of a constant, float64, one or one a channel in a shape that goes with its own; None
        for a constant that is not quantized."""
        found = self.scales(number)
        return None if found is None else _along(found.axis, found.scales, self.shape(number))

    def real(self, number: int) -> np.ndarray | None:
        """A constant as float32 real numbers; None where it is none, or holds sizes, axes and the like."""
        stored = self.constant(number)
        if stored is None:
            return None
        if np.issubdtype(stored.dtype, np.floating):
            return stored.astype(np.float32)
        found = self.scales(number)
        if found is None:
            return None
        zero, step = (_along(found.axis, each, stored.shape) for each in (found.zero_points, found.scales))
        return ((stored.astype(np.int64) - zero) * step).astype(np.float32)

    def scales(self, number: int) -> Scales | None:
        """Its quantization; None where it has none. A bias that does not say it has the product of the scales of the
        input and the weights."""
        found = super().scales(number)
        if found is not None or self.dtype(number) not in ("INT32", "INT64"):
            return found
        for op in self.operations:
            places = _BIASED.get(op.name)
            if places and len(op.inputs) > places[2] and op.inputs[places[2]] == number:
                image, weights = (super(Network, self).scales(op.inputs[place]) for place in places[:2])
                if image is None or weights is None:
                    return None
                scales = image.scales[:1] * weights.scales
                return Scales(scales, np.zeros(len(scales), np.int64), 0)
        return None

    def layers(self, number: int) -> tuple[str, ...]:
        """The Keras layers that an operation's output comes from, as far as names tell; at least one name."""
        op = self.operations[number]
        for name in map(self.name, (op.outputs[0], *(i for i in op.inputs if i >= 0 and self.is_constant(i)))):
            if names_a_layer(name) and (found := layer_names(name, self._scope)):
                return found  # of weights, where the output is called `PartitionedCall:0`
        return (f"{op.name.lower()}_{number}",)

    def input_layer(self) -> str:
        return (layer_names(self.name(self.input), self._scope) or ("input",))[0]


def _along(axis, numbers, shape):
    """Numbers in a shape in which they go along an axis of a tensor."""
    if len(numbers) == 1 or not shape:
        return numbers.reshape((1,) * len(shape))
    return numbers.reshape(tuple(len(numbers) if n == axis else 1 for n in range(len(shape))))
