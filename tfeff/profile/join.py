"""The benchmark tool's table of operations, joined with the file's graph: layers, multiply-adds, bytes."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.tensor_names import block_of, find_scope, layer_names, names_a_layer
from tfeff.tflite.graph import Graph, Operation, read_graph

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
_MULTIPLIES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_IN_XNNPACK = ("Convolution", "Deconvolution", "Fully Connected")  # its names for these
_BYTES = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT64": 8, "FLOAT64": 8}


def join(path: Path, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Joins a profile with the file that it is of.

    Args:
        path: the .tflite file.
        tables: `Log.tables` of `bench.adb.log`.

    Returns:
        `operations`, in the order in which they ran: `op`, `ms`, `share` (percent), `layer`, `block`, `output` (shape;
        None where it is no operation of the file), `madds`, `bytes` (read and written, weights included),
        `gmadds_per_s`, `overhead` (a key of `OVERHEAD`, or None); `layers` and `blocks`: sums of these, slowest first;
        `overhead`: ms by kind; `total_ms`; `madds`; `unmapped_ms`, of rows that belong to no operation of the file.

    Raises:
        TfeffError: the tables hold no operation, or are of another file.
    """
    return join_graph(read_graph(path), path.name, tables)


def join_graph(graph: Graph, file: str, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`join` of a graph that was read already."""
    rows = _rows(tables)
    if not rows:
        raise TfeffError("the benchmark tool told no operations", "is it built with profiling? name another tool")
    names = [op.outputs[0].name if op.outputs else "" for op in graph.operations]
    scope = find_scope(names)
    total = sum(row["ms"] for row in rows) or 1e-12
    matched = _match(rows, graph, names, file)
    operations = []
    for row, number in zip(rows, matched, strict=True):
        op = graph.operations[number] if number is not None else None
        layers = _layers(op, scope) if op else ()
        layer = layers[-1] if layers else f"({row['op']})"
        madds = multiply_adds(op) if op else 0
        operations.append(
            {
                "op": row["op"],
                "ms": row["ms"],
                "share": 100 * row["ms"] / total,
                "layer": layer,
                "block": block_of(layer) if layers else layer,
                "output": list(op.outputs[0].shape) if op and op.outputs else None,
                "madds": madds,
                "bytes": _traffic(op) if op else None,
                "gmadds_per_s": madds / row["ms"] / 1e6 if madds and row["ms"] else None,
                "overhead": overhead_of(row["op"]),
            }
        )
    over = {kind: sum(one["ms"] for one in operations if one["overhead"] == kind) for kind in OVERHEAD}
    return {
        "file": file,
        "total_ms": total,
        "madds": sum(map(multiply_adds, graph.operations)),
        "operations": operations,
        "layers": _sums(operations, "layer"),
        "blocks": _sums(operations, "block"),
        "overhead": {kind: ms for kind, ms in over.items() if ms},
        "unmapped_ms": sum(one["ms"] for one in operations if one["output"] is None),
    }


def _layers(op: Operation, scope: str) -> tuple[str, ...]:
    """The layers that an operation comes from, by the name of its output, else of a constant that it reads."""
    for tensor in (*op.outputs, *(one for one in op.inputs if one.constant)):
        if names_a_layer(tensor.name) and (found := layer_names(tensor.name, scope)):
            return found
    return ()


def multiply_adds(op: Operation) -> int:
    """Of one operation on one image; 0 for what is no convolution and no matrix product."""
    if op.name not in _MULTIPLIES or len(op.inputs) < 2:
        return 0
    weights = op.inputs[1].shape
    if op.name == "TRANSPOSE_CONV":  # inputs: output's shape, weights (o, h, w, i), map (1, h, w, i)
        return prod(op.inputs[-1 if len(op.inputs) < 4 else 2].shape[:3]) * prod(weights)
    if op.name == "FULLY_CONNECTED":  # weights (o, i)
        return prod(op.outputs[0].shape) * weights[1]
    if op.name == "DEPTHWISE_CONV_2D":  # weights (1, h, w, c)
        return prod(op.outputs[0].shape) * prod(weights[1:3])
    return prod(op.outputs[0].shape) * prod(weights[1:])  # weights (o, h, w, i of the group)


def overhead_of(name: str) -> str | None:
    """The kind of overhead that an operation is, by the runtime's or XNNPACK's name of it."""
    plain = name.partition(" (")[0]
    return next((kind for kind, names in OVERHEAD.items() if plain in names), None)


def _rows(tables):
    """Operations in the order in which they ran; a delegate's own rows in place of the one that stands for it."""
    ordered = [t for t in tables if t["title"] == "Run Order" and t["part"] == "run"]
    rows = [
        {"op": str(row["node type"]), "ms": float(row["avg ms"]), "name": str(row.get("name", ""))}
        for table in ordered
        for row in table["rows"]
        if isinstance(row.get("avg ms"), float)
    ]
    inside = [row for row in rows if row["name"].startswith("Delegate/")]
    if inside:
        rows = [row for row in rows if "delegate" not in row["op"].lower()]
    return rows


def _match(rows, graph: Graph, names: list[str], file: str) -> list[int | None]:
    """The number of each row's operation in the file; None for one that is none of the file's."""
    by_name = {name: number for number, name in enumerate(names)}
    found: list[int | None] = []
    for row in rows:
        told, _, index = row["name"].rpartition(":")
        told = told.strip("[]") if index.isdigit() else row["name"].strip("[]")
        number = by_name.get(told)
        if number is None and index.isdigit() and int(index) < len(names) and not row["name"].startswith("Delegate/"):
            number = int(index) if graph.operations[int(index)].name == row["op"] else None
        found.append(number)
    _match_delegate(rows, graph, found)
    if not any(number is not None for number in found) and not any(r["name"].startswith("Delegate/") for r in rows):
        raise TfeffError(f"{file}: the profile names no operation of this file", "was it made of another file?")
    return found


def _match_delegate(rows, graph: Graph, found: list[int | None]) -> None:
    """XNNPACK tells kinds only, but keeps the order: its n-th convolution or matrix product is the n-th that is left.

    Where the two are not as many, nothing is matched: a guess would blame the wrong layer.
    """
    taken = set(found)
    left = [n for n, op in enumerate(graph.operations) if n not in taken and op.name in _MULTIPLIES]
    here = [n for n, row in enumerate(rows) if found[n] is None and row["op"].startswith(_IN_XNNPACK)]
    if len(left) == len(here):
        for row, number in zip(here, left, strict=True):
            found[row] = number


def _traffic(op: Operation) -> int:
    return sum(prod(one.shape) * _BYTES.get(one.dtype, 4) for one in (*op.inputs, *op.outputs))


def _sums(operations, key: str) -> list[dict[str, Any]]:
    """Layers or blocks, slowest first."""
    rows: dict[str, dict[str, Any]] = {}
    for one in operations:
        row = rows.setdefault(
            one[key], {key: one[key], "operations": 0, "ms": 0.0, "share": 0.0, "madds": 0, "bytes": 0}
        )
        row["operations"] += 1
        for name in ("ms", "share", "madds", "bytes"):
            row[name] += one[name] or 0
    for row in rows.values():
        row["gmadds_per_s"] = row["madds"] / row["ms"] / 1e6 if row["madds"] and row["ms"] else None
    return sorted(rows.values(), key=lambda row: -row["ms"])
