"""Where the quantized graph rounds: for every node of a plan, what tfmot is to quantize of it.

The rules are the converter's, each found by what it does when they are broken: every computed tensor has a range, but
for one that goes into a ReLU that the kernel in front has built in; operations that only hand values on (slices,
reshapes, concatenation, pooling) share one range among all that they join, or the converter puts a QUANTIZE between;
sigmoid's output has the scale that the specification fixes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WEIGHTED = {"conv2d": "channel", "dense": "tensor", "depthwise": "depthwise", "conv2d_transpose": "transposed"}
# Operations that hand values on, behind which the range is not said again, and those where the converter wants it to.
_HANDED_ON = {"max_pool", "zero_padding", "reshape", "permute", "slice", "take", "global_max_pool", "up_sampling"}
_SAID_AGAIN = {"concatenate", "average_pool", "maximum", "minimum", "maximum_constant", "minimum_constant"}
_FUSES_RELU = {
    *WEIGHTED,
    "add",
    "subtract",
    "multiply",
    "add_constant",
    "multiply_constant",
    "average_pool",
    "max_pool",
}
_UNIT = (0.0, 255 / 256)
_WITH_KERNEL = {"gelu"}
_FIXED = {"sigmoid": _UNIT, "softmax": _UNIT, "tanh": (-1.0, 127 / 128)}
_NO_KERNEL = "int8 has no kernel for it that the converter would choose"


@dataclass
class Placed:
    """What is quantized of a node.

    Attributes:
        weights: how its kernel is, a value of `WEIGHTED`; None without one.
        output: "range" (its own or its group's), "fixed", or None (not, or by what follows).
        group: what tensors with one range have in common, the number of one of them.
        fixed: (low, high) of a fixed one.
    """

    weights: str | None = None
    output: str | None = None
    group: int | None = None
    fixed: tuple[float, float] | None = None


def place(plan: Mapping[str, Any]) -> tuple[Placed, list[Placed], list[tuple[dict, str]]]:
    """Reads a plan (`Plan.as_dict()`) with batch normalization folded.

    Returns:
        What is quantized of the image and of every node, and the nodes that cannot be, each with the reason.
    """
    nodes = plan["nodes"]
    groups = _groups(nodes)
    readers: dict[int, list] = {}
    for node in nodes:
        for index in node["inputs"]:
            readers.setdefault(index, []).append(node)
    placed, refused = [], []
    for node in nodes:
        each = Placed(weights=WEIGHTED.get(node["kind"]))
        placed.append(each)
        why = _refusal(node)
        if why:
            refused.append((node, why))
            continue
        fixed = _FIXED.get(node["config"].get("function"))
        if fixed:
            each.output, each.fixed = "fixed", fixed
        elif not _fused(node, readers.get(node["output"], []), plan["output"]) and node["kind"] not in _HANDED_ON:
            each.output, each.group = "range", groups[node["output"]]
    return Placed(output="range", group=groups[0]), placed, refused


def _refusal(node):
    kind, config = node["kind"], node["config"]
    if kind == "batch_norm":
        return "batch normalization that no convolution takes: there is no int8 operation for it"
    if kind == "activation" and config["function"] not in {*_FIXED, *_WITH_KERNEL}:
        return f"{config['function']}: {_NO_KERNEL}"
    if kind == "relu" and (config["threshold"] != 0 or (config["max_value"] is not None and config["max_value"] != 6)):
        return f"a ReLU that is cut at {config['max_value']} or begins at {config['threshold']}: {_NO_KERNEL}"
    return None


def _fused(node, readers: Sequence[dict], output):
    """Whether the kernel of `node` also does the ReLU that alone reads it."""
    if node["kind"] not in _FUSES_RELU or node["output"] == output or len(readers) != 1:
        return False
    (reader,) = readers
    return reader["kind"] == "relu" and not reader["config"]["negative_slope"]


def _groups(nodes):
    """For every tensor the number of one that has its range."""
    parent = list(range(len(nodes) + 1))

    def find(tensor):
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for node in nodes:
        if node["kind"] in {*_HANDED_ON, *_SAID_AGAIN}:
            for index in node["inputs"]:
                parent[find(index)] = find(node["output"])
    return [find(tensor) for tensor in range(len(parent))]
