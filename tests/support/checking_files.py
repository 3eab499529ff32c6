"""Graphs and small .tflite files for the tests of `tfeff check`: written by hand, converted, or edited."""

from functools import cache

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.tflite.graph import Graph, Operation, Tensor

CODES = {name: number for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


def tensor(*shape, dtype="INT8", values=None, constant=False, **facts):
    """A tensor of a graph that is written by hand; a constant when it has values."""
    if values is not None:
        facts |= {"values": tuple(values), "uniform": values[0] if len(set(values)) == 1 else None}
    constant = constant or values is not None
    return Tensor("t", shape, dtype, facts.pop("scale", 1.0), facts.pop("zero_point", 0), constant, **facts)


def weights(*shape, dtype="INT8", **facts):
    """A constant whose values do not matter."""
    return tensor(*shape, dtype=dtype, constant=True, size_bytes=int(np.prod(shape)), **facts)


def ints(*values, dtype="INT32"):
    """A constant of axes, paddings, sizes."""
    return tensor(len(values), dtype=dtype, values=values)


def operation(name, inputs, outputs, version=1, **options):
    """An operation on tensors that are written by hand."""
    return Operation(name, version, tuple(inputs), tuple(outputs), CODES.get(name, 32), options)


def chain(*operations, version=""):
    """A graph of operations, each of which reads what the one before wrote; tensors get their numbers here."""
    done, number, last = [], 0, None
    for op in operations:
        inputs = []
        for source in op.inputs:
            if last is not None and not source.constant and last.shape == source.shape:
                inputs.append(last)
            else:
                number += 1
                inputs.append(_numbered(source, number))
        outputs = []
        for target in op.outputs:
            number += 1
            outputs.append(_numbered(target, number))
        last = outputs[0]
        done.append(Operation(op.name, op.version, tuple(inputs), tuple(outputs), op.code, op.options))
    return Graph(tuple(done), done[0].inputs[:1], done[-1].outputs, version)


def _numbered(old, number):
    return Tensor(**{**vars(old), "index": number, "buffer": number if old.constant else 0})


def edit(data, change):
    """The bytes of a .tflite file after `change(ModelT)`."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(data), 0))
    change(model)
    return pack(model)


def pack(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def outside(data):
    """The file with all constants moved behind the flatbuffer, as converters do with big ones."""
    moved = []

    def move(model, start):
        offset = start
        moved.clear()
        for buffer in model.buffers:
            if buffer.data is not None and len(buffer.data):
                raw = bytes(bytearray(buffer.data))
                buffer.data, buffer.offset, buffer.size = None, offset, len(raw)
                moved.append(raw + bytes(-len(raw) % 16))
                offset += len(moved[-1])

    length = len(edit(data, lambda model: move(model, 2**20)))
    start = length + -length % 16
    flat = edit(data, lambda model: move(model, start))
    assert len(flat) == length
    return flat + bytes(start - length) + b"".join(moved)


def only_code(code, version):
    """A file with one operation's code and no operation: a runtime looks for its kernel when it loads the file."""
    model, graph, value = schema.ModelT(), schema.SubGraphT(), schema.TensorT()
    value.shape, value.name = [1], b"x"
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [value], [0], [0], []
    kind = schema.OperatorCodeT()
    kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), version
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [kind], [schema.BufferT()], [graph]
    return pack(model)


CHANNELS = 8


_constants = []  # of the network that is being converted


