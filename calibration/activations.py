"""A float `.tflite` file, run one sample at a time with every tensor kept: what its layers give."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError
from tfeff.runtime import native_stderr_muted
from tfeff.tensor_names import find_scope, layer_names
from tfeff.tflite.file import read_only


@dataclass(frozen=True)
class Tensor:
    """A computed float tensor, or an input.

    Attributes:
        index: its number in the file.
        name: as the converter called it: the layers it comes from, with `;` between.
        shape: with the batch, which is 1.
        layers: the layers' own names.
        input, output: the name of the input or output of the model that it is; None for what is neither.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    layers: tuple[str, ...]
    input: str | None = None
    output: str | None = None

    @property
    def label(self) -> str:
        """What messages call it: the layer it ends in."""
        return self.layers[0] if self.layers else self.name[:80]


@dataclass(frozen=True)
class Network:
    """What a calibrated float file says of itself.

    Attributes:
        tensors: those that have a range, in the order in which they are computed, the inputs first.
        inputs, outputs: {name in the signature: number of its tensor}.
    """

    tensors: tuple[Tensor, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]


class Activations:
    """Runs the file.

    Attributes:
        tensors: the tensors that have a range in the file, in the order in which they are computed, the inputs first.
        outputs: names of the outputs.
    """

    def __init__(self, path: Path):
        """Opens a calibrated float file: fixed shapes, a range at every tensor that is to be quantized.

        Raises:
            TfeffError: LiteRT cannot run it.
        """
        network = read_network(path)
        self.tensors, self.outputs = network.tensors, tuple(network.outputs)
        self._network, self._interpreter = network, _open(path)

    def run(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a sample; `value` then gives the tensors.

        Args:
            feed: by input, without the batch.

        Returns:
            By output, without the batch.
        """
        try:
            for name, index in self._network.inputs.items():
                self._interpreter.set_tensor(index, feed[name][None])
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"the network failed while its layers were measured ({_first_line(error)})") from None
        return {name: self._output(index) for name, index in self._network.outputs.items()}

    def value(self, tensor: Tensor) -> np.ndarray:
        """The values of a tensor for the sample that was run last: float32, a copy."""
        return self._interpreter.get_tensor(tensor.index)

    def _output(self, index):
        value = self._interpreter.get_tensor(index)
        return value[0] if value.ndim > 1 and len(value) == 1 else value  # some drop the batch of a list of logits


def find_layer(tensors: Sequence[Tensor], name: str) -> list[int]:
    """Positions of the tensors that a layer's name means.

    Raises:
        TfeffError: no tensor comes from such a layer; the nearest names are given.
    """
    found = [
        number
        for number, tensor in enumerate(tensors)
        if name in (*tensor.layers, tensor.name, *re.split("[;/]", tensor.name))
    ]
    if found:
        return found
    known = dict.fromkeys(layer for tensor in tensors for layer in tensor.layers)
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known)[:5]
    raise TfeffError(f"--range: no tensor comes from a layer {name!r}", f"near it: {', '.join(near)}")


def read_network(path: Path) -> Network:
    """The float tensors of a calibrated file that have a range, its inputs and its outputs.

    What the body of a loop holds is not among them: it is not to be seen while it runs.
    """
    file = read_only(path.read_bytes(), path)
    inputs, outputs = file.signature()
    inputs = inputs or {file.name(index): index for index in file.inputs}
    outputs = outputs or {file.name(index): index for index in file.outputs}
    order = dict.fromkeys([*file.inputs, *(index for op in file.operators for index in op.outputs)])
    names = {index: file.name(index) for index in order}
    scope = find_scope(names.values())
    entries, exits = ({index: name for name, index in ports.items()} for ports in (inputs, outputs))
    tensors = []
    for index in order:
        if file.dtype(index) == "FLOAT32" and file.measured_range(index) is not None:
            layers = layer_names(names[index], scope)
            tensors.append(Tensor(index, names[index], file.shape(index), layers, entries.get(index), exits.get(index)))
    return Network(tuple(tensors), inputs, outputs)


def _open(path):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        with native_stderr_muted():
            interpreter = Interpreter(
                model_path=str(path),
                num_threads=1,  # sums are then made in one order: two runs give the same bits
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise TfeffError(
            f"LiteRT cannot run the network to measure its layers ({_first_line(error)})",
            "replace the layers that LiteRT has no kernel for",
        ) from None
    return interpreter


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
