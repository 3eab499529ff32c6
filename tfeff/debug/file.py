"""A `.tflite` file with what debugging asks of it: ports, grids, constants as real numbers, the names of layers."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tfeff.compare import FilePort
from tfeff.errors import TfeffError
from tfeff.runtime import sized
from tfeff.tensor_names import find_scope, layer_names, names_a_layer
from tfeff.tflite.check import check_file
from tfeff.tflite.file import DAMAGE, NUMPY, Grid, Scales, TfliteFile, damaged
from tfeff.tflite.part import WHOLE, PartOptions, refuse_open, take_part

_GRIDS = ("INT8", "UINT8", "INT16")
# Places of input, weights and bias.
_BIASED = {
    "CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1, 2), "FULLY_CONNECTED": (0, 1, 2), "TRANSPOSE_CONV": (2, 1, 3),
    "CONV_3D": (0, 1, 2),
}  # fmt: skip


class LayeredFile(TfliteFile):
    """A file whose operations belong to layers.

    An input's own grid counts as the work of an operation too: of number -1 for the first input, -2 for the second.

    Attributes:
        path, sha256: of the file.
        data: bytes of the part that is looked at.
        input_ports, output_ports: in the file's order, by the names of its signature.
    """

    def __init__(self, path: Path, part: PartOptions = WHOLE):
        """Reads a file.

        Args:
            path: of it.
            part: the signature that is looked at, and the sizes that the file leaves open.

        Raises:
            TfeffError: missing, damaged, or with an input of open sizes, of another batch than 1, or of a type that
                NumPy cannot hold.
        """
        self.path, checked = Path(path), check_file(Path(path))
        self.sha256 = checked.sha256
        self.data = take_part(checked.data, self.path, part).data
        if part.shapes:
            self.data = sized(self.data, self.path)
        super().__init__(self.data, path)
        try:
            names = self.signature()
            self.input_ports, self.output_ports = (
                tuple(self._ports(tensors, {tensor: name for name, tensor in named.items()}))
                for tensors, named in zip((self.inputs, self.outputs), names, strict=True)
            )
            self._scope = find_scope(self.name(i) for i in self.producers)
            refuse_open(self, self.path)
            if not self.inputs or not self.outputs or len(set(self.inputs)) < len(self.inputs):
                said = f"has the inputs {list(self.inputs)} and the outputs {list(self.outputs)}"
                raise TfeffError(f"{self.path}: {said}", "give a file with inputs and outputs, each input named once")
            for port in self.input_ports:
                self._check_input(port)
        except DAMAGE as error:
            raise damaged(path, error) from None

    def _ports(self, tensors: Iterable[int], names: Mapping[int, str]) -> Iterable[FilePort]:
        for tensor in dict.fromkeys(tensors):
            name, shape, grid = names.get(tensor, self.name(tensor)), self.shape(tensor), self.grid(tensor)
            if self.dtype(tensor) not in NUMPY:
                raise TfeffError(
                    f"{self.path}: {name[:80]} is {self.dtype(tensor)}", "give a file whose ports are numbers"
                )
            yield FilePort(
                name=name,
                index=tensor,
                shape=shape,
                sample=shape[1:] if len(shape) > 1 and shape[0] == 1 else shape,
                dtype=NUMPY[self.dtype(tensor)],
                scale=grid.scale if grid else 0.0,
                zero_point=grid.zero_point if grid else 0,
            )

    def _check_input(self, port: FilePort) -> None:
        if port.shape and port.shape[0] != 1:
            raise TfeffError(
                f"{self.path}: its input {port.name[:80]} has shape {port.shape}", "convert it with a batch of 1"
            )

    def source(self, number: int) -> int | None:
        """The operation that gives a tensor: negative for an input's own grid, None for a constant or a state."""
        if number in self.inputs:
            return -1 - self.inputs.index(number)
        return self.producers.get(number)

    def is_state(self, number: int) -> bool:
        """Whether a tensor is kept from one operation's run to its next."""
        return bool(self.tree.tensors[number].isVariable)

    def is_quantized(self) -> bool:
        """Whether any input or computed tensor has a grid."""
        return any(self.grid(tensor) for tensor in (*self.inputs, *self.producers))

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
        read = (i for op in self.operators for i in op.inputs)
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
        for op in self.operators:
            places = _BIASED.get(op.name)
            if places and len(op.inputs) > places[2] and op.inputs[places[2]] == number:
                image, weights = (super(LayeredFile, self).scales(op.inputs[place]) for place in places[:2])
                if image is None or weights is None:
                    return None
                scales = image.scales[:1] * weights.scales
                return Scales(scales, np.zeros(len(scales), np.int64), 0)
        return None

    def layers(self, number: int) -> tuple[str, ...]:
        """The Keras layers that an operation's output comes from, as far as names tell; at least one name."""
        op = self.operators[number]
        for name in map(self.name, (*op.outputs[:1], *(i for i in op.inputs if i >= 0 and self.is_constant(i)))):
            if names_a_layer(name) and (found := layer_names(name, self._scope)):
                return found  # of weights, where the output is called `PartitionedCall:0`
        return (f"{op.name.lower()}_{number}",)

    def input_layer(self, tensor: int) -> str:
        """What the layer of an input's own grid is called."""
        return (layer_names(self.name(tensor), self._scope) or ("input",))[0]

    def describe(self, number: int) -> str:
        """What a note calls an operation."""
        return f"{self.operators[number].name} ({self.layers(number)[0][:80]})"


def _along(axis: int, numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in a shape in which they go along an axis of a tensor."""
    if len(numbers) == 1 or not shape:
        return numbers.reshape((1,) * len(shape))
    return numbers.reshape(tuple(len(numbers) if n == axis else 1 for n in range(len(shape))))