def _networks():
    """Networks of one or few operations: name -> function of float32 (1, 8, 8, 8)."""
    import tensorflow as tf

    def constant(*shape):
        # The same in every session, whatever was converted before, and another for each place: equal ones would melt.
        _constants.append(np.random.default_rng(len(_constants)).normal(0, 0.3, shape).astype(np.float32))
        return tf.constant(_constants[-1])

    def conv(x, out=CHANNELS, **options):
        return tf.nn.conv2d(x, constant(3, 3, x.shape[-1], out), 1, "SAME", **options)

    def depthwise(x, dilation):
        return tf.nn.depthwise_conv2d(x, constant(3, 3, CHANNELS, 1), (1, 1, 1, 1), "SAME", dilations=dilation)

    def joined(parts):  # all of them: a part that is not read has no range
        return tf.concat([tf.concat(parts[:4], 3), tf.concat(parts[4:], 3)], 3)

    def hard_swish(x):
        return x * tf.nn.relu6(x + 3) / 6

    def shuffle(x):
        x = tf.transpose(tf.reshape(x, (1, 8, 8, 2, 4)), (0, 1, 2, 4, 3))
        return tf.reshape(x, (1, 8, 8, CHANNELS))

    def branches(x):
        left, right = hard_swish(conv(x)), conv(conv(x))
        return conv(tf.concat([conv(left), right, conv(x)], 3))

    prelu = tf.keras.layers.PReLU(shared_axes=[1, 2])
    prelu.build((1, 8, 8, CHANNELS))
    prelu.set_weights([np.linspace(0.1, 0.9, CHANNELS, dtype=np.float32).reshape(1, 1, CHANNELS)])

    return {
        "conv": conv,
        "group": lambda x: conv(tf.nn.conv2d(conv(x), constant(3, 3, 2, CHANNELS), 1, "SAME")),
        "dilated": lambda x: conv(x, dilations=2),
        "depthwise": lambda x: depthwise(x, (2, 2)),
        "depthwise_2_3": lambda x: depthwise(x, (2, 3)),
        "dense": lambda x: tf.matmul(tf.reshape(x, (1, 512)), constant(512, 4)),
        "dense_3d": lambda x: tf.tensordot(tf.reshape(x, (1, 64, CHANNELS)), constant(CHANNELS, 4), 1),
        "add": lambda x: x + conv(x),
        "sub": lambda x: x - conv(x),
        "mul": lambda x: x * conv(x),
        "maximum": lambda x: tf.maximum(x, 0.25 * x),
        "mean": lambda x: tf.reduce_mean(conv(x), (1, 2)),
        "average_pool": lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID"),
        "max_pool": lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"),
        "concat_5": lambda x: tf.concat([conv(x, 2) for _ in range(5)], 3),
        "concat_6": lambda x: tf.concat([conv(x, 2) for _ in range(6)], 3),
        "split_4": lambda x: tf.concat([conv(part) for part in tf.split(x, 4, 3)], 3),
        "split_8": lambda x: joined([conv(part) for part in tf.split(x, 8, 3)]),
        "pad": lambda x: tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
        "mirror_pad": lambda x: tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="REFLECT"),
        "slice_step_2": lambda x: x[:, :, :, 0::2] + 0.5,
        "slice": lambda x: x[:, 1:5, 1:5, :] + 0.5,
        "transpose": lambda x: tf.transpose(conv(x), (0, 2, 1, 3)),
        "shuffle": lambda x: conv(shuffle(conv(x))),
        "gather": lambda x: tf.gather(conv(x), [1, 0, 3, 2, 5, 4, 7, 6], axis=3),
        "bilinear": lambda x: tf.image.resize(x, (16, 16)),
        "nearest": lambda x: tf.image.resize(x, (16, 16), method="nearest"),
        "softmax": lambda x: tf.nn.softmax(tf.reduce_mean(conv(x), (1, 2))),
        "relu": lambda x: tf.nn.relu(tf.concat([x, conv(x)], 3)),
        "prelu": lambda x: prelu(conv(x)),
        "hard_swish": lambda x: hard_swish(conv(x)),
        "leaky": lambda x: tf.nn.leaky_relu(conv(x)),
        "gelu": lambda x: tf.nn.gelu(conv(x)),
        "sigmoid": lambda x: tf.sigmoid(conv(x)),
        "tanh": lambda x: tf.tanh(conv(x)),
        "neg": lambda x: conv(-conv(x)),
        "transpose_conv": lambda x: tf.nn.conv2d_transpose(x, constant(3, 3, 4, CHANNELS), (1, 16, 16, 4), 2, "SAME"),
        "depth_to_space": lambda x: tf.nn.depth_to_space(conv(x), 2),
        "branches": branches,
    }


@cache
def _network_table():
    return _networks()


def names():
    """Names of all networks that `converted` knows."""
    return sorted(_network_table())


@cache
def converted(name, door="int8", precision="int8", batch=1):
    """The bytes of a network of `_networks`, by TensorFlow's converter; ranges come from seeded noise."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    _constants.clear()
    image = tf.TensorSpec((batch, 8, 8, CHANNELS), tf.float32, name="image")
    function = tf.function(_network_table()[name], input_signature=[image]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
    if precision != "float32":
        random = np.random.default_rng(0)
        images = random.normal(size=(8, 1, 8, 8, CHANNELS)).astype(np.float32)
        ops = tf.lite.OpsSet
        kernels = {
            "int8": ops.TFLITE_BUILTINS_INT8,
            "int16": ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        }
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [kernels[precision], ops.TFLITE_BUILTINS]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, door)
    return converter.convert()
