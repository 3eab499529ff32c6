"""The benchmark tool's table of operations, joined with the file's graph: layers, multiply-adds, bytes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from tfeff.errors import TfeffError
from tfeff.tensor_names import block_of, find_scope, layer_names, names_a_layer
from tfeff.tflite.graph import Graph, Operation

# What computes nothing that the network asks for: it moves, pads or converts values.
OVERHEAD = {
    "requantise": ("QUANTIZE", "DEQUANTIZE", "CAST", "Convert"),
    "transpose": ("TRANSPOSE", "Transpose"),
    "pad": ("PAD", "PADV2", "MIRROR_PAD", "Constant Pad"),
    "move": (
        "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "CONCATENATION", "PACK",
        "UNPACK", "GATHER", "Copy", "Slice", "Split", "Even Split", "Concatenate", "Static Reshape", "Reshape",
    ),
}  # fmt: skip
_MULTIPLIES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D", "BATCH_MATMUL")
_IN_XNNPACK = ("Convolution", "Deconvolution", "Fully Connected", "Batch Matrix Multiply")  # its names for these
_BYTES = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT64": 8, "FLOAT64": 8}


@dataclass(frozen=True)
class Row:
    """A row of the tool's table: an operation, as it ran.

    Attributes:
        op: its kind, in the runtime's or the delegate's words.
        ms: mean time.
        name: of its output, with its number; or of the delegate's own node.
    """

    op: str
    ms: float
    name: str

    @property
    def of_delegate(self) -> bool:
        """Whether it is a delegate's own."""
        return self.name.startswith("Delegate/")


@dataclass(frozen=True)
class Profiled:
    """An operation with its time.

    Attributes:
        op: its kind.
        ms, share: time, and percent of the time of all.
        layer, block: that it belongs to; its kind in brackets where that is not known.
        output: shape; None where it is no operation of the file.
        madds: multiply-adds of one inference.
        bytes: read and written, weights included; None as `output`.
        gmadds_per_s: None where it multiplies nothing.
        overhead: a key of `OVERHEAD`, or None.
    """

    op: str
    ms: float
    share: float
    layer: str
    block: str
    output: list[int] | None
    madds: int
    bytes: int | None
    gmadds_per_s: float | None
    overhead: str | None


@dataclass
class Total:
    """A layer or a block: sums of its operations."""

    name: str
    operations: int = 0
    ms: float = 0.0
    share: float = 0.0
    madds: int = 0
    bytes: int = 0

    @property
    def gmadds_per_s(self) -> float | None:
        """None where it multiplies nothing."""
        return self.madds / self.ms / 1e6 if self.madds and self.ms else None


