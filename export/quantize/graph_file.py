"""A frozen graph as a SavedModel with the signature `serving_default`, written as its protocol buffers.

TensorFlow's own way, to import the graph, to lift it into another, to trace what calls it and to save that, builds
every operation four times in Python. The converter makes the same bytes of both: it names tensors by the calls that it
inlines, so the graph lies as deep here as there: signature -> what is served -> the network.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_SIGNATURE, _SERVED, _NETWORK = "__inference_signature_wrapper_serve", "__inference_serve", "__inference_network"


def saved_model(graph: Any, inputs: Sequence[Any], outputs: Mapping[str, Any]) -> Any:
    """The SavedModel of a graph without variables.

    Args:
        graph: a GraphDef; it keeps its nodes, the SavedModel gets copies of those that the outputs need.
        inputs: its placeholders, TensorFlow tensors of a known shape, in the order of the network's.
        outputs: its outputs by name, TensorFlow tensors.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    made = meta.graph_def
    made.versions.CopyFrom(graph.versions)
    if not made.versions.producer:
        from tensorflow.python.framework.versions import GRAPH_DEF_VERSION

        made.versions.producer = GRAPH_DEF_VERSION
    names = sorted(outputs)  # the order in which TensorFlow flattens them
    results = [outputs[name] for name in names]
    network = made.library.function.add()
    _fill(network, graph, inputs, results)
    for function in _called(network.node_def, graph.library.function):
        made.library.function.add().CopyFrom(function)
    stateful = network.signature.is_stateful
    for name, inner in ((_SERVED, _NETWORK), (_SIGNATURE, _SERVED)):
        _fill_caller(made.library.function.add(), name, inner, inputs, results, stateful)

    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    doors = []
    for tensor in inputs:
        node = made.node.add(op="Placeholder", name=f"serving_default_{tensor.op.name}")
        node.attr["dtype"].type = tensor.dtype.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
        node.attr["_output_shapes"].list.shape.add().CopyFrom(tensor.shape.as_proto())
        _describe(signature.inputs[tensor.op.name], f"{node.name}:0", tensor)
        doors.append(node.name)
    call = _fill_call(made.node.add(), _SIGNATURE, doors, inputs, results, stateful)
    for number, name in enumerate(names):
        _describe(signature.outputs[name], f"{call.name}:{number}", outputs[name])
    return saved


def write(saved: Any, folder: Path) -> None:
    """Writes it where `tf.saved_model.load` and the converter look for it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))


def _describe(info, name, tensor):
    info.name, info.dtype = name, tensor.dtype.as_datatype_enum
    info.tensor_shape.CopyFrom(tensor.shape.as_proto())


def _fill_signature(function, name, inputs, outputs):
    """Arguments and results of a function."""
    function.signature.name = name
    function.attr["_construction_context"].s = b"kEagerRuntime"
    for number, tensor in enumerate(inputs):
        function.signature.input_arg.add(name=f"input_{number}", type=tensor.dtype.as_datatype_enum)
        shape = tensor.shape.as_proto()
        function.attr["_input_shapes"].list.shape.add().CopyFrom(shape)
        function.arg_attr[number].attr["_output_shapes"].list.shape.add().CopyFrom(shape)
    for number, tensor in enumerate(outputs):
        function.signature.output_arg.add(name=f"output_{number}", type=tensor.dtype.as_datatype_enum)


def _fill_call(node, function, arguments, inputs, outputs, stateful):
    node.op = node.name = "StatefulPartitionedCall" if stateful else "PartitionedCall"
    node.input.extend(arguments)
    node.attr["f"].func.name = function
    node.attr["Tin"].list.type.extend(tensor.dtype.as_datatype_enum for tensor in inputs)
    node.attr["Tout"].list.type.extend(tensor.dtype.as_datatype_enum for tensor in outputs)
    for tensor in outputs:
        node.attr["_output_shapes"].list.shape.add().CopyFrom(tensor.shape.as_proto())
    return node


def _fill_caller(function, name, inner, inputs, outputs, stateful):
    """A function that calls another and gives what that gives."""
    _fill_signature(function, name, inputs, outputs)
    function.signature.is_stateful = stateful
    arguments = [f"input_{number}" for number in range(len(inputs))]
    call = _fill_call(function.node_def.add(), inner, arguments, inputs, outputs, stateful)
    for number, tensor in enumerate(outputs):
        node = function.node_def.add(op="Identity", name=f"Identity_{number}" if number else "Identity")
        node.input.append(f"{call.name}:output:{number}")
        node.attr["T"].type = tensor.dtype.as_datatype_enum
        function.ret[f"output_{number}"] = f"{node.name}:output:0"


def _fill(function, graph, inputs, outputs):
    """The graph as a function."""
    from tensorflow.python.framework import op_def_registry

    library = {each.signature.name: each.signature for each in graph.library.function}

    def definition(node):
        return op_def_registry.get(node.op) or library[node.op]

    nodes = {node.name: node for node in graph.node}
    arguments = {tensor.op.name: f"input_{number}" for number, tensor in enumerate(inputs)}

    def renamed(name):
        """`node:2`, as graphs call a tensor, as functions do: `node:output:2`."""
        if name.startswith("^"):
            return name
        node, _, number = name.partition(":")
        if node in arguments:
            return arguments[node]
        argument, place = _argument(nodes[node], definition(nodes[node]), int(number or 0))
        return f"{node}:{argument}:{place}"

    _fill_signature(function, _NETWORK, inputs, outputs)
    for node in _needed(nodes, arguments, [tensor.op.name for tensor in outputs]):
        new = function.node_def.add()
        new.CopyFrom(node)
        new.ClearField("experimental_debug_info")  # of what was inlined: names would tell it
        # An input is there before all else.
        new.input[:] = [
            renamed(name) for name in node.input if name.removeprefix("^") not in arguments or name[0] != "^"
        ]
        function.signature.is_stateful |= definition(node).is_stateful
    for number, tensor in enumerate(outputs):
        function.ret[f"output_{number}"] = renamed(tensor.name.removesuffix(":0"))


def _needed(nodes: Mapping[str, Any], arguments: Mapping[str, str], wanted: Iterable[str]) -> list[Any]:
    """The nodes that others need, in the graph's order."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in arguments:
            found.add(name)
            waiting += [each.removeprefix("^").partition(":")[0] for each in nodes[name].input]
    return [node for name, node in nodes.items() if name in found]


def _argument(node: Any, definition: Any, number: int) -> tuple[str, int]:
    """The output argument that a node's output belongs to, and its place in it."""
    for argument in definition.output_arg:
        if argument.number_attr:
            size = node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            size = len(node.attr[argument.type_list_attr].list.type)
        else:
            size = 1
        if number < size:
            return argument.name, number
        number -= size
    raise ValueError(f"{node.name} ({node.op}) has no such output")


def _called(nodes: Iterable[Any], functions: Iterable[Any]) -> list[Any]:
    """The functions that nodes call, and what those call."""
    library = {each.signature.name: each for each in functions}
    found: dict[str, Any] = {}
    waiting = list(nodes) if library else []
    while waiting:
        node = waiting.pop()
        values = node.attr.values()
        names = [
            node.op,
            *(value.func.name for value in values),
            *(f.name for value in values for f in value.list.func),
        ]
        for name in names:
            if name in library and name not in found:
                found[name] = library[name]
                waiting += library[name].node_def
    return [library[name] for name in library if name in found]
