"""An int8 file in the making: float file with a range at every tensor -> our ranges in it -> quantized.

The converter's quantizer gets a float file in which every range is given and every weight is a multiple of its scale:
nothing is left for it to decide. `prove` shows that it did not.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.data import InputPort
from tfeff.export.quantize.convert import Converter, Job, freeze, write_saved_model
from tfeff.export.quantize.memory import give_back
from tfeff.export.quantize.points_file import Scale, read_scales, shape_of, take_points, tensor_names, with_points
from tfeff.export.quantize.shared_ranges import share_ranges
from tfeff.tflite.file import read_only
from tfeff.tflite.writer import with_constants, with_ranges

Bounds = tuple[float, float]


class Int8File:
    """One network on its way; `job` first (with the others' jobs, in one process), then `take`, then `quantize`.

    Attributes:
        graph: its fake-quant graph; None where it has none, and every tensor's range is measured in the file.
        inputs: its ports.
        path: the float file with a range at every tensor, once `take` was called.
        tensors: {point: number of its tensor in it}.
    """

    def __init__(
        self,
        model: Any,
        graph: Any,
        folder: Path,
        inputs: Sequence[InputPort],
        outputs: Sequence[str],
        *,
        per_tensor: bool = False,
        rounded_weights: bool = True,
        aligned: bool = False,
    ):
        """Writes the SavedModel.

        Args:
            model: the network, for where there is no graph.
            graph: of `graph.fake_quant_graph`, or None.
            folder: a scratch folder of its own.
            inputs: ports of the network, in its order.
            outputs: names of its outputs.
            per_tensor: one scale for all of a layer's weights.
            rounded_weights: whether weights are rounded before the converter sees them; not where layers stay in float.
            aligned: whether ranges are made to go together; see `simulation.set_ranges`.
        """
        folder.mkdir(exist_ok=True)
        self.graph, self.inputs, self.path = graph, tuple(inputs), folder / "ranged.tflite"
        self.tensors: dict[str, int] = {}
        self._outputs, self._folder, self._per_tensor = tuple(outputs), folder, per_tensor
        self._aligned = aligned
        self._names: list[str] = []
        if graph is None:
            write_saved_model(model, folder / "saved", inputs, outputs)
            return
        from tfeff.export.quantize.simulation import float_network

        network, self._names = with_points(float_network(graph, rounded_weights=rounded_weights), outputs)
        freeze(network, folder / "saved", inputs)

    def again(self, folder: Path, *, rounded_weights: bool = True) -> "Int8File":
        """Another of the same graph, whose weights and biases are what they are by now."""
        return Int8File(
            None, self.graph, folder, self.inputs, self._outputs, per_tensor=self._per_tensor,
            rounded_weights=rounded_weights, aligned=self._aligned,
        )  # fmt: skip

    def rebiased(self, before: Mapping[str, np.ndarray], folder: Path) -> "Int8File | None":
        """The same with the biases that the graph has by now, as `again` makes it but without a conversion.

        Args:
            before: the biases in this file, as `biases` gave them.
            folder: a scratch folder of its own.

        Returns:
            None where the converter did not leave each bias as a constant of its own: two may be equal.
        """
        now = self.biases()
        changed = [(before[name], now[name]) for name in now if not np.array_equal(before[name], now[name])]
        file = with_constants(self.path.read_bytes(), changed)
        return None if file is None else self._copied(file, folder)

    def recoded(self, folder: Path) -> "Int8File | None":
        """The same, whose weights are to the nearest step, with those that the graph has by now, as `again` makes it
        but without a conversion; None where the converter did not leave each weight as a constant of its own.

        Args:
            folder: a scratch folder of its own.
        """
        from tfeff.export.quantize.weight_rounding import as_stored

        changed = []
        for unit in self._units():
            if unit.codes is not None:
                after, codes = np.asarray(unit.rounded_kernel()[0]), unit.codes
                unit.codes = None
                before, unit.codes = np.asarray(unit.rounded_kernel()[0]), codes
                changed.append((as_stored(before, unit.layer), as_stored(after, unit.layer)))
        changed = [pair for pair in changed if not np.array_equal(*pair)]
        file = with_constants(self.path.read_bytes(), changed)
        return None if file is None else self._copied(file, folder)

    def _copied(self, file, folder):
        folder.mkdir(exist_ok=True)
        made = copy.copy(self)
        made._folder, made.path = folder, folder / "ranged.tflite"
        made.path.write_bytes(file)
        return made

    def job(self, samples: Mapping[str, Path] | None) -> Job:
        """What makes the float file; the first of `samples` gives it a range everywhere, to be replaced."""
        return Job(str(self._folder / "saved"), "int8", "int8", str(self.path), samples, step="calibrate")

    def take(self) -> None:
        """Finds the points in the file that the job made, and leaves the network's outputs as its only ones."""
        read = read_only(self.path.read_bytes())
        # Of an input that no operation reads, as an output or as nothing, the converter measures nothing.
        unread = [number for number in read.inputs
                  if read.dtype(number) == "FLOAT32" and read.measured_range(number) is None]  # fmt: skip
        if unread:
            self.path.write_bytes(with_ranges(self.path.read_bytes(), dict.fromkeys(unread, (0.0, 1.0))))
        if self.graph is not None:
            doors = [port.name for port in self.inputs if port.name in self.ranges()]
            file, self.tensors = take_points(self.path.read_bytes(), self._names, doors, self._outputs)
            self.path.write_bytes(file)
            give_back(len(file))

    def quantize(
        self,
        ranges: Mapping[int, tuple[float, float]],
        files: Mapping[str, Path],
        converter: Converter,
        kept: Collection[str] = (),
    ) -> None:
        """Quantizes by these ranges, and gives them to the graph.

        Args:
            ranges: by the number of the tensor; of one scale with a point (slices of it, say) have the point's.
            files: the `.tflite` to write for each dtype of inputs and outputs.
            converter: that does it.
            kept: points whose operation stays in float.
        """
        ranges = dict(ranges)
        if self.graph is not None:
            from tfeff.export.quantize.simulation import get_ranges

            self.set_ranges(ranges)
            ranges |= {
                self.tensors[point]: bounds for point, bounds in get_ranges(self.graph).items() if point in self.tensors
            }
        ranges = {tensor: bounds if bounds[0] < bounds[1] else (0.0, 1.0) for tensor, bounds in ranges.items()}
        ranged = self._folder / "ranges.tflite"
        file = with_ranges(self.path.read_bytes(), ranges)
        ranged.write_bytes(share_ranges(file, set(self.tensors.values())))
        names = tensor_names(file, self.tensors)
        kept = tuple(names[point] for point in kept)
        converter.convert([
            Job(str(ranged), "int8", io, str(path), step="quantize", per_channel=not self._per_tensor, kept=kept)
            for io, path in files.items()
        ])  # fmt: skip

    def quantize_as_it_is(self, path: Path, converter: Converter) -> None:
        """Writes a file quantized by the ranges that the float file came with, to see what cannot be."""
        converter.convert([Job(str(self.path), "int8", "int8", str(path), step="quantize")])

    def folded_ranges(self, ranges: Mapping[int, Bounds], points: Collection[str]) -> dict[int, Bounds]:
        """The same ranges, but of points that are another tensor times a number, which the quantizer folds into the
        weights behind: there it keeps the other tensor's scale, so that must be the point's over the number.

        Args:
            ranges: by tensor.
            points: that were folded. Of one whose other tensor is a point too, the point itself gets its range times
                the number; of any other kind it stays.
        """
        read, found, own = read_only(self.path.read_bytes()), dict(ranges), set(self.tensors.values())
        for point in points:
            folded = _factor(read, self.tensors[point])
            if folded is None or self.tensors[point] not in ranges:
                continue
            other, factor = folded
            if other in own and other in ranges:
                low, high = ranges[other]
                found[self.tensors[point]] = low * factor, high * factor
            else:
                low, high = ranges[self.tensors[point]]
                found[other] = low / factor, high / factor
        return found

    def own_ranges(self, measured: Mapping[int, Bounds], of: "Int8File") -> dict[int, Bounds]:
        """The ranges of this file's tensors: of points those of the graph, of what lies within a unit that is no more
        known than by its outputs (a recurrent layer) those that were measured in another file of the same graph.

        Args:
            measured: by tensor of the other file.
        """
        held = read_only(self.path.read_bytes())
        inner = measured if of is self else _carried(measured, read_only(of.path.read_bytes()), held)
        inner = {number: bounds for number, bounds in inner.items() if held.measured_range(number) is not None}
        return inner | {self.tensors[point]: bounds for point, bounds in self.ranges().items()
                        if point in self.tensors}  # fmt: skip

    def set_ranges(self, ranges: Mapping[int, tuple[float, float]]) -> None:
        """Gives the graph's points the ranges of their tensors."""
        from tfeff.export.quantize.simulation import set_ranges

        known = {point: ranges[tensor] for point, tensor in self.tensors.items() if tensor in ranges}
        set_ranges(self.graph, known, aligned=self._aligned)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The graph's ranges, by point."""
        from tfeff.export.quantize.simulation import get_ranges

        return get_ranges(self.graph)

    def biases(self) -> dict[str, np.ndarray]:
        """The graph's biases as they are now, for `set_biases`."""
        return {layer.name: np.array(layer.layer.bias) for layer in self._units() if layer.layer.bias is not None}

    def set_biases(self, biases: Mapping[str, np.ndarray]) -> None:
        """Gives the graph these biases."""
        for layer in self._units():
            if layer.name in biases:
                layer.layer.bias.assign(biases[layer.name])

    def codes(self) -> dict[str, np.ndarray]:
        """The graph's weights that are not each to the nearest step, for `set_codes`."""
        return {unit.name: unit.codes for unit in self._units() if unit.codes is not None}

    def set_codes(self, codes: Mapping[str, np.ndarray]) -> None:
        """Gives the graph's units these codes; the others round each weight to the nearest step."""
        for unit in self._units():
            unit.codes = codes.get(unit.name)

    def _units(self):
        from tfeff.export.quantize.fake_quant import QuantizedWeights

        return [layer for layer in self.graph.layers if isinstance(layer, QuantizedWeights)]

    def scales(self, path: Path) -> tuple[dict[str, Scale], dict[str, int]]:
        """How the quantized file holds the points; see `points_file.read_scales`."""
        held = self.path.read_bytes()
        read = read_only(held)
        shapes = {point: shape_of(read, number) for point, number in self.tensors.items()}
        return read_scales(path.read_bytes(), tensor_names(held, self.tensors), shapes)


def _factor(read, number):
    """(another tensor, a number above 0) of a tensor that is the one times the other; None for any other."""
    if number not in read.producers:
        return None
    op = read.operators[read.producers[number]]
    constants = [each for each in op.inputs if read.is_constant(each)]
    if op.name not in ("MUL", "DIV") or len(constants) != 1 or len(op.inputs) != 2:
        return None
    stored = read.stored(constants[0])
    values = np.zeros(0) if stored is None else np.asarray(stored, np.float64)
    if values.size != 1 or not values.ravel()[0] > 0 or (op.name == "DIV" and op.inputs[1] != constants[0]):
        return None
    (other,) = (each for each in op.inputs if each != constants[0])
    return other, float(values.ravel()[0] if op.name == "MUL" else 1 / values.ravel()[0])


def _carried(ranges, source, target):
    """Ranges by tensor of one file, by those of another of the same network: they have the same numbers if their
    operations have, else the same names."""
    if [(op.name, op.inputs, op.outputs) for op in source.operators] == [
        (op.name, op.inputs, op.outputs) for op in target.operators
    ]:
        return dict(ranges)
    named = [target.name(number) for number in range(len(target.tree.tensors))]
    numbers = {name: number for number, name in enumerate(named) if named.count(name) == 1}
    return {numbers[name]: bounds for number, bounds in ranges.items() if (name := source.name(number)) in numbers}
