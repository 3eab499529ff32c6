"""The int8 file in float: the same operations with real weights, each value put on its tensor's grid, or not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from tfeff.debug.file import LayeredFile
from tfeff.debug.layers import Layer, converts, is_exact
from tfeff.tflite.file import LEFT_OUT
from tfeff.tflite.writer import FileWriter, rewired


@dataclass(frozen=True)
class _Wire:
    """An operation in the written file whose inputs depend on what stays in float.

    Attributes:
        operator: its number there.
        reader: the operation of the int8 file that it stands for.
        inputs: tensors of the int8 file.
        fixed: {place among the inputs: tensor of the written file}, where nothing depends.
    """

    operator: int
    reader: int
    inputs: tuple[int, ...]
    fixed: Mapping[int, int] = field(default_factory=dict)


class _Tensors:
    """The tensors of a float file, by those of the int8 file they stand for.

    `raw` holds what an operation gives, `on` the same put on the grid; constants are there as the int8 file holds them
    and, where they are known, as they were before (`exact`).
    """

    def __init__(self, file: LayeredFile, exact: Mapping[int, np.ndarray]):
        self.file, self.writer, self._exact = file, FileWriter(file), exact
        self.raw: dict[int, int] = {}
        self.on: dict[int, int] = {}
        self._constants: dict[tuple[int, bool], int] = {}
        self._whole: dict[int, int] = {}
        self._behind: dict[int, int] = {}  # by tensors that only hand a value on: the one that they hand on

    def read(self, number: int, floats: Collection[int] | None, exact: bool) -> int:
        """The tensor that an operation reads in place of `number`.

        Args:
            floats: operations whose values stay off their grids; None for all.
            exact: whether the reader takes constants as they were before quantization.
        """
        passed: list[int] = []
        while number != LEFT_OUT:
            if number in self._behind:
                number = self._behind[number]
            if self.file.is_constant(number):
                return self._constant(number, exact)
            source = self.file.source(number)
            if source is None:
                return self._as_it_is(number)
            on_grid = number in self.on and floats is not None and source not in floats
            if on_grid or number in self.raw:
                self._behind.update(dict.fromkeys(passed, number))
                return self.on[number] if on_grid else self.raw[number]
            if number not in self.on:
                passed.append(number)
            else:
                passed = []  # who stays in float decides what is read
            number = self.file.operators[source].inputs[0]  # behind QUANTIZE, DEQUANTIZE
        return LEFT_OUT

    def open(self, number: int) -> int:
        """A tensor for what an operation gives."""
        real = self.file.grid(number) is not None or self.file.dtype(number) == "FLOAT32"
        self.raw[number] = self.writer.float_tensor(number) if real else self.writer.same_tensor(number)
        return self.raw[number]

    def open_inputs(self) -> list[int]:
        """Tensors for the inputs, and the inputs on their grids."""
        for tensor in self.file.inputs:
            entry = self.open(tensor)
            if grid := self.file.grid(tensor):
                self.on[tensor] = self.writer.through_grid(tensor, entry, grid)
        return [self.raw[tensor] for tensor in self.file.inputs]

    def keep(self, number: int, floats: Collection[int] | None) -> list[_Wire]:
        """Writes an operation as it is, on stored numbers, between QUANTIZE and DEQUANTIZE."""
        op, wires = self.file.operators[number], []
        inputs, fixed = [], {}
        for place, tensor in enumerate(op.inputs):
            free = tensor != LEFT_OUT and not self.file.is_constant(tensor) and self.file.source(tensor) is not None
            if not free:
                fixed[place] = LEFT_OUT if tensor == LEFT_OUT else self._as_it_is(tensor)
            elif self.file.grid(tensor):
                wires.append(_Wire(len(self.writer.operators), number, (tensor,)))
                fixed[place] = self.writer.to_codes(tensor, self.read(tensor, floats, exact=False))
            inputs.append(fixed[place] if place in fixed else self.read(tensor, floats, exact=False))
        wires.append(_Wire(len(self.writer.operators), number, op.inputs, fixed))
        stored = {t: self.writer.whole_tensor(t) if self.file.grid(t) else self.open(t) for t in op.outputs}
        self.writer.operation(number, inputs, list(stored.values()))
        for tensor in op.outputs:
            if self.file.grid(tensor):
                self.raw[tensor] = self.writer.to_real(tensor, stored[tensor])
        return wires

    def _as_it_is(self, number: int) -> int:
        """A constant or a state with its quantization; the same one for all that read it."""
        if number not in self._whole:
            self._whole[number] = self.writer.whole_tensor(number)
        return self._whole[number]

    def _constant(self, number: int, exact: bool) -> int:
        exact = exact and number in self._exact
        if (number, exact) not in self._constants:
            values = self._exact[number] if exact else self.file.real(number)
            found = self.writer.same_tensor(number) if values is None else self.writer.constant(number, values)
            self._constants[number, exact] = found
        return self._constants[number, exact]


class Simulation:
    """One file for all that is asked of it: which operations stay in float is written into its bytes afterwards."""

    def __init__(self, file: LayeredFile, exact: Mapping[int, np.ndarray], unsimulated: Collection[int] = ()):
        """Builds the file.

        Args:
            file: the int8 file.
            exact: float32 constants before quantization, by tensor, as far as they are known.
            unsimulated: operations that run as they are.
        """
        self._file, self._tensors, self._wires = file, _Tensors(file, exact), list[_Wire]()
        entries = self._tensors.open_inputs()
        for number in range(len(file.operators)):
            self._wires += self._tensors.keep(number, ()) if number in unsimulated else self._simulate(number)
        outputs = [self._tensors.read(tensor, (), exact=False) for tensor in dict.fromkeys(file.outputs)]
        self._bytes = self._tensors.writer.pack(entries, outputs)

    def _simulate(self, number: int) -> list[_Wire]:
        """Writes an operation in float, and its values on their grids."""
        file, tensors, op = self._file, self._tensors, self._file.operators[number]
        here = len(tensors.writer.operators)
        for tensor in op.inputs:  # both forms of its constants are put into the file
            tensors.read(tensor, None, exact=True)
        inputs = [tensors.read(tensor, (), exact=False) for tensor in op.inputs]
        if converts(op):
            (tensor,) = op.outputs
            grid = file.grid(tensor)
            if is_exact(file, number) or grid is None:
                return []
            tensors.on[tensor] = tensors.writer.through_grid(tensor, inputs[0], grid)
            return [_Wire(here, number, op.inputs)]
        tensors.writer.operation(number, inputs, [tensors.open(tensor) for tensor in op.outputs])
        for tensor in () if is_exact(file, number) else op.outputs:
            if grid := file.grid(tensor):
                tensors.on[tensor] = tensors.writer.through_grid(tensor, tensors.raw[tensor], grid)
        return [_Wire(here, number, op.inputs)]

    def bytes_with(self, floats: Collection[int] | None) -> bytes:
        """The `.tflite` in which these operations (negative for an input's own grid, None for all) stay in float.

        Their values are off the grid, their constants as they were before. Inputs and outputs are the int8 file's, in
        its order, float32 where they are quantized.
        """
        inputs = {
            wire.operator: [
                wire.fixed[place]
                if place in wire.fixed
                else self._tensors.read(tensor, floats, floats is None or wire.reader in floats)
                for place, tensor in enumerate(wire.inputs)
            ]
            for wire in self._wires
        }
        outputs = [self._tensors.read(tensor, floats, floats is None) for tensor in dict.fromkeys(self._file.outputs)]
        return rewired(self._bytes, inputs, outputs)


class Alone:
    """A file with the network in float, and beside it every layer quantized, reading what it reads in float.

    Attributes:
        data: the `.tflite`; all tensors named below but the inputs are its outputs.
        floats: tensors in float, by those of the int8 file.
        quantized: the same where the layer that gives them is quantized, back in float32.
    """

    def __init__(
        self,
        file: LayeredFile,
        exact: Mapping[int, np.ndarray],
        layers: list[Layer],
        unsimulated: Collection[int] = (),
    ):
        self._file, self._tensors = file, _Tensors(file, exact)
        self.quantized: dict[int, int] = {}
        layer_of = {number: layer for layer in layers for number in layer.operations}
        entries = self._tensors.open_inputs()
        self.quantized |= self._tensors.on
        for number, op in enumerate(file.operators):
            if number in unsimulated:
                self._tensors.keep(number, None)
            elif not converts(op):
                inputs = [self._tensors.read(tensor, None, exact=True) for tensor in op.inputs]
                self._tensors.writer.operation(number, inputs, [self._tensors.open(tensor) for tensor in op.outputs])
            if number in layer_of:
                self._quantize(number, layer_of[number])
        self.floats = {tensor: self._tensors.read(tensor, None, exact=True) for tensor in self.quantized}
        outputs = [self._tensors.read(tensor, None, exact=True) for tensor in file.outputs]
        wanted = dict.fromkeys([*outputs, *self.floats.values(), *self.quantized.values()])
        self.data = bytes(self._tensors.writer.pack(entries, [tensor for tensor in wanted if tensor not in entries]))

    def _quantize(self, number: int, layer: Layer) -> None:
        """Writes an operation once more, with rounded constants and on its grids."""
        file, writer, op = self._file, self._tensors.writer, self._file.operators[number]
        inputs = [self._read_in(layer)(tensor) for tensor in op.inputs]
        outputs = inputs[:1]
        if not converts(op):
            outputs = [writer.float_tensor(t) if file.grid(t) else writer.same_tensor(t) for t in op.outputs]
            writer.operation(number, inputs, outputs)
        for tensor, value in zip(op.outputs, outputs, strict=True):
            if grid := file.grid(tensor):
                self.quantized[tensor] = writer.through_grid(tensor, value, grid)

    def _read_in(self, layer: Layer) -> Callable[[int], int]:
        """What an operation of the layer reads: its own layer's values quantized, all others in float."""

        def read(tensor: int) -> int:
            own = tensor in self.quantized and self._file.source(tensor) in layer.operations
            return self.quantized[tensor] if own else self._tensors.read(tensor, None, exact=False)

        return read
