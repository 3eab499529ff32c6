"""Small files with several signatures, control flow, and sizes that are open; written by hand."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from checking_files import edit
from small_files import Part, Step, Values, constant, write_file

from tfeff.tflite.writer import named_tensor


def times(factor):
    """A subgraph that multiplies its input (1, 3) by a number."""
    tensors = {"x": Values((1, 3)), "by": constant(np.float32([factor])), "y": Values((1, 3))}
    return Part(tensors, [Step("MUL", ["x", "by"], ["y"], "MulOptions")], {"x": "x"}, {"y": "y"})


def loop_five_times(condition, body):
    """A subgraph that applies subgraph number `body` as long as `condition` holds: five times, with `counts`."""
    tensors = {name: Values((1, 3)) for name in ("x", "y")}
    tensors |= {"zero": constant(np.int32([0])), "n": Values((1,), "int32")}
    fields = {"condSubgraphIndex": condition, "bodySubgraphIndex": body}
    step = Step("WHILE", ["zero", "x"], ["n", "y"], "WhileOptions", fields)
    return Part(tensors, [step], {"x": "x"}, {"y": "y"})


def below_five():
    """The condition of `loop_five_times`."""
    tensors = {"n": Values((1,), "int32"), "x": Values((1, 3)), "five": constant(np.int32([5]))}
    tensors["more"] = Values((1,), "bool")
    return Part(tensors, [Step("LESS", ["n", "five"], ["more"], "LessOptions")], {"n": "n", "x": "x"}, {"more": "more"})


def doubled_and_counted():
    """The body of `loop_five_times`."""
    tensors = {"n": Values((1,), "int32"), "x": Values((1, 3)), "one": constant(np.int32([1]))}
    tensors |= {"by": constant(np.float32([2])), "next": Values((1,), "int32"), "y": Values((1, 3))}
    steps = [
        Step("ADD", ["n", "one"], ["next"], "AddOptions"),
        Step("MUL", ["x", "by"], ["y"], "MulOptions"),
    ]
    return Part(tensors, steps, {"n": "n", "x": "x"}, {"next": "next", "y": "y"})


def with_signatures(path, names):
    """The file with a signature of subgraph n for each {name: n}; ports are called in_NAME and out_NAME."""

    def sign(model):
        model.signatureDefs = []
        for name, number in names.items():
            signature, graph = schema.SignatureDefT(), model.subgraphs[number]
            signature.signatureKey, signature.subgraphIndex = name.encode(), number
            signature.inputs = [named_tensor(f"in_{name}", int(graph.inputs[0]))]
            signature.outputs = [named_tensor(f"out_{name}", int(graph.outputs[0]))]
            model.signatureDefs.append(signature)

    path.write_bytes(edit(path.read_bytes(), sign))
    return path


def several(path):
    """A file of the signatures `tripled` (first), `looped` (with subgraphs behind it) and `halved`."""
    parts = (times(3), below_five(), loop_five_times(1, 4), times(0.5), doubled_and_counted())
    return with_signatures(write_file(path, *parts), {"tripled": 0, "looped": 2, "halved": 3})


def open_sized(path, signature=(-1, -1, -1, 3), pixels=1, size=2):
    """A file that pools an image of open sizes by windows of `size`, without padding."""
    image, pooled = Values((1, pixels, pixels, 3)), Values((1, 1, 1, 3))
    fields = {"filterWidth": size, "filterHeight": size, "strideW": size, "strideH": size, "padding": 1}
    step = Step("AVERAGE_POOL_2D", ["image"], ["pooled"], "Pool2DOptions", fields)
    write_file(path, Part({"image": image, "pooled": pooled}, [step], {"image": "image"}, {"pooled": "pooled"}))

    def leave_open(model):
        for number, sizes in enumerate((signature, (-1, -1, -1, 3))):
            model.subgraphs[0].tensors[number].shapeSignature = np.int32(sizes)

    path.write_bytes(edit(path.read_bytes(), leave_open))
    return path


def custom(path, name, *, quantized=False, options=b""):
    """A file of one custom operation on (1, 2, 2, 1), with weights (1, 2, 2, 1) and a bias (1,)."""
    kind = {"dtype": "int8", "scale": 1.0} if quantized else {}
    tensors = {"x": Values((1, 2, 2, 1), **kind), "w": constant(np.ones((1, 2, 2, 1), np.float32))}
    tensors |= {"b": constant(np.float32([1])), "y": Values((1, 4, 4, 1), **kind)}
    write_file(path, Part(tensors, [Step("CUSTOM", ["x", "w", "b"], ["y"])], {"x": "x"}, {"y": "y"}))

    def call(model):
        model.operatorCodes[0].customCode = name.encode()
        model.subgraphs[0].operators[0].customOptions = np.frombuffer(options, np.uint8) if options else None

    path.write_bytes(edit(path.read_bytes(), call))
    return path
