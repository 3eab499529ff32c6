"""`--allow-float`: what of an int8 file may stay in float; and the gate that speaks of the rest before any range is
searched, from the float file quantized by the ranges of one sample."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfeff.errors import GateFailed, TfeffError
from tfeff.export.quantize.convert import Converter
from tfeff.export.quantize.int8_file import Int8File
from tfeff.tflite.file import read_only
from tfeff.tflite.graph import read_graph

FENCES = ("QUANTIZE", "DEQUANTIZE")
_SHOWN = 5
# What the converter always quantizes; a file of nothing else need not be tried.
_QUANTIZED = {
    "ABS", "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "EXP", "EXPAND_DIMS",
    "FULLY_CONNECTED", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN",
    "MINIMUM", "MUL", "PAD", "PRELU", "RELU", "RELU6", "RESHAPE", "RSQRT", "SLICE", "SOFTMAX", "SPLIT", "SQRT",
    "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip
# What a layer's name is followed by in the names of the other points that it was made into.
_PARTS = ("linear", "activation", "relu6", "add", "multiply", "sigmoid", "requantized")


@dataclass(frozen=True)
class Allowed:
    """What stays in float.

    Attributes:
        operations: with no int8 kernel that were let through, `SIN (layer)` each.
        points: of layers that could be in int8 but were named.
        tensors: names of the tensors that both write.
    """

    operations: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tensors: frozenset[str] = frozenset()


def find_allowed(words: Sequence[str], int8: Int8File, converter: Converter, folder: Path) -> Allowed:
    """What the words of `--allow-float` let stay in float.

    Args:
        words: layers, or operations by TensorFlow Lite's names in any case.
        int8: once `take` was called.
        converter, folder: for a trial file, made where there is an operation that may have no int8 kernel.

    Raises:
        GateFailed: an operation has no int8 kernel and was not let through; nothing was measured yet.
        TfeffError: a word names nothing.
    """
    read = read_only(int8.path.read_bytes())
    points = [point for point, number in int8.tensors.items() if _is_named(words, _makers(read, number), point)]
    left = []
    if {op.name for op in read.operators} - _QUANTIZED:
        left = _left(int8, converter, folder, read)
    refused = [each for each in left if not any(_names(word, each) for word in words)]
    if refused:
        raise GateFailed(*_refusal(refused))
    for word in words:
        if not any(_names(word, each) for each in left) and not _is_used(word, points, read, int8.tensors):
            raise TfeffError(
                f"--allow-float {word}: no layer and no operation of the network is called so",
                "give a layer's name, or an operation as TensorFlow Lite calls it (SIN)",
            )
    unable = {each.point for each in left}
    points = [point for point in points if point not in unable]
    tensors = {each.tensor for each in left} | {read.name(int8.tensors[point]) for point in points}
    return Allowed(tuple(each.label for each in left), tuple(points), frozenset(tensors))


@dataclass(frozen=True)
class _Left:
    """An operation without an int8 kernel, the tensor that it writes, and the point (a layer's name) that it is of."""

    name: str
    tensor: str
    point: str

    @property
    def label(self):
        return f"{self.name} ({self.point or self.tensor[:80]})"


def _left(int8, converter, folder, read) -> list[_Left]:
    """Operations that a file quantized by the ranges that are there has in float."""
    path = folder / "trial.tflite"
    int8.quantize_as_it_is(path, converter)
    points = _points_behind(read, int8.tensors)
    floats = [op for op in read_graph(path).float_operations() if op.name not in FENCES and op.outputs]
    return [_Left(op.name, op.outputs[0].name, points.get(op.outputs[0].name, "")) for op in floats]


def _points_behind(read, tensors: Mapping[str, int]) -> dict[str, str]:
    """{name of a tensor: the first point that is made of it}"""
    found: dict[int, str] = {}
    for point, number in tensors.items():  # in the order in which they are computed
        waiting = [number]
        while waiting:
            tensor = waiting.pop()
            if tensor in found or tensor not in read.producers:
                continue
            found[tensor] = point
            waiting += [each for each in read.operators[read.producers[tensor]].inputs if each >= 0]
    return {read.name(number): point for number, point in found.items()}


def _makers(read, number) -> list[str]:
    """The name of the operation that writes a tensor."""
    return [read.operators[read.producers[number]].name] if number in read.producers else []


def _is_named(words: Iterable[str], operations: list[str], point: str) -> bool:
    return any(word == point or _layer_of(point) == word or word.upper() in operations for word in words)


def _layer_of(point):
    """The layer of a point that a part of one has."""
    name, _, part = point.rpartition("_")
    return name if part in _PARTS else point


def _names(word, left: _Left) -> bool:
    """Whether a word of `--allow-float` names an operation."""
    return is_allowed(word, left.name, left.tensor) or word in (left.point, _layer_of(left.point))


def is_allowed(word: str, operation: str, tensor: str) -> bool:
    """Whether a word names an operation by its kind, or by its layer's part in the name of the tensor that it
    writes."""
    return word.upper() == operation or word in re.split("[/;:]", tensor)


def _is_used(word, points, read, tensors):
    return any(_is_named([word], _makers(read, tensors[point]), point) for point in points)


def _refusal(refused: Sequence[_Left]) -> tuple[str, str]:
    """What is wrong, and what lets it through."""
    names = list(dict.fromkeys(each.name for each in refused))
    more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    return (
        f"--int8 would leave {len(refused)} operation{'s' if len(refused) > 1 else ''} in float: "
        f"{'; '.join(each.label for each in refused[:_SHOWN])}{more}",
        f"replace these layers by ones that quantize, let them stay in float with "
        f"{' '.join(f'--allow-float {name}' for name in names)}, or export --float16; nothing was written",
    )
