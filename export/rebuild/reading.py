"""What of a `.tflite` file can be a model: one signature, float, of known operations and fixed sizes.

Nothing here loads TensorFlow, so a refusal comes within the first second.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError
from tfeff.export.rebuild.supported import SUPPORTED
from tfeff.runtime import open_isolated
from tfeff.tflite.check import check_file
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.graph import Graph, Operation, Tensor, read_graph
from tfeff.tflite.part import PartOptions, input_names, is_plain, open_sizes, parts_of, take_part
from tfeff.tflite.writer import with_outputs

_LOOPS = ("WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE")
_STATE = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM",
          "BIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN", "SVDF", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE",
          "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE")  # fmt: skip
_DRAWN = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL")
_SHAPES = ("SHAPE", "RANK")
_FLOATS = ("FLOAT32",)
_WHOLE = ("BOOL", "INT32", "INT64")
_GIVE_FLOAT = "give the float file of the same model (without optimizations), or the model that it was converted from"


@dataclass(frozen=True)
class FloatFile:
    """A float `.tflite` file that can be rebuilt.

    Attributes:
        path: of the user's file.
        sha256: of the same.
        part: the signature and sizes that were chosen.
        operations: that an output depends on and that depend on an input, in execution order.
        inputs, outputs: tensors by name, in the file's order.
        pixels: numbers of inputs that are 8-bit and only cast to float: they are taken as floats of the same values.
        constants: by number of the tensor, the values of what depends on no input.
        names: of all tensors that operations write.
    """

    path: Path
    sha256: str
    part: PartOptions
    operations: tuple[Operation, ...]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    pixels: frozenset[int]
    constants: Mapping[int, np.ndarray]
    names: tuple[str, ...]


def read_float_file(
    path: Path,
    signature: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    size: tuple[int, int] | None = None,
) -> FloatFile:
    """Reads a file that is to be a model.

    Args:
        path: of the `.tflite` file.
        signature: the one that is meant; None is its only one.
        shapes: of one sample, by input, where the file leaves them open.
        size: (h, w) of images whose size it leaves open.

    Raises:
        TfeffError: not a whole file; quantized; with loops, state, several signatures, open shapes or another batch
            than 1; an operation that is not known; LiteRT refuses it.
    """
    checked = check_file(path)
    part = _part(checked.file, path, signature, shapes or {}, size)
    if signature is None and not is_plain(checked.data):
        _refuse_several(checked.file, path)
    data = take_part(checked.data, path, part).data
    file, graph = TfliteFile(data, path), read_graph(path, data)
    _refuse_operations(graph, path)
    derived = _derived(graph)
    needed = _needed(graph, derived)
    inputs, outputs = _ports(file, graph)
    pixels = _pixels(graph, needed)
    _refuse_tensors(path, needed, inputs, outputs, derived, pixels)
    wanted = {tensor.index for op in needed for tensor in op.inputs if tensor.index in derived}
    constants = _values(file, graph, wanted, path)
    names = tuple(tensor.name for op in graph.operations for tensor in op.outputs)
    return FloatFile(path, checked.sha256, part, needed, inputs, outputs, pixels, constants, names)


def _part(file, path, signature, shapes, size):
    """The part that is run; sizes as the user's file has them, with a batch of 1."""
    chosen = {name: (1, *shape) for name, shape in shapes.items()}
    if size is not None and signature is None:
        for tensor in open_sizes(file):
            form = file.shape_signature(tensor)
            name = input_names(file)[tensor]
            if len(form) == 4 and name not in chosen:
                chosen[name] = (1, *(want if have < 0 else have
                                     for want, have in zip((*size, form[3]), form[1:], strict=True)))  # fmt: skip
    part = PartOptions(signature, chosen)
    if signature is None:
        known = input_names(file)
        if unknown := [name for name in chosen if name not in known.values()]:
            raise TfeffError(
                f"--input-shape {unknown[0]}: {path} has no such input", f"its inputs are {', '.join(known.values())}"
            )
        for tensor in open_sizes(file):
            if known[tensor] not in chosen:
                _refuse_open(path, known[tensor], file.shape_signature(tensor))
    return part


def _refuse_open(path, name, form):
    sizes = ",".join("N" if size < 0 else str(size) for size in (1, *form[1:]))
    image = "--input-size, or " if len(form) == 4 else ""
    raise TfeffError(f"{path}: the shape of its input {name} is open", f"give {image}--input-shape {name}={sizes}")


def _refuse_several(file, path):
    signatures = [(each.signatureKey or b"").decode(errors="replace") for each in file.model.signatureDefs or ()]
    if len(signatures) > 1:
        raise TfeffError(f"{path}: has the signatures {', '.join(signatures)}", "choose one: --signature NAME")
    loops = [op for op in file.operators if op.name in _LOOPS]
    if file.bodies and not loops:
        raise TfeffError(f"{path}: has the subgraphs {', '.join(parts_of(file))}", "choose one: --signature NAME")


