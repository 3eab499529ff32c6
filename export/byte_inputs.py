"""A SavedModel that takes 8-bit images, as one that takes the same pixels as floats.

Such a model casts its input itself. In an int8 file that cast would be an operation in float: what is quantized is the
network behind it, whose input the file then holds in 8 bits again.
"""

from collections.abc import Sequence
from typing import Any

from tfeff.errors import TfeffError

# Operations that hand on values of whatever type they are given.
_MOVES = ("Identity", "Reshape", "ExpandDims", "Squeeze", "Transpose", "StridedSlice", "Slice", "ReverseV2", "Pad",
          "ResizeNearestNeighbor", "StopGradient", "EnsureShape")  # fmt: skip
_RESIZES = ("ResizeBilinear", "ResizeBicubic", "ResizeArea")  # of any type, to float
_PLACES = {"EnsureShape": "T", "StridedSlice": "T", "Cast": "SrcT"}  # the attribute that says the type


def with_float_inputs(signature: Any, names: Sequence[str], what: str) -> Any:
    """A signature whose 8-bit inputs take floats of the same values.

    Args:
        signature: of a loaded SavedModel; it is not touched.
        names: its inputs, in the order in which the result takes them.
        what: what messages call the model.

    Returns:
        A function of tensors, in the order of `names`, to a list of outputs in the order of the outputs' sorted names.

    Raises:
        TfeffError: an 8-bit input is read by something else than a cast.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(signature)
    graph = frozen.graph.as_graph_def()
    given = {tensor.op.name: tensor.name for tensor in frozen.inputs}
    order = [given[_door(name, given, place)] for place, name in enumerate(names)]
    _retype(graph, {name.partition(":")[0] for name in order}, what)

    def imported():
        tf.graph_util.import_graph_def(graph, name="")

    whole = tf.compat.v1.wrap_function(imported, [])
    tensors = [whole.graph.get_tensor_by_name(name) for name in order]
    outputs = [whole.graph.get_tensor_by_name(tensor.name) for tensor in frozen.outputs]
    pruned = whole.prune(tensors, outputs)
    return lambda *values: pruned(*values)


def _door(name, given, place):
    """The placeholder of an input: called as it is, or the one in its place."""
    return name if name in given else list(given)[place]


def _retype(graph, doors, what):
    """Makes floats of the 8-bit placeholders among `doors`, and of all that hands their values on."""
    from tensorflow.core.framework import types_pb2

    byte, real = types_pb2.DT_UINT8, types_pb2.DT_FLOAT
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for source in node.input:
            readers.setdefault(source.partition(":")[0], []).append(node)
    waiting = []
    for node in graph.node:
        if node.name in doors and node.attr["dtype"].type == byte:
            node.attr["dtype"].type = real
            waiting.append((node, node.name))
    while waiting:
        made, door = waiting.pop()
        for node in readers.get(made.name, ()):
            place = _PLACES.get(node.op, "T")
            if node.attr[place].type == real:
                continue  # seen from another side
            if node.op not in ("Cast", *_MOVES, *_RESIZES):
                raise TfeffError(
                    f"{what}: its 8-bit input {door} is read by {node.op} ({node.name}), which computes in bytes",
                    "cast it first in the model: x = tf.cast(x, tf.float32)",
                )
            node.attr[place].type = real
            node.attr.pop("_output_shapes", None)
            if node.op in _MOVES:
                waiting.append((node, door))
