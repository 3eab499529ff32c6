"""The int8 file in float: the same operations with real weights, each value put on its tensor's grid, or not."""

from collections.abc import Collection, Mapping

import numpy as np

from tfeff.debug.layers import INPUT, Layer, converts, is_exact
from tfeff.debug.network import Network
from tfeff.tflite.writer import FileWriter, rewired


class _Tensors:
    """The tensors of a float file, by those of the int8 file they stand for.

    `raw` holds what an operation gives, `on` the same put on the grid; constants are there as the int8 file holds them
    and, where they are known, as they were before (`exact`).
    """

    def __init__(self, network: Network, writer: FileWriter, exact: Mapping[int, np.ndarray]):
        self.network, self.writer, self._exact = network, writer, exact
        self.raw, self.on = {}, {}
        self._constants = {}

    def read(self, number: int, floats: Collection[int] | None, exact: bool) -> int:
        """The tensor that an operation reads in place of `number`.

        Args:
            floats: operations whose values stay off their grids; None for all.
            exact: whether the reader takes constants as they were before quantization.
        """
        if number < 0:
            return -1
        if self.network.is_constant(number):
            return self._constant(number, exact)
        producer = self.network.producers.get(number, INPUT)
        if number in self.on and floats is not None and producer not in floats:
            return self.on[number]
        if number in self.raw:
            return self.raw[number]
        return self.read(self.network.operations[producer].inputs[0], floats, exact)  # QUANTIZE, DEQUANTIZE

    def _constant(self, number, exact):
        exact = exact and number in self._exact
        if (number, exact) not in self._constants:
            values = self._exact[number] if exact else self.network.real(number)
            found = self.writer.same_tensor(number) if values is None else self.writer.constant(number, values)
            self._constants[number, exact] = found
        return self._constants[number, exact]

    def open(self, number: int) -> int:
        """A tensor for what an operation gives."""
        network = self.network
        real = network.grid(number) is not None or network.dtype(number) == "FLOAT32"
        self.raw[number] = self.writer.float_tensor(number) if real else self.writer.same_tensor(number)
        return self.raw[number]


class Simulation:
    """One file for all that is asked of it: which operations stay in float is written into its bytes afterwards."""

    def __init__(self, network: Network, exact: Mapping[int, np.ndarray]):
        """Builds the file.

        Args:
            network: the int8 file.
            exact: float32 constants before quantization, by tensor, as far as they are known.
        """
        self._network = network
        writer = FileWriter(network)
        self._tensors = tensors = _Tensors(network, writer, exact)
        self._wired = []  # (operator in the file, operation of the network that reads, its inputs in the network)
        door = tensors.open(network.input)
        if grid := network.grid(network.input):
            tensors.on[network.input] = writer.through_grid(network.input, door, grid)
        for number, op in enumerate(network.operations):
            here = len(writer.operators)
            for tensor in op.inputs:  # both forms of its constants are put into the file
                tensors.read(tensor, None, exact=True)
            inputs = [tensors.read(tensor, (), exact=False) for tensor in op.inputs]
            if converts(op):
                (tensor,) = op.outputs
                if not is_exact(network, number) and (grid := network.grid(tensor)):
                    tensors.on[tensor] = writer.through_grid(tensor, inputs[0], grid)
                    self._wired.append((here, number, op.inputs))
                continue
            writer.operation(number, inputs, [tensors.open(tensor) for tensor in op.outputs])
            self._wired.append((here, number, op.inputs))
            for tensor in () if is_exact(network, number) else op.outputs:
                if grid := network.grid(tensor):
                    tensors.on[tensor] = writer.through_grid(tensor, tensors.raw[tensor], grid)
        self._bytes = writer.pack([door], [tensors.read(network.output, (), exact=False)])

    def file(self, floats: Collection[int] | None) -> bytes:
        """The `.tflite` in which these operations (INPUT for the input's own grid, None for all) stay in float: their
        values off the grid, their constants as they were before. float32 image in, float32 logits out."""
        wires = {
            operator: [self._tensors.read(tensor, floats, floats is None or number in floats) for tensor in inputs]
            for operator, number, inputs in self._wired
        }
        return rewired(self._bytes, wires, [self._tensors.read(self._network.output, floats, floats is None)])


class Alone:
    """A file with the network in float, and beside it every layer quantized, reading what it reads in float.

    Attributes:
        file: the `.tflite`; all tensors named below but the input are its outputs.
        floats: tensors in float, by those of the int8 file.
        quantized: the same where the layer that gives them is quantized, back in float32.
    """

    def __init__(self, network: Network, exact: Mapping[int, np.ndarray], layers: list[Layer]):
        writer = FileWriter(network)
        tensors = _Tensors(network, writer, exact)
        layer_of = {number: layer for layer in layers for number in layer.operations}
        door, beside = tensors.open(network.input), {}
        if grid := network.grid(network.input):
            beside[network.input] = writer.through_grid(network.input, door, grid)
        for number, op in enumerate(network.operations):
            if not converts(op):
                inputs = [tensors.read(tensor, None, exact=True) for tensor in op.inputs]
                writer.operation(number, inputs, [tensors.open(tensor) for tensor in op.outputs])
            if number not in layer_of:
                continue

            def read(tensor, layer=layer_of[number]):
                own = tensor in beside and network.producers.get(tensor, INPUT) in layer.operations
                return beside[tensor] if own else tensors.read(tensor, None, exact=False)

            inputs = [read(tensor) for tensor in op.inputs]
            outputs = inputs[:1]
            if not converts(op):
                outputs = [self._fresh(network, writer, tensor) for tensor in op.outputs]
                writer.operation(number, inputs, outputs)
            for tensor, value in zip(op.outputs, outputs, strict=True):
                if grid := network.grid(tensor):
                    beside[tensor] = writer.through_grid(tensor, value, grid)
        self.quantized = beside
        self.floats = {tensor: tensors.read(tensor, None, exact=True) for tensor in beside}
        outputs = dict.fromkeys([tensors.read(network.output, None, exact=True), *self.floats.values()])
        self.file = bytes(writer.pack([door], [i for i in (*outputs, *beside.values()) if i != door]))

    @staticmethod
    def _fresh(network, writer, tensor):
        return writer.float_tensor(tensor) if network.grid(tensor) else writer.same_tensor(tensor)