@dataclass(frozen=True)
class Profile:
    """A profile joined with its file.

    Attributes:
        file: its name.
        operations: in the order in which they ran.
        total_ms: of all.
        madds: of the whole file.
    """

    file: str
    operations: tuple[Profiled, ...]
    total_ms: float
    madds: int

    @property
    def layers(self) -> list[Total]:
        """Slowest first."""
        return _sums(self.operations, lambda one: one.layer)

    @property
    def blocks(self) -> list[Total]:
        """Slowest first."""
        return _sums(self.operations, lambda one: one.block)

    @property
    def overhead(self) -> dict[str, float]:
        """Time in ms by kind of overhead."""
        over = {kind: sum(one.ms for one in self.operations if one.overhead == kind) for kind in OVERHEAD}
        return {kind: ms for kind, ms in over.items() if ms}

    @property
    def unmapped_ms(self) -> float:
        """Of rows that belong to no operation of the file."""
        return sum(one.ms for one in self.operations if one.output is None)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it."""
        sums = {
            f"{kind}s": [{kind: one.name, **_figures(one)} for one in totals]
            for kind, totals in (("layer", self.layers), ("block", self.blocks))
        }
        return {
            "file": self.file,
            "total_ms": self.total_ms,
            "madds": self.madds,
            "operations": [asdict(one) for one in self.operations],
            **sums,
            "overhead": self.overhead,
            "unmapped_ms": self.unmapped_ms,
        }


def _figures(total: Total) -> dict[str, Any]:
    return {key: value for key, value in asdict(total).items() if key != "name"} | {"gmadds_per_s": total.gmadds_per_s}


def join(graph: Graph, file: str, tables: Sequence[dict[str, Any]]) -> Profile:
    """Joins a profile with the file that it is of.

    Args:
        graph: of the .tflite file.
        file: its name.
        tables: `Log.tables` of `bench.adb.log`.

    Raises:
        TfeffError: the tables hold no operation, or are of another file.
    """
    rows = _rows(tables)
    if not rows:
        raise TfeffError("the benchmark tool told no operations", "is it built with profiling? name another tool")
    names = [op.outputs[0].name if op.outputs else "" for op in graph.operations]
    scope = find_scope(names)
    total = sum(row.ms for row in rows) or 1e-12
    operations = [
        _profiled(row, graph.operations[number] if number is not None else None, scope, total)
        for row, number in zip(rows, _match(rows, graph, names, file), strict=True)
    ]
    return Profile(file, tuple(operations), total, sum(map(multiply_adds, graph.operations)))


def _profiled(row: Row, op: Operation | None, scope: str, total_ms: float) -> Profiled:
    layers = _layers(op, scope) if op else ()
    layer = layers[-1] if layers else f"({row.op})"
    madds = multiply_adds(op) if op else 0
    return Profiled(
        op=row.op,
        ms=row.ms,
        share=100 * row.ms / total_ms,
        layer=layer,
        block=block_of(layer) if layers else layer,
        output=list(op.outputs[0].shape) if op and op.outputs else None,
        madds=madds,
        bytes=_traffic(op) if op else None,
        gmadds_per_s=madds / row.ms / 1e6 if madds and row.ms else None,
        overhead=overhead_of(row.op),
    )


def _layers(op: Operation, scope: str) -> tuple[str, ...]:
    """The layers that an operation comes from, by the name of its output, else of a constant that it reads."""
    for tensor in (*op.outputs, *(one for one in op.inputs if one.constant)):
        if names_a_layer(tensor.name) and (found := layer_names(tensor.name, scope)):
            return found
    return ()


def multiply_adds(op: Operation) -> int:
    """Of one operation in one inference; 0 for what is no convolution and no matrix product."""
    if op.name not in _MULTIPLIES or len(op.inputs) < 2:
        return 0
    weights = op.inputs[1].shape
    if op.name == "TRANSPOSE_CONV":  # inputs: output's shape, weights (o, h, w, i), map (1, h, w, i)
        return prod(op.inputs[-1 if len(op.inputs) < 4 else 2].shape[:3]) * prod(weights)
    if op.name == "FULLY_CONNECTED":  # weights (o, i)
        return prod(op.outputs[0].shape) * weights[1]
    if op.name == "DEPTHWISE_CONV_2D":  # weights (1, h, w, c)
        return prod(op.outputs[0].shape) * prod(weights[1:3])
    if op.name == "CONV_3D":  # weights (d, h, w, i, o)
        return prod(op.outputs[0].shape) * prod(weights[:4])
    if op.name == "BATCH_MATMUL":  # (..., m, k) by (..., k, n), each turned round or not
        return prod(op.outputs[0].shape) * op.inputs[0].shape[-2 if op.options.get("adj_x") else -1]
    return prod(op.outputs[0].shape) * prod(weights[1:])  # weights (o, h, w, i of the group)


def overhead_of(name: str) -> str | None:
    """The kind of overhead that an operation is, by the runtime's or XNNPACK's name of it."""
    plain = name.partition(" (")[0]
    return next((kind for kind, names in OVERHEAD.items() if plain in names), None)


def _rows(tables: Sequence[dict[str, Any]]) -> list[Row]:
    """Operations in the order in which they ran; a delegate's own rows in place of the one that stands for it."""
    ordered = [t for t in tables if t["title"] == "Run Order" and t["part"] == "run"]
    rows = [
        Row(str(row["node type"]), float(row["avg ms"]), str(row.get("name", "")))
        for table in ordered
        for row in table["rows"]
        if isinstance(row.get("avg ms"), float)
    ]
    if any(row.of_delegate for row in rows):
        rows = [row for row in rows if "delegate" not in row.op.lower()]
    return rows


def _match(rows: Sequence[Row], graph: Graph, names: list[str], file: str) -> list[int | None]:
    """The number of each row's operation in the file; None for one that is none of the file's."""
    by_name = {name: number for number, name in enumerate(names)}
    found: list[int | None] = []
    for row in rows:
        told, _, index = row.name.rpartition(":")
        told = told.strip("[]") if index.isdigit() else row.name.strip("[]")
        number = by_name.get(told)
        if number is None and index.isdigit() and int(index) < len(names) and not row.of_delegate:
            number = int(index) if graph.operations[int(index)].name == row.op else None
        found.append(number)
    _match_delegate(rows, graph, found)
    if not any(number is not None for number in found) and not any(row.of_delegate for row in rows):
        raise TfeffError(f"{file}: the profile names no operation of this file", "was it made of another file?")
    return found


def _match_delegate(rows: Sequence[Row], graph: Graph, found: list[int | None]) -> None:
    """XNNPACK tells kinds only, but keeps the order: its n-th convolution or matrix product is the n-th that is left.

    Where the two are not as many, nothing is matched: a guess would blame the wrong layer.
    """
    taken = set(found)
    left = [n for n, op in enumerate(graph.operations) if n not in taken and op.name in _MULTIPLIES]
    here = [n for n, row in enumerate(rows) if found[n] is None and row.op.startswith(_IN_XNNPACK)]
    if len(left) == len(here):
        for at, number in zip(here, left, strict=True):
            found[at] = number


def _traffic(op: Operation) -> int:
    return sum(prod(one.shape) * _BYTES.get(one.dtype, 4) for one in (*op.inputs, *op.outputs))


def _sums(operations: Iterable[Profiled], name_of: Callable[[Profiled], str]) -> list[Total]:
    totals: dict[str, Total] = {}
    for one in operations:
        total = totals.setdefault(name_of(one), Total(name_of(one)))
        total.operations += 1
        total.ms += one.ms
        total.share += one.share
        total.madds += one.madds
        total.bytes += one.bytes or 0
    return sorted(totals.values(), key=lambda total: -total.ms)