def _refuse_operations(graph: Graph, path: Path) -> None:
    """Raises for what cannot come back, by the names of the operations alone."""
    for op in graph.operations:
        if op.name in _LOOPS:
            raise TfeffError(
                f"{path}: holds control flow, {op.label}",
                "convert the model without loops and branches: recurrent layers with unroll=True",
            )
        if op.name in _STATE:
            raise TfeffError(
                f"{path}: {op.label} keeps a state or a table, which no int8 file of ours can hold",
                "give the Keras model (its recurrent layers are unrolled), or convert with unroll=True",
            )
        if op.name in ("QUANTIZE", "FAKE_QUANT"):
            raise TfeffError(f"{path}: is quantized already, {op.label}", _GIVE_FLOAT)
        for tensor in (*op.inputs, *op.outputs):
            if tensor.scales or tensor.dtype in ("INT4", "INT2"):
                raise TfeffError(
                    f"{path}: is quantized already: {op.name} has {tensor.name[:80]} in {tensor.dtype}", _GIVE_FLOAT
                )
    constant = _derived(graph)
    unknown = [op for op in graph.operations
               if op.name not in SUPPORTED and not all(tensor.index in constant for tensor in op.outputs)]  # fmt: skip
    if unknown:
        others = sorted({op.name for op in unknown} - {unknown[0].name})
        more = f"; so are {', '.join(others)}" if others else ""
        raise TfeffError(
            f"{path}: {unknown[0].label} is not known as a Keras layer{more}",
            "give the model that the file was converted from (.keras or SavedModel), or convert it without this "
            "operation: what stands before or behind the network belongs in the app",
        )


def _derived(graph: Graph) -> set[int]:
    """Numbers of all tensors whose values depend on no input: constants, and what is computed of them and of shapes."""
    found = {tensor.index for op in graph.operations for tensor in op.inputs if tensor.constant}
    for op in graph.operations:
        alone = op.name in _SHAPES or (bool(op.inputs) and all(tensor.index in found for tensor in op.inputs))
        if alone and op.name not in (*_DRAWN, *_STATE, *_LOOPS):
            found |= {tensor.index for tensor in op.outputs}
    return found


def _needed(graph: Graph, derived: set[int]) -> tuple[Operation, ...]:
    """Operations on the way from an input to an output."""
    wanted, kept = {tensor.index for tensor in graph.outputs}, []
    for op in reversed(graph.operations):
        if any(tensor.index in wanted and tensor.index not in derived for tensor in op.outputs):
            kept.append(op)
            wanted |= {tensor.index for tensor in op.inputs}
    return tuple(reversed(kept))


def _ports(file, graph):
    """Inputs and outputs by the names that commands call them by: the signature's, else the tensors' own."""
    sides = []
    for tensors, named in zip((graph.inputs, graph.outputs), file.signature(), strict=True):
        names: dict[int, list[str]] = {}
        for name in sorted(named):
            names.setdefault(named[name], []).append(name)
        own = {}
        for tensor in tensors:
            known = names.get(tensor.index)
            own[known.pop(0) if known else tensor.name] = tensor
        sides.append(own)
    return sides


def _pixels(graph: Graph, needed: Iterable[Operation]) -> frozenset[int]:
    """8-bit inputs that are cast to float and read by nothing else."""
    readers: dict[int, list[Operation]] = {}
    for op in needed:
        for tensor in op.inputs:
            readers.setdefault(tensor.index, []).append(op)
    return frozenset(
        tensor.index
        for tensor in graph.inputs
        if tensor.dtype == "UINT8"
        and tensor.index in readers
        and all(op.name == "CAST" and op.outputs[0].dtype == "FLOAT32" for op in readers[tensor.index])
    )


def _refuse_tensors(path, needed, inputs, outputs, derived, pixels):
    for name, tensor in inputs.items():
        if tensor.shape[:1] != (1,):
            mend = "convert it with a batch of 1 (an input of shape (1, ...))"
            raise TfeffError(f"{path}: its input {name} has the shape {tensor.shape}", mend)
        if tensor.dtype not in (*_FLOATS, *_WHOLE) and tensor.index not in pixels:
            raise TfeffError(f"{path}: its input {name} is {tensor.dtype}", "give a file of float or whole numbers")
    for name, tensor in outputs.items():
        if tensor.index in derived:
            raise TfeffError(f"{path}: its output {name} is a constant", "convert the model without it")
    for op in needed:
        for tensor in op.outputs:
            if tensor.dtype not in (*_FLOATS, *_WHOLE):
                raise TfeffError(f"{path}: {op.label} computes in {tensor.dtype}", _GIVE_FLOAT)


def _values(file: TfliteFile, graph: Graph, wanted: set[int], path: Path) -> dict[int, np.ndarray]:
    """The values of tensors that depend on no input: as the file holds them, else as LiteRT computes them."""
    found: dict[int, np.ndarray] = {}
    makers = {tensor.index: op for op in graph.operations for tensor in op.outputs}
    computed = []
    for number in sorted(wanted):
        source = makers.get(number)
        if source is not None and source.name == "DEQUANTIZE" and source.inputs[0].dtype == "FLOAT16":
            number_held, held = source.inputs[0].index, True
        else:
            number_held, held = number, source is None
        stored = file.stored(number_held) if held else None
        if stored is not None:
            found[number] = stored.astype(np.float32) if stored.dtype == np.float16 else stored
        else:
            computed.append(number)
    found.update(_computed(file, computed, path))
    return found


def _computed(file: TfliteFile, numbers: list[int], path: Path) -> Iterator[tuple[int, np.ndarray]]:
    if not numbers:
        return
    opened = open_isolated(bytes(with_outputs(file, numbers)), str(path))
    zeros = [np.zeros(port.shape, port.dtype) for port in opened.inputs]
    try:
        ((*values,),) = opened.run([zeros], [port.index for port in opened.outputs])
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TfeffError(f"{path}: LiteRT cannot compute its constants ({said})", "convert it anew") from None
    yield from zip(numbers, values, strict=True)
